"""Two annotators: their tables, and Cohen's kappa against published numbers, scikit-learn, and its limits."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.metrics import cohen_kappa_score

from reviewers.algorithms import pairs
from reviewers.algorithms.agreement import InsufficientOverlapError, LabelTable, agreement_of
from reviewers.algorithms.distances import WEIGHTS, Weights
from reviewers.algorithms.pairs import cohen_kappa, pair_agreement_of, pair_tables

# The encyclopedia's 2 x 2 table, and one on which kappa fails though two agree on 118 of 125 items.
TEXTBOOK = [[20, 5], [10, 15]]
PARADOX = [[118, 5], [2, 0]]
# SAS/STAT User's Guide, PROC FREQ, agreement of two ratings.
SAS = [[0, 4, 1], [0, 8, 0], [0, 1, 5]]
# Anxiety ratings of 20 people by the second and third rater of the data set of that name in R's package irr.
SECOND = [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4]
THIRD = [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2]


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def anxiety() -> list[list[int]]:
    """The raters' table over the values that occur, as irr takes it: 5 is left out."""
    return [
        [sum((a, b) == (first, second) for a, b in zip(SECOND, THIRD, strict=True)) for second in (1, 2, 3, 4, 6)]
        for first in (1, 2, 3, 4, 6)
    ]


def test_kappa_of_the_textbook_table_is_the_published_one() -> None:
    assert round(cohen_kappa(TEXTBOOK), 4) == 0.4000


def test_kappa_stands_beside_ac1_where_it_fails() -> None:
    raw, ac1, kappa = pair_agreement_of(PARADOX, rng=rng())
    assert [figure.metric for figure in (raw, ac1, kappa)] == ["raw_agreement", "gwet_ac1", "cohen_kappa"]
    assert (round(raw.value or 0, 3), round(ac1.value or 0, 4), round(kappa.value or 0, 4)) == (0.944, 0.9408, -0.0234)


@pytest.mark.parametrize(("weights", "published"), [("identity", 0.4842), ("linear", 0.4701)])
def test_kappa_of_the_ratings_in_the_manual_is_the_published_one(weights: Weights, published: float) -> None:
    assert round(cohen_kappa(SAS, weights), 4) == published


@pytest.mark.parametrize(
    ("weights", "published"), [("identity", -0.006289308), ("linear", 0.1459075), ("quadratic", 0.2520325)]
)
def test_kappa_of_the_anxiety_ratings_is_the_published_one(weights: Weights, published: float) -> None:
    assert cohen_kappa(anxiety(), weights) == pytest.approx(published, abs=5e-8)


def test_kappa_of_two_abstractors_is_the_published_one() -> None:
    """The example cont3x3abstractors of Gwet's package irrCAC: kappa 0.7964094, AC1 0.8493305."""
    raw, ac1, kappa = pair_agreement_of([[13, 0, 0], [0, 20, 7], [0, 4, 56]], rng=rng())
    assert raw.value == pytest.approx(0.89)
    assert round(ac1.value or 0, 7) == 0.8493305
    assert round(kappa.value or 0, 7) == 0.7964094


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 6), weights=st.sampled_from(WEIGHTS))
def test_kappa_is_that_of_scikit_learn(seed: int, n_values: int, weights: Weights) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(0, n_values, (2, 30))
    first[:2], second[:2] = [0, 1], [1, 0]
    counts = np.zeros((n_values, n_values), np.int64)
    np.add.at(counts, (first, second), 1)
    theirs = {"identity": None, "linear": "linear", "quadratic": "quadratic"}[weights]
    oracle = cohen_kappa_score(first, second, labels=np.arange(n_values), weights=theirs)
    assert cohen_kappa(counts, weights) == pytest.approx(oracle, abs=1e-12)
    assert cohen_kappa(counts.T, weights) == pytest.approx(oracle, abs=1e-12)


def test_weights_follow_the_values_of_the_scale() -> None:
    even, uneven = cohen_kappa(SAS, "linear"), cohen_kappa(SAS, "linear", [1, 2, 10])
    assert even == cohen_kappa(SAS, "linear", [10, 20, 30])
    assert uneven != pytest.approx(even, abs=0.01)
    assert cohen_kappa(SAS, "identity", [1, 2, 10]) == cohen_kappa(SAS)


def test_tables_hold_every_pair_of_every_two() -> None:
    random = rng()
    value = random.integers(-1, 3, size=(6, 40))
    annotator, item = np.indices(value.shape)
    order = random.permutation(value.size)
    items, annotators, values = (array.ravel()[order] for array in (item, annotator, value))
    tables = pair_tables(LabelTable.from_codes(items, annotators, values, n_values=3))
    expected = {
        (a, b): [[int(((value[a] == x) & (value[b] == y)).sum()) for y in range(3)] for x in range(3)]
        for a in range(6)
        for b in range(a + 1, 6)
    }
    found = zip(tables.first.tolist(), tables.second.tolist(), tables.counts.tolist(), strict=True)
    assert {(a, b): counts for a, b, counts in found} == expected


