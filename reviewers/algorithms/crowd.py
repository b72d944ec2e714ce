"""Labels of one question from many people, as every consensus method takes them, and the `Consensus` that comes back.

The labels are put into one order of their own, by item and annotator, so that no method can depend on the order in
which they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NO_LABELS = "there are no labels"
NO_OVERLAP = "no item has two labels or a gold label"
ONE_CLASS = "only 1 class occurs"

# Skills told from fewer items move with every answer, and so would what is accepted by them.
LEAST_ITEMS = 50

# Two probabilities closer than this are a tie: far above what rounding leaves, far below what anybody would act on.
TIE = 1e-9
_MOST = 2**62


class UnfitLabelsError(ValueError):
    """From such labels nobody's skill can be told; a plain vote is all there is. The message says why."""


@dataclass(frozen=True, eq=False)
class CrowdLabels:
    """Labels of one question, sorted by item, then annotator. Made by `from_codes`.

    Attributes
    ----------
    item_ids : ndarray of int64, (n_items,)
        The items that have a label, ascending. Everywhere else an item is its position here.
    annotator_ids : ndarray of int64, (n_annotators,)
        The annotators who gave a label, likewise.
    start : ndarray of int64, (n_items + 1,)
        The labels of item i are those from ``start[i]`` up to ``start[i + 1]``; at least one.
    annotator, value : ndarray of int32, (n_labels,)
        Position of the annotator, and code of the label within 0..n_values-1.
    n_values : int
        How many values the question allows, seen or not.
    gold : ndarray of int64, (n_items,)
        The known value of the item, -1 where there is none.
    """

    item_ids: IntArray
    annotator_ids: IntArray
    start: IntArray
    annotator: NDArray[np.int32]
    value: NDArray[np.int32]
    n_values: int
    gold: IntArray

    @classmethod
    def from_codes(
        cls,
        item: ArrayLike,
        annotator: ArrayLike,
        value: ArrayLike,
        n_values: int,
        *,
        gold: Mapping[int, int] | None = None,
        repeats: Literal["last", "all"] = "last",
    ) -> CrowdLabels:
        """Sort and recode labels as they come from storage.

        Parameters
        ----------
        item, annotator : array-like of int, (n_labels,)
            Any ids, in any order.
        value : array-like of int, (n_labels,)
            Codes within 0..n_values-1; a negative one is a gap and left out.
        n_values : int
            At least 1.
        gold : mapping of int to int, optional
            Known values of items, by item id. Items that nobody labelled are passed over: they tell nothing of anyone.
        repeats : {"last", "all"}
            Where one annotator labelled one item more than once: only the last entry counts, or each is a label.

        Raises
        ------
        ValueError
            If the arrays differ in length or are no integers, or a code lies outside 0..n_values-1.

        Examples
        --------
        >>> labels = CrowdLabels.from_codes([70, 9, 70, 70], [2, 1, 1, 2], [1, 0, 0, 0], 2, gold={9: 1})
        >>> labels.item_ids.tolist(), labels.start.tolist(), labels.gold.tolist()
        ([9, 70], [0, 1, 3], [1, -1])
        >>> labels.annotator.tolist(), labels.value.tolist()
        ([0, 0, 1], [0, 0, 0])
        """
        items, annotators, values = _integers(item), _integers(annotator), _integers(value)
        if not len(items) == len(annotators) == len(values):
            raise ValueError("item, annotator and value must have one entry per label")
        if n_values < 1:
            raise ValueError("a question allows at least 1 value")
        is_label = values >= 0
        if not is_label.all():
            items, annotators, values = items[is_label], annotators[is_label], values[is_label]
        if len(values) and int(values.max()) >= n_values:
            raise ValueError(f"value codes must lie within 0..{n_values - 1}")
        item_ids, items = _recode(items)
        annotator_ids, annotators = _recode(annotators)
        n_annotators = len(annotator_ids)
        pair, value_of = _sort(items, annotators, values, n_annotators, n_values, repeats)
        item_of = pair // max(1, n_annotators)
        return cls(
            item_ids=item_ids,
            annotator_ids=annotator_ids,
            start=np.concatenate([[0], np.cumsum(np.bincount(item_of, minlength=len(item_ids)))]).astype(np.int64),
            annotator=(pair - item_of * n_annotators).astype(np.int32),
            value=value_of.astype(np.int32),
            n_values=n_values,
            gold=_gold_of(item_ids, gold or {}, n_values),
        )

    @property
    def n_items(self) -> int:
        """Items with a label."""
        return len(self.item_ids)

    @property
    def n_annotators(self) -> int:
        """People with a label."""
        return len(self.annotator_ids)

    @property
    def n_labels(self) -> int:
        """Labels in all, without gaps."""
        return len(self.value)

    @cached_property
    def item(self) -> IntArray:
        """Position of each label's item, (n_labels,), ascending."""
        return np.repeat(np.arange(self.n_items), np.diff(self.start))

    def that_teach(self) -> CrowdLabels:
        """Those of the items that have two labels or gold: of others nobody's skill can be told."""
        return self.only((np.diff(self.start) >= 2) | (self.gold >= 0))

    def only(self, is_kept: NDArray[np.bool_]) -> CrowdLabels:
        """The labels of some of the items, (n_items,), and the annotators who gave them."""
        if is_kept.all():
            return self
        is_label = is_kept[self.item]
        annotators, annotator = np.unique(self.annotator[is_label], return_inverse=True)
        return CrowdLabels(
            item_ids=self.item_ids[is_kept],
            annotator_ids=self.annotator_ids[annotators],
            start=np.concatenate([[0], np.cumsum(np.diff(self.start)[is_kept])]).astype(np.int64),
            annotator=annotator.ravel().astype(np.int32),
            value=self.value[is_label],
            n_values=self.n_values,
            gold=self.gold[is_kept],
        )

    def share_votes(self, weight: FloatArray | None = None) -> FloatArray:
        """Each value's share of an item's votes, (n_items, n_values); where there is gold, it has all.

        `weight` is what each annotator's vote weighs, (n_annotators,), 1 where left out; an item whose voters all
        weigh 0 is voted on as if they weighed 1.
        """
        cell = self.item * self.n_values + self.value
        votes = _count(cell, None, self)
        if weight is not None:
            weighted = _count(cell, weight[self.annotator], self)
            votes = np.where(weighted.sum(axis=1, keepdims=True) > 0, weighted, votes)
        shares: FloatArray = votes / votes.sum(axis=1, keepdims=True)
        is_gold = self.gold >= 0
        shares[is_gold] = np.eye(self.n_values)[self.gold[is_gold]]
        return shares

    def check_skill_can_be_told(self) -> None:
        """Raise `UnfitLabelsError` where there is nothing to tell anyone's skill from."""
        reason = self.find_unfitness()
        if reason is not None:
            raise UnfitLabelsError(reason)

    def find_unfitness(self) -> str | None:
        """Say why nobody's skill can be told from these labels, or None where it can."""
        if self.n_labels == 0:
            return NO_LABELS
        if int(np.diff(self.start).max()) < 2 and not (self.gold >= 0).any():
            return NO_OVERLAP
        seen = np.bincount(self.value, minlength=self.n_values) + np.bincount(
            self.gold[self.gold >= 0], minlength=self.n_values
        )
        return ONE_CLASS if np.count_nonzero(seen) < 2 else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Consensus:
    """What one method makes of the labels.

    Attributes
    ----------
    method : str
        Stable name, such as ``"dawid_skene"``.
    priors : str
        What was assumed before any label, for people.
    item_ids, annotator_ids : ndarray of int64
        As in the labels; the rows below are in their order.
    posterior : ndarray, (n_items, n_values)
        Probability of each value, rows summing to 1; for votes the share of the votes, which is no probability.
    class_prior : ndarray, (n_values,), or None
        How common each value was found to be; None for votes.
    accuracy : ndarray, (n_annotators,), or None
        How often each annotator is right, 0 to 1, over items as they come; None where nobody is told from another.
    confusion : ndarray, (n_annotators, n_values, n_values), or None
        ``[a, j, k]``: how often a says k where j is true; rows sum to 1. A row without any evidence is the prior's
        mean, every value alike.
    evidence : ndarray, (n_annotators, n_values), or None
        Labels that each row of the confusion rests on: expected number of a's labels on items of that true value.
    difficulty : ndarray, (n_items,), or None
        How hard each item is, above 0, where the method tells.
    log_likelihood : tuple of float
        After each iteration, with the log density of the priors where there are any; never falls. Empty for votes.
    is_converged : bool
        Whether the method stopped because nothing more was gained. Votes are always done.
    """

    method: str
    priors: str
    item_ids: IntArray
    annotator_ids: IntArray
    posterior: FloatArray
    class_prior: FloatArray | None = None
    accuracy: FloatArray | None = None
    confusion: FloatArray | None = None
    evidence: FloatArray | None = None
    difficulty: FloatArray | None = None
    log_likelihood: tuple[float, ...] = ()
    is_converged: bool = True

    @cached_property
    def is_best(self) -> NDArray[np.bool_]:
        """Which values are likeliest, (n_items, n_values): one for each item, several where they tie."""
        if self.posterior.size == 0:
            return np.zeros(self.posterior.shape, bool)
        best: NDArray[np.bool_] = self.posterior >= self.posterior.max(axis=1, keepdims=True) - TIE
        return best

    @cached_property
    def is_tied(self) -> NDArray[np.bool_]:
        """Items on which two values or more are likeliest, (n_items,)."""
        tied: NDArray[np.bool_] = self.is_best.sum(axis=1) > 1
        return tied

    @cached_property
    def value(self) -> IntArray:
        """The likeliest value of each item, (n_items,), -1 where there is a tie: no tie is broken by accident."""
        return np.where(self.is_tied, -1, self.is_best.argmax(axis=1))

    def share_right(self, truth: Mapping[int, int]) -> float:
        """Share of the items of `truth` (item id to value) that came out right; a tie of k that holds it counts 1/k.

        Items without a label are passed over; nan where none is left.
        """
        ids = np.array(list(truth), np.int64)
        values = np.array(list(truth.values()), np.int64)
        row = np.searchsorted(self.item_ids, ids)
        is_known = np.zeros(len(ids), bool)
        is_inside = row < len(self.item_ids)
        is_known[is_inside] = self.item_ids[row[is_inside]] == ids[is_inside]
        best, values = self.is_best[row[is_known]], values[is_known]
        if len(values) == 0:
            return float("nan")
        return float((best[np.arange(len(values)), values] / best.sum(axis=1)).mean())


