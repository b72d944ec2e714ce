"""Answers without a short name: which are the same, the vote on whole ones and on items with marks, and texts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from annotation import queue
from annotation.kinds import KINDS, LabelValue
from annotation.models import Label, Project, QueueRow
from annotation.schema import compile_schema
from reviewers.algorithms.consensus import Rule, vote
from reviewers.models import Resolution
from reviewers.people.scorecards import accepted_shares
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db

LABELS = [{"value": "slur"}, {"value": "name"}]
RULES: st.SearchStrategy[Rule] = st.sampled_from(["majority", "unanimous"])
DATABASE = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


# Places lie on a coarse grid and labels are few, so that marks meet, overlap by just so much, and want one partner.
LABEL, SIDE = st.sampled_from([1, 1, 1, 2]), st.integers(1, 5)
SPAN = st.builds(
    lambda start, n, label, part: {"part": part, "start": start, "end": start + n, "label": label},
    st.integers(0, 4),
    SIDE,
    LABEL,
    st.sampled_from(["a", "a", "b"]),
)
SEGMENT = st.builds(
    lambda start, n, label: {"part": "clip", "start": start / 10, "end": (start + n) / 10, "label": label},
    st.integers(0, 4),
    SIDE,
    LABEL,
)
BOX = st.builds(
    lambda x, y, w, h, label: {"part": "photo", "x": x / 10, "y": y / 10, "w": w / 10, "h": h / 10, "label": label},
    st.integers(0, 4),
    st.integers(0, 1),
    SIDE,
    st.integers(2, 3),
    LABEL,
)


def answers_of(mark: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    found = st.lists(mark, min_size=1, max_size=3, unique_by=lambda one: json.dumps(one))
    return found.map(lambda one: sorted(one, key=lambda mark: json.dumps(mark)))


RANKING = st.permutations([1, 2, 3]).flatmap(
    lambda order: st.sampled_from([[[one] for one in order], [sorted(order[:2]), order[2:]], [sorted(order)]])
)
RANKED = {"kind": "ranking", "choices": [*LABELS, {"value": "c"}], "ties": True}
# kind, its schema, the answers as they are stored
SHAPES: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
    ({"kind": "spans", "labels": LABELS}, answers_of(SPAN)),
    ({"kind": "spans", "labels": LABELS, "iou": 0.5}, answers_of(SPAN)),
    ({"kind": "segments", "labels": LABELS}, answers_of(SEGMENT)),
    ({"kind": "segments", "labels": LABELS, "iou": 0.25}, answers_of(SEGMENT)),
    ({"kind": "boxes", "labels": LABELS}, answers_of(BOX)),
    ({"kind": "boxes", "labels": LABELS, "iou": 0.2}, answers_of(BOX)),
    (RANKED, RANKING),
]
Asked = tuple[dict[str, Any], list[Any]]


def compile_one(raw: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = compile_schema({"questions": [{"name": "q", **raw}]})["questions"][0]
    return question


@st.composite
def questions_and_answers(draw: st.DrawFn) -> Asked:
    """A compiled question and what some people answered to it."""
    raw, strategy = draw(st.sampled_from(SHAPES))
    different = draw(st.lists(strategy, min_size=1, max_size=4))
    return compile_one(raw), draw(st.lists(st.sampled_from(different), min_size=1, max_size=6))


def segments(*places: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"part": "clip", "start": start, "end": end, "label": 1} for start, end in places]


# The second segment has one partner alone, which the first one would rather have.
CROSSED: Asked = (
    compile_one({"kind": "segments", "labels": LABELS, "iou": 0.6}),
    [segments((0, 10), (4, 14)), segments((0, 6), (2, 12)), segments((2, 12), (0, 6)), segments((4, 14), (0, 10))],
)
HALF: Asked = (
    compile_one({"kind": "segments", "labels": LABELS}),
    [segments((0, 0.2)), segments((0, 0.4)), segments((0, 0.8))],
)


def compare(question: dict[str, Any], said: Sequence[Any]) -> list[list[bool]]:
    kind = KINDS[question["kind"]]
    values = [LabelValue(data=one) for one in said]
    return [[kind.is_same(question, one, other) for other in values] for one in values]


def overlap_of(question: dict[str, Any]) -> str | None:
    least = question.get("least_overlap")
    return None if least is None else str(least)


@DATABASE
@given(asked=questions_and_answers())
@example(asked=CROSSED)
@example(asked=HALF)
def test_sql_and_python_call_the_same_answers_the_same(db: None, asked: Asked) -> None:
    question, said = asked
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select array_agg(reviewers_same(a.data, b.data, %s::numeric) order by a.n, b.n)
            from jsonb_array_elements(%s::jsonb) with ordinality a(data, n),
              jsonb_array_elements(%s::jsonb) with ordinality b(data, n)
            """,
            [overlap_of(question), json.dumps(said), json.dumps(said)],
        )
        (found,) = cursor.fetchone()
    assert found == [is_same for row in compare(question, said) for is_same in row]


