"""Rows become items: all or nothing, once, invisible until the flip, with what they bring."""

from __future__ import annotations

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from PIL import Image

from annotation import job_kinds
from annotation.actions.imports import Outcome, load_items, start_import
from annotation.actions.jobs import claim_job
from annotation.actions.media import add_media
from annotation.actions.projects import archive_project, change_project
from annotation.audit import find_violations
from annotation.commitments import holds
from annotation.errors import StateError
from annotation.importing.formats import ImportFileError, RowProblem
from annotation.importing.rows import RowError, parse_row
from annotation.importing.sorting import BATCH_CHARACTERS, FIND_ITEMS, Rows, batches, find_items
from annotation.jobs import JobLostError, RunningJob, run_job
from annotation.media import media_path
from annotation.models import (
    Annotation,
    Draw,
    Event,
    Import,
    Item,
    ItemPayload,
    Job,
    Label,
    Media,
    Offer,
    Project,
    QueueLane,
    QueueRow,
    Seat,
    User,
)
from config.home import ROOT
from tests.cast import Desk, MakeDesk
from tests.job_rows import age_heartbeat
from tests.workers import get_database_url, wait_until

DAVIDSON = Path(__file__).parents[2] / "shared" / "data" / "davidson_labeled_data.csv.xz"

assert job_kinds  # registers the kind


class Killed(BaseException):
    """What a kill looks like from inside: nothing catches it."""


def rows_of(project: Project, raw: Iterable[Mapping[str, Any]]) -> Rows:
    """Rows as a file of JSON lines would bring them, numbered from 1."""
    assert project.schema is not None
    for line, row in enumerate(raw, start=1):
        try:
            yield line, parse_row(dict(row), project.schema.compiled)
        except RowError as error:
            yield line, RowProblem(error.detail)


def load(project: Project, raw: list[dict[str, Any]], **options: Any) -> tuple[Outcome, bool]:
    return load_items(project=project, read=lambda: rows_of(project, raw), actor=None, **options)


def texts(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"external_id": name, "text": f"text of {name}", **more} for name in names]


def votes(**verdicts: str) -> list[dict[str, Any]]:
    return [{"annotator": name, "answers": {"verdict": verdict}} for name, verdict in verdicts.items()]


def count(project: Project) -> dict[str, int]:
    """Everything that an import may leave in a project."""
    return {
        "imports": Import.objects.filter(project=project).count(),
        "items": Item.objects.filter(project=project).count(),
        "payloads": ItemPayload.objects.filter(item__project=project).count(),
        "rows": QueueRow.objects.filter(project=project).count(),
        "seats": Seat.objects.filter(project=project).count(),
        "annotations": Annotation.objects.filter(project=project).count(),
    }


def upload(content: bytes) -> Path:
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / secrets.token_hex(16)
    path.write_bytes(content)
    return path


def lines(raw: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in raw).encode()


def run_file(desk: Desk, content: bytes, name: str, **options: Any) -> Job:
    """Import a file by its job, and return the job as it ended."""
    path = upload(content)
    job = start_import(project=desk.project, actor=desk.cast.enzo, path=path, name=name, **options)
    run_job(job.pk)
    job.refresh_from_db()
    assert not path.exists()
    return job