def _integers(values: ArrayLike) -> IntArray:
    array: NDArray[Any] = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ValueError(f"expected integers in 1 dimension, got {array.dtype} in {array.ndim}")
    return array.astype(np.int64, copy=False)


def _recode(ids: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct ids, ascending, and each entry's position among them."""
    if len(ids) == 0:
        return ids, ids
    low, high = int(ids.min()), int(ids.max())
    if high - low < 4 * len(ids) + 1024:  # a table of all ids between costs less than sorting
        above = ids - low if low else ids
        is_seen = np.zeros(high - low + 1, bool)
        is_seen[above] = True
        distinct = np.flatnonzero(is_seen)
        if len(distinct) == len(is_seen):
            return distinct + low, above
        position = np.cumsum(is_seen)
        position -= 1
        return distinct + low, position[above]
    distinct, codes = np.unique(ids, return_inverse=True)
    return distinct, codes.ravel().astype(np.int64, copy=False)


def _sort(
    items: IntArray, annotators: IntArray, values: IntArray, n_annotators: int, n_values: int, repeats: str
) -> tuple[IntArray, IntArray]:
    """Item and annotator as one number, ascending, and the values in that order, without the repeats."""
    pair = items * n_annotators
    pair += annotators
    n_pairs = (int(items.max(initial=-1)) + 1) * n_annotators
    if n_pairs * n_values < _MOST:
        # Sorting one packed number is many times quicker than sorting positions, and repeats are rare.
        packed = pair * n_values
        packed += values
        packed.sort()
        in_order = packed // n_values
        if repeats == "all" or not (in_order[1:] == in_order[:-1]).any():
            packed -= in_order * n_values
            return in_order, packed
    order = np.argsort(pair, kind="stable")
    pair, values = pair[order], values[order]
    if repeats == "all":
        order = np.lexsort((values, pair))
        return pair[order], values[order]
    is_last = np.append(pair[1:] != pair[:-1], True)[: len(pair)]
    return pair[is_last], values[is_last]


def _gold_of(item_ids: IntArray, gold: Mapping[int, int], n_values: int) -> IntArray:
    known = np.full(len(item_ids), -1, np.int64)
    if not gold:
        return known
    ids, values = np.array(list(gold), np.int64), np.array(list(gold.values()), np.int64)
    if values.min() < 0 or values.max() >= n_values:
        raise ValueError(f"gold codes must lie within 0..{n_values - 1}")
    row = np.searchsorted(item_ids, ids)
    is_inside = row < len(item_ids)
    row, ids, values = row[is_inside], ids[is_inside], values[is_inside]
    is_here = item_ids[row] == ids
    known[row[is_here]] = values[is_here]
    return known


def _count(cell: IntArray, weights: FloatArray | None, labels: CrowdLabels) -> FloatArray:
    size = labels.n_items * labels.n_values
    counts = np.bincount(cell, weights=weights, minlength=size).astype(np.float64)
    return counts.reshape(labels.n_items, labels.n_values)
