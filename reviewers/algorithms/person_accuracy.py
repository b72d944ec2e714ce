"""How right each person is: beside known answers, reviewers' decisions and what the others say; by value and by week.

Three measures of accuracy stay apart, because they are of different items. *Gold*: answers that were known before.
*Decided*: items that a reviewer decided, which are the hard ones. *Agreed*: items whose votes agreed, measured by what
the others on the item say without the person, so that nobody is measured by their own vote.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from reviewers.algorithms.beta import fit_prior
from reviewers.algorithms.intervals import wilson
from reviewers.algorithms.people import BoolArray, FloatArray, IntArray, PeopleLabels

Measure = Literal["gold", "decided", "agreed"]
MEASURES: tuple[Measure, ...] = ("gold", "decided", "agreed")  # the one that tells most first
NOTHING = -1
LEVEL = 0.05  # a trend is named where Holm's adjusted p-value lies below


@dataclass(frozen=True, eq=False)
class References:
    """What each label is held against, by measure: value codes, (n_labels,) each, -1 where there is nothing."""

    gold: IntArray
    decided: IntArray
    agreed: IntArray

    @classmethod
    def of(
        cls,
        labels: PeopleLabels,
        *,
        agreed_items: ArrayLike = (),
        decided: tuple[ArrayLike, ArrayLike] = ((), ()),
        gold: tuple[ArrayLike, ArrayLike] = ((), ()),
        own_decisions: tuple[ArrayLike, ArrayLike] = ((), ()),
    ) -> References:
        """From item ids: those whose votes agreed, and ids with values (as stored) of the decided and the known ones.

        A value that nobody gave counts as one that no label is equal to. `own_decisions`, ids of items and people, are
        decisions of somebody who had labelled the item: they say nothing of that person.
        """
        is_agreed = np.isin(labels.item_ids, np.asarray(agreed_items, np.int64))
        own_items, own_people = (np.asarray(one, np.int64) for one in own_decisions)
        is_listed = np.isin(own_items, labels.item_ids) & np.isin(own_people, labels.person_ids)
        own = np.searchsorted(labels.item_ids, own_items[is_listed]) * labels.n_people
        own += np.searchsorted(labels.person_ids, own_people[is_listed])
        is_own = np.isin(labels.item * labels.n_people + labels.person, own)
        return cls(
            gold=_values_of(labels, *gold),
            decided=np.where(is_own, NOTHING, _values_of(labels, *decided)),
            agreed=np.where(is_agreed[labels.item], labels.others_say, NOTHING),
        )

    def of_measure(self, measure: Measure) -> IntArray:
        """The references of one measure."""
        found: IntArray = getattr(self, measure)
        return found

    @property
    def best(self) -> IntArray:
        """One reference a label: the known answer, else the decision, else what the others say."""
        return np.where(self.gold != NOTHING, self.gold, np.where(self.decided != NOTHING, self.decided, self.agreed))


def _values_of(labels: PeopleLabels, items: ArrayLike, values: ArrayLike) -> IntArray:
    """Values by item as codes of each label; a value that does not occur is the code after the last one."""
    ids, stored = np.asarray(items, np.int64), np.asarray(values, np.int64)
    of_item = np.full(labels.n_items, NOTHING, np.int64)
    place = np.searchsorted(labels.item_ids, ids)
    is_known = place < labels.n_items
    is_known[is_known] = labels.item_ids[place[is_known]] == ids[is_known]
    code = np.searchsorted(labels.values, stored)
    occurs = code < labels.n_values
    occurs[occurs] = labels.values[code[occurs]] == stored[occurs]
    of_item[place[is_known]] = np.where(occurs, code, labels.n_values)[is_known]
    return of_item[labels.item]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """One measure of everybody's accuracy, (n_people,) each.

    Attributes
    ----------
    n, n_right : ndarray of int64
        Labels that have a reference, and those equal to it.
    value : ndarray of float64
        The share that is right, shrunk towards the people's mean where that could be told, 0 to 1; nan without labels.
    interval : ndarray of float64, (n_people, 2)
        95 %: of the posterior where it is shrunk, Wilson's otherwise.
    mean, weight : float or None
        The mean that it is shrunk towards, and how many labels it counts for; None where nothing is shrunk.
    """

    n: IntArray
    n_right: IntArray
    value: FloatArray
    interval: FloatArray
    mean: float | None
    weight: float | None


def accuracy_of(labels: PeopleLabels, reference: IntArray) -> Accuracy:
    """How often each person's label is equal to its reference, with shrinkage (empirical Bayes, beta-binomial)."""
    has = reference != NOTHING
    n = labels.count(has).astype(np.int64)
    n_right = labels.count(has & (reference == labels.value)).astype(np.int64)
    prior = fit_prior(n_right, n)
    if prior is not None:
        value, interval = prior.shrink(n_right, n)
    else:
        value = n_right / np.maximum(n, 1)
        interval = np.array([wilson(int(k), int(m)) for k, m in zip(n_right, n, strict=True)]).reshape(-1, 2)
    value = np.where(n > 0, value, np.nan)
    mean, weight = (None, None) if prior is None else (prior.mean, prior.weight)
    return Accuracy(n, n_right, value, interval, mean, weight)


