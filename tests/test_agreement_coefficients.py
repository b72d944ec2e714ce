"""Fleiss' kappa, Gwet's AC1 and AC2, and alpha with given distances: published numbers, plain sums, and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reviewers.algorithms.agreement import (
    COEFFICIENTS,
    Coefficient,
    CountVectors,
    InsufficientOverlapError,
    LabelTable,
    agreement_of,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
    label_sets,
    raw_agreement,
)
from reviewers.algorithms.distances import Weights, make_weights, set_distances
from reviewers.algorithms.figures import Figure

# Krippendorff (2011), sections C and D, which Gwet's package irrCAC has as cac.raw4raters; 0 is a gap.
FOUR_RATERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
# The textbook table for Fleiss' kappa: 14 raters, 10 subjects, 5 categories.
FLEISS_10X14 = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
# Fleiss (1971), Psychological Bulletin 76:378-382, Table 1: 30 patients, 6 psychiatrists, 5 diagnoses.
FLEISS_1971 = """
    444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445
    333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""
# Two annotators: items on which the first (row) and the second (column) said something.
PREGNANCIES = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])  # irrCAC's cont3x3abstractors, Gwet (2014)
PARADOX = np.array([[118, 5], [2, 0]])
MEASURES: dict[Coefficient, Callable[[CountVectors], float]] = {
    "fleiss_kappa": fleiss_kappa,
    "gwet_ac1": gwet_ac,
    "gwet_ac2_linear": lambda vectors: gwet_ac(vectors, "linear"),
    "gwet_ac2_quadratic": lambda vectors: gwet_ac(vectors, "quadratic"),
}


def four_raters() -> LabelTable:
    annotator, item = np.indices((4, 12)).reshape(2, -1)
    return LabelTable.from_codes(item, annotator, np.ravel(FOUR_RATERS) - 1, 5)


def vectors_of_pair(table: NDArray[np.int64]) -> CountVectors:
    """The count vectors of two annotators' table."""
    row, column = np.indices(table.shape).reshape(2, -1)
    values = np.eye(len(table), dtype=np.int64)
    return CountVectors.from_counts(values[row] + values[column], table.ravel())


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def value_of(figures: list[Figure], metric: str) -> float | None:
    return next(figure.value for figure in figures if figure.metric == metric)


# --- Published numbers -----------------------------------------------------------------------------------------------


def test_fleiss_kappa_of_the_textbook_table_is_the_published_one() -> None:
    vectors = CountVectors.from_counts(FLEISS_10X14)
    assert round(fleiss_kappa(vectors), 3) == 0.210
    assert round(fleiss_kappa(vectors), 6) == 0.209931
    assert round(raw_agreement(vectors), 3) == 0.378


def test_fleiss_kappa_of_his_own_table_is_the_published_one() -> None:
    counts = np.array([[patient.count(diagnosis) for diagnosis in "12345"] for patient in FLEISS_1971.split()])
    assert counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]  # the last row of his table
    assert round(fleiss_kappa(CountVectors.from_counts(counts)), 3) == 0.430


def test_fleiss_kappa_with_gaps_is_gwets() -> None:
    """irrCAC 0.4: pa 0.818, pe 0.239, kappa 0.761. The item with one label counts towards pe."""
    assert round(raw_agreement(four_raters()), 3) == 0.818
    assert round(fleiss_kappa(four_raters()), 3) == 0.761


@pytest.mark.parametrize(("weights", "published"), [("identity", 0.775), ("linear", 0.859), ("quadratic", 0.914)])
def test_gwets_coefficients_of_four_raters_are_the_published_ones(weights: Weights, published: float) -> None:
    assert round(gwet_ac(four_raters(), weights), 3) == published


def test_gwets_ac1_of_two_annotators_is_the_published_one() -> None:
    assert round(gwet_ac(vectors_of_pair(PREGNANCIES)), 7) == 0.8493305
    assert round(krippendorff_alpha(vectors_of_pair(PREGNANCIES)), 7) == 0.7972585


def test_ac1_holds_where_kappa_falls_below_zero() -> None:
    assert round(raw_agreement(vectors_of_pair(PARADOX)), 3) == 0.944
    assert round(gwet_ac(vectors_of_pair(PARADOX)), 4) == 0.9408
    assert fleiss_kappa(vectors_of_pair(PARADOX)) < 0


