"""The vote rule in SQL against the same rule in Python, on a real database: what people answer is what is accepted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import queue
from annotation.models import Project, QueueRow
from reviewers.algorithms.consensus import Rule, Vote, vote, vote_choices
from reviewers.models import Resolution
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db

VOTERS = ("alice", "bob", "carol", "rita", "enzo", "olga")
VERDICTS, TAGS, WHYS, DETAILS, SCORES = ("a", "b", "c"), ("x", "y", "z"), ("p", "q"), ("m", "n"), (-1, 0, 1, 2)


def choices(*values: str) -> list[dict[str, str]]:
    return [{"value": value} for value in values]


SCHEMA: dict[str, Any] = {
    "questions": [
        {"name": "verdict", "kind": "choice", "required": True, "choices": choices(*VERDICTS)},
        {"name": "tags", "kind": "choices", "choices": choices(*TAGS)},
        {
            "name": "why",
            "kind": "choice",
            "required": True,
            "choices": choices(*WHYS),
            "when": {"question": "verdict", "in": ["b", "c"]},
        },
        {
            "name": "detail",
            "kind": "choices",
            "required": True,
            "choices": choices(*DETAILS),
            "when": {"question": "tags", "in": ["x"]},
        },
        {"name": "score", "kind": "rating", "required": True, "min": -1, "max": 2},
    ]
}
RULES: st.SearchStrategy[Rule] = st.sampled_from(["majority", "unanimous"])
OVERLAPS = st.tuples(st.integers(1, 3), st.integers(0, 3)).map(lambda pair: (pair[0], pair[0] + pair[1]))
COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=5)
TICKS = st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), min_size=1, max_size=5)))
DATABASE = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def submissions(draw: st.DrawFn) -> dict[str, Any]:
    """One person's whole answer, with what is asked of them and, perhaps, nothing on the optional question."""
    verdict, tags = draw(st.sampled_from(VERDICTS)), draw(st.none() | st.sets(st.sampled_from(TAGS)).map(sorted))
    answers: dict[str, Any] = {
        "verdict": verdict,
        "tags": tags,
        "why": draw(st.sampled_from(WHYS)) if verdict != "a" else None,
        "detail": draw(st.sets(st.sampled_from(DETAILS), min_size=1).map(sorted)) if "x" in (tags or ()) else None,
        "score": draw(st.sampled_from(SCORES)),
    }
    return {name: value for name, value in answers.items() if value is not None}


@pytest.fixture
def one_item(make_desk: MakeDesk) -> Desk:
    """A project with one item that nobody has answered."""
    return make_desk(1, SCHEMA)


@contextmanager
def under_rule(desk: Desk, overlap: tuple[int, int], rule: Rule) -> Iterator[None]:
    """Let one example play under this rule, and take back all that it did."""
    low, high = overlap
    with transaction.atomic():
        projects = Project.objects.filter(pk=desk.project.pk)
        projects.update(overlap_min=low, overlap_max=high, rule={"kind": rule})
        queue.set_overlap(project_id=desk.project.pk, wanted=low, after=0, limit=10)
        yield
        transaction.set_rollback(True)


@dataclass(frozen=True)
class Judged:
    """What the rule in Python makes of the submissions of an item that wants `wanted` of them."""

    state: str
    wanted: int
    verdicts: Mapping[str, tuple[Vote, dict[str, int]]]


def judge(answers: Sequence[Mapping[str, Any]], wanted: int, most: int, rule: Rule) -> Judged:
    """Every question that is asked is put to the vote of those who answered it."""
    if len(answers) < wanted:
        return Judged("open", wanted, {})
    verdicts: dict[str, tuple[Vote, dict[str, int]]] = {}
    accepted: dict[str, set[str]] = {}
    for question in SCHEMA["questions"]:
        name, when = question["name"], question.get("when", {"question": None, "in": [None]})
        if accepted.get(when["question"], {None}).isdisjoint(when["in"]):
            continue
        said = [one[name] for one in answers if name in one]
        verdicts[name], accepted[name] = _judge_question(question, said, rule)
    is_settled = all(verdicts[q["name"]][0].state == "agreed" for q in _required(verdicts))
    if is_settled:
        return Judged("agreed", wanted, verdicts)
    if wanted < most:
        return Judged("open", wanted + 1, {})
    return Judged("disputed", wanted, verdicts)


