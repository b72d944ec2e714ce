"""The list of what is accepted: its shape, its filters, its pages."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.actions.items import quarantine_item
from reviewers.actions.adjudication import adjudicate
from reviewers.reports import pick_question, resolution_rows
from tests.api_client import Api
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db

TWO_QUESTIONS: dict[str, Any] = {
    "questions": [
        {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "none"}, {"value": "spam"}]},
        {
            "name": "why",
            "kind": "choices",
            "required": True,
            "choices": [{"value": "ads"}, {"value": "scam"}],
            "when": {"question": "verdict", "in": ["spam"]},
        },
        {"name": "tone", "kind": "rating", "min": 1, "max": 5},
    ]
}


@pytest.fixture
def mixed(make_desk: MakeDesk) -> Desk:
    """t-1 agreed, t-2 disputed, t-3 decided, t-4 with one vote of two, t-5 untouched."""
    desk = make_desk(5, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    desk.vote("t-2", alice="none", bob="spam")
    desk.vote("t-3", alice="none", bob="insult")
    item = desk.item("t-3")
    adjudicate(access=desk.access("rita"), item=item, answers={"verdict": "spam"}, reason="other")
    desk.vote("t-4", carol="insult")
    return desk


def get_rows(desk: Desk, query: str = "") -> dict[str, dict[str, Any]]:
    answer = Api(desk.cast.enzo).get(f"projects/forum/resolutions{query}")
    assert answer.status_code == 200
    assert answer.json()["next"] is None
    return {row["item"]["external_id"]: row for row in answer.json()["results"]}


def test_rows_have_the_promised_shape(mixed: Desk) -> None:
    rows = get_rows(mixed)
    assert rows["t-1"] == {
        "item": {"id": str(mixed.item("t-1").pk), "external_id": "t-1"},
        "question": "verdict",
        "state": "agreed",
        "value": "none",
        "confidence": 1.0,
        "method": "majority",
        "votes": {"none": 2},
        "posterior": None,
        "voter": None,
        "version": 1,
    }
    assert {name: (row["state"], row["value"], row["version"]) for name, row in rows.items()} == {
        "t-1": ("agreed", "none", 1),
        "t-2": ("disputed", None, 1),
        "t-3": ("adjudicated", "spam", 2),
        "t-4": ("open", None, 0),
        "t-5": ("open", None, 0),
    }
    assert (rows["t-3"]["votes"], rows["t-3"]["method"]) == ({"none": 1, "insult": 1}, "adjudication")


def test_open_rows_count_the_votes_so_far(mixed: Desk) -> None:
    rows = get_rows(mixed, "?state=open")
    assert {name: row["votes"] for name, row in rows.items()} == {"t-4": {"insult": 1}, "t-5": {}}
    assert {row["method"] for row in rows.values()} == {None}


@pytest.mark.parametrize(
    ("state", "expected"),
    [("open", {"t-4", "t-5"}), ("agreed", {"t-1"}), ("disputed", {"t-2"}), ("adjudicated", {"t-3"})],
)
def test_state_chooses_rows(mixed: Desk, state: str, expected: set[str]) -> None:
    assert set(get_rows(mixed, f"?state={state}&question=verdict")) == expected


@pytest.mark.parametrize("query", ["limit=2", "limit=2&question=verdict"])
def test_pages_are_the_list(mixed: Desk, query: str) -> None:
    api = Api(mixed.cast.enzo)
    pages = [api.get(f"projects/forum/resolutions?{query}").json()]
    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"]).json())
    assert [len(page["results"]) for page in pages] == [2, 2, 1]
    names = [row["item"]["external_id"] for page in pages for row in page["results"]]
    assert sorted(names) == ["t-1", "t-2", "t-3", "t-4", "t-5"]
    ids = [int(row["item"]["id"]) for page in pages for row in page["results"]]
    assert ids == sorted(ids)


@pytest.mark.parametrize("query", ["state=done", "question=colour", "limit=0", "limit=501", "cursor=7", "by=split"])
def test_queries_that_make_no_sense_are_refused(mixed: Desk, query: str) -> None:
    answer = Api(mixed.cast.enzo).get(f"projects/forum/resolutions?{query}")
    assert answer.status_code == 400


def test_cursor_of_another_filter_is_refused(mixed: Desk) -> None:
    api = Api(mixed.cast.enzo)
    following = api.get("projects/forum/resolutions?limit=2").json()["next"]
    assert api.get(f"{following}&state=open").json()["code"] == "invalid_cursor"


def test_question_that_is_not_asked_has_no_row(make_desk: MakeDesk) -> None:
    desk = make_desk(3, TWO_QUESTIONS, overlap=1)
    desk.label("alice", {"verdict": "none", "tone": 4})
    desk.label("bob", {"verdict": "spam", "why": ["scam", "ads"]})
    rows, _after = resolution_rows(desk.project)
    found = {(row["question"], row["state"], str(row["value"]), str(row["votes"])) for row in rows}
    assert found == {
        ("verdict", "agreed", "none", "{'none': 1}"),
        ("tone", "agreed", "4", "{'4': 1}"),
        ("verdict", "agreed", "spam", "{'spam': 1}"),
        ("why", "agreed", "['ads', 'scam']", "{'ads': 1, 'scam': 1}"),
        ("tone", "open", "None", "{}"),
        ("verdict", "open", "None", "{}"),
    }
    why = pick_question(desk.project, "why")
    assert [row["question"] for row in resolution_rows(desk.project, why)[0]] == ["why"]


def test_answer_taken_back_leaves_an_open_row_with_the_votes_of_now(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=1)
    first = desk.label("alice", "spam")
    api = Api(desk.cast.alice)
    assert api.post(f"annotations/{first.annotation_id}/undo").status_code == 200
    row = get_rows(desk)["t-1"]
    assert (row["state"], row["value"], row["votes"], row["version"]) == ("open", None, {}, 2)


def test_sealed_items_are_left_out(mixed: Desk) -> None:
    quarantine_item(item=mixed.item("t-1"), actor=mixed.cast.rita)
    assert "t-1" not in get_rows(mixed)


def test_votes_of_a_choice_that_was_renamed_away_keep_its_value(mixed: Desk) -> None:
    question = pick_question(mixed.project, "verdict")
    question["choices"] = [c for c in question["choices"] if c["value"] != "insult"]
    question["retired_choices"] = [{"id": 3, "value": "insult"}]
    rows, _after = resolution_rows(mixed.project, question, "adjudicated")
    assert rows[0]["votes"] == {"none": 1, "insult": 1}
