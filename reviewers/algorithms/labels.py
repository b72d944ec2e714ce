"""Labels as arrays: one question's labels, the votes on each item counted, and `choices` answers as sets of ticks.

Agreement rests on *count vectors*: how many votes each value got on an item, and on how many items each such vector
occurs. Three labels on each of a million items come down to a few dozen distinct vectors, so a coefficient, and each
bootstrap resample of it, costs next to nothing once they are counted; an annotators x items matrix is never built. A
database can count them too (`GROUP BY`), and then only the vectors leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.integer[Any]]

# Comparing each label with its next neighbours is quicker than a sort up to about this many labels an item.
_STEPS_AT_MOST = 8
_USUAL_BASE = 8


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
        the last entry counts. Ids may be any integers; negative and widely spread ones are recoded, in their order.

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
    """Distinct vectors of votes on items with two labels or more, and on how many items each occurs.

    Attributes
    ----------
    counts : ndarray of int64, (n_vectors, n_values)
        Votes for each value; each row sums to 2 or more.
    n_items : ndarray of int64, (n_vectors,)
        Items on which the vector occurs.
    singles : ndarray of int64, (n_values,)
        Items with exactly one label, by its value. They show no agreement; Fleiss' kappa and Gwet's coefficients alone
        let them count towards how common a value is.
    n_annotators : int or None
        Annotators with a label on an item with two or more; None where only counts are known.
    """

    counts: NDArray[np.int64]
    n_items: NDArray[np.int64]
    singles: NDArray[np.int64]
    n_annotators: int | None = None

    @classmethod
    def from_counts(cls, counts: ArrayLike, n_items: ArrayLike | None = None) -> CountVectors:
        """From votes per value, one row an item; with `n_items`, one row a vector that occurs on so many items.

        Examples
        --------
        >>> vectors = CountVectors.from_counts([[3, 0], [2, 1], [3, 0], [1, 0]])
        >>> vectors.counts.tolist(), vectors.n_items.tolist(), vectors.singles.tolist()
        ([[2, 1], [3, 0]], [1, 2], [1, 0])
        """
        rows = _integers(counts, ndim=2)
        weights = np.ones(len(rows), np.int64) if n_items is None else _integers(n_items)
        if len(weights) != len(rows) or (rows < 0).any() or (weights < 0).any():
            raise ValueError("counts and n_items must be non-negative, with one n_items per row")
        n_votes = rows.sum(axis=1)
        is_used = (n_votes >= 2) & (weights > 0)
        distinct, inverse = np.unique(rows[is_used], axis=0, return_inverse=True)
        weight = np.zeros(len(distinct), np.int64)
        np.add.at(weight, inverse.ravel(), weights[is_used])
        singles = weights[n_votes == 1] @ rows[n_votes == 1]
        return cls(distinct.astype(np.int64), weight, singles.astype(np.int64))

    @property
    def n_labels(self) -> int:
        """Labels on items with two or more."""
        return int(self.n_items @ self.counts.sum(axis=1))

    @property
    def n_classes(self) -> int:
        """Values that occur on items with two labels or more."""
        return int((self.counts.sum(axis=0) > 0).sum())

    @property
    def prevalence(self) -> tuple[float, ...] | None:
        """Share of each value among the labels on items with two or more; None where there are none."""
        totals = self.n_items @ self.counts
        return tuple((totals / totals.sum()).tolist()) if len(self.n_items) else None


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
    Votes are the digits of one number, summed up by a single bincount over the labels. Base 8 nearly always does; where
    a digit carries, which the sum of all digits shows, the most labels of an item give the base. One more pass over the
    items while ``base ** n_values`` is at most a few times their number; beyond that a sort of the items, and for each
    further 52 bits one pass and one sort more.
    """
    counted = _count_digits(table, _USUAL_BASE)
    if counted is None:
        counted = _count_digits(table, int(np.bincount(table.item).max()) + 1)
    assert counted is not None  # no value can have more votes than there are labels
    counts, weight = counted
    n_votes = counts.sum(axis=1)
    is_used, is_single = n_votes >= 2, n_votes == 1
    annotators = table.annotator
    if is_single.any():
        annotators = annotators[(np.bincount(table.item) >= 2)[table.item]]
    n_annotators = int(np.count_nonzero(np.bincount(annotators)))
    return CountVectors(counts[is_used], weight[is_used], weight[is_single] @ counts[is_single], n_annotators)