def test_pairs_that_share_too_little_are_left_out() -> None:
    table = LabelTable.from_codes([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 2], [0, 1, 1, 1, 1, 0], n_values=2)
    assert pair_tables(table).counts.sum(axis=(1, 2)).tolist() == [2, 1, 1]
    tables = pair_tables(table, min_items=2)
    assert (tables.first.tolist(), tables.second.tolist()) == ([0], [1])
    assert tables.counts.tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize("items", [[], [0, 1, 2]])
def test_nobody_shares_anything_without_overlap(items: list[int]) -> None:
    tables = pair_tables(LabelTable.from_codes(items, [0, 1, 2][: len(items)], [0, 1, 0][: len(items)], n_values=2))
    assert (len(tables.first), len(tables.second), tables.counts.shape) == (0, 0, (0, 2, 2))


def test_figures_of_a_pair_say_what_they_rest_on() -> None:
    for figure in pair_agreement_of(TEXTBOOK, rng=rng(), weights=WEIGHTS):
        assert (figure.n_items, figure.n_labels, figure.n_annotators) == (50, 100, 2)
        assert figure.prevalence == pytest.approx([0.55, 0.45])
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_raw_agreement_and_ac1_are_those_of_the_count_vectors() -> None:
    table = LabelTable.from_codes([0, 0, 1, 1, 2, 2, 3, 3], [0, 1] * 4, [0, 0, 1, 2, 2, 2, 0, 1], n_values=3)
    raw, ac1, _kappa = pair_agreement_of(pair_tables(table).counts[0], rng=rng())
    other_raw, _alpha, other_ac1 = agreement_of(table, rng=rng(), coefficients=["gwet_ac1"])
    assert (raw.value, ac1.value) == pytest.approx((other_raw.value, other_ac1.value))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_interval_is_that_of_resampling_items_one_by_one(weights: Weights) -> None:
    cells = np.repeat(np.arange(9), np.ravel([[30, 5, 1], [4, 20, 6], [2, 3, 10]]))
    random = np.random.default_rng(4)
    found = [
        cohen_kappa(np.bincount(cells[random.integers(0, 81, 81)], minlength=9).reshape(3, 3), weights)
        for _ in range(2000)
    ]
    table = np.bincount(cells, minlength=9).reshape(3, 3)
    figure = pair_agreement_of(table, rng=rng(), weights=[weights], n_resamples=20_000)[-1]
    assert figure.interval == pytest.approx(np.quantile(found, [0.025, 0.975]).tolist(), abs=0.015)


def test_intervals_depend_on_the_seed_alone() -> None:
    assert pair_agreement_of(SAS, rng=rng(), weights=WEIGHTS) == pair_agreement_of(SAS, rng=rng(), weights=WEIGHTS)


def test_perfect_agreement_is_one_with_a_bound_below() -> None:
    figures = pair_agreement_of([[5, 0], [0, 5]], rng=rng(), weights=WEIGHTS)
    assert [figure.value for figure in figures] == [1.0] * 5
    # 0 of 10 split: Clopper and Pearson's upper end is .3085 (tables); kappa and AC1 count it against chance, 1/2.
    assert figures[0].interval == pytest.approx((1 - 0.3085, 1.0), abs=1e-4)
    assert figures[2].interval == pytest.approx((1 - 0.3085 / 0.5, 1.0), abs=1e-4)


def test_one_class_has_no_kappa_but_an_ac1() -> None:
    raw, ac1, kappa = pair_agreement_of([[7, 0], [0, 0]], rng=rng())
    assert (raw.value, ac1.value) == (1.0, 1.0)
    assert (kappa.value, kappa.refusal) == (None, "only 1 class occurs")
    assert np.isnan(cohen_kappa([[7, 0], [0, 0]]))


def test_question_of_one_value_has_neither() -> None:
    _raw, ac1, kappa = pair_agreement_of([[7]], rng=rng())
    assert (ac1.refusal, kappa.refusal) == ("only 1 class occurs", "only 1 class occurs")


def test_two_who_share_nothing_are_refused() -> None:
    figures = pair_agreement_of([[0, 0], [0, 0]], rng=rng())
    assert [figure.refusal for figure in figures] == ["no item has two labels"] * 3
    with pytest.raises(InsufficientOverlapError):
        cohen_kappa([[0, 0], [0, 0]])


@pytest.mark.parametrize("counts", [[[1, 2]], [1, 2], [[1, -1], [0, 3]], [[0.5, 1], [1, 2]]])
def test_what_is_no_table_is_refused(counts: ArrayLike) -> None:
    with pytest.raises(ValueError, match=r"^a table of two annotators must be a square of counts$"):
        cohen_kappa(counts)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(pairs).failed == 0