def same_in_sql(one: list[dict[str, Any]], other: list[dict[str, Any]], overlap: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "select reviewers_same(%s::jsonb, %s::jsonb, %s::numeric)", [json.dumps(one), json.dumps(other), overlap]
        )
        return bool(cursor.fetchone()[0])


def stretches(places: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """As many marks of one label, in the order in which answers are stored."""
    return segments(*sorted(places))


# Marks in a crowd, and where the other person put each of them: what stands in the same place in order is often not its
# partner, so that all pairs are looked at.
CROWD = st.lists(
    st.tuples(st.integers(0, 9), st.integers(3, 9), st.integers(-3, 3), st.integers(-2, 3)), min_size=2, max_size=10
)


@DATABASE
@given(crowd=CROWD, overlap=st.sampled_from(["0.2", "0.4", "0.5", "0.6"]))
def test_sql_and_python_pair_marks_in_a_crowd_alike(db: None, crowd: list[tuple[int, ...]], overlap: str) -> None:
    one = stretches([(start, start + n) for start, n, _by, _more in crowd])
    other = stretches([(start + by, start + by + max(1, n + more)) for start, n, by, more in crowd])
    question = compile_one({"kind": "segments", "labels": LABELS, "iou": float(overlap)})
    expected = KINDS["segments"].is_same(question, LabelValue(data=one), LabelValue(data=other))
    assert same_in_sql(one, other, overlap) == expected


MOST = range(500)  # marks of one answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(10 * k, 10 * k + 9) for k in MOST], [(10 * k + 1, 10 * k + 10) for k in MOST]),
        ([(10 * k, 10 * k + 9) for k in MOST], [(10 * k + 1, 10 * k + 10) for k in MOST[1:]] + [(0.5, 30)]),
        ([(k, k + 5000) for k in MOST], [(k + 0.5, k + 5000) for k in MOST]),
        ([(k, k + 5000) for k in MOST], [(k + 0.5, k + 5000) for k in MOST[1:]] + [(9000, 9001)]),
        ([(k, k + 3) for k in MOST], [(k - 1, k + 2) for k in MOST[:250]] + [(k + 1, k + 4) for k in MOST[250:]]),
        ([(k, k + 3) for k in MOST], [(k - 1, k + 2) for k in MOST[1:]] + [(0.5, 3.5)]),
    ],
    ids=["beside", "but one", "on one heap", "heap but one", "two ways", "all moved on"],
)
def test_the_most_marks_that_an_answer_may_have_are_compared_in_a_moment(
    db: None, one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    left, right = stretches(one), stretches(other)
    began = time.monotonic()
    found = same_in_sql(left, right, "0.5")
    assert time.monotonic() - began < 0.5  # it was 0.6 s on an idle machine when all pairs were looked at
    question = compile_one({"kind": "segments", "labels": LABELS})
    assert found == KINDS["segments"].is_same(question, LabelValue(data=left), LabelValue(data=right))


VOTERS = ("alice", "bob", "carol", "rita", "enzo", "olga")


def vote_in_sql(desk: Desk, said: Sequence[Any], rule: str) -> tuple[Any, ...]:
    """Store the answers as people's labels, count them, and take them back."""
    row = desk.row("t-1")
    question = desk.project.schema.compiled["questions"][0]  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        for name, data in zip(VOTERS, said, strict=False):
            raw = desk.lease_one(name)
            queue.submit(
                seat_id=raw["seat"],
                generation=raw["generation"],
                person_id=desk.cast[name].pk,
                key=str(raw["seat"]),
                body_digest=b"",
                source="human",
                answer=queue.Answer(labels=[{"q": 1, "data": data}]),
                salt=b"",
                rng=Random(1),
            )
        cursor.execute(
            "select is_settled, data::text, confidence, disagreement from reviewers_match(%s, %s::jsonb, %s)",
            [row.pk, json.dumps(question), rule],
        )
        settled, data, confidence, apart = cursor.fetchone()
    return settled, None if data is None else json.loads(data), confidence, apart


@pytest.fixture
def one_item(make_desk: MakeDesk) -> Desk:
    """A project with one item that wants six rankings."""
    return make_desk(1, {"questions": [{"name": "q", **RANKED, "required": True}]}, overlap=6)


@DATABASE
@given(said=st.lists(RANKING, min_size=1, max_size=6), rule=RULES)
def test_whole_answers_are_counted_as_choices_are(one_item: Desk, said: list[Any], rule: Rule) -> None:
    different = [one for place, one in enumerate(said) if one not in said[:place]]
    expected = vote([said.count(one) for one in different], len(said), 1, len(said), rule)
    with transaction.atomic():
        settled, data, confidence, apart = vote_in_sql(one_item, said, rule)
        transaction.set_rollback(True)
    assert settled == (expected.state == "agreed")
    assert data == (None if expected.value is None else different[int(str(expected.value))])
    assert confidence == pytest.approx(expected.confidence)
    assert apart == pytest.approx(expected.disagreement, abs=1e-9)


# Whole items


def spans(*places: tuple[int, int]) -> dict[str, Any]:
    return {"q": [{"part": "text", "start": start, "end": end, "label": "slur"} for start, end in places]}


SPANS = {"questions": [{"name": "q", "kind": "spans", "labels": LABELS, "required": True}]}
NEAR = {"questions": [{"name": "q", "kind": "spans", "labels": LABELS, "required": True, "iou": 0.5}]}


def resolution(desk: Desk) -> Resolution:
    return Resolution.objects.get(project=desk.project)


def test_equal_answers_are_agreed_and_nothing_to_mark_is_an_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SPANS, overlap=3)
    states = [
        desk.label(name, spans(*found)).item_state for name, found in zip(VOTERS, [[], [(0, 4)], []], strict=False)
    ]
    assert states == ["open", "open", "agreed"]
    row = resolution(desk)
    assert (row.data, row.choice, row.number, row.votes, row.n_votes) == ([], None, None, {}, 3)
    assert [row.confidence, row.disagreement] == pytest.approx([2 / 3, 2 / 3])


