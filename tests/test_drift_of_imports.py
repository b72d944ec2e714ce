"""What came in since a model was taught: which imports are compared with which, what is told, who may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client

from annotation.actions.items import quarantine_item
from annotation.events import dispatch_events
from annotation.jobs import run_job
from annotation.models import Import, Item, Job
from learning.actions.drift import KIND, start_drift
from learning.actions.models import ensure_external_model, make_current, write_scores
from learning.drift import count_alarms
from learning.incoming import find_incoming, group_imports, last_known_import
from learning.models import ModelVersion
from learning.questions import learnable_questions
from tests.api_client import Api
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import PLAIN, SPAM, add, empty_desk, names_in, play, teach

PATH = "projects/forum/drift"
PAGE = "/p/forum/learning/drift/"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"


def bring(desk: Desk, prefix: str, split: int = Item.Split.HOLDOUT, **texts: int) -> None:
    """One import of so many items of each text, in one split."""
    known = {"spam": SPAM, "plain": PLAIN, "other": "crypto airdrop wallet giveaway"}
    names = names_in(desk, split, prefix)
    rows = [
        {"external_id": next(names), "parts": [{"kind": "text", "text": f"{known[text]} {n}"}]}
        for text, count in texts.items()
        for n in range(count)
    ]
    import_rows(desk.project, rows)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A model of two kinds of text; what came with its labels has eighty items in the holdout, half of each kind."""
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0})
    bring(desk, "ref", spam=40, plain=40)
    teach(desk)
    add(desk, 3, PLAIN, "open")
    play(desk)
    return desk


def compare(desk: Desk) -> dict[str, Any]:
    """Ask for a comparison, carry it out, and ask what it found."""
    enzo = Api(desk.cast.enzo)
    answer = enzo.post(PATH, {})
    assert answer.status_code == 202
    job = int(answer.json()["job"])
    run_job(job, heartbeat_seconds=600)
    assert Job.objects.get(pk=job).error == ""
    return dict(enzo.get(PATH).json())


def open_page(desk: Desk, page: str = PAGE) -> str:
    client = Client()
    client.force_login(desk.cast.enzo)
    answer = client.get(page)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.django_db
def test_a_batch_like_the_reference_raises_no_alarm_and_one_that_differs_does(desk: Desk) -> None:
    bring(desk, "same", spam=40, plain=40)
    bring(desk, "new", spam=75, plain=5)
    found = compare(desk)
    same, new = found["batches"][-2:]
    assert (same["alarms"], new["alarms"]) == ([], ["choices", "certainty"])
    assert (same["n_items"], same["n_sampled"], new["n_scored"]) == (80, 80, 80)
    assert new["shares"]["spam"] > 0.9 > same["shares"]["spam"]
    assert new["comparisons"]["choices"]["adjusted"] <= found["alpha"] == 0.01
    assert found["reference"]["n_sampled"] == 80
    assert count_alarms(desk.project, learnable_questions(desk.project)[0]) == 1


@pytest.mark.django_db
def test_contents_that_the_model_cannot_tell_apart_are_seen_to_differ(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0})
    bring(desk, "ref", spam=80, plain=80)
    bring(desk, "pool", Item.Split.POOL, spam=260, plain=260)
    teach(desk)
    play(desk)
    bring(desk, "same", spam=80, plain=80)
    bring(desk, "newpool", Item.Split.POOL, spam=60, plain=60, other=80)
    bring(desk, "new", spam=50, plain=50, other=60)
    found = compare(desk)
    same, _pool, new = found["batches"][-3:]
    assert found["has_space"] is True
    assert (same["alarms"], "contents" in new["alarms"]) == ([], True)
    texts = {item.pk: item.payload.parts[0]["text"] for item in Item.objects.select_related("payload")}
    assert all("crypto" in texts[int(one["id"])] for one in new["strange"])
    page = open_page(desk)
    assert "1 batch differs from what taught the model" in page
    assert "crypto airdrop" in page
    # What is put away since is named no more.
    quarantine_item(item=Item.objects.get(pk=new["strange"][0]["id"]), actor=desk.cast.rita)
    assert new["strange"][0] not in Api(desk.cast.enzo).get(PATH).json()["batches"][-1]["strange"]


