"""How far any number of annotators agree: raw agreement, Krippendorff's alpha, Fleiss' kappa, Gwet's AC1 and AC2.

Each rests on the count vectors of `reviewers.algorithms.labels` alone, and comes with an interval or a named refusal.
What needs to know who gave which label, Cohen's kappa of two annotators, is in `reviewers.algorithms.pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.bootstrap import Interval, bootstrap_intervals, check_resamples, unseen_share
from reviewers.algorithms.distances import (
    DISTANCES,
    Distance,
    FloatArray,
    Weights,
    check_distances,
    make_scale,
    make_weights,
    mid_ranks,
    ratio_distances,
)
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.labels import CountVectors, LabelTable, choice_tables, count_vectors, label_sets, set_table

__all__ = [
    "COEFFICIENTS",
    "DISTANCES",
    "NO_PAIRS",
    "ONE_CLASS",
    "Coefficient",
    "CountVectors",
    "Distance",
    "InsufficientOverlapError",
    "LabelTable",
    "agreement_of",
    "choice_tables",
    "count_vectors",
    "fleiss_kappa",
    "gwet_ac",
    "krippendorff_alpha",
    "label_sets",
    "raw_agreement",
    "set_table",
]

Coefficient = Literal["fleiss_kappa", "gwet_ac1", "gwet_ac2_linear", "gwet_ac2_quadratic"]

NO_PAIRS = "no item has two labels"
ONE_CLASS = "only 1 class occurs"

_WEIGHTS_OF: dict[Coefficient, Weights] = {
    "fleiss_kappa": "identity",
    "gwet_ac1": "identity",
    "gwet_ac2_linear": "linear",
    "gwet_ac2_quadratic": "quadratic",
}
_METHODS: dict[Coefficient, str] = {
    "fleiss_kappa": "Fleiss' kappa",
    "gwet_ac1": "Gwet's AC1",
    "gwet_ac2_linear": "Gwet's AC2, linear weights",
    "gwet_ac2_quadratic": "Gwet's AC2, quadratic weights",
}
COEFFICIENTS: tuple[Coefficient, ...] = tuple(_METHODS)
_GWET: dict[Weights, Coefficient] = {_WEIGHTS_OF[name]: name for name in COEFFICIENTS if name != "fleiss_kappa"}


class InsufficientOverlapError(ValueError):
    """No item has two labels, so nothing can agree or disagree."""

    def __init__(self) -> None:
        super().__init__(NO_PAIRS)


@dataclass(frozen=True, eq=False)
class _Measure:
    """One way to measure agreement on the count vectors that it was made for.

    `of` takes how often each vector, (n_resamples, n_vectors), and each value of an item with a single label,
    (n_resamples, n_values), occurs and returns (n_resamples,), nan where undefined. `reach` is how far below 1 the
    measure is where all labels of every item are as far apart as two values can be, chance being as it is.
    """

    metric: str
    method: str
    of: Callable[[FloatArray, FloatArray], FloatArray]
    reach: Callable[[], float]
    is_defined: bool = True


def raw_agreement(labels: LabelTable | CountVectors) -> float:
    """Mean over items of the share of pairs of annotators who gave the same value.

    Parameters
    ----------
    labels : LabelTable or CountVectors

    Returns
    -------
    float
        0 (no two labels alike) to 1 (all alike). Agreement by chance is in it: read it beside alpha.

    Raises
    ------
    InsufficientOverlapError
        If no item has two labels.

    References
    ----------
    The observed agreement P of Fleiss (1971), Psychological Bulletin 76:378-382, doi:10.1037/h0031619.

    Examples
    --------
    >>> raw_agreement(CountVectors.from_counts([[3, 0], [2, 1]]))
    0.6666666666666666
    """
    vectors = _pairable(labels)
    return _value(_raw(vectors), vectors)


def krippendorff_alpha(
    labels: LabelTable | CountVectors, distance: Distance | FloatArray = "nominal", values: ArrayLike | None = None
) -> float:
    """Krippendorff's alpha: agreement beyond chance, for any number of annotators, with gaps.

    Parameters
    ----------
    labels : LabelTable or CountVectors
    distance : {"nominal", "ordinal", "interval", "ratio"} or ndarray of float, (n_values, n_values)
        How far two values are apart: alike or not; in ranks; in units; relative to their sum (for values >= 0). A
        matrix is taken as it is, in the place of the squared differences of the others: symmetric, 0 on the diagonal
        and above 0 elsewhere, such as `set_distances` gives it.
    values : array-like of float, (n_values,), optional
        The number that each code stands for; the codes themselves where left out. Nominal and a given distance ignore
        it, ordinal takes only its order.

    Returns
    -------
    float
        At most 1: 1 perfect, 0 chance, below 0 systematic disagreement; nan where only one class occurs (0/0).

    Raises
    ------
    InsufficientOverlapError
        If no item has two labels.
    ValueError
        If the distance is unknown or no distance, or `values` does not fit.

    Notes
    -----
    alpha = 1 - Do/De over the values in items with two labels or more. An item with votes c (m in all) adds
    ``sum c_k (c_l - [k=l]) d(k,l)^2 / (m - 1)`` to the observed disagreement, its part of the coincidence matrix. The
    ordinal distance between two ranks is the difference of their mid-ranks, so that it needs no K x K matrix either.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    The 12 units and 4 observers of the paper, sections C and D:

    >>> observers = [[1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    ...              [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0]]
    >>> annotator, item = np.indices((4, 12)).reshape(2, -1)
    >>> table = LabelTable.from_codes(item, annotator, np.ravel(observers) - 1, n_values=5)
    >>> round(krippendorff_alpha(table), 3), round(krippendorff_alpha(table, "ordinal"), 3)
    (0.743, 0.815)
    """
    vectors = _pairable(labels)
    if isinstance(distance, str):
        return _value(_alpha(vectors, distance, make_scale(vectors.counts.shape[1], values)), vectors)
    return _value(_given_alpha(vectors, "given", check_distances(distance, vectors.counts.shape[1])), vectors)


def fleiss_kappa(labels: LabelTable | CountVectors) -> float:
    """Fleiss' kappa: agreement beyond chance on names, chance from how common each value is.

    Parameters
    ----------
    labels : LabelTable or CountVectors
        Fleiss' own kappa is for equally many labels on each item; see Notes for others.

    Returns
    -------
    float
        At most 1; nan where only one class occurs on items with two labels or more (0/0).

    Raises
    ------
    InsufficientOverlapError
        If no item has two labels.

    Notes
    -----
    ``(P - Pe) / (1 - Pe)``, P the raw agreement, Pe the sum of squares of the shares of the values. With unequal
    numbers of labels each item counts alike in the shares, whatever its number of labels, and items with one label
    count as well: Gwet's extension.

    References
    ----------
    Fleiss (1971), Psychological Bulletin 76:378-382, doi:10.1037/h0031619; Gwet (2014), Handbook of Inter-Rater
    Reliability, 4th edition, chapter 2.

    Examples
    --------
    >>> round(fleiss_kappa(CountVectors.from_counts([[3, 0], [0, 3], [3, 0], [1, 2]])), 3)
    0.657
    """
    vectors = _pairable(labels)
    return _value(_coefficient(vectors, "fleiss_kappa", make_scale(vectors.counts.shape[1], None)), vectors)


def gwet_ac(labels: LabelTable | CountVectors, weights: Weights = "identity", values: ArrayLike | None = None) -> float:
    """Gwet's AC1, or AC2 where weights say how far two values count as agreement.

    Stays near the raw agreement where one value is rare and kappa falls to 0 or below; always read both.

    Parameters
    ----------
    labels : LabelTable or CountVectors
    weights : {"identity", "linear", "quadratic"}
        Identity: AC1. The others: AC2 over the whole scale of the question, seen or not.
    values : array-like of float, (n_values,), optional
        The number that each code stands for; the codes themselves where left out.

    Returns
    -------
    float
        At most 1; defined even where only one class occurs (then 1), nan where the question allows only one value.

    Raises
    ------
    InsufficientOverlapError
        If no item has two labels.
    ValueError
        If the weights are unknown or `values` does not fit.

    Notes
    -----
    ``(P - Pe) / (1 - Pe)``; P is the mean over items of the weighted share of pairs alike; with W the sum of all
    weights and q the number of values that the question allows, ``Pe = W / (q (q - 1)) * sum p (1 - p)``. The shares p
    are those of `fleiss_kappa`.

    References
    ----------
    Gwet (2008), British Journal of Mathematical and Statistical Psychology 61:29-48, doi:10.1348/000711006X126600;
    Gwet (2014), Handbook of Inter-Rater Reliability, 4th edition, chapters 2 and 3.

    Examples
    --------
    Two annotators, 125 items, one of two values rare:

    >>> round(gwet_ac(CountVectors.from_counts([[2, 0], [1, 1]], [118, 7])), 4)
    0.9408
    """
    vectors = _pairable(labels)
    scale = make_scale(vectors.counts.shape[1], values)
    make_weights(weights, scale)  # refuses unknown names
    return _value(_coefficient(vectors, _GWET[weights], scale), vectors)


def agreement_of(
    labels: LabelTable | CountVectors,
    *,
    rng: np.random.Generator,
    distances: Sequence[Distance] = ("nominal",),
    values: ArrayLike | None = None,
    given: Mapping[str, ArrayLike] | None = None,
    coefficients: Sequence[Coefficient] = (),
    n_resamples: int = 1000,
) -> list[Figure]:
    """Raw agreement, alphas and other coefficients, with 95 % intervals or named refusals.

    Parameters
    ----------
    labels : LabelTable or CountVectors
    rng : numpy.random.Generator
        Source of the bootstrap; the same seed and labels give the same intervals, in any row order.
    distances : sequence of {"nominal", "ordinal", "interval", "ratio"}
        ``("nominal",)`` for a choice; ratings are read with ordinal and interval besides.
    values : array-like of float, (n_values,), optional
        As in `krippendorff_alpha`.
    given : mapping of str to array-like of float, (n_values, n_values), optional
        Alphas with distances of one's own, by name: ``{"masi": set_distances(sets, "masi")}`` gives ``alpha_masi``.
    coefficients : sequence of {"fleiss_kappa", "gwet_ac1", "gwet_ac2_linear", "gwet_ac2_quadratic"}
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``raw_agreement``, then ``alpha_nominal`` and so on, the given ones, and the coefficients, in the order asked.
        Without an item with two labels all are refused. Where only one class occurs there is no alpha and no kappa;
        raw agreement and Gwet's coefficients (then 1) are shown. Numbers and prevalence are of the items with two
        labels or more.

    Raises
    ------
    ValueError
        If there are too few resamples, a name is unknown or asked for twice, or `values` or a given distance does not
        fit.

    Notes
    -----
    Items are resampled, never single labels: the labels of one item hang together. Items with one label, which only
    the shares of Fleiss and Gwet look at, are resampled among themselves. Resamples in which only one class occurs have
    no alpha and are left out. Where nobody disagreed every resample is perfect and says nothing; the lower end is then
    what Clopper and Pearson's bound leaves: with n items all unanimous, at most ``1 - (0.05/2)^(1/n)`` of all items are
    not, each counted as far apart as two values can be.

    Examples
    --------
    >>> labels = CountVectors.from_counts([[3, 0], [2, 1], [0, 3], [0, 3]])
    >>> [(figure.metric, round(figure.value, 3)) for figure in agreement_of(labels, rng=np.random.default_rng(0))]
    [('raw_agreement', 0.833), ('alpha_nominal', 0.686)]
    """
    check_resamples(n_resamples)
    vectors = count_vectors(labels) if isinstance(labels, LabelTable) else labels
    scale = make_scale(vectors.counts.shape[1], values)
    measures = [
        _raw(vectors),
        *(_alpha(vectors, distance, scale) for distance in distances),
        *(
            _given_alpha(vectors, name, check_distances(matrix, vectors.counts.shape[1]))
            for name, matrix in (given or {}).items()
        ),
        *(_coefficient(vectors, coefficient, scale) for coefficient in coefficients),
    ]
    if len({measure.metric for measure in measures}) < len(measures):
        raise ValueError("each measure can be asked for only once")
    size: dict[str, Any] = {
        "n_items": int(vectors.n_items.sum()),
        "n_labels": vectors.n_labels,
        "n_annotators": vectors.n_annotators,
        "prevalence": vectors.prevalence,
    }
    if len(vectors.n_items) == 0:
        return [Figure.refused(measure.metric, NO_PAIRS, **size) for measure in measures]

    defined = [measure for measure in measures if measure.is_defined]
    if ((vectors.counts > 0).sum(axis=1) == 1).all():
        unseen = unseen_share(size["n_items"])
        how = "exact bound, no disagreement seen"
        intervals: dict[str, Interval] = {measure.metric: (1 - unseen * measure.reach(), 1.0) for measure in defined}
    else:
        how = f"percentile bootstrap over items, {n_resamples} resamples"
        draw_singles = _singles_drawer(vectors, rng) if coefficients else _no_singles(vectors)

        def compute(weights: FloatArray) -> list[FloatArray]:
            singles = draw_singles(len(weights))
            return [measure.of(weights, singles) for measure in defined]

        found = bootstrap_intervals(vectors.n_items, compute, n_resamples, rng)
        intervals = {measure.metric: interval for measure, interval in zip(defined, found, strict=True)}
    return [
        Figure(
            metric=measure.metric,
            value=_value(measure, vectors),
            interval=intervals[measure.metric],
            method=f"{measure.method}; {how}",
            **size,
        )
        if measure.is_defined
        else Figure.refused(measure.metric, ONE_CLASS, **size)
        for measure in measures
    ]


def _pairable(labels: LabelTable | CountVectors) -> CountVectors:
    vectors = count_vectors(labels) if isinstance(labels, LabelTable) else labels
    if len(vectors.n_items) == 0:
        raise InsufficientOverlapError
    return vectors


def _value(measure: _Measure, vectors: CountVectors) -> float:
    """The measure on the labels as they are."""
    weights = vectors.n_items[np.newaxis].astype(np.float64)
    return float(measure.of(weights, vectors.singles[np.newaxis].astype(np.float64))[0])


def _singles_drawer(vectors: CountVectors, rng: np.random.Generator) -> Callable[[int], FloatArray]:
    """Resamples of the items with one label, from a stream of their own so that all else is as without them."""
    n = int(vectors.singles.sum())
    if n == 0:
        return _no_singles(vectors)
    (own,) = rng.spawn(1)
    return lambda n_resamples: own.multinomial(n, vectors.singles / n, size=n_resamples).astype(np.float64)


def _no_singles(vectors: CountVectors) -> Callable[[int], FloatArray]:
    return lambda n_resamples: np.zeros((n_resamples, vectors.counts.shape[1]))


# --- Measures --------------------------------------------------------------------------------------------------------


def _raw(vectors: CountVectors) -> _Measure:
    alike = _alike(vectors, np.eye(vectors.counts.shape[1]))
    return _Measure(
        "raw_agreement",
        "mean over items of pairs alike",
        lambda weights, singles: weights @ alike / weights.sum(axis=1),
        lambda: 1.0,
    )


def _alike(vectors: CountVectors, weights: FloatArray) -> FloatArray:
    """Share of pairs alike within each vector, each pair as far as its weight says."""
    counts = vectors.counts.astype(np.float64)
    m = counts.sum(axis=1)
    alike: FloatArray = (counts * (counts @ weights - 1)).sum(axis=1) / (m * (m - 1))
    return alike


def _coefficient(vectors: CountVectors, name: Coefficient, scale: FloatArray) -> _Measure:
    """Fleiss' kappa or one of Gwet's coefficients."""
    if name not in COEFFICIENTS:
        raise ValueError(f"no coefficient is called {name!r}; there are {', '.join(COEFFICIENTS)}")
    weights_alike = make_weights(_WEIGHTS_OF[name], scale)
    q = len(scale)
    counts = vectors.counts.astype(np.float64)
    alike = _alike(vectors, weights_alike)
    shares = counts / counts.sum(axis=1, keepdims=True)
    is_fleiss = name == "fleiss_kappa"
    spread = weights_alike.sum() / (q * (q - 1)) if q > 1 else 1.0

    def by_chance(weights: FloatArray, singles: FloatArray) -> FloatArray:
        """Pe; nan where the coefficient is undefined."""
        p = weights @ shares + singles
        p /= p.sum(axis=1, keepdims=True)
        pe: FloatArray = (p * p).sum(axis=1) if is_fleiss else spread * (p * (1 - p)).sum(axis=1)
        is_undefined = ((weights @ counts) > 0).sum(axis=1) < 2 if is_fleiss else np.full(len(weights), q < 2)
        pe[is_undefined] = np.nan
        return pe

    def of(weights: FloatArray, singles: FloatArray) -> FloatArray:
        observed = weights @ alike / weights.sum(axis=1)
        pe = by_chance(weights, singles)
        # Written as 1 - disagreement so that perfect agreement is 1 to the last bit.
        found: FloatArray = 1 - (1 - observed) / (1 - pe)
        return found

    def reach() -> float:
        everything = vectors.n_items[np.newaxis].astype(np.float64), vectors.singles[np.newaxis].astype(np.float64)
        return float((1 - weights_alike.min()) / (1 - by_chance(*everything)[0]))

    return _Measure(name, _METHODS[name], of, reach, vectors.n_classes > 1 if is_fleiss else q > 1)


def _alpha(vectors: CountVectors, distance: Distance, scale: FloatArray) -> _Measure:
    """Alpha at a level of measurement."""
    if distance not in DISTANCES:
        raise ValueError(f"no distance is called {distance!r}; there are {', '.join(DISTANCES)}")
    metric, method = f"alpha_{distance}", f"Krippendorff's alpha, {distance}"
    if distance == "ratio":
        return _matrix_alpha(vectors, ratio_distances(scale), metric, method)
    parts = {"nominal": _nominal_parts, "ordinal": _ordinal_parts, "interval": _interval_parts}[distance]
    counts, of = vectors.counts.astype(np.float64), parts(vectors, scale)

    def reach() -> float:
        totals = (vectors.n_items @ vectors.counts).astype(np.float64)
        if distance == "nominal":
            return _reach(totals, 1 - np.eye(len(scale)))
        position = mid_ranks(totals[np.newaxis], scale)[0] if distance == "ordinal" else scale
        return _reach(totals, (position[:, np.newaxis] - position) ** 2)

    return _Measure(metric, method, lambda weights, _: _one_less(weights, counts, of), reach, vectors.n_classes > 1)


def _given_alpha(vectors: CountVectors, name: str, squared: FloatArray) -> _Measure:
    """Alpha with a distance of one's own."""
    return _matrix_alpha(vectors, squared, f"alpha_{name}", f"Krippendorff's alpha, {name} distance")


def _matrix_alpha(vectors: CountVectors, squared: FloatArray, metric: str, method: str) -> _Measure:
    counts = vectors.counts.astype(np.float64)
    apart = ((counts @ squared) * counts).sum(axis=1) / (counts.sum(axis=1) - 1)

    def parts(weights: FloatArray, totals: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        return weights @ apart, ((totals @ squared) * totals).sum(axis=1) / (n - 1)

    return _Measure(
        metric,
        method,
        lambda weights, _: _one_less(weights, counts, parts),
        lambda: _reach((vectors.n_items @ vectors.counts).astype(np.float64), squared),
        vectors.n_classes > 1,
    )


# Observed and expected disagreement, both times n, from weights (n_resamples, n_vectors), the labels of each value
# (n_resamples, n_values) and of all (n_resamples,). An item's own part is divided by m - 1, so that each label counts
# once whatever the overlap.
_Parts = Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


def _one_less(weights: FloatArray, counts: FloatArray, parts: _Parts) -> FloatArray:
    """1 - Do/De for each row of weights; nan where one class has all."""
    totals = weights @ counts
    observed, expected = parts(weights, totals, totals.sum(axis=1))
    is_defined = (totals > 0).sum(axis=1) > 1
    alphas = np.full(len(weights), np.nan)
    alphas[is_defined] = 1 - observed[is_defined] / expected[is_defined]
    return alphas


def _nominal_parts(vectors: CountVectors, scale: FloatArray) -> _Parts:
    counts = vectors.counts.astype(np.float64)
    m = counts.sum(axis=1)
    apart = (m * m - (counts * counts).sum(axis=1)) / (m - 1)
    return lambda weights, totals, n: (weights @ apart, (n * n - (totals * totals).sum(axis=1)) / (n - 1))


def _interval_parts(vectors: CountVectors, scale: FloatArray) -> _Parts:
    counts = vectors.counts.astype(np.float64)
    m = counts.sum(axis=1)
    totals_seen = vectors.n_items @ counts
    middle = scale - totals_seen @ scale / max(totals_seen.sum(), 1)  # squares of large numbers would lose digits
    squares = m * (counts @ middle**2) - (counts @ middle) ** 2
    apart = 2 * squares * _is_split(counts) / (m - 1)

    def parts(weights: FloatArray, totals: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        return weights @ apart, 2 * (n * (totals @ middle**2) - (totals @ middle) ** 2) / (n - 1)

    return parts


def _ordinal_parts(vectors: CountVectors, scale: FloatArray) -> _Parts:
    counts = vectors.counts.astype(np.float64)
    m = counts.sum(axis=1)
    share = 2 * _is_split(counts) / (m - 1)

    def parts(weights: FloatArray, totals: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        ranks = mid_ranks(totals, scale)  # they depend on the totals, so on the resample
        squares = m * (ranks**2 @ counts.T) - (ranks @ counts.T) ** 2
        expected = 2 * (n * (totals * ranks**2).sum(axis=1) - (totals * ranks).sum(axis=1) ** 2) / (n - 1)
        return (weights * squares) @ share, expected

    return parts


def _is_split(counts: FloatArray) -> NDArray[np.bool_]:
    """Nobody disagrees in a vector of one value; without this, rounding could leave a trace and alpha above 1."""
    is_split: NDArray[np.bool_] = (counts > 0).sum(axis=1) > 1
    return is_split


def _reach(totals: FloatArray, squared: FloatArray) -> float:
    """Largest distance between two values that occur, over the mean one expected by chance."""
    seen = totals > 0
    n = totals.sum()
    expected = totals @ squared @ totals / (n * (n - 1))
    return float(squared[np.ix_(seen, seen)].max() / expected)
