"""Jobs over a whole project: a changed overlap reaches what waits, an archived project is erased, unused images go."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models.functions import Now

from annotation import job_kinds
from annotation.actions.jobs import start_job
from annotation.actions.media import add_media, erase_item
from annotation.actions.projects import archive_project, change_project
from annotation.jobs import run_job
from annotation.media import media_path
from annotation.models import AnnotationText, Item, ItemPayload, Job, Label, Media, QueueRow
from tests.cast import Desk, MakeDesk, import_rows
from tests.test_imports import png

pytestmark = pytest.mark.django_db(transaction=True)

assert job_kinds  # registers the kinds


def run_last(kind: str) -> Job:
    job = Job.objects.filter(kind=kind).latest("pk")
    run_job(job.pk)
    job.refresh_from_db()
    return job


def show(desk: Desk, name: str) -> tuple[int, int, int]:
    row = desk.row(name)
    return row.overlap, desk.taken(name), row.state


def test_a_higher_overlap_reaches_the_open_items_alone(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_kinds.overlap, "BATCH", 2)
    desk = make_desk(5)
    desk.vote("t-1", alice="spam")
    change_project(project=desk.project, settings={"overlap": 3}, actor=desk.cast.olga)
    job = run_last("overlap")
    assert (job.state, job.result, job.done) == ("done", {"changed": 4}, 5)
    assert show(desk, "t-1") == (1, 1, QueueRow.State.AGREED)
    assert [show(desk, f"t-{i}") for i in range(2, 6)] == [(3, 0, QueueRow.State.OPEN)] * 4


def test_a_lower_overlap_settles_what_has_enough_answers_now(make_desk: MakeDesk) -> None:
    desk = make_desk(3, overlap=3)
    desk.vote("t-1", alice="spam")
    desk.vote("t-2", alice="spam", bob="none")
    change_project(project=desk.project, settings={"overlap": 1}, actor=desk.cast.olga)
    job = run_last("overlap")
    assert job.result == {"changed": 3}
    assert show(desk, "t-1") == (1, 1, QueueRow.State.AGREED)
    assert show(desk, "t-2") == (2, 2, QueueRow.State.DISPUTED)
    assert show(desk, "t-3") == (1, 0, QueueRow.State.OPEN)


def test_an_archived_project_keeps_its_labels_and_loses_its_payloads(make_desk: MakeDesk) -> None:
    desk = make_desk(3)
    media, _is_new = add_media(project=desk.project, source=io.BytesIO(png(9)), actor=desk.cast.enzo)
    import_rows(desk.project, [{"external_id": "image", "parts": [{"kind": "image", "media": media.sha256}]}])
    desk.submit("alice", desk.lease_one("alice"), "spam", comment="as I said")
    archive_project(project=desk.project, actor=desk.cast.olga)
    job = run_last("erase")
    assert (job.state, job.result, job.done, job.total) == ("done", {"erased": 4, "media": 1}, 5, 5)
    assert set(Item.objects.values_list("lifecycle", flat=True)) == {Item.Lifecycle.ERASED}
    left = [ItemPayload.objects.count(), AnnotationText.objects.count(), Media.objects.count(), Label.objects.count()]
    assert left == [0, 0, 0, 1]
    assert not media_path(desk.project.pk, media.sha256).exists()


@pytest.mark.parametrize("kind", ["import", "embeddings", "predictions"])
def test_what_a_killed_job_had_been_sent_goes_with_an_archived_project(make_desk: MakeDesk, kind: str) -> None:
    desk = make_desk(1)
    path = Path(settings.UPLOAD_DIR) / "left"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("what was sent")
    start_job(kind=kind, project=desk.project, created_by=desk.cast.enzo, args={"file": path.name})
    Job.objects.update(state="dead", ended_at=Now())
    archive_project(project=desk.project, actor=desk.cast.olga)
    run_last("erase")
    assert not path.exists()


def test_an_image_goes_with_the_last_item_that_shows_it(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    media, _is_new = add_media(project=desk.project, source=io.BytesIO(png(9)), actor=desk.cast.enzo)
    part = {"kind": "image", "media": media.sha256}
    import_rows(desk.project, [{"external_id": name, "parts": [part]} for name in ("one", "two")])
    path = media_path(desk.project.pk, media.sha256)
    erase_item(item=desk.item("one"), actor=desk.cast.olga, reason="asked for")
    assert run_last("remove-media").result == {"media": 0}
    assert path.exists()
    erase_item(item=desk.item("two"), actor=desk.cast.olga, reason="asked for")
    assert run_last("remove-media").result == {"media": 1}
    assert not path.exists()
    assert not Media.objects.exists()