def test_the_mark_in_the_middle_stands_for_those_around_it(make_desk: MakeDesk) -> None:
    desk = make_desk(1, NEAR, overlap=3)
    for name, place in zip(VOTERS, [(0, 6), (4, 10), (2, 8)], strict=False):
        desk.label(name, spans(place))
    row = resolution(desk)
    assert row.state == Resolution.State.AGREED
    assert row.data == [{"part": "text", "start": 2, "end": 8, "label": 1}]
    assert [row.confidence, row.disagreement] == [1.0, 0.0]


def test_different_answers_ask_one_more_and_then_a_reviewer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SPANS, overlap={"min": 2, "max": 3})
    states = [
        desk.label(name, spans(place)).item_state for name, place in zip(VOTERS, [(0, 3), (0, 4), (0, 5)], strict=False)
    ]
    assert states == ["open", "open", "disputed"]
    assert resolution(desk).data is None
    assert resolution(desk).disagreement == pytest.approx(2 / 3)


def test_a_mark_of_their_own_keeps_nobody_from_agreeing(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SPANS, overlap={"min": 2, "max": 3})
    states = [
        desk.label(name, spans(*places)).item_state
        for name, places in zip(VOTERS, [[(0, 4)], [(0, 4), (5, 7)], [(0, 4), (9, 11)]], strict=False)
    ]
    assert states == ["open", "open", "agreed"]  # one of two is half; one of three is not
    row = resolution(desk)
    assert (row.data, row.n_votes) == ([{"part": "text", "start": 0, "end": 4, "label": 1}], 3)
    assert [row.confidence, row.disagreement] == pytest.approx([2 / 3, 2 / 3])