def png(shade: int, side: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("L", (side, side), shade).save(out, "PNG")
    return out.getvalue()


def pack(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


# --- All or nothing --------------------------------------------------------------------------------------------------


def test_rows_become_items_with_their_payload_and_one_row_of_work(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("a", group="g", metadata={"source": "forum"}))
    item = desk.item("a")
    assert (item.group, item.metadata, item.has_own_id) == ("g", {"source": "forum"}, True)
    assert item.payload.parts == [{"name": "text", "kind": "text", "role": "target", "text": "text of a"}]
    assert count(desk.project) == {
        "imports": 1,
        "items": 1,
        "payloads": 1,
        "rows": 1,
        "seats": 0,
        "annotations": 0,
    }


def test_one_wrong_row_rejects_the_file_whatever_was_stored_before_it(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    before = count(desk.project)
    outcome, stored = load(desk.project, [*texts("a", "b", "c"), {"external_id": "d"}], batch_rows=2)
    assert not stored
    assert outcome.as_result() == {
        "imported": 0,
        "unchanged": 0,
        "rejected": 1,
        "errors": [{"line": 4, "reason": 'The row has no `parts` and no "text", or these are empty.'}],
    }
    assert count(desk.project) == before


def test_partial_stores_the_good_rows_and_reports_the_others(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("first"))
    outcome, stored = load(desk.project, [*texts("a"), {"external_id": "b"}, *texts("c")], partial=True)
    assert stored
    assert (outcome.imported, outcome.rejected, outcome.errors[0]["line"]) == (2, 1, 2)
    assert set(Item.objects.filter(project=desk.project).values_list("external_id", flat=True)) == {"first", "a", "c"}


def test_only_a_hundred_errors_are_kept(make_desk: MakeDesk) -> None:
    outcome, _stored = load(make_desk(1).project, [{"external_id": str(i)} for i in range(150)])
    assert (outcome.rejected, len(outcome.errors), outcome.errors[-1]["line"]) == (150, 100, 100)


def test_a_file_without_rows_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    outcome, stored = load(desk.project, [])
    assert (stored, outcome.fault) == (False, "The file holds no rows.")
    assert count(desk.project)["imports"] == 1


def test_a_file_that_breaks_off_leaves_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(1)

    def read() -> Rows:
        yield from rows_of(desk.project, texts("a", "b"))
        raise ImportFileError("The file ends early.")

    outcome, stored = load_items(project=desk.project, read=read, actor=None, partial=True, batch_rows=1)
    assert (stored, outcome.fault, outcome.imported) == (False, "The file ends early.", 0)
    assert count(desk.project)["items"] == 1


def test_batches_are_bounded_by_characters_too() -> None:
    schema: dict[str, Any] = {"questions": []}
    rows = [(i, parse_row({"text": "x" * 1_000_000}, schema)) for i in range(20)]
    assert [len(batch) for batch in batches(rows, 2000)] == [BATCH_CHARACTERS // 1_000_000] * 5


def test_a_refused_file_leaves_no_lane_and_no_draw(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    before = (QueueLane.objects.count(), Draw.objects.count())
    rows = [*texts("a", metadata={"language": "fi"}), *texts("b", metadata={"language": "sv"}), {"external_id": "c"}]
    _outcome, stored = load(desk.project, rows, batch_rows=1)
    assert (stored, QueueLane.objects.count(), Draw.objects.count()) == (False, *before)
    assert count(desk.project)["rows"] == 1


def test_any_text_comes_back_as_it_was_and_fits_its_commitment(make_desk: MakeDesk) -> None:
    strange = 'a\\b \\. \\N "quoted" \t tab\nline\r\u2028 \x7f \U0001f600 \'); drop table'
    name = "id\\with\\N\u2028\U0001f600"
    rows = [
        {"external_id": name, "text": strange, "metadata": {"k\\ey": strange, "n": [1, {"x": None}]}, "group": "g\\1"}
    ]
    item = make_desk(rows=rows).item(name)
    assert item.payload.parts == [{"name": "text", "kind": "text", "role": "target", "text": strange}]
    assert (item.metadata, item.group) == ({"k\\ey": strange, "n": [1, {"x": None}]}, "g\\1")
    assert holds(bytes(item.commitment), item.payload.parts, bytes(item.payload.salt))


# --- The same id again -----------------------------------------------------------------------------------------------


def test_the_same_rows_again_are_unchanged(make_desk: MakeDesk) -> None:
    desk = make_desk(3)
    again = [{"external_id": f"t-{i}", "text": f"text number {i}", "metadata": {"new": i}} for i in range(1, 4)]
    outcome, _stored = load(desk.project, again)
    assert (outcome.imported, outcome.unchanged) == (0, 3)
    assert desk.item("t-1").metadata == {}
    assert count(desk.project)["rows"] == 3


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_new_metadata_is_stored_where_it_was_asked_for(make_desk: MakeDesk, batch_rows: int) -> None:
    desk = make_desk(3)
    again = [{"external_id": f"t-{i}", "text": f"text number {i}", "metadata": {"new": i}} for i in (1, 2, 2)]
    again[2]["metadata"] = {"new": "last"}
    outcome, _stored = load(desk.project, again, update_metadata=True, batch_rows=batch_rows)
    assert (outcome.imported, outcome.unchanged) == (0, 3)
    assert [desk.item(name).metadata for name in ("t-1", "t-2", "t-3")] == [{"new": 1}, {"new": "last"}, {}]


def test_a_rejected_row_changes_no_metadata(make_desk: MakeDesk) -> None:
    desk = make_desk(2)
    rows = [
        {"external_id": "t-1", "text": "other text", "metadata": {"new": 1}},
        {"external_id": "t-2", "text": "text number 2", "metadata": {"new": 2}},
    ]
    load(desk.project, rows, update_metadata=True)
    assert desk.item("t-2").metadata == {}
    load(desk.project, rows, update_metadata=True, partial=True)
    assert [desk.item(name).metadata for name in ("t-1", "t-2")] == [{}, {"new": 2}]


def test_a_corrected_language_moves_the_work_to_those_who_take_it(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("a", metadata={"language": "en"}))
    held = desk.lease_one("alice")
    load(desk.project, texts("a", metadata={"language": "pt-BR"}), update_metadata=True)
    lane = QueueLane.objects.get(pk=desk.row("a").lane_id)
    assert (lane.language, lane.stream) == ("pt-br", desk.item("a").split)
    assert Seat.objects.get(pk=held["seat"]).lane_id == lane.pk
    desk.submit("alice", held)
    assert desk.row("a").n_submitted == 1


def test_other_parts_under_a_known_id_are_a_wrong_row(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    outcome, stored = load(desk.project, [{"external_id": "t-1", "text": "another text"}])
    assert not stored
    assert "is taken by an item with other parts" in outcome.errors[0]["reason"]
    assert desk.item("t-1").payload.parts[0]["text"] == "text number 1"


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_one_id_twice_in_a_file(make_desk: MakeDesk, batch_rows: int) -> None:
    desk = make_desk(1)
    same = texts("a", "a", "b")
    outcome, _stored = load(desk.project, same, batch_rows=batch_rows)
    assert (outcome.imported, outcome.unchanged) == (2, 1)
    differing = [*texts("c"), {"external_id": "c", "text": "other"}, *texts("d")]
    outcome, stored = load(desk.project, differing, batch_rows=batch_rows)
    assert (stored, outcome.errors[0]["line"]) == (False, 2)
    outcome, _stored = load(desk.project, differing, partial=True, batch_rows=batch_rows)
    assert (outcome.imported, outcome.rejected) == (2, 1)
    assert desk.item("c").payload.parts[0]["text"] == "text of c"


def test_a_generated_id_is_never_matched(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    load(desk.project, [{"text": "nameless"}, {"text": "nameless"}])
    names = list(Item.objects.filter(project=desk.project, has_own_id=False).values_list("external_id", flat=True))
    assert len(names) == 2
    outcome, stored = load(desk.project, [{"external_id": names[0], "text": "nameless"}])
    assert not stored
    assert "was given by Touchstone" in outcome.errors[0]["reason"]
    load(desk.project, [{"text": "nameless"}])
    assert Item.objects.filter(project=desk.project, has_own_id=False).count() == 3


def test_names_are_looked_up_by_the_unique_index_also_in_a_project_that_the_planner_knows_nothing_of(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.actions.imports.ANALYZED_FROM", 1_000_000)
    make_desk(1000, slug="known")
    # An index of long names is higher than one of numbers, and so dearer to probe.
    long = [f"{'x' * 190}-{i:04}" for i in range(2500)]
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_item")
        desk = make_desk(slug="new", rows=texts(*long))
        cursor.execute(f"explain {FIND_ITEMS}", [["absent"], desk.project.pk])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "external_id)::text = n.name" in plan.partition("Index Cond: ((project_id = p.id)")[2], plan
    assert find_items(desk.project.pk, [long[7], "absent"]) == [desk.item(long[7]).pk]


# --- Draws, lanes and chance -----------------------------------------------------------------------------------------


def test_a_fifth_is_held_out_and_a_group_stays_together(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    load(desk.project, [{"text": f"text {i}", "group": f"g{i % 1000}"} for i in range(3000)])
    items = Item.objects.filter(project=desk.project, group__startswith="g")
    sides: dict[str, set[int]] = {}
    for group, split in items.values_list("group", "split"):
        sides.setdefault(group, set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    held_out = sum(side == {Item.Split.HOLDOUT} for side in sides.values())
    assert 150 < held_out < 250  # of 1000 at 0.2: four standard deviations
    streams = Counter(
        QueueRow.objects.filter(item__in=items).values_list("lane__stream", "item__split", "draw__stream")
    )
    assert set(streams) == {(0, 0, Draw.Stream.ACTIVE), (1, 1, Draw.Stream.HOLDOUT)}


def test_serving_order_is_not_the_order_of_the_file(make_desk: MakeDesk) -> None:
    desk = make_desk(400)
    order = [
        int(name[2:])
        for name in QueueRow.objects.filter(project=desk.project)
        .order_by("tiebreak")
        .values_list("item__external_id", flat=True)
    ]
    early = [place for place, number in enumerate(order) if number <= 200]
    assert abs(sum(early) / len(early) - 199.5) < 35  # the first half of the file stands in the middle: six deviations
    assert all(tiebreak >= 0 for tiebreak in QueueRow.objects.values_list("tiebreak", flat=True))


def test_more_than_two_hundred_languages_are_refused(make_desk: MakeDesk) -> None:
    rows = [{"text": "x", "metadata": {"language": f"en-x{i:03}"}} for i in range(201)]
    outcome, stored = load(make_desk(1).project, rows)
    assert (stored, outcome.rejected, outcome.errors[0]["line"]) == (False, 1, 201)


# --- Annotations that come along -------------------------------------------------------------------------------------


def test_imported_annotations_take_places_and_vote(make_desk: MakeDesk) -> None:
    rows = [
        {"external_id": "agreed", "text": "x", "annotations": votes(ann="spam", ben="spam")},
        {
            "external_id": "disputed",
            "text": "x",
            "annotations": votes(ann="spam", ben="none", cat="insult", dan="none"),
        },
        {"external_id": "open", "text": "x", "annotations": votes(ann="spam")},
    ]
    desk = make_desk(rows=rows, overlap={"min": 2, "max": 3})
    found = {
        name: (row.state, row.overlap, desk.taken(name), row.n_submitted, desk.n_free(name) > 0)
        for name in ("agreed", "disputed", "open")
        for row in [desk.row(name)]
    }
    assert found == {
        "agreed": (QueueRow.State.AGREED, 2, 2, 2, False),
        "disputed": (QueueRow.State.DISPUTED, 4, 4, 4, False),  # the overlap was raised
        "open": (QueueRow.State.OPEN, 2, 1, 1, True),
    }
    assert desk.n_free("disputed", kind=2) == 1
    assert desk.lease_one("alice")["external_id"] == "open"


def test_an_imported_person_has_no_login_and_is_one_in_the_project(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("a", "b", annotations=votes(Ann="spam")))
    person = User.objects.get(kind=User.Kind.IMPORTED)
    assert (person.shown_name, person.has_usable_password(), "/" in person.username) == ("Ann", False, True)
    given = Annotation.objects.filter(project=desk.project)
    assert set(given.values_list("person", "source", "schema", "seat__state", "seat__kind")) == {
        (person.pk, "imported", desk.project.schema_id, Seat.State.SUBMITTED, 1)
    }
    assert Label.objects.filter(project=desk.project, person=person).count() == 2


def test_annotations_of_an_item_that_was_there_are_passed_over(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("a"))
    outcome, _stored = load(desk.project, texts("a", annotations=votes(ann="spam")))
    assert outcome.unchanged == 1
    assert count(desk.project)["annotations"] == 0


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_of_two_rows_with_one_id_the_one_that_became_the_item_brings_the_annotations(
    make_desk: MakeDesk, batch_rows: int
) -> None:
    desk = make_desk(1)
    absent = {"kind": "image", "media": "0" * 64}
    rows = [
        {"external_id": "a", "parts": [absent], "annotations": votes(zoe="insult")},
        *texts("a", annotations=votes(ann="spam")),
        *texts("a", annotations=votes(ben="none")),
        {"external_id": "a", "text": "other", "annotations": votes(cat="insult")},
    ]
    load(desk.project, rows, partial=True, batch_rows=batch_rows)
    assert list(Annotation.objects.values_list("person__shown_name", flat=True)) == ["ann"]


def test_places_left_open_by_annotated_items_are_found_by_who_had_finished(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"), overlap=2)
    desk.label("alice")
    assert desk.lease("alice").reason == "done_by_you"
    seen: list[str | None] = []

    def watch(done: int, total: int | None) -> None:
        seen.append(desk.lease("alice").reason)

    rows = texts("a", "b", annotations=votes(ann="spam"))
    load(desk.project, rows, batch_rows=1, progress=watch)
    assert seen == ["done_by_you", "done_by_you", None, None]  # two batches unseen, then each as it is finished
    assert len(desk.lease("alice", n=2).leases) == 2


def test_nobody_is_offered_an_annotated_item_before_its_annotations_are_in(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"), overlap=2)
    free: list[dict[str, int]] = []

    def look(_done: int, _total: int | None) -> None:
        free.append(dict(Offer.objects.values_list("item__external_id", "n_free")))

    rows = [*texts("a", "b", annotations=votes(ann="spam")), *texts("c")]
    load(desk.project, rows, batch_rows=1, progress=look)
    whole = {"a": 1, "b": 1, "c": 2, "z": 2}
    assert free == [{"z": 2}] * 3 + [{"a": 1, "c": 2, "z": 2}, whole, whole]


def test_annotated_items_take_the_overlap_that_the_project_has_by_then(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"))

    def change(done: int, total: int | None) -> None:
        if total is not None and done == 3:
            change_project(project=desk.project, settings={"overlap": 3}, actor=desk.cast.olga)

    load(desk.project, texts("a", "b", annotations=votes(ann="spam")), batch_rows=1, progress=change)
    assert (desk.row("a").overlap, desk.row("b").overlap) == (1, 3)


# --- Media and archives ----------------------------------------------------------------------------------------------


def test_a_part_of_media_needs_an_uploaded_image_of_its_kind(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    media, is_new = add_media(project=desk.project, source=io.BytesIO(png(7)), actor=desk.cast.enzo)
    assert is_new
    rows = [
        {"external_id": "here", "parts": [{"kind": "image", "media": media.sha256}]},
        {"external_id": "absent", "parts": [{"kind": "image", "media": "0" * 64}]},
        {"external_id": "other", "parts": [{"kind": "audio", "media": media.sha256}]},
    ]
    outcome, _stored = load(desk.project, rows, partial=True)
    reasons = [error["reason"] for error in outcome.errors]
    assert outcome.imported == 1
    assert "is not here. Upload it first" in reasons[0]
    assert f"The file {media.sha256} is image/png, not audio." in reasons[1]


@pytest.mark.django_db(transaction=True)
def test_an_archive_of_images_becomes_items(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    files = {f"cats/{shade}.png": png(shade) for shade in range(5)} | {"copy.png": png(0)}
    job = run_file(desk, pack(files), "cats.zip")
    assert (job.state, job.result) == (
        "done",
        {"imported": 6, "unchanged": 0, "rejected": 0, "errors": []},
    )
    first, copy = desk.item("cats/0.png"), desk.item("copy.png")
    assert first.payload.parts == copy.payload.parts
    assert Media.objects.filter(project=desk.project).count() == 5
    assert media_path(desk.project.pk, first.payload.parts[0]["media"]).read_bytes() == png(0)


@pytest.mark.django_db(transaction=True)
def test_a_refused_archive_leaves_no_image_but_those_that_were_there(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    media, _is_new = add_media(project=desk.project, source=io.BytesIO(png(1)), actor=desk.cast.enzo)
    job = run_file(desk, pack({"1.png": png(1), "2.png": png(2), "3.png": b"<svg/>"}), "some.zip")
    assert job.state == "failed"
    assert job.result is not None
    assert job.result["errors"][0]["line"] == 3
    assert job.result["errors"][0]["reason"].startswith('"3.png": SVG, HTML and XML are not accepted')
    assert list(Media.objects.filter(project=desk.project)) == [media]
    folder = media_path(desk.project.pk, media.sha256).parents[1]
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [media.sha256]
    assert count(desk.project)["items"] == 1


# --- The job ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_job_imports_a_table(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    job = run_file(desk, b"id;tweet;score\n1;hello;3\n2;bye;4\n", "file.csv", text_column="tweet")
    assert (job.state, job.done, job.result) == (
        "done",
        2,
        {"imported": 2, "unchanged": 0, "rejected": 0, "errors": []},
    )
    item = Item.objects.get(project=desk.project, metadata__id="1")
    assert (item.metadata, item.payload.parts[0]["text"]) == ({"id": "1", "score": "3"}, "hello")
    assert Event.objects.get(kind="items.imported", ref_id=item.imported_by_id).actor == desk.cast.enzo


@pytest.mark.django_db(transaction=True)
def test_a_rejected_file_is_a_failed_job_with_its_result(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    job = run_file(desk, lines([*texts("a"), {"external_id": "b"}]), "rows.jsonl")
    assert (job.state, job.attempt) == ("failed", 1)
    assert job.error.startswith("Nothing was stored: 1 row is wrong. Line 2: The row has no `parts`")
    assert job.result is not None
    assert (job.result["imported"], job.result["rejected"], job.result["errors"][0]["line"]) == (0, 1, 2)
    assert count(desk.project)["items"] == 1


@pytest.mark.django_db(transaction=True)
def test_a_damaged_file_is_a_failed_job(make_desk: MakeDesk) -> None:
    job = run_file(make_desk(1), b"\x1f\x8b broken", "rows.jsonl.gz")
    assert (job.state, job.result) == ("failed", {"imported": 0, "unchanged": 0, "rejected": 0, "errors": []})
    assert job.error.startswith("Nothing was stored. The file is damaged")


def test_an_unknown_format_or_an_archived_project_starts_no_job(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    path = upload(b"x")
    with pytest.raises(ImportFileError):
        start_import(project=desk.project, actor=None, path=path, name="picture.bmp")
    with pytest.raises(ValueError, match="does not lie in the folder for uploads"):
        start_import(project=desk.project, actor=None, path=Path("/etc/passwd"), name="rows.csv")
    archive_project(project=desk.project, actor=desk.cast.olga)
    desk.project.refresh_from_db()
    with pytest.raises(StateError):
        start_import(project=desk.project, actor=None, path=path, name="rows.csv")
    assert not Job.objects.filter(kind="import").exists()
    path.unlink()


def test_a_project_archived_meanwhile_stores_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    outcome, stored = load(
        desk.project,
        texts("a", "b"),
        batch_rows=2,
        progress=lambda _done, _total: archive_project(project=desk.project, actor=desk.cast.olga),
    )
    assert (stored, count(desk.project)["items"]) == (False, 1)
    assert "was archived" in outcome.fault


# --- Visible at once, and only then ----------------------------------------------------------------------------------


def in_another_connection(function: Any) -> Any:
    def call() -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.django_db(transaction=True)
def test_nothing_of_an_unfinished_import_is_seen_or_served(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"))
    desk.label("alice")
    seen: list[tuple[int, int, str | None]] = []

    def look() -> tuple[int, int, str | None]:
        items = Item.objects.filter(project=desk.project)
        return items.count(), items.filter(imported_by__is_visible=True).count(), desk.lease("alice").reason

    load(
        desk.project,
        texts("a", "b", "c"),
        batch_rows=1,
        progress=lambda _done, _total: seen.append(in_another_connection(look)),
    )
    assert seen == [(2, 1, "empty"), (3, 1, "empty"), (4, 1, "empty")]
    assert in_another_connection(look) == (4, 4, None)


@pytest.mark.django_db(transaction=True)
def test_rows_are_read_in_a_thread_only_where_that_was_asked_for(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    seen: dict[str, str] = {}

    def read(name: str) -> Rows:
        seen[name] = threading.current_thread().name
        yield from rows_of(desk.project, texts(name))

    load_items(project=desk.project, read=lambda: read("ahead"), actor=None, is_read_ahead=True)
    load_items(project=desk.project, read=lambda: read("here"), actor=None)
    assert count(desk.project)["items"] == 3
    assert seen["ahead"].startswith("read-ahead")
    assert seen["here"] == threading.current_thread().name


def test_a_new_overlap_reaches_an_unfinished_import_and_offers_nothing_of_it(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"))
    offers: list[int] = []

    def change(done: int, total: int | None) -> None:
        change_project(project=desk.project, settings={"overlap": 1 + done}, actor=desk.cast.olga)
        run_job(Job.objects.filter(kind="overlap").latest("pk").pk)
        offers.append(Offer.objects.filter(item__project=desk.project).count())
        assert find_violations() == {}

    load(desk.project, texts("a", "b"), batch_rows=1, progress=change)
    assert offers == [1, 1]
    assert {name: (desk.row(name).overlap, desk.n_free(name)) for name in "abz"} == dict.fromkeys("abz", (3, 3))
    assert find_violations() == {}


# --- Kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("killed_at", [1, 3, 4, 5, 6])
def test_an_import_killed_anywhere_is_whole_after_the_next_attempt(make_desk: MakeDesk, killed_at: int) -> None:
    desk = make_desk(rows=texts("z"), overlap=2)
    rows = [
        *texts("a", annotations=votes(ann="spam", ben="spam")),
        *texts("b", annotations=votes(ann="spam", ben="none", cat="none")),
        *texts("c", annotations=votes(cat="insult")),
        *texts("z", metadata={"new": 1}),
        {"external_id": "wrong"},
    ]
    calls: list[int] = []

    def progress(done: int, total: int | None) -> None:
        calls.append(done)
        if len(calls) == killed_at:
            raise Killed

    options: dict[str, Any] = {"job_id": 4711, "partial": True, "update_metadata": True, "batch_rows": 2}
    with pytest.raises(Killed):
        load(desk.project, rows, progress=progress, **options)
    outcome, stored = load(desk.project, rows, **options)
    assert stored
    assert (outcome.imported, outcome.unchanged, outcome.rejected, len(outcome.errors)) == (3, 1, 1, 1)
    assert count(desk.project) == {
        "imports": 2,
        "items": 4,
        "payloads": 4,
        "rows": 4,
        "seats": 6,
        "annotations": 6,
    }
    states = {name: (desk.row(name).state, desk.taken(name), desk.n_free(name) > 0) for name in "abcz"}
    assert states == {"a": (1, 2, False), "b": (1, 3, False), "c": (0, 1, True), "z": (0, 0, True)}
    assert desk.item("z").metadata == {"new": 1}


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_lost_its_job_stores_nothing_more(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    path = upload(lines(texts("a", "b")))
    job = start_import(project=desk.project, actor=None, path=path, name="rows.jsonl")
    lost = claim_job(job_id=job.pk, worker="test")
    assert lost is not None
    age_heartbeat(job)
    found: list[dict[str, int]] = []

    def take_over(_done: int, _total: int | None) -> None:
        run_job(job.pk)
        found.append(count(desk.project))

    with pytest.raises(JobLostError):
        load(desk.project, texts("a", "b", "c"), progress=take_over, check=RunningJob(lost).check, batch_rows=1)
    job.refresh_from_db()
    assert job.state == "done"
    assert [count(desk.project)] == found
    assert found[0]["items"] == 3


@pytest.mark.django_db(transaction=True)
def test_a_killed_process_loses_nothing_and_doubles_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    n = 30_000
    path = upload(lines({"external_id": f"k-{i}", "text": f"text {i}"} for i in range(n)))
    job = start_import(project=desk.project, actor=None, path=path, name="rows.jsonl")
    code = f"import django; django.setup(); from annotation import job_kinds, jobs; jobs.run_job({job.pk})"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": get_database_url()}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)
    wait_until(lambda: Item.objects.filter(project=desk.project).count() > 1000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Import.objects.filter(project=desk.project, is_visible=True, job_id=job.pk).exists()
    age_heartbeat(job)
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("done", 2)
    assert job.result == {"imported": n, "unchanged": 0, "rejected": 0, "errors": []}
    assert (count(desk.project)["items"], count(desk.project)["rows"]) == (n + 1, n + 1)
    assert not path.exists()


# --- A real file -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not DAVIDSON.exists(), reason="the shared data is not beside this checkout")
def test_the_tweets_of_davidson_import(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=texts("z"))
    job = run_file(desk, DAVIDSON.read_bytes(), DAVIDSON.name, text_column="tweet")
    assert (job.state, job.result) == (
        "done",
        {"imported": 24_783, "unchanged": 0, "rejected": 0, "errors": []},
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*), count(distinct tiebreak) from annotation_queuerow where project_id = %s",
            [desk.project.pk],
        )
        assert cursor.fetchone() == (24_784, 24_784)
