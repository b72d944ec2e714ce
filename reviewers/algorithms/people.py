"""One question's labels, person by person: who gave them, when, how fast, and what the others on the item said.

A person is measured by what others said without them. Everything here is an array over labels, sorted by item and then
by time; `PeopleLabels.from_codes` brings labels into that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Where an item has many labels, each is compared with so many others: enough to know what the others say, and an item
# with fifty labels costs no more than fifty.
MOST_PARTNERS = 8
WEEK_SECONDS = 7 * 24 * 3600
_FIRST_MONDAY = 4 * 24 * 3600  # 5 January 1970


@dataclass(frozen=True, eq=False)
class PeopleLabels:
    """Labels of one question, at most one per person and item, sorted by item, then time. Made by `from_codes`.

    Attributes
    ----------
    item_ids, person_ids, values : ndarray of int64
        What the codes stand for, ascending.
    item, person, value : ndarray of int64, (n_labels,)
        Codes: positions in the three above.
    at : ndarray of float64, (n_labels,)
        When the label was given, in seconds since 1970, UTC.
    seconds : ndarray of float64, (n_labels,)
        How long it took; nan where nobody measured it.
    start : ndarray of int64, (n_items + 1,)
        The labels of item i are those from ``start[i]`` up to ``start[i + 1]``; at least one.
    """

    item_ids: IntArray
    person_ids: IntArray
    values: IntArray
    item: IntArray
    person: IntArray
    value: IntArray
    at: FloatArray
    seconds: FloatArray
    start: IntArray

    @classmethod
    def from_codes(
        cls,
        item: ArrayLike,
        person: ArrayLike,
        value: ArrayLike,
        *,
        at: ArrayLike | None = None,
        seconds: ArrayLike | None = None,
    ) -> PeopleLabels:
        """Sort and recode labels as they come from storage, in any order and under any integer ids.

        `at` left out: in the order in which they come. `seconds` left out: nothing was measured. Raises ValueError
        where the arrays differ in length.

        Examples
        --------
        >>> labels = PeopleLabels.from_codes([7, 3, 7], [1, 1, 2], [5, 5, 9])
        >>> labels.item.tolist(), labels.person.tolist(), labels.value.tolist(), labels.start.tolist()
        ([0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 1, 3])
        """
        items, people, values = (np.asarray(one, np.int64) for one in (item, person, value))
        n = len(items)
        times = np.arange(n, dtype=np.float64) if at is None else np.asarray(at, np.float64)
        took = np.full(n, np.nan) if seconds is None else np.asarray(seconds, np.float64)
        if not len(people) == len(values) == len(times) == len(took) == n:
            raise ValueError("item, person, value, at and seconds must have one entry per label")
        order = np.lexsort((people, times, items))
        item_ids, items = np.unique(items[order], return_inverse=True)
        person_ids, people = np.unique(people[order], return_inverse=True)
        value_ids, values = np.unique(values[order], return_inverse=True)
        start = np.concatenate([[0], np.cumsum(np.bincount(items, minlength=len(item_ids)))])
        codes = (items.astype(np.int64), people.astype(np.int64), values.astype(np.int64))
        return cls(item_ids, person_ids, value_ids, *codes, times[order], took[order], start.astype(np.int64))

    @property
    def n_labels(self) -> int:
        """Labels in all."""
        return len(self.item)

    @property
    def n_items(self) -> int:
        """Items with a label."""
        return len(self.item_ids)

    @property
    def n_people(self) -> int:
        """People with a label."""
        return len(self.person_ids)

    @property
    def n_values(self) -> int:
        """Values that occur."""
        return len(self.values)

    @cached_property
    def n_others(self) -> IntArray:
        """How many others labelled the item, (n_labels,)."""
        return (np.diff(self.start) - 1)[self.item]

    @cached_property
    def rank(self) -> IntArray:
        """The label's place on its item, 0 for the first that was given, (n_labels,)."""
        return np.arange(self.n_labels) - self.start[self.item]

    @cached_property
    def _votes(self) -> tuple[IntArray, IntArray, IntArray]:
        """Distinct (item, value) codes, how many labels have each, and the position of each label's own."""
        distinct, own, n = np.unique(self.item * self.n_values + self.value, return_inverse=True, return_counts=True)
        return distinct, n.astype(np.int64), own.ravel()

    @cached_property
    def n_same(self) -> IntArray:
        """How many of the others gave the same value, (n_labels,)."""
        _distinct, n, own = self._votes
        return n[own] - 1

    @cached_property
    def others_say(self) -> IntArray:
        """The value that more than half of the others gave, (n_labels,); -1 where there are none or they differ."""
        if not self.n_labels:
            return np.zeros(0, np.int64)
        distinct, n, own = self._votes
        item = distinct // self.n_values
        order = np.lexsort((distinct, -n, item))
        first = np.searchsorted(item[order], np.arange(self.n_items))
        top = order[first]
        following = np.minimum(first + 1, len(order) - 1)
        has_second = (first + 1 < len(order)) & (item[order[following]] == np.arange(self.n_items))
        second = np.where(has_second, order[following], top)
        n_second = np.where(has_second, n[second], 0)
        # Without the label itself. Its own value may be the leading one; then the next may lead instead.
        is_top = own == top[self.item]
        enough = self.n_others / 2
        says_top = n[top][self.item] - is_top > enough
        says_second = is_top & (n_second[self.item] > enough)
        value = distinct % self.n_values
        found = np.where(says_top, value[top][self.item], np.where(says_second, value[second][self.item], np.int64(-1)))
        said: IntArray = np.where(self.n_others > 0, found, -1)
        return said

    @cached_property
    def partners(self) -> tuple[IntArray, IntArray]:
        """Ordered pairs of labels of one item, as positions: each label beside all others, or `MOST_PARTNERS` of them.

        Where an item has more, a label stands beside those that came after it, the first ones after the last.
        """
        size = self.n_others + 1
        left, right = [], []
        for step in range(1, min(MOST_PARTNERS, int(size.max(initial=1)) - 1) + 1):
            own = np.flatnonzero(size > step)
            left.append(own)
            right.append(self.start[self.item[own]] + (self.rank[own] + step) % size[own])
        if not left:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(left), np.concatenate(right)

    @cached_property
    def week(self) -> IntArray:
        """The week of each label, (n_labels,): 0 for the first week of any, weeks begin on Monday, UTC."""
        if not self.n_labels:
            return np.zeros(0, np.int64)
        weeks: IntArray = ((self.at - _FIRST_MONDAY) // WEEK_SECONDS).astype(np.int64)
        weeks -= weeks.min()
        return weeks

    @property
    def first_week_at(self) -> float:
        """When week 0 began, in seconds since 1970; 0 without labels."""
        if not self.n_labels:
            return 0.0
        return float((self.at.min() - _FIRST_MONDAY) // WEEK_SECONDS * WEEK_SECONDS + _FIRST_MONDAY)

    def count(self, chosen: BoolArray, *, weights: NDArray[Any] | None = None) -> FloatArray:
        """How many of the chosen labels each person has, (n_people,); with `weights`, the sum of those."""
        given = None if weights is None else np.asarray(weights, np.float64)[chosen]
        return np.bincount(self.person[chosen], weights=given, minlength=self.n_people).astype(np.float64)