def _required(verdicts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [q for q in SCHEMA["questions"] if q.get("required") and q["name"] in verdicts]


def _judge_question(
    question: Mapping[str, Any], said: Sequence[Any], rule: Rule
) -> tuple[tuple[Vote, dict[str, int]], set[Any]]:
    n = len(said)
    if question["kind"] == "choices":
        ticks = Counter(value for answer in said for value in answer)
        result = vote_choices([ticks[c["value"]] for c in question["choices"]], n, 1, max(1, n), rule)
        chosen = {question["choices"][code]["value"] for code in result.value or ()}  # type: ignore[union-attr]
        if question.get("required") and result.value == ():  # nothing that they chose was agreed on
            result = Vote("disputed", None, None, n, result.disagreement)
        return (result, dict(ticks)), chosen
    values = [c["value"] for c in question["choices"]] if question["kind"] == "choice" else list(SCORES)
    counts = Counter(said)
    result = vote([counts[value] for value in values], n, 1, max(1, n), rule)
    winner = set() if result.value is None else {values[int(str(result.value))]}
    return (result, {str(value): counts[value] for value in counts}), winner


def found_verdicts(desk: Desk) -> dict[str, Resolution]:
    names = {q["id"]: q["name"] for q in desk.project.schema.compiled["questions"]}  # type: ignore[union-attr]
    return {names[row.question]: row for row in Resolution.objects.filter(project=desk.project)}


def spelled_votes(desk: Desk, name: str, votes: Mapping[str, int]) -> dict[str, int]:
    question = next(q for q in desk.project.schema.compiled["questions"] if q["name"] == name)  # type: ignore[union-attr]
    names = {str(c["id"]): c["value"] for c in question.get("choices", ())}
    return {names.get(code, code): n for code, n in votes.items()}


def spelled_value(desk: Desk, name: str, row: Resolution) -> set[Any] | None:
    """What was accepted, as a set; None for nothing accepted."""
    question = next(q for q in desk.project.schema.compiled["questions"] if q["name"] == name)  # type: ignore[union-attr]
    names = {c["id"]: c["value"] for c in question.get("choices", ())}
    columns = {
        "choice": None if row.choice is None else {names[row.choice]},
        "choices": None if row.choices is None else {names[code] for code in row.choices},
        "rating": None if row.number is None else {int(row.number)},
    }
    return columns[question["kind"]]


def assert_agrees(desk: Desk, expected: Judged) -> None:
    """The resolutions in the database are those that Python comes to."""
    rows = found_verdicts(desk)
    assert set(rows) == set(expected.verdicts)
    for name, (result, votes) in expected.verdicts.items():
        row, required = rows[name], {q["name"] for q in _required(expected.verdicts)}
        unsettled = "disputed" if name in required else "open"
        assert row.get_state_display() == {"agreed": "agreed"}.get(result.state, unsettled), name
        assert row.confidence == pytest.approx(result.confidence), name
        assert row.disagreement == pytest.approx(result.disagreement, abs=1e-9), name
        assert spelled_votes(desk, name, row.votes) == votes, name
        assert (spelled_value(desk, name, row) is None) == (result.state != "agreed"), name
        assert spelled_value(desk, name, row) in (None, _winner(name, result)), name


def _winner(name: str, result: Vote) -> set[Any]:
    values: dict[str, Sequence[Any]] = {
        "verdict": VERDICTS,
        "tags": TAGS,
        "why": WHYS,
        "detail": DETAILS,
        "score": SCORES,
    }
    codes = result.value if isinstance(result.value, tuple) else [result.value]
    return {values[name][code] for code in codes if code is not None}


@DATABASE
@given(people=st.lists(submissions(), min_size=6, max_size=6), overlap=OVERLAPS, rule=RULES)
def test_sql_and_python_accept_the_same(
    one_item: Desk, people: list[dict[str, Any]], overlap: tuple[int, int], rule: Rule
) -> None:
    desk, (low, high) = one_item, overlap
    with under_rule(desk, overlap, rule):
        expected = Judged("open", low, {})
        said: list[dict[str, Any]] = []
        for name, answers in zip(VOTERS, people, strict=True):
            if expected.state != "open":
                break
            said.append(answers)
            expected = judge(said, expected.wanted, high, rule)
            assert desk.label(name, answers).item_state == expected.state
            assert desk.row("t-1").overlap == expected.wanted
        assert expected.state != "open"
        assert_agrees(desk, expected)


WHY: dict[str, dict[str, str]] = {"a": {}, "b": {"why": "p"}, "c": {"why": "p"}}


@DATABASE
@given(said=st.lists(st.sampled_from(VERDICTS), min_size=6, max_size=6), overlap=OVERLAPS, rule=RULES)
def test_one_question_is_open_agreed_or_disputed_as_the_rule_says(
    one_item: Desk, said: list[str], overlap: tuple[int, int], rule: Rule
) -> None:
    desk, (low, high) = one_item, overlap
    with under_rule(desk, overlap, rule):
        expected = vote([0, 0, 0], 0, low, high, rule)
        for n, name in enumerate(VOTERS, start=1):
            if expected.state != "open":
                break
            expected = vote([said[:n].count(value) for value in VERDICTS], n, low, high, rule)
            answers = {"verdict": said[n - 1], "score": 0} | WHY[said[n - 1]]
            assert desk.label(name, answers).item_state == expected.state
            assert desk.row("t-1").overlap == expected.overlap_wanted
        assert expected.state != "open"


@DATABASE
@given(people=st.lists(submissions(), min_size=6, max_size=6), again=submissions(), overlap=OVERLAPS, rule=RULES)
def test_answer_taken_back_reopens_and_another_settles_anew(
    one_item: Desk, people: list[dict[str, Any]], again: dict[str, Any], overlap: tuple[int, int], rule: Rule
) -> None:
    desk, high = one_item, overlap[1]
    with under_rule(desk, overlap, rule):
        submitted = [desk.label("alice", people[0])]
        voters = ["alice"]
        while desk.row("t-1").state == QueueRow.State.OPEN:
            voters.append(VOTERS[len(voters)])
            submitted.append(desk.label(voters[-1], people[len(voters) - 1]))
        wanted = desk.row("t-1").overlap

        raw = queue.undo(annotation_id=submitted[0].annotation_id, person_id=desk.cast.alice.pk)

        assert queue.item_state(desk.item("t-1").pk) == "open"
        rows = Resolution.objects.filter(project=desk.project)
        assert {(row.state, row.choice, row.confidence, json.dumps(row.votes)) for row in rows} == {
            (Resolution.State.OPEN, None, None, "{}")
        }

        desk.submit("alice", raw, again, key="again")
        expected = judge([again, *people[1 : len(voters)]], wanted, high, rule)
        assert queue.item_state(desk.item("t-1").pk) == expected.state
        assert desk.row("t-1").overlap == expected.wanted
        required = {q["name"] for q in _required(expected.verdicts)}
        assert {name for name, row in found_verdicts(desk).items() if row.state != Resolution.State.OPEN} == {
            name for name, (one, _votes) in expected.verdicts.items() if one.state == "agreed" or name in required
        }


@settings(DATABASE, max_examples=200)
@given(
    counts=st.lists(st.integers(0, 7), min_size=1, max_size=5), rule=RULES, kind=st.sampled_from(["choice", "rating"])
)
def test_counts_of_one_choice_are_decided_alike(db: None, counts: list[int], rule: Rule, kind: str) -> None:
    n = sum(counts)
    expected = vote(counts, n, 1, max(1, n), rule)
    votes = {str(code): votes for code, votes in enumerate(counts) if votes}
    settled, choice, _choices, number, confidence, apart = decide(kind, rule, votes, n)
    assert settled == (expected.state == "agreed")
    assert (choice if kind == "choice" else number) == expected.value
    assert confidence == pytest.approx(expected.confidence)
    assert apart == pytest.approx(expected.disagreement, abs=1e-9)


@settings(DATABASE, max_examples=200)
@given(
    ticks=st.integers(1, 7).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), min_size=1, max_size=5))
    ),
    rule=RULES,
)
def test_counts_of_many_choices_are_decided_alike(db: None, ticks: tuple[int, list[int]], rule: Rule) -> None:
    n, chosen = ticks
    expected = vote_choices(chosen, n, 1, n, rule)
    votes = {str(code): votes for code, votes in enumerate(chosen) if votes}
    settled, _choice, found, _number, confidence, apart = decide("choices", rule, votes, n)
    assert settled == (expected.state == "agreed")
    assert found == (None if expected.value is None else list(expected.value))  # type: ignore[arg-type]
    assert confidence == pytest.approx(expected.confidence)
    assert apart == pytest.approx(expected.disagreement, abs=1e-9)


