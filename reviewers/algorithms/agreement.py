"""How far annotators agree: raw agreement and Krippendorff's alpha, with intervals, for any number of annotators.

Everything rests on *count vectors*: how many votes each value got on an item, and on how many items each such vector
occurs. Three labels on each of a million items come down to a few dozen distinct vectors, so alpha, and each bootstrap
resample of it, costs next to nothing once they are counted; an annotators x items matrix is never built. A database can
count them too (`GROUP BY`), and then only the vectors leave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import clopper_pearson

Distance = Literal["nominal", "ordinal", "interval", "ratio"]
IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float64]
Interval = tuple[float, float] | None

DISTANCES: tuple[Distance, ...] = ("nominal", "ordinal", "interval", "ratio")
NO_PAIRS = "no item has two labels"
ONE_CLASS = "only 1 class occurs"

# Bounds the bootstrap's working memory to about 32 MB per array.
_CELLS_AT_ONCE = 4_000_000


class InsufficientOverlapError(ValueError):
    """No item has two labels, so nothing can agree or disagree."""

    def __init__(self) -> None:
        super().__init__(NO_PAIRS)


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels of one question as parallel integer arrays, one entry a label, at most one per annotator and item.

    Use `from_codes` for arrays that may hold gaps, repeats or large ids; the constructor takes clean ones as they are.

    Parameters
    ----------
    item, annotator : ndarray of int, (n_labels,)
        Dense codes from 0.
    value : ndarray of int, (n_labels,)
        Codes within 0..n_values-1; for an ordered scale in the order of the scale.
    n_values : int
        How many values the question allows, seen or not; at least 1.

    Raises
    ------
    ValueError
        If the arrays differ in length or a code is out of range.
    """

    item: IntArray
    annotator: IntArray
    value: IntArray
    n_values: int

    def __post_init__(self) -> None:
        if not len(self.item) == len(self.annotator) == len(self.value):
            raise ValueError("item, annotator and value must have one entry per label")
        if self.n_values < 1:
            raise ValueError("a question allows at least 1 value")
        if len(self.value) == 0:
            return
        if self.value.min() < 0 or self.value.max() >= self.n_values:
            raise ValueError(f"value codes must lie within 0..{self.n_values - 1}")
        if self.item.min() < 0 or self.annotator.min() < 0:
            raise ValueError("item and annotator codes cannot be negative")

    @classmethod
    def from_codes(cls, item: ArrayLike, annotator: ArrayLike, value: ArrayLike, n_values: int) -> LabelTable:
        """Clean up codes as they come from storage.

        Entries with a negative value are gaps and are left out. Where one annotator labelled one item more than once,
        the last entry counts. Ids may be any integers; negative and widely
        spread ones are recoded.

        Examples
        --------
        >>> table = LabelTable.from_codes([-9, -9, -9, 7], [1, 2, 1, 1], [0, 1, 1, -1], n_values=2)
        >>> table.item.tolist(), table.annotator.tolist(), table.value.tolist()
        ([0, 0], [2, 1], [1, 1])
        """
        items, annotators, values = _integers(item), _integers(annotator), _integers(value)
        if not len(items) == len(annotators) == len(values):
            raise ValueError("item, annotator and value must have one entry per label")
        is_label = values >= 0
        if not is_label.all():
            items, annotators, values = items[is_label], annotators[is_label], values[is_label]
        items, annotators = _dense(items), _dense(annotators)
        last = _last_of_each(items, annotators)
        if last is not None:
            items, annotators, values = items[last], annotators[last], values[last]
        return cls(items, annotators, values, n_values)


@dataclass(frozen=True, eq=False)
class CountVectors:
    """Distinct vectors of votes, and on how many items each occurs. Items with fewer than two labels are left out.

    Attributes
    ----------
    counts : ndarray of int64, (n_vectors, n_values)
        Votes for each value; each row sums to 2 or more.
    n_items : ndarray of int64, (n_vectors,)
        Items on which the vector occurs.
    n_annotators : int or None
        Annotators with a label on one of these items; None where only counts are known.
    """

    counts: NDArray[np.int64]
    n_items: NDArray[np.int64]
    n_annotators: int | None = None

    @classmethod
    def from_counts(cls, counts: ArrayLike, n_items: ArrayLike | None = None) -> CountVectors:
        """From votes per value, one row an item; with `n_items`, one row a vector that occurs on so many items.

        Examples
        --------
        >>> vectors = CountVectors.from_counts([[3, 0], [2, 1], [3, 0], [1, 0]])
        >>> vectors.counts.tolist(), vectors.n_items.tolist()
        ([[2, 1], [3, 0]], [1, 2])
        """
        rows = _integers(counts, ndim=2)
        weights = np.ones(len(rows), np.int64) if n_items is None else _integers(n_items)
        if len(weights) != len(rows) or (rows < 0).any() or (weights < 0).any():
            raise ValueError("counts and n_items must be non-negative, with one n_items per row")
        is_used = (rows.sum(axis=1) >= 2) & (weights > 0)
        distinct, inverse = np.unique(rows[is_used], axis=0, return_inverse=True)
        weight = np.zeros(len(distinct), np.int64)
        np.add.at(weight, inverse.ravel(), weights[is_used])
        return cls(distinct, weight)

    @property
    def n_labels(self) -> int:
        """Labels on items with two or more."""
        return int(self.n_items @ self.counts.sum(axis=1))

    @property
    def n_classes(self) -> int:
        """Values that occur on items with two labels or more."""
        return int((self.counts.sum(axis=0) > 0).sum())


