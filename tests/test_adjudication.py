"""A reviewer decides: what becomes accepted, who may, and what happens to those who come second."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from annotation import queue
from annotation.actions.items import erase_items, quarantine_item
from annotation.audit import find_violations
from annotation.commitments import holds
from annotation.errors import InvalidError, StateError, UndoTooLateError
from annotation.events import dispatch_events
from annotation.models import Annotation, Event, Label, QueueRow, Seat
from annotation.schema import AnswersError
from reviewers.actions.adjudication import adjudicate
from reviewers.disputes import count_disputes, dispute_detail, dispute_list
from reviewers.errors import HeldError, OwnWorkError, StaleDecisionError
from reviewers.models import Adjudication, AdjudicationNote, Resolution
from reviewers.reports import precedents, show_resolutions
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.together import together

pytestmark = pytest.mark.django_db

SCHEMA: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "none"}, {"value": "spam", "clause": "spam-1"}, {"value": "insult"}],
        },
        {
            "name": "why",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "ads"}, {"value": "scam"}],
            "when": {"question": "verdict", "in": ["spam"]},
        },
        {"name": "tone", "kind": "rating", "min": 1, "max": 5},
    ]
}


def decide(desk: Desk, name: str, external_id: str = "t-1", **arguments: Any) -> Adjudication:
    given = {"answers": {"verdict": "spam"}, "reason": "ambiguous"} | arguments
    return adjudicate(access=desk.access(name), item=desk.item(external_id), **given)


def accepted(desk: Desk, external_id: str = "t-1") -> dict[str, tuple[str, Any]]:
    """Question -> state and value."""
    assert desk.project.schema is not None
    rows = show_resolutions(desk.item(external_id), desk.project.schema.compiled)
    return {row["question"]: (row["state"], row["value"]) for row in rows}


@pytest.fixture
def disputed(make_desk: MakeDesk) -> Desk:
    """Three texts; alice and bob disagree on the first, and nobody else may answer it."""
    desk = make_desk(3, overlap=2)
    assert desk.vote("t-1", alice="spam", bob="none") == "disputed"
    return desk


def test_decision_is_accepted_and_the_votes_stay(disputed: Desk) -> None:
    adjudication = decide(disputed, "rita", note="See the link.", reason="guideline_gap", precedent=True)

    row = Resolution.objects.get(item=disputed.item("t-1"))
    assert (row.state, row.method, row.confidence, row.version) == (3, "adjudication", None, 2)
    assert accepted(disputed) == {"verdict": ("adjudicated", "spam")}
    assert (sorted(row.votes.values()), row.n_votes, row.disagreement) == ([1, 1], 2, 1.0)
    assert queue.item_state(disputed.item("t-1").pk) == "adjudicated"
    assert adjudication.answers == {"1": {"choice": 2}}
    assert (adjudication.reviewer, adjudication.is_precedent, adjudication.is_own_work) == (
        disputed.cast.rita,
        True,
        False,
    )
    note = AdjudicationNote.objects.get(adjudication=adjudication)
    assert adjudication.note_commitment is not None
    assert holds(bytes(adjudication.note_commitment), "See the link.", bytes(note.salt))
    assert count_disputes(disputed.project) == 0
    event = Event.objects.get(kind="item.adjudicated")
    assert (event.item_id, event.ref_id, event.actor) == (
        disputed.item("t-1").pk,
        adjudication.pk,
        disputed.cast.rita,
    )
    assert find_violations() == {}


def test_decisions_cannot_be_changed(disputed: Desk) -> None:
    adjudication = decide(disputed, "rita")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Adjudication.objects.filter(pk=adjudication.pk).update(reason="other")


def test_only_the_disputed_questions_need_an_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=2)
    desk.label("alice", {"verdict": "spam", "why": "ads", "tone": 2})
    assert desk.label("bob", {"verdict": "spam", "why": "scam", "tone": 4}).item_state == "disputed"
    assert accepted(desk) == {"verdict": ("agreed", "spam"), "why": ("disputed", None), "tone": ("open", None)}

    decide(desk, "rita", answers={"why": "scam"})

    assert accepted(desk) == {"verdict": ("agreed", "spam"), "why": ("adjudicated", "scam"), "tone": ("open", None)}
    assert queue.item_state(desk.item("t-1").pk) == "adjudicated"


def test_missing_answer_to_a_disputed_question_is_named(disputed: Desk) -> None:
    with pytest.raises(AnswersError) as error:
        decide(disputed, "rita", answers={})
    assert error.value.fields == {"verdict": "This question needs an answer."}
    assert queue.item_state(disputed.item("t-1").pk) == "disputed"
    assert Seat.objects.filter(kind=2).count() == 0  # the seat was not taken either


def test_decision_that_asks_a_further_question_needs_its_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=2)
    desk.label("alice", {"verdict": "spam", "why": "ads"})
    desk.label("bob", {"verdict": "none"})
    with pytest.raises(AnswersError) as error:
        decide(desk, "rita", answers={"verdict": "spam"})
    assert list(error.value.fields) == ["why"]

    decide(desk, "rita", answers={"verdict": "spam", "why": "ads"})

    row = Resolution.objects.get(item=desk.item("t-1"), question=2)
    assert (row.state, row.votes, row.n_votes) == (Resolution.State.ADJUDICATED, {"1": 1}, 1)


def test_question_that_the_decision_no_longer_asks_loses_its_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    desk.label("alice", {"verdict": "spam", "why": "ads"})
    with pytest.raises(AnswersError, match="asked only where"):
        decide(desk, "rita", answers={"verdict": "none", "why": "ads"})

    decide(desk, "rita", answers={"verdict": "none"})

    assert accepted(desk) == {"verdict": ("adjudicated", "none"), "tone": ("open", None)}


def test_agreed_item_can_be_decided(disputed: Desk) -> None:
    assert disputed.vote("t-2", alice="none", bob="none") == "agreed"
    decide(disputed, "rita", "t-2", answers={"verdict": "insult"}, expected_version=1)
    assert accepted(disputed, "t-2") == {"verdict": ("adjudicated", "insult")}


def test_agreed_item_can_be_confirmed_without_an_answer(disputed: Desk) -> None:
    disputed.vote("t-2", alice="none", bob="none")
    decide(disputed, "rita", "t-2", answers={})
    assert accepted(disputed, "t-2") == {"verdict": ("agreed", "none")}
    assert queue.item_state(disputed.item("t-2").pk) == "adjudicated"
    with pytest.raises(StaleDecisionError):
        decide(disputed, "olga", "t-2", expected_version=1)


def test_item_that_nobody_answered_can_be_decided_and_is_not_served_any_more(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    decide(desk, "rita", expected_version=0)
    assert accepted(desk) == {"verdict": ("adjudicated", "spam")}
    assert desk.lease("alice").reason == "empty"


def test_lease_of_kind_adjudicate_is_answered_by_the_decision(disputed: Desk) -> None:
    raw = disputed.lease_one("rita", "adjudicate")
    adjudication = decide(disputed, "rita")
    assert adjudication.seat_id == raw["seat"]
    assert Seat.objects.get(pk=raw["seat"]).state == Seat.State.SUBMITTED
    assert disputed.lease("rita", kind="adjudicate").reason == "empty"
    assert find_violations() == {}


def test_dispute_that_another_reviewer_holds_is_refused(disputed: Desk) -> None:
    disputed.lease_one("olga", "adjudicate")
    with pytest.raises(HeldError) as error:
        decide(disputed, "rita")
    assert (error.value.code, error.value.status) == ("held", 409)


def test_dispute_whose_lease_ran_out_can_be_decided_by_another(disputed: Desk) -> None:
    raw = disputed.lease_one("olga", "adjudicate")
    Seat.objects.filter(pk=raw["seat"]).update(expires_at="2020-01-01T00:00:00Z")
    decide(disputed, "rita")
    assert Seat.objects.get(pk=raw["seat"]).state == Seat.State.RELEASED
    assert find_violations() == {}


def test_stale_version_is_refused_with_the_other_decision(disputed: Desk) -> None:
    decide(disputed, "rita", expected_version=1, note="Sells pills.")
    with pytest.raises(StaleDecisionError) as error:
        decide(disputed, "olga", expected_version=1, answers={"verdict": "none"})
    assert (error.value.code, error.value.status, error.value.fields["version"]) == ("stale", 409, 2)
    other = error.value.fields["decision"]
    assert (other["reviewer"], other["answers"], other["note"]) == ("rita", {"verdict": "spam"}, "Sells pills.")
    assert accepted(disputed) == {"verdict": ("adjudicated", "spam")}

    decide(disputed, "olga", expected_version=2, answers={"verdict": "none"})

    assert accepted(disputed) == {"verdict": ("adjudicated", "none")}
    assert Adjudication.objects.filter(item=disputed.item("t-1")).count() == 2
    assert find_violations() == {}


def test_decision_of_another_is_never_overruled_unseen(disputed: Desk) -> None:
    decide(disputed, "rita")
    with pytest.raises(StaleDecisionError):
        decide(disputed, "olga", answers={"verdict": "none"})
    decide(disputed, "rita", answers={"verdict": "none"})  # one's own is known
    assert accepted(disputed) == {"verdict": ("adjudicated", "none")}


def test_every_decision_moves_the_version_whatever_it_answers(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    desk.label("alice", {"verdict": "none", "tone": 3})
    decide(desk, "rita", answers={"tone": 1}, expected_version=1)
    decide(desk, "rita", answers={"verdict": "insult"}, expected_version=2)
    with pytest.raises(StaleDecisionError):
        decide(desk, "rita", answers={"verdict": "none"}, expected_version=2)
    assert {row.version for row in Resolution.objects.filter(item=desk.item("t-1"))} == {3}


def test_reviewer_who_labelled_the_item_is_refused(disputed: Desk) -> None:
    disputed.vote("t-2", rita="spam", bob="none")
    with pytest.raises(OwnWorkError, match="You labelled this item yourself"):
        decide(disputed, "rita", "t-2")
    assert queue.item_state(disputed.item("t-2").pk) == "disputed"


def test_owner_who_labelled_the_item_may_decide_and_it_is_recorded(disputed: Desk) -> None:
    disputed.vote("t-2", olga="spam", bob="none")
    assert decide(disputed, "olga", "t-2").is_own_work
    assert find_violations() == {}


def test_late_answer_to_a_decided_item_is_stored_and_changes_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    held = desk.lease_one("bob")
    desk.label("alice", "none")
    decide(desk, "rita")

    submission = desk.submit("bob", held, "none")

    assert submission.item_state == "adjudicated"
    assert Label.objects.filter(annotation=submission.annotation_id).count() == 1
    assert accepted(desk) == {"verdict": ("adjudicated", "spam")}
    assert Resolution.objects.get(item=desk.item("t-1")).version == 1
    assert find_violations() == {}


def test_answer_to_a_decided_item_cannot_be_taken_back(disputed: Desk) -> None:
    decide(disputed, "rita")
    annotation = Annotation.objects.get(item=disputed.item("t-1"), person=disputed.cast.alice)
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=annotation.pk, person_id=disputed.cast.alice.pk)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"reason": "because"}, "reason"),
        ({"note": "x" * 10_001}, "note"),
        ({"note": "a\x00b"}, "note"),
        ({"precedent": 1}, "precedent"),
        ({"expected_version": -1}, "expected_version"),
        ({"expected_version": True}, "expected_version"),
    ],
)
def test_what_a_decision_may_not_hold_is_named(disputed: Desk, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidError) as error:
        decide(disputed, "rita", **arguments)
    assert list(error.value.fields) == [field]


def test_sealed_item_cannot_be_decided_and_is_no_dispute(disputed: Desk) -> None:
    quarantine_item(item=disputed.item("t-1"), actor=disputed.cast.rita)
    with pytest.raises(StateError):
        decide(disputed, "rita")
    assert dispute_list(disputed.project) == ([], None)
    assert dispute_detail(disputed.access("rita"), disputed.item("t-1"))["item"]["parts"] == []


@pytest.mark.django_db(transaction=True)
def test_notes_on_an_erased_item_are_erased_and_the_decision_stays(disputed: Desk) -> None:
    adjudication = decide(disputed, "rita", note="The writer is Ann Other.", precedent=True)
    erase_items(project=disputed.project, item_ids=[adjudication.item_id], actor=None, reason="asked for")
    dispatch_events()
    assert not AdjudicationNote.objects.exists()
    assert Adjudication.objects.get().note_commitment is not None
    assert precedents(disputed.project) == ([], None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("expected_version", [None, 1])
def test_of_two_reviewers_at_once_one_decides_and_the_other_is_told(
    disputed: Desk, expected_version: int | None
) -> None:
    results = together(
        lambda: decide(disputed, "rita", answers={"verdict": "spam"}, expected_version=expected_version),
        lambda: decide(disputed, "olga", answers={"verdict": "none"}, expected_version=expected_version),
    )
    assert sorted(type(result).__name__ for result in results) == ["Adjudication", "StaleDecisionError"]
    assert Adjudication.objects.count() == 1
    winner = Adjudication.objects.get()
    assert accepted(disputed) == {"verdict": ("adjudicated", {1: "none", 2: "spam"}[winner.answers["1"]["choice"]])}
    assert find_violations() == {}


@pytest.mark.django_db(transaction=True)
def test_decision_and_last_answer_at_once_both_stand(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    desk.label("alice", "none")
    held = desk.lease_one("bob")
    results = together(lambda: decide(desk, "rita"), lambda: desk.submit("bob", held, "none"))
    assert [type(result).__name__ for result in results] == ["Adjudication", "Submission"]
    assert accepted(desk) == {"verdict": ("adjudicated", "spam")}
    assert desk.row("t-1").n_submitted == 2
    assert find_violations() == {}


def test_disputes_say_who_said_what(disputed: Desk) -> None:
    disputed.vote("t-2", alice="insult", carol="none")
    disputed.lease_one("olga", "adjudicate")
    first, after = dispute_list(disputed.project, viewer=disputed.cast.alice, limit=1)
    second, end = dispute_list(disputed.project, viewer=disputed.cast.bob, after=after, limit=1)

    by_id = {row["item"]["external_id"]: row for row in first + second}
    assert end is None
    assert [question["votes"] for question in by_id["t-1"]["questions"]] == [{"none": 1, "spam": 1}]
    assert [(a["person"], a["answers"], a["is_simulated"]) for a in by_id["t-2"]["answers"]] == [
        ("alice", {"verdict": "insult"}, False),
        ("carol", {"verdict": "none"}, False),
    ]
    assert sorted(row["held_by"] or "" for row in by_id.values()) == ["", "olga"]
    assert first[0]["is_own_work"]
    assert second[0]["is_own_work"] == (second[0]["item"]["external_id"] == "t-1")
    assert count_disputes(disputed.project) == 2


def test_detail_holds_all_that_a_reviewer_needs(make_desk: MakeDesk) -> None:
    desk = make_desk(2, SCHEMA, overlap=2)
    for external_id in ("t-2", "t-1"):
        held = {name: desk.lease(name, 2).leases for name in ("alice", "bob")}
        item = desk.item(external_id)
        alice = next(raw for raw in held["alice"] if raw["item"] == item.pk)
        bob = next(raw for raw in held["bob"] if raw["item"] == item.pk)
        desk.submit("alice", alice, {"verdict": "spam", "why": "ads"}, comment="sells", unsure=True, seconds=4.5)
        desk.submit("bob", bob, {"verdict": "none"}, flag="ambiguous")
        decide(desk, "rita", external_id, answers={"verdict": "none"}, precedent=True, note="no")

    detail = dispute_detail(desk.access("rita"), desk.item("t-1"))

    assert (detail["state"], detail["version"], detail["known"]) == ("adjudicated", 2, {"verdict": "none"})
    verdict, why, tone = detail["questions"]
    assert (verdict["voters"], verdict["value"]) == ({"spam": ["alice"], "none": ["bob"]}, "none")
    assert (why["is_asked"], why["votes"], why["voters"]) == (False, {"ads": 1}, {"ads": ["alice"]})
    assert (tone["is_asked"], tone["needs_answer"], tone["form"]["kind"]) == (True, False, "rating")
    alice_said, bob_said = detail["answers"]
    assert (alice_said["comment"], alice_said["unsure"], alice_said["seconds"]) == ("sells", True, 4.5)
    assert (bob_said["comment"], bob_said["flag"], bob_said["answers"]) == ("", "ambiguous", {"verdict": "none"})
    assert [clause["id"] for clause in detail["clauses"]] == ["spam-1"]
    assert [one["note"] for one in detail["precedents"]] == ["no"]  # t-2: the same two values were voted for
    assert [one["reviewer"] for one in detail["decisions"]] == ["rita"]
    assert (detail["item"]["parts"][0]["text"], detail["may_decide"]) == ("text number 1", True)


def test_precedents_come_newest_first_and_in_pages(disputed: Desk) -> None:
    disputed.vote("t-2", alice="spam", bob="none")
    decide(disputed, "rita", precedent=True)
    decide(disputed, "rita", "t-2", precedent=True)
    decide(disputed, "rita", "t-3")
    first, after = precedents(disputed.project, limit=1)
    second, end = precedents(disputed.project, after, limit=1)
    assert ([row["external_id"] for row in first + second], end) == (["t-2", "t-1"], None)


def test_api_answers_with_the_decision_and_what_is_accepted(disputed: Desk) -> None:
    path = f"projects/forum/items/{disputed.item('t-1').pk}/adjudication"
    body = {"answers": {"verdict": "spam"}, "reason": "ambiguous", "expected_version": 1}
    answer = Api(disputed.cast.rita).post(path, body)
    assert answer.status_code == 201
    assert answer.json()["answers"] == {"verdict": "spam"}
    assert answer.json()["resolutions"] == [
        {
            "question": "verdict",
            "state": "adjudicated",
            "value": "spam",
            "confidence": None,
            "method": "adjudication",
            "votes": {"none": 1, "spam": 1},
            "posterior": None,
            "voter": None,
            "version": 2,
        }
    ]
    stale = Api(disputed.cast.olga).post(path, body)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale")
    assert stale.json()["fields"]["decision"]["answers"] == {"verdict": "spam"}


@pytest.mark.parametrize(
    ("body", "field", "status"),
    [
        ({"reason": "other"}, "answers", 400),
        ({"answers": {}}, "reason", 400),
        ({"answers": [], "reason": "other"}, "answers", 400),
        ({"answers": {"verdict": "spam"}, "reason": 7}, "reason", 400),
        ({"answers": {"verdict": "spam"}, "reason": ["other"]}, "reason", 400),
        ({"answers": {"verdict": "loud"}, "reason": "other"}, "verdict", 422),
        ({"answers": {"verdict": "spam"}, "reason": "other", "colour": 1}, "colour", 400),
    ],
)
def test_api_names_what_is_wrong_with_a_body(disputed: Desk, body: dict[str, Any], field: str, status: int) -> None:
    path = f"projects/forum/items/{disputed.item('t-1').pk}/adjudication"
    answer = Api(disputed.cast.rita).post(path, body)
    assert (answer.status_code, list(answer.json()["fields"])) == (status, [field])


def test_dispute_closes_where_an_answer_is_taken_back(disputed: Desk) -> None:
    annotation = Annotation.objects.get(item=disputed.item("t-1"), person=disputed.cast.bob)
    queue.undo(annotation_id=annotation.pk, person_id=disputed.cast.bob.pk)
    assert count_disputes(disputed.project) == 0
    assert QueueRow.objects.get(item=disputed.item("t-1"), kind=1).state == QueueRow.State.OPEN