def decide(kind: str, rule: str, votes: Mapping[str, int], n: int) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select is_settled, choice, choices, number, confidence, disagreement"
            " from reviewers_decide(%s, %s, %s::jsonb, %s)",
            [kind, rule, json.dumps(votes), n],
        )
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def skip(desk: Desk, name: str) -> None:
    raw = desk.lease_one(name)
    queue.skip(
        seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast[name].pk, reason="missing_context"
    )


def test_as_many_skips_as_the_project_says_are_a_dispute(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=3, skips_to_dispute=2)
    desk.label("alice", "spam")
    skip(desk, "bob")
    assert queue.item_state(desk.item("t-1").pk) == "open"
    skip(desk, "carol")
    assert queue.item_state(desk.item("t-1").pk) == "disputed"
    row = Resolution.objects.get(item=desk.item("t-1"))
    assert (row.state, row.method, row.choice, row.n_votes) == (Resolution.State.DISPUTED, "skipped", None, 1)
    assert desk.n_free("t-1", kind=2) == 1
    assert desk.lease("rita").reason == "empty"  # nobody is asked to label it any more


def test_skips_dispute_an_item_without_a_required_question_too(make_desk: MakeDesk) -> None:
    optional = {"questions": [{"name": "tags", "kind": "choices", "choices": choices(*TAGS)}]}
    desk = make_desk(1, optional, overlap=2, skips_to_dispute=2)
    skip(desk, "alice")
    skip(desk, "bob")
    assert queue.item_state(desk.item("t-1").pk) == "disputed"
    assert Resolution.objects.get(item=desk.item("t-1")).state == Resolution.State.DISPUTED


def test_required_choices_without_a_common_one_are_disputed(make_desk: MakeDesk) -> None:
    required = {"questions": [{"name": "tags", "kind": "choices", "required": True, "choices": choices(*TAGS)}]}
    desk = make_desk(1, required, overlap=3)
    states = [desk.label(name, {"tags": [tag]}).item_state for name, tag in zip(VOTERS[:3], TAGS, strict=True)]
    assert states == ["open", "open", "disputed"]


def test_question_that_is_asked_no_longer_loses_its_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    first = desk.label("alice", {"verdict": "b", "why": "p", "score": 1})
    assert set(found_verdicts(desk)) == {"verdict", "tags", "why", "score"}
    raw = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    desk.submit("alice", raw, {"verdict": "a", "score": 1}, key="again")
    assert set(found_verdicts(desk)) == {"verdict", "tags", "score"}
    assert found_verdicts(desk)["verdict"].version == 3  # settled, opened again, settled


def test_vote_that_changes_nothing_keeps_the_version(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    desk.label("alice", "spam")
    desk.label("bob", "spam")
    queue.settle(row_ids=[desk.row("t-1").pk])
    assert Resolution.objects.get(item=desk.item("t-1")).version == 1