def count_vectors(table: LabelTable) -> CountVectors:
    """Count the votes of each item and collect equal vectors.

    Parameters
    ----------
    table : LabelTable

    Returns
    -------
    CountVectors
        Vectors in a fixed order that depends on neither row order nor ids.

    Notes
    -----
    With at most m labels an item, votes are the digits of one number in base m + 1, summed up by a single bincount.
    O(n_labels + n_items log n_items) while n_values * log2(m + 1) <= 52; more values take one pass per 52 bits.
    """
    if len(table.item) == 0:
        return CountVectors(np.zeros((0, table.n_values), np.int64), np.zeros(0, np.int64), 0)
    n_labels = np.bincount(table.item)
    is_used = n_labels >= 2
    base = int(n_labels.max()) + 1
    # A sum of digits below 2**52 is exact in the doubles that bincount adds up.
    n_digits = max(1, int(52 / np.log2(base)))
    groups = [range(start, min(start + n_digits, table.n_values)) for start in range(0, table.n_values, n_digits)]
    codes = []
    for group in groups:
        digit = np.zeros(table.n_values)
        digit[group.start : group.stop] = float(base) ** np.arange(len(group))
        codes.append(np.bincount(table.item, weights=digit[table.value])[is_used].astype(np.int64))
    first, weight = _distinct(codes)
    counts = np.empty((len(first), table.n_values), np.int64)
    for group, code in zip(groups, codes, strict=True):
        rest = code[first]
        for value in group:
            rest, counts[:, value] = np.divmod(rest, base)
    label_is_used = np.ones(len(table.item), bool) if is_used.all() else is_used[table.item]
    n_annotators = int(np.count_nonzero(np.bincount(table.annotator[label_is_used])))
    return CountVectors(counts, weight, n_annotators)


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
    return float(_item_agreement(vectors) @ vectors.n_items / vectors.n_items.sum())