def test_weights_are_the_published_ones() -> None:
    """The matrices that the vignette of irrCAC prints for three categories."""
    scale = np.array([1.0, 2.0, 3.0])
    assert make_weights("identity", scale).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert make_weights("linear", scale).tolist() == [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]
    assert make_weights("quadratic", scale).tolist() == [[1, 0.75, 0], [0.75, 1, 0.75], [0, 0.75, 1]]


# --- Plain sums over single items and pairs --------------------------------------------------------------------------


def kappa_by_hand(counts: NDArray[np.int64], alike: NDArray[np.float64], is_fleiss: bool) -> float:
    """The definition, one item after the other."""
    labels = [np.repeat(np.arange(counts.shape[1]), row) for row in counts]
    observed = [
        np.mean([alike[a, b] for i, a in enumerate(given) for j, b in enumerate(given) if i != j])
        for given in labels
        if len(given) > 1
    ]
    p = np.mean([row / row.sum() for row in counts if row.sum()], axis=0)
    q = counts.shape[1]
    by_chance = (p**2).sum() if is_fleiss else alike.sum() * (p * (1 - p)).sum() / (q * (q - 1))
    return float((np.mean(observed) - by_chance) / (1 - by_chance))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 5))
def test_coefficients_are_the_plain_sums(seed: int, n_values: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.multinomial(1, np.full(n_values, 1 / n_values), size=(12, 4)).sum(axis=1)
    counts = np.maximum(counts - random.integers(0, 2, counts.shape), 0)
    counts[0, :2] = [2, 1]  # two classes and an overlap, whatever was drawn
    values = np.sort(random.choice(50, n_values, replace=False)).astype(float)
    vectors = CountVectors.from_counts(counts)
    nominal = make_weights("identity", values)
    assert fleiss_kappa(vectors) == pytest.approx(kappa_by_hand(counts, nominal, True), abs=1e-12)
    assert gwet_ac(vectors) == pytest.approx(kappa_by_hand(counts, nominal, False), abs=1e-12)
    linear = 1 - np.abs(values[:, np.newaxis] - values) / (values[-1] - values[0])
    assert gwet_ac(vectors, "linear", values) == pytest.approx(kappa_by_hand(counts, linear, False), abs=1e-12)
    quadratic = 1 - (1 - linear) ** 2
    assert gwet_ac(vectors, "quadratic", values) == pytest.approx(kappa_by_hand(counts, quadratic, False), abs=1e-12)


# --- Given distances -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 6))
def test_alpha_with_a_given_distance_is_that_of_the_krippendorff_package(seed: int, n_values: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 3, size=(15, n_values))
    counts[0, :2] = 1
    distance = np.triu(random.random((n_values, n_values)) + 0.01, 1)
    distance += distance.T

    def look_up(v1: Any, v2: Any, i1: Any, i2: Any, n_v: Any, dtype: Any = np.float64) -> Any:
        return distance[i1, i2]

    oracle = krippendorff.alpha(value_counts=counts, level_of_measurement=look_up)
    assert krippendorff_alpha(CountVectors.from_counts(counts), distance) == pytest.approx(oracle, abs=1e-12)


def test_alpha_with_the_interval_distance_given_is_the_interval_alpha() -> None:
    values = np.arange(5.0)
    squared = (values[:, np.newaxis] - values) ** 2
    assert krippendorff_alpha(four_raters(), squared) == pytest.approx(krippendorff_alpha(four_raters(), "interval"))
    assert round(krippendorff_alpha(four_raters(), squared), 3) == 0.849


def test_sets_are_as_far_apart_as_passonneau_says() -> None:
    """{a, b} against itself, {a}, {b, c}, {c}, and nothing; J is 1, 1/2, 1/3, 0, 0 and M 1, 2/3, 1/3, 0, 0."""
    sets = [[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert set_distances(sets, "jaccard")[0].tolist() == pytest.approx([0, 1 / 2, 2 / 3, 1, 1])
    assert set_distances(sets, "masi")[0].tolist() == pytest.approx([0, 2 / 3, 8 / 9, 1, 1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_distances_between_sets_are_distances(seed: int) -> None:
    sets = np.unique(np.random.default_rng(seed).integers(0, 2, size=(12, 4)), axis=0)
    jaccard, masi = set_distances(sets, "jaccard"), set_distances(sets, "masi")
    for distance in (jaccard, masi):
        assert (distance == distance.T).all()
        assert not np.diagonal(distance).any()
        assert ((distance > 0) == ~np.eye(len(sets), dtype=bool)).all()
    assert (masi >= jaccard).all()


def test_two_empty_sets_are_the_same() -> None:
    assert set_distances([[0, 0], [0, 0]], "jaccard").tolist() == [[0, 0], [0, 0]]
    assert set_distances([[0, 0], [0, 0]], "masi").tolist() == [[0, 0], [0, 0]]


def test_sets_that_overlap_disagree_less_than_sets_that_do_not() -> None:
    """Two items by two people: {0} and {0, 1}, then {2} twice."""
    table, sets = label_sets([0, 0, 1, 1], [0, 1, 0, 1], answer=[0, 1, 1, 2, 3], choice=[0, 0, 1, 2, 2], n_choices=3)
    masi = set_distances(sets, "masi")
    figures = agreement_of(table, rng=rng(), given={"masi": masi, "jaccard": set_distances(sets, "jaccard")})
    assert [figure.metric for figure in figures] == ["raw_agreement", "alpha_nominal", "alpha_masi", "alpha_jaccard"]
    # Do = 2 * 2/3 / 4 = 1/3; De over 4 labels, {2} twice: (2 * 2/3 + 2 * 2 * 2 * 1) / (4 * 3) = 7/9.
    assert value_of(figures, "alpha_masi") == pytest.approx(1 - (1 / 3) / (7 / 9))
    # Do = 2 * 1/2 / 4 = 1/4; De = (2 * 1/2 + 8) / 12 = 3/4.
    assert value_of(figures, "alpha_jaccard") == pytest.approx(1 - (1 / 4) / (3 / 4))
    assert value_of(figures, "alpha_nominal") == pytest.approx(1 - (1 / 2) / (10 / 12))


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        ([[0, 1], [1, 0]], "a given distance must be a 3 x 3 matrix of finite numbers"),
        ([[0, 1, np.nan], [1, 0, 1], [np.nan, 1, 0]], "a given distance must be a 3 x 3 matrix of finite numbers"),
        ([[0, 1, 2], [1, 0, 1], [1, 1, 0]], "a given distance must be symmetric, 0 on the diagonal and above 0"),
        ([[1, 1, 2], [1, 0, 1], [2, 1, 0]], "a given distance must be symmetric, 0 on the diagonal and above 0"),
        ([[0, 0, 2], [0, 0, 1], [2, 1, 0]], "a given distance must be symmetric, 0 on the diagonal and above 0"),
    ],
)
def test_distance_that_is_none_is_refused(distance: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        krippendorff_alpha(CountVectors.from_counts([[1, 1, 0]]), np.array(distance))


def test_names_that_nobody_knows_are_refused() -> None:
    vectors: Any = CountVectors.from_counts([[1, 1], [2, 0]])
    strange: Any = "cosine"
    with pytest.raises(
        ValueError, match=r"^no distance is called 'cosine'; there are nominal, ordinal, interval, ratio$"
    ):
        krippendorff_alpha(vectors, strange)
    with pytest.raises(ValueError, match=r"^no weights are called 'cosine'; there are identity, linear, quadratic$"):
        gwet_ac(vectors, strange)
    with pytest.raises(ValueError, match=r"^no distance between sets is called 'cosine'; there are jaccard, masi$"):
        set_distances([[1, 0]], strange)
    with pytest.raises(ValueError, match=r"^no coefficient is called 'cosine'; there are fleiss_kappa, gwet_ac1, "):
        agreement_of(vectors, rng=rng(), coefficients=[strange])
    with pytest.raises(ValueError, match=r"^each measure can be asked for only once$"):
        agreement_of(vectors, rng=rng(), given={"nominal": np.array([[0, 1], [1, 0]])})


# --- Figures ---------------------------------------------------------------------------------------------------------


def test_coefficients_follow_the_alphas_with_intervals_and_prevalence() -> None:
    figures = agreement_of(four_raters(), rng=rng(), coefficients=COEFFICIENTS)
    assert [figure.metric for figure in figures] == ["raw_agreement", "alpha_nominal", *COEFFICIENTS]
    assert [round(figure.value or 0, 3) for figure in figures[2:]] == [0.761, 0.775, 0.859, 0.914]
    for figure in figures:
        assert (figure.n_items, figure.n_labels, figure.n_annotators) == (11, 40, 4)
        assert figure.prevalence == pytest.approx([9 / 40, 13 / 40, 10 / 40, 5 / 40, 3 / 40])
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] < figure.value < figure.interval[1]


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_interval_is_that_of_resampling_items_one_by_one(coefficient: Coefficient) -> None:
    counts = np.random.default_rng(3).multinomial(3, [0.5, 0.3, 0.2], size=200)
    random = np.random.default_rng(4)
    measure = MEASURES[coefficient]
    found = [measure(CountVectors.from_counts(counts[random.integers(0, 200, 200)])) for _ in range(2000)]
    vectors = CountVectors.from_counts(counts)
    figure = agreement_of(vectors, rng=rng(), coefficients=[coefficient], n_resamples=20_000)[-1]
    assert figure.interval == pytest.approx(np.quantile(found, [0.025, 0.975]).tolist(), abs=0.01)


def test_items_with_one_label_widen_nothing_but_move_the_shares() -> None:
    """Fleiss and Gwet count single labels towards how common a value is; alpha and raw agreement do not see them."""
    paired = CountVectors.from_counts([[3, 0], [2, 1], [0, 3], [0, 3]])
    with_singles = CountVectors.from_counts([[3, 0], [2, 1], [0, 3], [0, 3], [1, 0], [1, 0], [1, 0]])
    without, plus = (agreement_of(vectors, rng=rng(), coefficients=COEFFICIENTS) for vectors in (paired, with_singles))
    assert without[:2] == plus[:2]
    assert [a.value == b.value for a, b in zip(without[2:4], plus[2:4], strict=True)] == [False, False]
    again = agreement_of(with_singles, rng=rng(), coefficients=COEFFICIENTS)
    assert plus == again


def test_coefficients_are_refused_without_overlap() -> None:
    lonely = CountVectors.from_counts([[1, 0], [0, 1]])
    figures = agreement_of(lonely, rng=rng(), coefficients=COEFFICIENTS)
    assert [figure.refusal for figure in figures] == ["no item has two labels"] * 6
    assert [figure.prevalence for figure in figures] == [None] * 6
    with pytest.raises(InsufficientOverlapError):
        fleiss_kappa(lonely)
    with pytest.raises(InsufficientOverlapError):
        gwet_ac(lonely)


def test_one_class_has_no_kappa_but_an_ac1() -> None:
    """Chance is 0 in AC1 where a question allows more than the one value that everybody gave."""
    figures = agreement_of(CountVectors.from_counts([[3, 0]], [10]), rng=rng(), coefficients=COEFFICIENTS)
    refusals = {figure.metric: figure.refusal for figure in figures}
    assert refusals["alpha_nominal"] == refusals["fleiss_kappa"] == "only 1 class occurs"
    assert value_of(figures, "gwet_ac1") == value_of(figures, "raw_agreement") == 1.0
    # 0 of 10 split: Clopper and Pearson's upper end is .3085 (tables).
    assert figures[3].interval == pytest.approx((1 - 0.3085, 1.0), abs=1e-4)
    assert np.isnan(fleiss_kappa(CountVectors.from_counts([[3, 0]])))


def test_question_of_one_value_has_no_ac1() -> None:
    figures = agreement_of(CountVectors.from_counts([[3], [2]]), rng=rng(), coefficients=COEFFICIENTS)
    assert [figure.refusal for figure in figures[1:]] == ["only 1 class occurs"] * 5
    assert np.isnan(gwet_ac(CountVectors.from_counts([[3], [2]])))


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_perfect_agreement_is_one_with_a_bound_below(coefficient: Coefficient) -> None:
    vectors = CountVectors.from_counts([[3, 0, 0], [0, 5, 0], [0, 0, 2]], [4, 4, 2])
    figure = agreement_of(vectors, rng=rng(), coefficients=[coefficient])[-1]
    assert figure.value == 1.0
    assert figure.interval is not None
    assert figure.interval[0] < 1 - 0.3085
    assert figure.interval[1] == 1.0
    assert "exact bound" in figure.method


def test_figures_of_sets_are_refused_like_any_other() -> None:
    table, sets = label_sets([0, 1], [0, 0], answer=[0], choice=[1], n_choices=2)
    figures = agreement_of(table, rng=rng(), given={"masi": set_distances(sets, "masi")})
    assert [figure.refusal for figure in figures] == ["no item has two labels"] * 3
