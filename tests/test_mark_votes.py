"""Spans, boxes and segments are voted on mark by mark: the rule in SQL against the rule in Python, and alone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from annotation.kinds.marks import exact, find_corners
from reviewers.algorithms.consensus import Rule, vote_choices
from reviewers.algorithms.mark_votes import Mark, MarkVote, group_marks, settle_groups, vote_marks

Stored = dict[str, Any]
DATABASE = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
RULES: st.SearchStrategy[Rule] = st.sampled_from(["majority", "majority", "unanimous"])
# Places lie on a coarse grid and labels are few, so that marks meet, overlap by just so much, and want one partner.
LABEL, SIDE = st.sampled_from([1, 1, 1, 2]), st.integers(1, 5)
STRETCH = st.builds(
    lambda start, n, label, part: {"part": part, "start": start / 10, "end": (start + n) / 10, "label": label},
    st.integers(0, 6),
    SIDE,
    LABEL,
    st.sampled_from(["a", "a", "b"]),
)
BOX = st.builds(
    lambda x, y, w, h, label: {"part": "photo", "x": x / 10, "y": y / 10, "w": w / 10, "h": h / 10, "label": label},
    st.integers(0, 4),
    st.integers(0, 1),
    SIDE,
    st.integers(1, 3),
    LABEL,
)


def place(mark: Stored) -> tuple[Any, ...]:
    return (mark["part"], *(value for key, value in mark.items() if key not in ("part", "label")), mark["label"])


@st.composite
def crowds(draw: st.DrawFn) -> list[list[Stored]]:
    """Answers of up to six people, many of them with marks that another one has too, as they are stored."""
    mark = draw(st.sampled_from([STRETCH, BOX]))
    known = draw(st.lists(mark, min_size=1, max_size=6, unique_by=json.dumps))
    answer = st.lists(st.sampled_from(known) | mark, max_size=4, unique_by=json.dumps)
    return [sorted(one, key=place) for one in draw(st.lists(answer, min_size=1, max_size=6))]


DRAWN = st.tuples(st.sampled_from([0, 0, 0, -1, 1, 2]), st.sampled_from([0, 0, -1, 1]))  # moved by, longer by


@st.composite
def likenesses(draw: st.DrawFn) -> list[list[Stored]]:
    """Answers of up to five people who saw much the same things, and drew each about where the others did."""
    things = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(3, 6)), min_size=1, max_size=2))
    seen: list[st.SearchStrategy[Any]] = [
        st.sets(DRAWN, min_size=1, max_size=2) | st.sets(DRAWN, min_size=1, max_size=1) | st.just(set())
    ] * 2
    answers = []
    for _person in range(draw(st.integers(2, 5))):
        places = {
            (start + by, start + by + n + more)
            for (start, n), drawn in zip(things, draw(st.tuples(*seen)), strict=False)
            for by, more in drawn
        }
        answers.append([{"part": "a", "start": start, "end": end, "label": 1} for start, end in sorted(places)])
    return answers


TERMS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["spans", "boxes", "boxes"]),  # of spans alone it counts that two may not touch
        "least_overlap": st.sampled_from([None, 0.2, 0.25, 0.5, 0.5, 0.5, 0.6, 1]),
        "min": st.sampled_from([0, 0, 0, 2]),
        "max": st.sampled_from([500, 500, 500, 1]),
        "overlapping": st.booleans(),
    }
)


def read_marks(answers: Sequence[Sequence[Stored]]) -> tuple[list[list[Mark]], dict[Mark, Stored]]:
    """Stored answers as the rule in Python takes them, and the way back."""
    stored = [mark for answer in answers for mark in answer]
    marks = [
        Mark(one["part"], *corners, one["label"]) for one, corners in zip(stored, find_corners(stored), strict=True)
    ]
    rest = iter(marks)
    return [[next(rest) for _mark in answer] for answer in answers], dict(zip(marks, stored, strict=True))


def vote_in_python(answers: Sequence[Sequence[Stored]], terms: dict[str, Any], rule: Rule) -> MarkVote:
    least = terms["least_overlap"]
    return vote_marks(
        read_marks(answers)[0],
        1,
        len(answers),
        rule,
        least_overlap=None if least is None else exact(least),
        least_marks=terms.get("min", 0),
        most_marks=terms.get("max"),
        may_touch=terms["kind"] != "spans" or terms["overlapping"],
    )


def vote_in_sql(answers: Sequence[Sequence[Stored]], terms: dict[str, Any], rule: Rule) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select is_settled, data::text, confidence, disagreement"
            " from reviewers_vote_marks((select array_agg(x order by n) from jsonb_array_elements(%s::jsonb)"
            "   with ordinality z(x, n)), %s::jsonb, %s)",
            [json.dumps(answers), json.dumps(terms), rule],
        )
        settled, data, confidence, apart = cursor.fetchone()
    return settled, None if data is None else json.loads(data), confidence, apart


def segments(*places: tuple[int, int]) -> list[list[Stored]]:
    return [[{"part": "a", "start": start, "end": end, "label": 1}] for start, end in places]


NEAR = {"kind": "segments", "least_overlap": 0.5}


@pytest.mark.django_db
@DATABASE
@given(answers=crowds() | likenesses(), terms=TERMS, rule=RULES)
@example(answers=segments((0, 6), (2, 8), (4, 10), (6, 12)), terms=NEAR, rule="majority")  # a chain
@example(answers=segments((1, 11), (0, 10), (0, 10), (2, 12), (2, 12)), terms=NEAR, rule="majority")  # weights
def test_sql_and_python_accept_the_same_marks(
    db: None, answers: list[list[Stored]], terms: dict[str, Any], rule: Rule
) -> None:
    expected = vote_in_python(answers, terms, rule)
    stored = read_marks(answers)[1]
    settled, data, confidence, apart = vote_in_sql(answers, terms, rule)
    assert settled == (expected.state == "agreed")
    assert data == (None if expected.value is None else [stored[mark] for mark in expected.value])
    assert confidence == pytest.approx(expected.confidence)
    assert apart == pytest.approx(expected.disagreement, abs=1e-9)


def boxes_of(people: int, things: int, side: float, rng: Random) -> list[list[Stored]]:
    """Answers of people who all saw the same things and drew each a little otherwise."""
    seen = [(rng.uniform(0, 1 - side), rng.uniform(0, 1 - side)) for _thing in range(things)]

    def near(number: float) -> float:
        return round(number + rng.uniform(-0.03, 0.03) * side, 6)

    return [
        [{"part": "a", "x": near(x), "y": near(y), "w": near(side), "h": near(side), "label": 1} for x, y in seen]
        for _person in range(people)
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("side", [0.06, 0.4])  # beside each other, and across each other
def test_five_answers_of_a_hundred_boxes_are_voted_on_in_a_moment(db: None, side: float) -> None:
    answers = boxes_of(5, 100, side, Random(1))
    terms = {"kind": "boxes", "least_overlap": 0.5}
    began = time.monotonic()
    settled, data, _confidence, _apart = vote_in_sql(answers, terms, "majority")
    assert time.monotonic() - began < 0.5  # 0.02 s and 0.09 s on a busy machine
    expected = vote_in_python(answers, terms, "majority")
    assert (settled, len(data or ())) == (expected.state == "agreed", len(expected.value or ()))


# The rule alone

HALF = Fraction(1, 2)


def span(start: int, end: int, label: int = 1, part: str = "text") -> Mark:
    return Mark(part, start, 0, end, 1, label)


def vote(*answers: Sequence[Mark], least: Fraction | None = None, rule: Rule = "majority", **terms: Any) -> MarkVote:
    """Everybody who can be asked was."""
    return vote_marks(answers, 1, len(answers), rule, least_overlap=least, **terms)


ONE, OTHER = span(0, 4), span(10, 14)


def test_a_mark_that_one_of_three_drew_is_out_and_the_rest_is_agreed() -> None:
    found = vote([ONE], [ONE, OTHER], [ONE])
    assert (found.state, found.value) == ("agreed", (ONE,))
    assert [found.confidence, found.disagreement] == pytest.approx([2 / 3, 2 / 3])


def test_marks_of_their_own_keep_nobody_from_agreeing_on_the_common_one() -> None:
    found = vote(*([ONE, span(100 * k, 100 * k + 9)] for k in range(1, 6)))
    assert (found.value, found.confidence, found.disagreement) == ((ONE,), 0.8, 0.4)


def test_half_of_the_answers_settle_nothing() -> None:
    assert vote([ONE], [ONE, OTHER]).state == "disputed"
    assert vote_marks([[ONE], [ONE, OTHER]], 2, 3).overlap_wanted == 3
    assert vote([ONE, OTHER], [ONE], [ONE, OTHER]).value == (ONE, OTHER)


def test_empty_answers_agree_that_there_is_nothing() -> None:
    found = vote([], [])
    assert (found.state, found.value, found.confidence, found.disagreement) == ("agreed", (), 1.0, 0.0)
    assert vote([], [], [ONE]).value == ()
    assert vote([], [], [ONE]).confidence == pytest.approx(2 / 3)


def test_nothing_marked_is_not_agreed_where_most_marked_something() -> None:
    assert vote([ONE], [OTHER], [span(20, 24)]).state == "disputed"
    assert vote([ONE], [OTHER], []).state == "disputed"


def test_what_all_saw_and_drew_in_their_own_way_is_not_dropped() -> None:
    unlike = [[OTHER, span(0, end)] for end in (3, 4, 5)]
    assert vote(*unlike).state == "disputed"
    labelled = [[OTHER, span(0, 4, label)] for label in (1, 2, 3)]
    assert vote(*labelled).state == "disputed"
    assert vote([OTHER, ONE], [OTHER, span(0, 5)], [OTHER]).state == "disputed"  # two of three see something
    assert vote([OTHER, ONE], [OTHER, span(4, 5)], [OTHER]).value == (OTHER,)  # in places of their own


def test_marks_at_one_place_stand_alike_whoever_drew_first() -> None:
    rivals = [[ONE, OTHER], [span(2, 5), OTHER], [OTHER]]
    verdicts = settle_groups(group_marks(rivals, None), 3, "majority")
    assert verdicts == [(None, 1), (None, 1), (True, 3)]  # one of three has nothing there


def test_a_mark_inside_one_that_is_in_is_voted_on_by_itself() -> None:
    outer, inner = span(0, 20), span(5, 8, 2)
    assert vote([outer, inner], [outer], [outer]).value == (outer,)
    assert vote([outer, inner], [outer, inner], [outer]).value == (outer, inner)
    assert vote([ONE], [ONE], [span(0, 4, 2)]).value == (ONE,)  # the other label is outvoted


def test_one_answer_is_accepted_as_it_is() -> None:
    assert vote([ONE, OTHER]).value == (ONE, OTHER)
    assert vote([ONE, OTHER]).confidence == 1.0
    assert vote([]).value == ()


def test_no_answers_settle_nothing() -> None:
    assert vote_marks([], 1, 3).state == "open"


def test_unanimous_wants_each_mark_of_everybody() -> None:
    assert vote([ONE], [ONE], rule="unanimous").value == (ONE,)
    assert vote([ONE], [ONE], [ONE, OTHER], rule="unanimous").state == "disputed"
    assert vote([], [], rule="unanimous").value == ()


def test_nobody_stands_twice_in_a_group() -> None:
    near, nearer = span(0, 10), span(1, 11)
    groups = group_marks([[near, nearer], [span(2, 12)]], HALF)
    assert [(group.mark, sorted(group.voters)) for group in groups] == [(near, [0]), (nearer, [0, 1])]


def test_nested_spans_of_one_label_are_two() -> None:
    outer, inner = span(0, 10), span(0, 8)
    found = vote([outer, inner], [outer, inner], [outer], least=HALF)
    assert found.value == (inner, outer)
    assert found.confidence == pytest.approx(2 / 3)


def test_marks_do_not_wander_along_a_chain() -> None:
    chain = [span(k, k + 6) for k in (0, 2, 4, 6)]
    assert [group.mark for group in group_marks([[one] for one in chain[:3]], HALF)] == [chain[1]]
    groups = group_marks([[one] for one in chain], HALF)
    assert [sorted(group.drew) for group in groups] == [chain[:3], chain[3:]]


def test_the_mark_that_overlaps_the_others_most_stands_for_them_and_of_several_the_first() -> None:
    middle = span(1, 11)
    assert vote([span(0, 10)], [middle], [span(2, 12)], least=HALF).value == (middle,)
    assert vote([span(1, 10)], [span(0, 10)], least=HALF).value == (span(0, 10),)
    assert vote([span(0, 10)], [middle], [middle], least=HALF).value == (middle,)  # two drew it


def test_other_parts_and_labels_are_other_marks() -> None:
    groups = group_marks([[ONE], [span(0, 4, part="title")], [span(0, 4, 2)]], HALF)
    assert [len(group.voters) for group in groups] == [1, 1, 1]


def test_marks_without_an_extent_are_the_same_where_they_are_equal() -> None:
    point, line = span(3, 3), Mark("text", 0, 3, 9, 3, 1)
    assert vote([point], [point, line], [point], least=HALF).value == (point,)


def test_accepted_marks_make_an_answer_that_the_question_takes() -> None:
    three = [span(0, 4), span(10, 14), span(20, 24)]
    pairs = [three[:2], three[1:], three[::2]]
    assert vote(*pairs).value == tuple(three)
    assert vote(*pairs, most_marks=2).state == "disputed"
    assert vote([], [], [ONE], least_marks=1).state == "disputed"
    touching = [[span(0, 10), span(10, 20)], [span(0, 12), span(12, 20)], [span(0, 12), span(12, 20)]]
    assert vote(*touching, least=HALF, may_touch=False).value == (span(0, 12), span(12, 20))
    crossed = [
        [span(0, 12), span(12, 20)],
        [span(0, 12), span(12, 24)],
        [span(0, 9), span(9, 21)],
        [span(2, 9), span(9, 21)],
    ]
    assert vote(*crossed, least=HALF).state == "agreed"
    assert vote(*crossed, least=HALF, may_touch=False).state == "disputed"


def test_an_overlap_that_is_no_range_is_refused() -> None:
    with pytest.raises(ValueError, match="min <= max"):
        vote_marks([[ONE]], 3, 2)


@given(
    answers=crowds() | likenesses(),
    least=st.sampled_from([None, Fraction(1, 5), HALF]),
    seed=st.randoms(use_true_random=False),
)
def test_no_order_of_people_or_marks_makes_a_difference(answers: list[list[Stored]], least: Any, seed: Any) -> None:
    marks = read_marks(answers)[0]
    other = [seed.sample(answer, len(answer)) for answer in seed.sample(marks, len(marks))]
    assert vote(*marks, least=least) == vote(*other, least=least)


@given(answers=crowds() | likenesses(), least=st.sampled_from([Fraction(1, 5), HALF]))
def test_each_group_has_one_mark_of_each_person_all_near_the_one_that_stands_for_them(
    answers: list[list[Stored]], least: Fraction
) -> None:
    marks = read_marks(answers)[0]
    groups = group_marks(marks, least)
    drawn = sorted((voter, mark) for voter, answer in enumerate(marks) for mark in answer)
    assert sorted((voter, mark) for group in groups for mark, voters in group.drew.items() for voter in voters) == drawn
    for group in groups:
        assert sum(len(voters) for voters in group.drew.values()) == len(group.voters)
        assert all(group_marks([[group.mark], [mark]], least)[0].voters == {0, 1} for mark in group.drew)


@given(people=st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=7), rule=RULES)
def test_marks_apart_are_voted_on_as_choices_are(people: list[set[int]], rule: Rule) -> None:
    everywhere = [span(1000, 1009)]  # something is in, so that the item is not one place
    found = vote(*([*everywhere, *(span(10 * at, 10 * at + 9) for at in one)] for one in people), rule=rule)
    expected = vote_choices([sum(at in one for one in people) for at in range(5)], len(people), 1, len(people), rule)
    assert found.state == expected.state
    assert found.disagreement == pytest.approx(expected.disagreement)
    assert found.confidence == pytest.approx(expected.confidence)
    assert len(found.value or ()) == len(expected.value or ()) + (found.state == "agreed")  # type: ignore[arg-type]