def _count_digits(table: LabelTable, base: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Distinct vectors of votes, one of none among them, and their items; None where the votes of a value reach `base`.

    A sum of digits below 2**52 is exact in the doubles that bincount adds up.
    """
    n_digits = max(1, int(52 / np.log2(base)))
    groups = [range(start, min(start + n_digits, table.n_values)) for start in range(0, table.n_values, n_digits)]
    codes = []
    for group in groups:
        digit = np.zeros(table.n_values)
        digit[group.start : group.stop] = float(base) ** np.arange(len(group))
        sums = np.bincount(table.item, weights=digit.take(table.value))
        if sums.max(initial=0) >= float(base) ** len(group):
            return None
        codes.append(sums.astype(np.int64))
    distinct, weight = _distinct(codes)
    counts = np.empty((len(weight), table.n_values), np.int64)
    for group, rest in zip(groups, distinct, strict=True):
        for value in group:
            rest, counts[:, value] = np.divmod(rest, base)
    # Each carry takes `base` off one digit and adds 1 to the next.
    return (counts, weight) if weight @ counts.sum(axis=1) == len(table.item) else None


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
    >>> [table.value.tolist() for table in tables]
    [[1, 1], [0, 1]]
    """
    items, annotators, ticked = _integers(item), _integers(annotator), _ticks(answer, choice, n_choices, item)
    return [LabelTable.from_codes(items, annotators, ticked[:, code], 2) for code in range(n_choices)]


def set_table(
    item: ArrayLike, annotator: ArrayLike, answer: ArrayLike, choice: ArrayLike, n_choices: int
) -> LabelTable:
    """The table of `label_sets` alone: alike means the same set."""
    return label_sets(item, annotator, answer, choice, n_choices)[0]


def label_sets(
    item: ArrayLike, annotator: ArrayLike, answer: ArrayLike, choice: ArrayLike, n_choices: int
) -> tuple[LabelTable, NDArray[np.bool_]]:
    """The answers to a `choices` question with each distinct set of ticks as one value, and what is in each set.

    Parameters, errors and repeats as in `choice_tables`.

    Returns
    -------
    LabelTable
        For agreement on whole answers; with the nominal distance stricter than any single choice's.
    ndarray of bool, (n_values, n_choices)
        The choices in each set, for `reviewers.algorithms.distances.set_distances`.

    Examples
    --------
    >>> table, sets = label_sets([5, 5, 5], [1, 2, 3], answer=[0, 1, 1, 2], choice=[0, 0, 1, 0], n_choices=2)
    >>> table.value.tolist(), sets.astype(int).tolist()
    ([0, 1, 0], [[1, 0], [1, 1]])
    """
    ticked = _ticks(answer, choice, n_choices, item)
    sets, value = np.unique(ticked, axis=0, return_inverse=True)
    if len(sets) == 0:
        sets = np.zeros((1, n_choices), np.int8)  # a table has at least one value: here the empty set
    return LabelTable.from_codes(item, annotator, value.ravel(), len(sets)), sets.astype(bool)


def _ticks(answer: ArrayLike, choice: ArrayLike, n_choices: int, item: ArrayLike) -> NDArray[np.int8]:
    answers, choices = _integers(answer), _integers(choice)
    ticked = np.zeros((len(_integers(item)), n_choices), np.int8)
    is_inside = (answers >= 0) & (answers < len(ticked)) & (choices >= 0) & (choices < n_choices)
    if len(answers) != len(choices) or not is_inside.all():
        raise ValueError("every tick must name an answer and a choice that exist")
    ticked[answers, choices] = 1
    return ticked


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
    if len(items) == 0 or not _has_repeats(items, annotators):
        return None
    backwards = np.unique(_keys(items, annotators)[::-1], return_index=True)[1]
    return np.sort(len(items) - 1 - backwards)


def _has_repeats(items: IntArray, annotators: IntArray) -> bool:
    """Whether anybody labelled an item twice. Rows in the order of the items need no sort unless items have many."""
    if (items[1:] >= items[:-1]).all():
        for step in range(1, _STEPS_AT_MOST):
            together = items[step:] == items[:-step]
            if not together.any():
                return False
            if (together & (annotators[step:] == annotators[:-step])).any():
                return True
    keys = _keys(items, annotators)
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())


def _keys(items: IntArray, annotators: IntArray) -> IntArray:
    """One number for each item and annotator."""
    keys = items * (int(annotators.max()) + 1)
    keys += annotators
    return keys


def _distinct(codes: list[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """The distinct combinations of codes, one array for each array of codes, and how often each occurs."""
    if len(codes) == 1:
        (code,) = codes
        if code.max(initial=0) < 4 * len(code) + 1024:
            n_of_each = np.bincount(code)
            present = np.flatnonzero(n_of_each)
            return [present], n_of_each[present]
        found, weight = np.unique(code, return_counts=True)
        return [found], weight
    combined = codes[0]
    for code in codes[1:]:
        left = np.unique(combined, return_inverse=True)[1].ravel()
        distinct, right = np.unique(code, return_inverse=True)
        combined = left * len(distinct) + right.ravel()
    _, first, weight = np.unique(combined, return_index=True, return_counts=True)
    return [code[first] for code in codes], weight