@pytest.mark.django_db
def test_imports_count_as_known_up_to_the_one_of_the_middle_label(desk: Desk) -> None:
    model = ModelVersion.objects.get(project=desk.project, is_current=True)
    imports = list(Import.objects.filter(project=desk.project).order_by("pk"))
    by_name = {
        item.external_id.split("-")[0]: item.imported_by_id for item in Item.objects.filter(project=desk.project)
    }
    taught = np.array(Item.objects.filter(external_id__regex="^(spam|plain)-").values_list("pk", flat=True))
    assert last_known_import(desk.project, model, taught) == by_name["spam"]
    mostly_later = np.array(Item.objects.filter(external_id__startswith="plain-").values_list("pk", flat=True))
    assert last_known_import(desk.project, model, mostly_later) == by_name["plain"]
    assert last_known_import(desk.project, model, None) == imports[-1].pk  # from elsewhere: all that was there
    assert last_known_import(desk.project, model, np.array([], np.int64)) == 0
    found = find_incoming(desk.project, by_name["spam"])
    assert (found.reference.n_items, len(found.batches)) == (80 + 6, 2)


@pytest.mark.django_db
def test_only_the_holdout_is_compared_and_one_item_of_each_group(desk: Desk) -> None:
    names = names_in(desk, Item.Split.HOLDOUT, "g")
    rows = [{"external_id": next(names), "text": f"{PLAIN} {n}"} for n in range(4)]
    import_rows(desk.project, rows)
    Item.objects.filter(external_id__in=[row["external_id"] for row in rows[:3]]).update(group="thread")
    add(desk, 2, PLAIN, "more")
    last = find_incoming(desk.project, 0).batches
    assert [(batch.n_items, len(batch.sample)) for batch in last[-2:]] == [(4, 2), (2, 0)]


@pytest.mark.django_db
def test_a_batch_too_small_to_tell_says_so(desk: Desk) -> None:
    bring(desk, "few", plain=3)
    batch = compare(desk)["batches"][-1]
    assert (batch["comparisons"], batch["alarms"]) == (dict.fromkeys(("choices", "certainty", "contents")), [])
    assert "3 items, 50 needed" in open_page(desk)


@pytest.mark.django_db
def test_many_imports_are_taken_by_day_and_then_by_month() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def grouped(hours: int) -> tuple[str, list[int], int]:
        imports = [Import(pk=n, created_at=start + timedelta(hours=hours * n)) for n in range(60)]
        unit, groups, n_left_out = group_imports(imports)
        return unit, [len(group) for group in groups], n_left_out

    assert grouped(6) == ("day", [2, *[4] * 14, 2], 0)
    unit, sizes, n_left_out = grouped(24 * 30)
    assert (unit, len(sizes), n_left_out + 24 >= 58) == ("month", 24, True)
    assert group_imports([]) == ("import", [], 0)


@pytest.mark.django_db
def test_scores_from_elsewhere_are_compared_where_they_were_sent(desk: Desk) -> None:
    model = ensure_external_model(project=desk.project, question=1, name="llm", version="1", classes=[1, 2, 3])
    make_current(model=model, check=lambda: None)
    bring(desk, "new", plain=60)
    held = np.array(
        sorted(
            Item.objects.filter(split=Item.Split.HOLDOUT, lifecycle=Item.Lifecycle.OPEN).values_list("pk", flat=True)
        )
    )
    sent = held[: len(held) - 5]
    proba = np.tile([0.2, 0.7, 0.1], (len(sent), 1))
    write_scores(
        model=model, items=sent, proba=proba, utilities=proba[:, 0], classes=[1, 2, 3], check=lambda: None, is_sent=True
    )
    found = compare(desk)
    (batch,) = found["batches"]
    assert found["model"]["name"] == "llm"
    assert found["reference"]["n_scored"] + batch["n_scored"] == len(sent)
    assert batch["comparisons"]["certainty"]["p"] == 1