def krippendorff_alpha(
    labels: LabelTable | CountVectors, distance: Distance = "nominal", values: ArrayLike | None = None
) -> float:
    """Krippendorff's alpha: agreement beyond chance, for any number of annotators, with gaps.

    Parameters
    ----------
    labels : LabelTable or CountVectors
    distance : {"nominal", "ordinal", "interval", "ratio"}
        How far two values are apart: alike or not; in ranks; in units; relative to their sum (for values >= 0).
    values : array-like of float, (n_values,), optional
        The number that each code stands for; the codes themselves where left out. Nominal ignores it, ordinal takes
        only its order.

    Returns
    -------
    float
        At most 1: 1 perfect, 0 chance, below 0 systematic disagreement; nan where only one class occurs (0/0).

    Raises
    ------
    InsufficientOverlapError
        If no item has two labels.
    ValueError
        If the distance is unknown or `values` does not fit.

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
    scale = _scale(vectors, distance, values)
    return float(_alphas(vectors, vectors.n_items[np.newaxis].astype(np.float64), distance, scale)[0])


def agreement_of(
    labels: LabelTable | CountVectors,
    *,
    rng: np.random.Generator,
    distances: Sequence[Distance] = ("nominal",),
    values: ArrayLike | None = None,
    n_resamples: int = 1000,
) -> list[Figure]:
    """Raw agreement and an alpha for each distance, with 95 % intervals or named refusals.

    Parameters
    ----------
    labels : LabelTable or CountVectors
    rng : numpy.random.Generator
        Source of the bootstrap; the same seed and labels give the same intervals, in any row order.
    distances : sequence of {"nominal", "ordinal", "interval", "ratio"}
        ``("nominal",)`` for a choice; ratings are read with ordinal and interval besides.
    values : array-like of float, (n_values,), optional
        As in `krippendorff_alpha`.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``raw_agreement``, then ``alpha_nominal`` and so on. Without an item with two labels all are refused; where
        only one class occurs the alphas are, and raw agreement (then 1) is shown.

    Notes
    -----
    Items are resampled, never single labels: the labels of one item hang together. Resamples in which only one class
    occurs have no alpha and are left out. Where nobody disagreed every resample is perfect and says nothing; the lower
    end is then what Clopper and Pearson's bound leaves: with n items all unanimous, at most ``1 - (0.05/2)^(1/n)`` of
    all items are not, each counted as far apart as two values can be.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Examples
    --------
    >>> labels = CountVectors.from_counts([[3, 0], [2, 1], [0, 3], [0, 3]])
    >>> [(figure.metric, round(figure.value, 3)) for figure in agreement_of(labels, rng=np.random.default_rng(0))]
    [('raw_agreement', 0.833), ('alpha_nominal', 0.686)]
    """
    if n_resamples < 1000:
        raise ValueError(f"{n_resamples} resamples are too few for an interval: at least 1000")
    vectors = count_vectors(labels) if isinstance(labels, LabelTable) else labels
    metrics = ["raw_agreement", *(f"alpha_{distance}" for distance in distances)]
    size: dict[str, Any] = {
        "n_items": int(vectors.n_items.sum()),
        "n_labels": vectors.n_labels,
        "n_annotators": vectors.n_annotators,
    }
    if len(vectors.n_items) == 0:
        return [Figure.refused(metric, NO_PAIRS, **size) for metric in metrics]

    is_unanimous = bool(((vectors.counts > 0).sum(axis=1) == 1).all())
    wanted = [distance for distance in distances if vectors.n_classes > 1]
    scales = {distance: _scale(vectors, distance, values) for distance in distances}
    if is_unanimous:
        # The share of items that may be split although none was.
        unseen = 1 - clopper_pearson(size["n_items"], size["n_items"])[0]
        how = "exact bound, no disagreement seen"
        raw_interval: Interval = (1 - unseen, 1.0)
        intervals: dict[Distance, Interval] = {
            d: (1 - unseen * _widest_over_expected(vectors, d, scales[d]), 1.0) for d in wanted
        }
    else:
        how = f"percentile bootstrap over items, {n_resamples} resamples"
        raw_interval, intervals = _bootstrap(vectors, {d: scales[d] for d in wanted}, n_resamples, rng)

    def figure_for(metric: str, value: float, interval: Interval, method: str) -> Figure:
        return Figure(metric=metric, value=value, interval=interval, method=f"{method}; {how}", **size)

    figures = [figure_for("raw_agreement", raw_agreement(vectors), raw_interval, "mean over items of pairs alike")]
    for distance, metric in zip(distances, metrics[1:], strict=True):
        if distance not in wanted:
            figures.append(Figure.refused(metric, ONE_CLASS, **size))
            continue
        alpha = krippendorff_alpha(vectors, distance, values)
        figures.append(figure_for(metric, alpha, intervals[distance], f"Krippendorff's alpha, {distance}"))
    return figures


def choice_tables(
    item: ArrayLike, annotator: ArrayLike, answer: ArrayLike, choice: ArrayLike, n_choices: int
) -> list[LabelTable]:
    """Split the answers to a `choices` question into one yes-or-no table per choice.

    Parameters
    ----------
    item, annotator : array-like of int, (n_answers,)
        Who answered what; an answer without any tick is an answer. Of repeats the last counts.
    answer, choice : array-like of int, (n_ticks,)
        The ticks: position of the answer in the arrays above, and code of the choice.
    n_choices : int

    Returns
    -------
    list of LabelTable
        One for each choice, values 0 (not ticked) and 1 (ticked), all over the same items and annotators.

    Raises
    ------
    ValueError
        If a tick points to no answer or to no choice.

    Examples
    --------
    Two people, one item; both tick choice 0, one ticks choice 1 as well:

    >>> tables = choice_tables([5, 5], [1, 2], answer=[0, 1, 1], choice=[0, 0, 1], n_choices=2)
    >>> [raw_agreement(table) for table in tables]
    [1.0, 0.0]
    """
    items, annotators, ticked = _integers(item), _integers(annotator), _ticks(answer, choice, n_choices, item)
    return [LabelTable.from_codes(items, annotators, ticked[:, code], 2) for code in range(n_choices)]


def set_table(
    item: ArrayLike, annotator: ArrayLike, answer: ArrayLike, choice: ArrayLike, n_choices: int
) -> LabelTable:
    """The answers to a `choices` question with each distinct set of ticks as one value: alike means the same set.

    Parameters, errors and repeats as in `choice_tables`.

    Returns
    -------
    LabelTable
        For nominal agreement on whole answers; stricter than any single choice's.

    Examples
    --------
    >>> raw_agreement(set_table([5, 5, 5], [1, 2, 3], answer=[0, 1, 1, 2], choice=[0, 0, 1, 0], n_choices=2))
    0.3333333333333333
    """
    ticked = _ticks(answer, choice, n_choices, item)
    _, value = np.unique(ticked, axis=0, return_inverse=True)
    n_values = int(value.max(initial=0)) + 1
    return LabelTable.from_codes(item, annotator, value.ravel(), n_values)


def _ticks(answer: ArrayLike, choice: ArrayLike, n_choices: int, item: ArrayLike) -> NDArray[np.int8]:
    answers, choices = _integers(answer), _integers(choice)
    ticked = np.zeros((len(_integers(item)), n_choices), np.int8)
    is_inside = (answers >= 0) & (answers < len(ticked)) & (choices >= 0) & (choices < n_choices)
    if len(answers) != len(choices) or not is_inside.all():
        raise ValueError("every tick must name an answer and a choice that exist")
    ticked[answers, choices] = 1
    return ticked


def _pairable(labels: LabelTable | CountVectors) -> CountVectors:
    vectors = count_vectors(labels) if isinstance(labels, LabelTable) else labels
    if len(vectors.n_items) == 0:
        raise InsufficientOverlapError
    return vectors


def _item_agreement(vectors: CountVectors) -> FloatArray:
    """Share of pairs alike within each vector."""
    m = vectors.counts.sum(axis=1)
    alike: FloatArray = (vectors.counts * (vectors.counts - 1)).sum(axis=1) / (m * (m - 1))
    return alike


def _scale(vectors: CountVectors, distance: Distance, values: ArrayLike | None) -> FloatArray:
    """The number of each code, checked against the distance."""
    if distance not in DISTANCES:
        raise ValueError(f"no distance is called {distance!r}; there are {', '.join(DISTANCES)}")
    n_values = vectors.counts.shape[1]
    scale = np.arange(n_values, dtype=np.float64) if values is None else np.asarray(values, np.float64)
    if scale.shape != (n_values,) or not np.isfinite(scale).all():
        raise ValueError(f"values must be {n_values} finite numbers, one for each code")
    if len(np.unique(scale)) < n_values:
        raise ValueError("values must differ from each other")
    if distance == "ratio" and scale.min() < 0:
        raise ValueError("the ratio distance is for values from 0 up")
    return scale


def _alphas(vectors: CountVectors, weights: FloatArray, distance: Distance, scale: FloatArray) -> FloatArray:
    """Alpha for each row of weights, (n_resamples, n_vectors) -> (n_resamples,); nan where one class has all."""
    counts = vectors.counts.astype(np.float64)
    m = counts.sum(axis=1)
    totals = weights @ counts
    n = totals.sum(axis=1)
    # Nobody disagrees in a vector of one value; without this, rounding could leave a trace and alpha above 1.
    is_split = (counts > 0).sum(axis=1) > 1
    # The item's own part of the coincidences is divided by m - 1, so each label counts once whatever the overlap.
    if distance == "nominal":
        observed = weights @ ((m * m - (counts * counts).sum(axis=1)) / (m - 1))
        expected = (n * n - (totals * totals).sum(axis=1)) / (n - 1)
    elif distance == "ratio":
        squared = _ratio_distance(scale)
        observed = weights @ (((counts @ squared) * counts).sum(axis=1) / (m - 1))
        expected = ((totals @ squared) * totals).sum(axis=1) / (n - 1)
    elif distance == "interval":
        middle = scale - totals[0] @ scale / n[0]
        squares = m * (counts @ middle**2) - (counts @ middle) ** 2
        observed = weights @ (2 * squares * is_split / (m - 1))
        expected = 2 * (n * (totals @ middle**2) - (totals @ middle) ** 2) / (n - 1)
    else:
        # Ranks depend on the totals, so on the resample. Centred and scaled to about [-1/2, 1/2]: alpha is unchanged.
        ranks = _mid_ranks(totals, scale)
        squares = m * (ranks**2 @ counts.T) - (ranks @ counts.T) ** 2
        observed = (weights * squares) @ (2 * is_split / (m - 1))
        expected = 2 * (n * (totals * ranks**2).sum(axis=1) - (totals * ranks).sum(axis=1) ** 2) / (n - 1)
    is_defined = (totals > 0).sum(axis=1) > 1
    alphas = np.full(len(weights), np.nan)
    alphas[is_defined] = 1 - observed[is_defined] / expected[is_defined]
    return alphas


def _mid_ranks(totals: FloatArray, scale: FloatArray) -> FloatArray:
    order = np.argsort(scale, kind="stable")
    ordered = totals[:, order]
    ranks = np.empty_like(totals)
    n = totals.sum(axis=1, keepdims=True)
    ranks[:, order] = (np.cumsum(ordered, axis=1) - ordered / 2) / n - 0.5
    return ranks


def _ratio_distance(scale: FloatArray) -> FloatArray:
    total = scale[:, np.newaxis] + scale
    apart = scale[:, np.newaxis] - scale
    squared: FloatArray = np.square(np.divide(apart, total, out=np.zeros_like(total), where=total > 0))
    return squared


def _widest_over_expected(vectors: CountVectors, distance: Distance, scale: FloatArray) -> float:
    """Largest squared distance between two values that occur, over the mean one expected by chance."""
    totals = (vectors.n_items @ vectors.counts).astype(np.float64)
    seen = totals > 0
    if distance == "nominal":
        squared = 1 - np.eye(len(scale))
    elif distance == "ratio":
        squared = _ratio_distance(scale)
    else:
        position = _mid_ranks(totals[np.newaxis], scale)[0] if distance == "ordinal" else scale
        squared = (position[:, np.newaxis] - position) ** 2
    n = totals.sum()
    expected = totals @ squared @ totals / (n * (n - 1))
    return float(squared[np.ix_(seen, seen)].max() / expected)


def _bootstrap(
    vectors: CountVectors, scales: dict[Distance, FloatArray], n_resamples: int, rng: np.random.Generator
) -> tuple[Interval, dict[Distance, Interval]]:
    """Intervals of raw agreement and of each alpha, from the same resamples of the items."""
    n = int(vectors.n_items.sum())
    share = vectors.n_items / n
    alike = _item_agreement(vectors)
    means: list[FloatArray] = []
    alphas: dict[Distance, list[FloatArray]] = {distance: [] for distance in scales}
    step = max(1, _CELLS_AT_ONCE // len(share))
    for start in range(0, n_resamples, step):
        # How often each vector is drawn: the same as drawing n items with replacement.
        weights = rng.multinomial(n, share, size=min(step, n_resamples - start)).astype(np.float64)
        means.append(weights @ alike / n)
        for distance, scale in scales.items():
            alphas[distance].append(_alphas(vectors, weights, distance, scale))
    return percentiles(means), {distance: percentiles(parts) for distance, parts in alphas.items()}


def percentiles(parts: list[FloatArray]) -> Interval:
    """Ends of the middle 95 % of resampled values, in parts; None where most resamples have no value at all."""
    samples = np.concatenate(parts)
    defined = samples[~np.isnan(samples)]
    if len(defined) < len(samples) / 2:
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def _integers(values: ArrayLike, ndim: int = 1) -> IntArray:
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != ndim or array.dtype.kind not in "iub":
        raise ValueError(f"expected integers in {ndim} dimension{'s' * (ndim > 1)}, got {array.dtype} in {array.ndim}")
    return array.astype(np.int64, copy=False)


def _dense(codes: IntArray) -> IntArray:
    """Ids recoded to 0..n-1 where they are too spread out to be counted as they are."""
    if len(codes) == 0 or (codes.min() >= 0 and codes.max() < 4 * len(codes) + 1024):
        return codes
    return np.unique(codes, return_inverse=True)[1].ravel()


def _last_of_each(items: IntArray, annotators: IntArray) -> IntArray | None:
    """Positions of each annotator's last label of each item, in their old order; None where nobody repeats."""
    if len(items) == 0:
        return None
    key = items * (int(annotators.max()) + 1) + annotators
    in_order = np.sort(key)
    if (in_order[1:] != in_order[:-1]).all():
        return None
    backwards = np.unique(key[::-1], return_index=True)[1]
    return np.sort(len(key) - 1 - backwards)


def _distinct(codes: list[NDArray[np.int64]]) -> tuple[IntArray, NDArray[np.int64]]:
    """Where each distinct combination of codes occurs first, and how often."""
    combined = codes[0]
    for code in codes[1:]:
        left = np.unique(combined, return_inverse=True)[1].ravel()
        distinct, right = np.unique(code, return_inverse=True)
        combined = left * len(distinct) + right.ravel()
    _, first, weight = np.unique(combined, return_index=True, return_counts=True)
    return first, weight
