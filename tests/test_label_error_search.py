"""The search for labels that may be wrong: from the request to the list that a reviewer works through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.actions.items import quarantine_item
from annotation.jobs import run_job
from annotation.models import Item, Job
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, empty_desk

PATH = "projects/forum/label-errors"
PAGE = "/p/forum/learning/doubts/"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """120 settled items of two kinds, two of them labelled as the other kind, one of these in the holdout."""
    desk = empty_desk(make_desk)
    add(desk, 70, SPAM, "spam", "spam")
    add(desk, 48, PLAIN, "plain", "none")
    add(desk, 1, SPAM, "wrong", "none")
    add(desk, 1, PLAIN, "held", "spam", Item.Split.HOLDOUT)
    return desk


def search(desk: Desk) -> dict[str, Any]:
    """Start a search, carry it out, and ask what it found."""
    enzo = Api(desk.cast.enzo)
    answer = enzo.post(PATH, {})
    assert answer.status_code == 202
    # The heartbeat's own connection sees no job of the test's transaction, and would take a slow one for lost.
    run_job(int(answer.json()["job"]), heartbeat_seconds=600)
    return dict(enzo.get(PATH).json())


def names(found: dict[str, Any]) -> list[str]:
    return [one["item"]["external_id"].split("-")[0] for one in found["doubts"]]


def open_page(desk: Desk) -> str:
    client = Client()
    client.force_login(desk.cast.rita, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.django_db
def test_labels_that_the_others_contradict_are_found(desk: Desk) -> None:
    found = search(desk)
    assert sorted(names(found)) == ["held", "wrong"]
    assert (found["n_labels"], found["n_doubted"], found["n_sure"]) == (120, 2, 2)
    told = {one["item"]["external_id"].split("-")[0]: one for one in found["doubts"]}
    assert (told["wrong"]["given"], told["wrong"]["looks_like"]) == ("none", "spam")
    assert (told["held"]["given"], told["held"]["looks_like"]) == ("spam", "none")
    assert 0 < told["wrong"]["belief"] < 0.5
    page = open_page(desk)
    assert "Searched" in page
    assert f"/p/forum/disputes/{told['wrong']['item']['id']}/" in page
    assert page.count("surely") >= 2


@pytest.mark.django_db
def test_what_was_decided_or_put_away_leaves_the_list(desk: Desk) -> None:
    found = search(desk)
    items = {one["item"]["external_id"].split("-")[0]: one["item"]["id"] for one in found["doubts"]}
    path = f"projects/forum/items/{items['wrong']}/adjudication"
    decision = {"answers": {"verdict": "none"}, "reason": "ambiguous", "note": "Right as it is."}
    assert Api(desk.cast.rita).post(path, decision).status_code == 201
    assert names(Api(desk.cast.enzo).get(PATH).json()) == ["held"]
    quarantine_item(item=Item.objects.get(pk=items["held"]), actor=desk.cast.rita)
    assert names(Api(desk.cast.enzo).get(PATH).json()) == []
    assert "Nothing is left to look at" in open_page(desk)


@pytest.mark.django_db
def test_before_the_first_search_the_page_says_what_it_would_do(desk: Desk) -> None:
    told = Api(desk.cast.enzo).get(PATH).json()
    assert (told["searched_at"], told["doubts"]) == (None, [])
    assert "Nobody has searched yet" in open_page(desk)


@pytest.mark.django_db
def test_too_few_labels_end_the_search_with_a_sentence(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 3, SPAM, "spam", "spam")
    assert search(desk)["searched_at"] is None
    job = Job.objects.get(kind="label_errors")
    assert (job.state, job.error) == ("failed", "3 labels are accepted; 100 are needed to tell which ones are odd.")


@pytest.mark.django_db
def test_a_search_that_waits_is_not_queued_twice(desk: Desk) -> None:
    rita = Api(desk.cast.rita)
    job = Api(desk.cast.enzo).post(PATH, {}).json()["job"]
    assert rita.post(PATH, {}).json()["job"] == job
    assert rita.get(f"jobs/{job}").status_code == 200
    assert fault_of(rita.post(PATH, {"question": "nobody"})) == (400, "invalid")