@pytest.mark.django_db
def test_without_a_model_or_with_too_small_a_reference_it_says_why(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0})
    (question,) = learnable_questions(desk.project)

    def run() -> str:
        job = start_drift(project=desk.project, actor=desk.cast.enzo, question=question)
        run_job(job.pk, heartbeat_seconds=600)
        return Job.objects.get(pk=job.pk).error

    assert "There is no model for this question yet" in run()
    assert "No model yet" in open_page(desk)
    teach(desk)
    play(desk)
    assert "have 0 items in the holdout; a comparison needs 50" in run()
    assert Api(desk.cast.enzo).get(PATH).json()["batches"] == []
    assert "Nothing has been compared yet" in open_page(desk)


@pytest.mark.django_db
def test_a_model_whose_file_is_gone_is_named(desk: Desk, settings: Any) -> None:
    model = ModelVersion.objects.get(project=desk.project)
    (Path(settings.MODEL_DIR) / model.path).unlink()
    (question,) = learnable_questions(desk.project)
    job = start_drift(project=desk.project, actor=desk.cast.enzo, question=question)
    run_job(job.pk, heartbeat_seconds=600)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "The file of touchstone-logistic 1 is not on this host" in job.error


@pytest.mark.django_db(transaction=True)
def test_what_came_in_is_compared_by_itself_at_most_once_an_hour(desk: Desk) -> None:
    dispatch_events()
    Job.objects.filter(kind=KIND).delete()
    bring(desk, "new", plain=60)
    dispatch_events()
    (job,) = Job.objects.filter(kind=KIND)
    run_job(job.pk, heartbeat_seconds=600)
    bring(desk, "newer", plain=60)
    dispatch_events()
    bring(desk, "newest", plain=60)
    dispatch_events()
    later = Job.objects.filter(kind=KIND).exclude(pk=job.pk).get()
    job.refresh_from_db()
    assert job.state == "done"
    assert job.ended_at is not None
    assert later.run_at == job.ended_at + timedelta(hours=1)
    # A person need not wait for that.
    (question,) = learnable_questions(desk.project)
    now = start_drift(project=desk.project, actor=desk.cast.enzo, question=question)
    assert now.pk != later.pk
    assert start_drift(project=desk.project, actor=desk.cast.enzo, question=question).pk == now.pk


@pytest.mark.django_db(transaction=True)
def test_without_a_model_nothing_is_compared_after_an_import(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    bring(desk, "new", plain=2)
    dispatch_events()
    assert not Job.objects.filter(kind=KIND).exists()


@pytest.mark.django_db
def test_the_page_of_learning_tells_of_an_alarm_and_the_page_says_what_is_outdated(desk: Desk) -> None:
    assert "differs from what taught the model" not in open_page(desk, "/p/forum/learning/")
    bring(desk, "new", spam=75, plain=5)
    compare(desk)
    assert "1 batch of newer items differs from what taught the model" in open_page(desk, "/p/forum/learning/")
    page = open_page(desk)
    assert page.count("</svg>differs</span>") == 1
    assert "Another model has become the current one" not in page
    bring(desk, "newer", plain=60)
    assert "1 import has come since" in open_page(desk)
    play(desk)
    assert "Another model has become the current one since" in open_page(desk)


@pytest.mark.django_db
def test_the_same_items_give_the_same_figures(desk: Desk) -> None:
    bring(desk, "new", spam=45, plain=35)
    first, second = compare(desk), compare(desk)
    assert first["batches"] == second["batches"]
