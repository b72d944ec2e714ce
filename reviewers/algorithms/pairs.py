"""How far two annotators agree: their tables value by value, and Cohen's kappa on them.

A table counts the items on which the first said one thing and the second another. Items that only one of the two has
labelled do not count. For more than two annotators at once see `reviewers.algorithms.agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.agreement import NO_PAIRS, ONE_CLASS, InsufficientOverlapError
from reviewers.algorithms.bootstrap import Interval, bootstrap_intervals, check_resamples, unseen_share
from reviewers.algorithms.distances import FloatArray, Weights, make_scale, make_weights
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.labels import LabelTable


@dataclass(frozen=True, eq=False)
class PairTables:
    """The tables of all pairs of annotators that share enough items.

    Attributes
    ----------
    first, second : ndarray of int64, (n_pairs,)
        The annotators' codes, first < second, in ascending order.
    counts : ndarray of int64, (n_pairs, n_values, n_values)
        Items by what the first (row) and what the second (column) said.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    counts: NDArray[np.int64]


def pair_tables(table: LabelTable, min_items: int = 1) -> PairTables:
    """Count, for every two annotators, what each said on the items that both have labelled.

    Parameters
    ----------
    table : LabelTable
    min_items : int
        Pairs with fewer items in common are left out.

    Returns
    -------
    PairTables
        Empty where no two annotators share so many items.

    Notes
    -----
    One pass and one sort for each step between two labels of an item (one less than the most labels an item has). The
    tables take ``n_pairs * n_values ** 2 * 8`` bytes: with many annotators or values choose `min_items` accordingly.

    Examples
    --------
    >>> table = LabelTable.from_codes([0, 0, 1, 1, 2], [4, 7, 4, 7, 4], [0, 1, 1, 1, 0], n_values=2)
    >>> tables = pair_tables(table)
    >>> tables.first.tolist(), tables.second.tolist(), tables.counts.tolist()
    ([4], [7], [[[0, 1], [0, 1]]])
    """
    q = table.n_values
    order = np.lexsort((table.annotator, table.item))
    item, annotator, value = (codes[order].astype(np.int64) for codes in (table.item, table.annotator, table.value))
    n_annotators = int(annotator.max(initial=0)) + 1
    keys, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, int(np.bincount(item).max(initial=0))):
        together = item[step:] == item[:-step]
        pair = annotator[:-step][together] * n_annotators + annotator[step:][together]
        cell = value[:-step][together] * q + value[step:][together]
        found, n = np.unique(pair * (q * q) + cell, return_counts=True)
        keys.append(found)
        weights.append(n)
    key, where = np.unique(np.concatenate(keys), return_inverse=True)
    n_items = np.zeros(len(key), np.int64)
    np.add.at(n_items, where.ravel(), np.concatenate(weights))
    pairs, of_pair = np.unique(key // (q * q), return_inverse=True)
    shared = np.zeros(len(pairs), np.int64)
    np.add.at(shared, of_pair.ravel(), n_items)
    is_kept = shared >= min_items
    row = np.cumsum(is_kept) - 1
    used = is_kept[of_pair.ravel()]
    counts = np.zeros((int(is_kept.sum()), q * q), np.int64)
    counts[row[of_pair.ravel()[used]], (key % (q * q))[used]] = n_items[used]
    first, second = np.divmod(pairs[is_kept], n_annotators)
    return PairTables(first, second, counts.reshape(-1, q, q))


def cohen_kappa(counts: ArrayLike, weights: Weights = "identity", values: ArrayLike | None = None) -> float:
    """Cohen's kappa: agreement of two annotators beyond chance, chance from how often each gives each value.

    Parameters
    ----------
    counts : array-like of int, (n_values, n_values)
        Items by what the first (row) and what the second (column) said.
    weights : {"identity", "linear", "quadratic"}
        How far two different values count as agreement.
    values : array-like of float, (n_values,), optional
        The number that each code stands for; the codes themselves where left out. Identity ignores it.

    Returns
    -------
    float
        At most 1: 1 perfect, 0 chance, below 0 systematic disagreement; nan where both give one and the same value
        throughout (0/0). The same if the two change places.

    Raises
    ------
    InsufficientOverlapError
        If the table is all zeros.
    ValueError
        If it is not a square of counts, the weights are unknown, or `values` does not fit.

    References
    ----------
    Cohen (1960), Educational and Psychological Measurement 20:37-46, doi:10.1177/001316446002000104; with weights
    Cohen (1968), Psychological Bulletin 70:213-220, doi:10.1037/h0026256.

    Examples
    --------
    >>> round(cohen_kappa([[20, 5], [10, 15]]), 3)
    0.4
    """
    cells = _Cells.of(counts)
    if cells.n == 0:
        raise InsufficientOverlapError
    return float(cells.kappa(cells.everything, make_weights(weights, make_scale(cells.q, values)))[0])


def pair_agreement_of(
    counts: ArrayLike,
    *,
    rng: np.random.Generator,
    weights: Sequence[Weights] = ("identity",),
    values: ArrayLike | None = None,
    n_resamples: int = 1000,
) -> list[Figure]:
    """Raw agreement, Cohen's kappa and Gwet's AC1 of two annotators, with 95 % intervals or named refusals.

    AC1 stands beside kappa throughout, because kappa falls to 0 or below where two agree on nearly everything and one
    value is rare.

    Parameters
    ----------
    counts : array-like of int, (n_values, n_values)
        As in `cohen_kappa`.
    rng : numpy.random.Generator
        Source of the bootstrap; the same seed and counts give the same intervals.
    weights : sequence of {"identity", "linear", "quadratic"}
        A kappa for each.
    values : array-like of float, (n_values,), optional
        As in `cohen_kappa`.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``raw_agreement``, ``gwet_ac1``, then ``cohen_kappa``, ``cohen_kappa_linear``, ``cohen_kappa_quadratic`` as
        asked. All are refused where the two share no item; the kappas where only one class occurs; AC1 where the
        question allows only one value.

    Raises
    ------
    ValueError
        As `cohen_kappa`, and if there are too few resamples.

    Notes
    -----
    Items are resampled by the cells of the table. Where the two never differ the lower end is Clopper and Pearson's
    bound, as in `reviewers.algorithms.agreement.agreement_of`.

    References
    ----------
    As `cohen_kappa`; Gwet (2008), British Journal of Mathematical and Statistical Psychology 61:29-48.

    Examples
    --------
    >>> figures = pair_agreement_of([[118, 5], [2, 0]], rng=np.random.default_rng(0))
    >>> [(figure.metric, round(figure.value, 4)) for figure in figures]
    [('raw_agreement', 0.944), ('gwet_ac1', 0.9408), ('cohen_kappa', -0.0234)]
    """
    check_resamples(n_resamples)
    cells = _Cells.of(counts)
    scale = make_scale(cells.q, values)
    alike = [make_weights(kind, scale) for kind in weights]
    names = ["raw_agreement", "gwet_ac1", *(_NAMES[kind] for kind in weights)]
    methods = ["share of items alike", "Gwet's AC1", *(_METHODS[kind] for kind in weights)]
    size: dict[str, Any] = {
        "n_items": cells.n,
        "n_labels": 2 * cells.n,
        "n_annotators": 2,
        "prevalence": cells.prevalence,
    }
    if cells.n == 0:
        return [Figure.refused(name, NO_PAIRS, **size) for name in names]

    def compute(drawn: FloatArray) -> list[FloatArray]:
        return [cells.raw(drawn), cells.ac1(drawn), *(cells.kappa(drawn, each) for each in alike)]

    found = [float(samples[0]) for samples in compute(cells.everything)]
    if (cells.row == cells.column).all():
        how = "exact bound, no disagreement seen"
        unseen = unseen_share(cells.n)
        # How much of a measure one item that is split as far as can be takes off: 1 over what chance leaves to lose.
        chances = [0.0, cells.ac1_by_chance(cells.everything)[0]]
        chances += [cells.kappa_by_chance(cells.everything, each)[0] for each in alike]
        intervals: list[Interval] = [(float(1 - unseen / (1 - pe)), 1.0) for pe in chances]
    else:
        how = f"percentile bootstrap over items, {n_resamples} resamples"
        intervals = bootstrap_intervals(cells.n_items, compute, n_resamples, rng)
    return [
        Figure.refused(name, ONE_CLASS, **size)
        if np.isnan(value)
        else Figure(metric=name, value=value, interval=interval, method=f"{method}; {how}", **size)
        for name, value, interval, method in zip(names, found, intervals, methods, strict=True)
    ]


_NAMES: dict[Weights, str] = {
    "identity": "cohen_kappa",
    "linear": "cohen_kappa_linear",
    "quadratic": "cohen_kappa_quadratic",
}
_METHODS: dict[Weights, str] = {
    "identity": "Cohen's kappa",
    "linear": "Cohen's kappa, linear weights",
    "quadratic": "Cohen's kappa, quadratic weights",
}


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells of a table that are not empty; `drawn` below is how often each occurs, (n_resamples, n_cells)."""

    q: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    n_items: NDArray[np.int64]

    @classmethod
    def of(cls, counts: ArrayLike) -> _Cells:
        table = np.asarray(counts)
        if table.ndim != 2 or len(set(table.shape)) != 1 or table.dtype.kind not in "iu" or (table < 0).any():
            raise ValueError("a table of two annotators must be a square of counts")
        row, column = np.nonzero(table)
        return cls(len(table), row, column, table[row, column].astype(np.int64))

    @property
    def n(self) -> int:
        return int(self.n_items.sum())

    @property
    def everything(self) -> FloatArray:
        """The table as it is, as a single draw."""
        return self.n_items[np.newaxis].astype(np.float64)

    @property
    def prevalence(self) -> tuple[float, ...] | None:
        if self.n == 0:
            return None
        first, second = self._shares(self.everything)
        return tuple(((first + second) / 2)[0].tolist())

    def _shares(self, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How often each of the two gives each value, (n_resamples, q) both."""
        values = np.eye(self.q)
        n = drawn.sum(axis=1, keepdims=True)
        return drawn @ values[self.row] / n, drawn @ values[self.column] / n

    def raw(self, drawn: FloatArray) -> FloatArray:
        agreed: FloatArray = drawn @ (self.row == self.column) / drawn.sum(axis=1)
        return agreed

    def ac1_by_chance(self, drawn: FloatArray) -> FloatArray:
        if self.q == 1:
            return np.full(len(drawn), np.nan)
        first, second = self._shares(drawn)
        p = (first + second) / 2
        chance: FloatArray = (p * (1 - p)).sum(axis=1) / (self.q - 1)
        return chance

    def ac1(self, drawn: FloatArray) -> FloatArray:
        found: FloatArray = 1 - (1 - self.raw(drawn)) / (1 - self.ac1_by_chance(drawn))
        return found

    def kappa_by_chance(self, drawn: FloatArray, alike: FloatArray) -> FloatArray:
        """What chance would agree on; nan where both give one and the same value throughout."""
        first, second = self._shares(drawn)
        chance: FloatArray = ((first @ alike) * second).sum(axis=1)
        chance[((first + second) > 0).sum(axis=1) < 2] = np.nan
        return chance

    def kappa(self, drawn: FloatArray, alike: FloatArray) -> FloatArray:
        # From disagreement, so that perfect agreement is 1 to the last bit.
        apart = drawn @ (1 - alike[self.row, self.column]) / drawn.sum(axis=1)
        found: FloatArray = 1 - apart / (1 - self.kappa_by_chance(drawn, alike))
        return found
