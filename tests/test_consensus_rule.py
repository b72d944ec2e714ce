"""The vote rule, case by case and by its properties."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewers.algorithms import consensus
from reviewers.algorithms.agreement import CountVectors, raw_agreement
from reviewers.algorithms.consensus import Rule, disagreement, vote, vote_choices

COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=5)
OVERLAPS = st.tuples(st.integers(1, 6), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))
RULES: st.SearchStrategy[Rule] = st.sampled_from(["majority", "unanimous"])


@pytest.mark.parametrize(
    ("counts", "overlap", "rule", "state", "value", "wanted"),
    [
        ([0, 0], (1, 1), "majority", "open", None, 1),
        ([1, 0], (1, 1), "majority", "agreed", 0, 1),
        ([1, 0], (3, 5), "majority", "open", None, 3),
        ([2, 0], (3, 3), "majority", "open", None, 3),
        ([2, 1], (3, 3), "majority", "agreed", 0, 3),
        ([0, 3], (3, 5), "majority", "agreed", 1, 3),
        ([1, 1], (2, 3), "majority", "open", None, 3),
        ([1, 1], (2, 2), "majority", "disputed", None, 2),
        ([1, 1, 1], (3, 5), "majority", "open", None, 4),
        ([2, 1, 1], (3, 5), "majority", "open", None, 5),
        ([2, 2, 1], (3, 5), "majority", "disputed", None, 5),
        ([3, 1, 1], (3, 5), "majority", "agreed", 0, 5),
        ([2, 2], (3, 3), "majority", "disputed", None, 4),
        ([3, 0], (3, 3), "unanimous", "agreed", 0, 3),
        ([2, 1], (3, 4), "unanimous", "open", None, 4),
        ([3, 1], (3, 4), "unanimous", "disputed", None, 4),
    ],
)
def test_vote_of_one_question(
    counts: list[int], overlap: tuple[int, int], rule: Rule, state: str, value: int | None, wanted: int
) -> None:
    result = vote(counts, sum(counts), *overlap, rule)
    assert (result.state, result.value, result.overlap_wanted) == (state, value, wanted)


def test_confidence_is_the_share_behind_the_value() -> None:
    assert vote([3, 1, 1], 5, 3, 5).confidence == 0.6
    assert vote([2, 2, 1], 5, 3, 5).confidence is None


@pytest.mark.parametrize(
    ("chosen", "n_votes", "overlap", "state", "value", "confidence"),
    [
        ([3, 1, 0], 3, (3, 3), "agreed", (0,), 2 / 3),
        ([0, 0], 2, (2, 3), "agreed", (), 1.0),
        ([2, 2], 2, (2, 3), "agreed", (0, 1), 1.0),
        ([2, 1], 2, (2, 3), "open", None, None),
        ([2, 2, 0], 4, (2, 4), "disputed", None, None),
        ([1, 1], 1, (2, 3), "open", None, None),
        ([], 2, (2, 2), "agreed", (), 1.0),
    ],
)
def test_vote_of_each_choice(
    chosen: list[int],
    n_votes: int,
    overlap: tuple[int, int],
    state: str,
    value: tuple[int, ...] | None,
    confidence: float | None,
) -> None:
    result = vote_choices(chosen, n_votes, *overlap)
    assert (result.state, result.value, result.confidence) == (state, value, confidence)


def test_one_unanimous_choice_does_not_carry_a_split_one() -> None:
    assert vote_choices([3, 2], 3, 3, 3, "unanimous").state == "disputed"
    assert vote_choices([3, 3], 3, 3, 3, "unanimous").value == (0, 1)


def test_most_split_choice_gives_the_disagreement() -> None:
    assert vote_choices([1, 0, 0, 0, 0], 2, 2, 2).disagreement == 1.0


@given(counts=COUNTS, overlap=OVERLAPS, rule=RULES)
def test_states_keep_their_promises(counts: list[int], overlap: tuple[int, int], rule: Rule) -> None:
    n = sum(counts)
    result = vote(counts, n, *overlap, rule)
    assert (result.state == "open") == (result.overlap_wanted > n)
    assert (result.state == "agreed") == (result.value is not None) == (result.confidence is not None)
    assert overlap[0] <= result.overlap_wanted <= max(n, overlap[1])
    assert (n < overlap[0]) <= (result.state == "open")
    assert result.state != "disputed" or n >= overlap[1]


@given(counts=COUNTS, overlap=OVERLAPS, rule=RULES)
def test_codes_have_no_rank(counts: list[int], overlap: tuple[int, int], rule: Rule) -> None:
    forwards, backwards = vote(counts, sum(counts), *overlap, rule), vote(counts[::-1], sum(counts), *overlap, rule)
    assert forwards.state == backwards.state
    assert forwards.disagreement == backwards.disagreement
    assert forwards.value is None or counts[int(str(forwards.value))] == max(counts)


@given(yes=st.integers(0, 6), no=st.integers(0, 6), overlap=OVERLAPS, rule=RULES)
def test_one_choice_is_a_vote_of_yes_against_no(yes: int, no: int, overlap: tuple[int, int], rule: Rule) -> None:
    as_choices, as_choice = vote_choices([yes], yes + no, *overlap, rule), vote([no, yes], yes + no, *overlap, rule)
    assert as_choices.state == as_choice.state
    assert as_choices.confidence == as_choice.confidence
    assert as_choices.disagreement == as_choice.disagreement
    assert as_choices.value == {None: None, 0: (), 1: (0,)}[as_choice.value]  # type: ignore[index]


@given(counts=COUNTS.filter(lambda counts: sum(counts) >= 2))
def test_disagreement_is_what_raw_agreement_lacks(counts: list[int]) -> None:
    assert disagreement(counts) == pytest.approx(1 - raw_agreement(CountVectors.from_counts([counts])), abs=1e-12)


def test_fewer_than_two_votes_do_not_disagree() -> None:
    assert disagreement([0, 0]) == disagreement([1, 0]) == disagreement([]) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1], 3, 1, 1), "2 votes counted, 3 stated"),
        (([-1, 1], 0, 1, 1), "votes cannot be negative"),
        (([1], 1, 0, 1), "overlap 0 to 1: must be 1 <= min <= max"),
        (([1], 1, 3, 2), "overlap 3 to 2: must be 1 <= min <= max"),
        (([1], 1, 1, 1, "loudest"), "no vote rule is called 'loudest'; there are 'majority' and 'unanimous'"),
    ],
)
def test_votes_that_make_no_sense_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        vote(*arguments)  # type: ignore[arg-type]


def test_more_ticks_than_voters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^a choice was ticked 3 times by 2 voters$"):
        vote_choices([3], 2, 1, 1)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(consensus).failed == 0
