"""Decided cases like the one on the desk: which are found, in what order, and which are nobody's to see."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.actions.care import change_care
from annotation.actions.items import quarantine_item
from annotation.models import Item
from reviewers.actions.adjudication import adjudicate
from reviewers.models import Adjudication
from reviewers.precedents import LOOKED_THROUGH, MOST, precedents_like
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk

pytestmark = pytest.mark.django_db

SCHEMA = {
    "questions": [
        {
            **CHOICE_SCHEMA["questions"][0],
            "choices": [{"value": "none"}, {"value": "spam", "text": "Spam!", "clause": "spam-1"}, {"value": "insult"}],
        }
    ]
}
TEXTS = {
    "asked": "cheap pills for every dear reader",
    "alike": "cheap pills here, dear friends",
    "less": "dear reader, what a morning",
    "other": "the weather over the harbour",
    "clause": "win a voyage",
}


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(
        schema=SCHEMA, overlap=2, rows=[{"external_id": name, "text": text} for name, text in TEXTS.items()]
    )


def decide(desk: Desk, external_id: str, verdict: str = "none", precedent: bool = True, note: str = "") -> None:
    adjudicate(
        access=desk.access("rita"),
        item=desk.item(external_id),
        answers={"verdict": verdict},
        reason="ambiguous",
        note=note,
        precedent=precedent,
    )


def like(desk: Desk, external_id: str = "asked", *clauses: str) -> list[dict[str, Any]]:
    return precedents_like(desk.project, desk.item(external_id).pk, clauses)


def ids(desk: Desk, *clauses: str) -> list[str]:
    names = dict(Item.objects.values_list("pk", "external_id"))
    return [names[int(row["item"])] for row in like(desk, "asked", *clauses)]


def test_cases_with_words_in_common_come_by_how_alike_they_are(desk: Desk) -> None:
    for name in ("other", "less", "alike", "clause"):
        decide(desk, name)
    found = like(desk)
    assert ids(desk) == ["alike", "less"]
    assert set(found[0]["words"]) == {"cheap", "pills", "dear"}
    assert found[0]["words"][-1] == "dear"  # the word that others have too says least


def test_a_case_under_the_clause_that_is_asked_about_comes_first(desk: Desk) -> None:
    decide(desk, "alike")
    decide(desk, "clause", "spam")
    assert ids(desk) == ["alike"]
    assert ids(desk, "spam-1") == ["clause", "alike"]
    first = like(desk, "asked", "spam-1")[0]
    assert (first["clauses"], first["same_clauses"], first["words"]) == (["spam-1"], ["spam-1"], [])


def test_a_decision_says_who_made_it_and_why(desk: Desk) -> None:
    decide(desk, "alike", "spam", note="Selling, however friendly.")
    (found,) = like(desk)
    assert (found["reviewer"], found["answers"], found["reason"], found["note"]) == (
        "rita",
        {"verdict": "spam"},
        "ambiguous",
        "Selling, however friendly.",
    )
    assert found["excerpt"] == TEXTS["alike"]


def test_only_what_a_reviewer_kept_is_shown(desk: Desk) -> None:
    decide(desk, "alike", precedent=False)
    assert like(desk) == []


def test_a_decision_that_a_later_one_replaced_is_no_precedent(desk: Desk) -> None:
    decide(desk, "alike")
    decide(desk, "alike", "spam", precedent=False)
    assert like(desk) == []


def test_the_items_own_decision_is_not_shown_to_who_labels_it(desk: Desk) -> None:
    decide(desk, "asked")
    assert like(desk) == []


def test_sealed_items_are_in_no_precedent_and_have_none(desk: Desk) -> None:
    decide(desk, "alike")
    decide(desk, "less")
    quarantine_item(item=desk.item("alike"), actor=desk.cast.rita)
    assert ids(desk) == ["less"]
    quarantine_item(item=desk.item("asked"), actor=desk.cast.rita)
    assert like(desk) == []


def test_at_most_three_are_shown_by_a_bounded_number_of_statements(make_desk: MakeDesk) -> None:
    rows = [{"external_id": f"t-{i}", "text": f"cheap pills and more {i}"} for i in range(8)]
    desk = make_desk(schema=SCHEMA, rows=rows)
    for i in range(1, 8):
        decide(desk, f"t-{i}", note="again")
    with CaptureQueriesContext(connection) as captured:
        assert len(like(desk, "t-0")) == MOST
    assert len(captured) == 3  # the two tested here and the item's own
    assert Adjudication.objects.count() == 7


def fetch(desk: Desk, name: str, lease_id: str) -> Any:
    client = Client()
    client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
    return client.get(f"/p/forum/label/precedents/{lease_id}/?clause=spam-1")


def test_the_desk_fetches_them_for_a_lease_of_ones_own_alone(desk: Desk) -> None:
    for name in ("less", "alike", "other"):
        decide(desk, name, "spam", note="<b>Selling</b>")
    raw = desk.lease_one("alice")
    lease_id = f"{raw['seat']}-{raw['generation']}"
    shown = fetch(desk, "alice", lease_id)
    assert shown.status_code == 200
    html = shown.content.decode()
    assert "Spam!" in html
    assert "Decided by rita" in html
    assert "<b>Selling" not in html
    assert fetch(desk, "bob", lease_id).status_code == 404
    assert fetch(desk, "enzo", lease_id).status_code == 404


def test_long_texts_are_compared_by_their_beginning(make_desk: MakeDesk) -> None:
    words = " ".join(f"word{i}" for i in range(12_000))  # about 100 kB
    rows = [{"external_id": f"t-{i}", "text": f"{words} number{i}"} for i in range(20)]
    desk = make_desk(schema=SCHEMA, rows=rows)
    for i in range(1, 20):
        decide(desk, f"t-{i}")
    began = time.monotonic()
    assert len(like(desk, "t-0")) == MOST
    assert time.monotonic() - began < 2 * 20 / LOOKED_THROUGH  # two seconds for as many as are looked through


def test_of_a_severe_case_the_ruling_is_shown_without_its_words(make_desk: MakeDesk) -> None:
    severe = {"severity": "severe"}
    rows = [
        {"external_id": "asked", "text": TEXTS["asked"]},
        {"external_id": "alike", "text": TEXTS["alike"], "metadata": severe},
    ]
    desk = make_desk(schema=SCHEMA, rows=rows)
    decide(desk, "alike", "spam")
    (found,) = like(desk)
    assert (found["excerpt"], found["answers"]) == (None, {"verdict": "spam"})


def test_no_words_of_a_case_are_quoted_to_somebody_to_whom_texts_come_hidden(desk: Desk) -> None:
    decide(desk, "alike", "spam")
    [asked] = [raw for raw in desk.lease("alice", n=5).leases if raw["item"] == desk.item("asked").pk]
    lease_id = f"{asked['seat']}-{asked['generation']}"
    assert TEXTS["alike"] in fetch(desk, "alice", lease_id).content.decode()
    change_care(person=desk.cast.alice, changes={"views": {"ordinary": {"text": {"hidden": True}}}})
    html = fetch(desk, "alice", lease_id).content.decode()
    assert TEXTS["alike"] not in html
    assert "Spam!" in html