def test_a_question_that_was_left_out_has_no_vote_and_nothing_marked_has_one(make_desk: MakeDesk) -> None:
    optional = {"name": "q", "kind": "spans", "labels": LABELS}
    verdict = {"name": "verdict", "kind": "rating", "min": 1, "max": 2, "required": True}
    desk = make_desk(1, {"questions": [verdict, optional]}, overlap=3)
    for name, found in (("alice", spans((0, 4))), ("bob", {}), ("carol", spans())):
        desk.label(name, {"verdict": 1, **found})
    row = Resolution.objects.get(project=desk.project, question=2)
    assert (row.n_votes, row.state, row.data) == (2, Resolution.State.OPEN, None)


@pytest.mark.parametrize(
    ("rule", "found"), [({"kind": "unanimous"}, "disputed"), ({"kind": "posterior", "threshold": 0.9}, "agreed")]
)
def test_every_rule_votes_mark_by_mark(make_desk: MakeDesk, rule: dict[str, Any], found: str) -> None:
    desk = make_desk(1, SPANS, overlap=3)
    Project.objects.filter(pk=desk.project.pk).update(rule=rule)
    for name, places in zip(VOTERS, [[(0, 4)], [(0, 4), (5, 7)], [(0, 4)]], strict=False):
        state = desk.label(name, spans(*places)).item_state
    assert state == found


def test_answer_taken_back_opens_the_item_and_another_settles_it_anew(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SPANS, overlap=1)
    first = desk.label("alice", spans((0, 3)))
    raw = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    assert (resolution(desk).data, resolution(desk).state) == (None, Resolution.State.OPEN)
    desk.submit("alice", raw, spans((1, 3)), key="again")
    assert resolution(desk).data == [{"part": "text", "start": 1, "end": 3, "label": 1}]
    version = resolution(desk).version
    queue.settle(row_ids=[desk.row("t-1").pk])
    assert resolution(desk).version == version


def test_scorecard_counts_the_same_answer_as_right_and_no_text(make_desk: MakeDesk) -> None:
    why = {"name": "why", "kind": "text", "required": True}
    desk = make_desk(20, {"questions": [*NEAR["questions"], why]}, overlap=3)
    for _ in range(20):
        for name, place in (("alice", (0, 4)), ("bob", (0, 5)), ("carol", (5, 9))):
            desk.label(name, {**spans(place), "why": "because"})
    shares = accepted_shares(desk.project)
    people = desk.cast
    assert [shares[one.pk]["value"] for one in (people.alice, people.bob, people.carol)] == [1.0, 1.0, 0.0]
    assert {shares[one.pk]["n_labels"] for one in (people.alice, people.bob)} == {20}


# Texts


WHY = {
    "questions": [
        {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "none"}, {"value": "spam"}]},
        {"name": "why", "kind": "text", "required": True, "when": {"question": "verdict", "in": ["spam"]}},
    ]
}


def test_texts_differ_and_dispute_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(1, WHY, overlap=2)
    desk.label("alice", {"verdict": "spam", "why": "It sells watches."})
    assert desk.label("bob", {"verdict": "spam", "why": "Advertising"}).item_state == "agreed"
    why = Resolution.objects.get(project=desk.project, question=2)
    assert (why.state, why.n_votes, why.votes, why.disagreement) == (Resolution.State.AGREED, 2, {}, 0.0)
    assert (why.choice, why.choices, why.number, why.data, why.confidence) == (None,) * 5


def test_text_that_is_not_asked_for_is_not_missed(make_desk: MakeDesk) -> None:
    desk = make_desk(1, WHY, overlap=3)
    for name, answers in (
        ("alice", {"verdict": "none"}),
        ("bob", {"verdict": "spam", "why": "?"}),
        ("carol", {"verdict": "none"}),
    ):
        desk.label(name, answers)
    assert desk.row("t-1").state == QueueRow.State.AGREED
    assert not Resolution.objects.filter(project=desk.project, question=2).exists()


def test_label_of_a_text_holds_its_commitment_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(1, WHY, overlap=1)
    desk.label("alice", {"verdict": "spam", "why": "secret"})
    label = Label.objects.get(project=desk.project, question=2)
    assert label.text_commitment is not None
    assert (label.choice, label.choices, label.number, label.data) == (None,) * 4
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from annotation_label l where l::text ~ 'secret'")
        assert cursor.fetchone() == (0,)