def confusion_of(labels: PeopleLabels, reference: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """What each person said where the reference says what: person, reference, value and how often, one entry a cell.

    A reference that nobody gave as a label is the code ``n_values``. Cells without a label are left out.
    """
    has = reference != NOTHING
    width = labels.n_values + 1
    code = (labels.person[has] * width + reference[has]) * width + labels.value[has]
    cells, n = np.unique(code, return_counts=True)
    return cells // width**2, cells // width % width, cells % width, n.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Weeks:
    """Labels with a reference by person and week, and those that are right: (n_people, n_weeks) each."""

    n: IntArray
    n_right: IntArray


def weeks_of(labels: PeopleLabels, reference: IntArray) -> Weeks:
    """Count by person and week; weeks in which nobody has a reference are there, with zeros."""
    n_weeks = int(labels.week.max(initial=-1)) + 1
    has = reference != NOTHING
    code = labels.person * n_weeks + labels.week
    shape = (labels.n_people, n_weeks)

    def counted(chosen: BoolArray) -> IntArray:
        return np.bincount(code[chosen], minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)

    return Weeks(counted(has), counted(has & (reference == labels.value)))


@dataclass(frozen=True, eq=False)
class Trend:
    """Whether people became better or worse than the others, (n_people,) each.

    Attributes
    ----------
    z : ndarray of float64
        Above 0: better week by week; nan where it cannot be told.
    p : ndarray of float64
        Two-sided; nan likewise.
    p_adjusted : ndarray of float64
        Holm's, over all people who have a test: below 0.05 for anybody in one of twenty projects where nobody changes.
    """

    z: FloatArray
    p: FloatArray
    p_adjusted: FloatArray


def trend_of(weeks: Weeks) -> Trend:
    """Test for a trend over weeks in the odds of being right, each person beside all others in the same weeks.

    What moves everybody (a new guideline, harder items) moves nobody's trend. Where one is found, the person with the
    clearest one is no longer among the others that the rest are held against: one who gets worse makes nobody better.

    Notes
    -----
    Each week is a table of two by two: the person and the others, right and wrong. The test is the score test for a
    linear trend in the odds ratio given the common one, which is Mantel and Haenszel's. Weeks without the person, or
    without others, tell nothing; fewer than three that tell give no test.

    References
    ----------
    Breslow and Day (1980), Statistical Methods in Cancer Research I, section 4.4 (4.31); Holm (1979).
    """
    n_people = len(weeks.n)
    z, adjusted = np.full(n_people, np.nan), np.full(n_people, np.nan)
    is_left = np.ones(n_people, bool)
    least = 0.0
    while is_left.any():
        found = _trend_scores(weeks, is_left)
        p = np.array([_two_sided(float(one)) for one in found])
        tested = np.flatnonzero(is_left & ~np.isnan(p))
        if not len(tested):
            break
        order = tested[np.argsort(p[tested], kind="stable")]
        first = order[:1]
        least = max(least, min(1.0, float(p[first[0]]) * len(tested)))
        if least >= LEVEL:
            steps = np.minimum(1.0, p[order] * np.arange(len(order), 0, -1))
            z[order], adjusted[order] = found[order], np.maximum(np.maximum.accumulate(steps), least)
            break
        z[first], adjusted[first] = found[first], least
        is_left[first] = False
    return Trend(z, np.array([_two_sided(float(one)) for one in z]), adjusted)


def _trend_scores(weeks: Weeks, is_among: BoolArray) -> FloatArray:
    """Each person's score in standard errors, beside all others of those who are among them; nan without a test."""
    n, k = weeks.n.astype(np.float64), weeks.n_right.astype(np.float64)
    n_weeks = n.shape[1]
    other_n, other_k = n[is_among].sum(axis=0) - n, k[is_among].sum(axis=0) - k
    other_n, other_k = np.maximum(other_n, 0), np.maximum(other_k, 0)  # of those who are not among them, nothing
    total = np.maximum(n + other_n, 1)
    up = (k * (other_n - other_k) / total).sum(axis=1)
    down = ((n - k) * other_k / total).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = up / down
    can = is_among & np.isfinite(odds) & (odds > 0)
    odds = np.where(can, odds, 1.0)[:, np.newaxis]
    right = k + other_k
    expected = _expected(n, other_n, right, odds)
    cells = (expected, n - expected, right - expected, other_n - right + expected)
    tells = np.all([cell > 1e-9 for cell in cells], axis=0)
    variance = np.where(tells, 1 / np.sum([1 / np.where(tells, cell, 1.0) for cell in cells], axis=0), 0.0)
    week = np.arange(n_weeks, dtype=np.float64)
    middle = variance @ week / np.maximum(variance.sum(axis=1), 1e-300)
    away = week - middle[:, np.newaxis]
    score = (np.where(tells, k - expected, 0.0) * away).sum(axis=1)
    spread = (variance * away**2).sum(axis=1)
    can &= (tells.sum(axis=1) >= 3) & (spread > 1e-9)
    return np.where(can, score / np.sqrt(np.maximum(spread, 1e-300)), np.nan)


def _expected(n: FloatArray, other_n: FloatArray, right: FloatArray, odds: FloatArray) -> FloatArray:
    """How many of the person's labels would be right at that odds ratio, with all margins as they are."""
    a = odds - 1
    b = other_n - right + odds * (n + right)
    inner = np.sqrt(np.maximum(b * b - 4 * a * odds * n * right, 0))
    # The other form of the quadratic's root: it holds where the odds ratio is 1.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * odds * n * right / (b + inner)
    return np.where(n * right > 0, found, 0.0)


def _two_sided(z: float) -> float:
    return math.nan if math.isnan(z) else math.erfc(abs(z) / math.sqrt(2))
