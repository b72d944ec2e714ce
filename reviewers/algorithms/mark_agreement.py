"""How alike two answers are that mark places or put choices in order, and the mean over all pairs of annotators.

Spans and segments are stretches of a line (`Stretch`), boxes are rectangles (`Box`), a ranking is a list of places.
Each score compares two answers to one item: 1 is the same, 0 has nothing in common (a rank correlation goes down to
-1). Two answers that mark nothing are the same. Agreement by chance is in all of them but the correlations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan, sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.agreement import NO_PAIRS
from reviewers.algorithms.bootstrap import (
    FloatArray,
    Interval,
    bootstrap_intervals,
    check_resamples,
    unseen_share,
)
from reviewers.algorithms.figures import Figure

_ROUNDING = 1e-9  # the same box is the same, whatever its edges' sums round to
NO_ORDER = "no two people put the same choices into an order"
NO_TEXT = "the texts are not there any more"
Answer = TypeVar("Answer")


class Stretch(NamedTuple):
    """A piece of a text (code points) or a recording (seconds), its end exclusive, with a label."""

    part: Hashable
    label: Hashable
    start: float
    end: float


class Box(NamedTuple):
    """A rectangle in an image, from its top left, in any one unit, with a label."""

    part: Hashable
    label: Hashable
    x: float
    y: float
    w: float
    h: float


def exact_f1(a: Collection[Hashable], b: Collection[Hashable]) -> float:
    """Twice the marks that both have, over the marks of either; 1 for two empty answers.

    For tokens or characters: of the sets of those that each answer covers, with their label.

    Examples
    --------
    >>> exact_f1({"a", "b"}, {"b", "c", "d"})
    0.4
    """
    n = len(a) + len(b)
    return 1.0 if n == 0 else 2 * len(set(a) & set(b)) / n


def overlap_f1(a: Sequence[Stretch], b: Sequence[Stretch]) -> float:
    """The share of the marks of both answers that meet a mark of the other with the same label, by however little.

    Examples
    --------
    >>> overlap_f1([Stretch("t", "x", 0, 5), Stretch("t", "x", 9, 12)], [Stretch("t", "x", 4, 7)])
    0.6666666666666666
    """
    n = len(a) + len(b)
    if n == 0:
        return 1.0
    met = sum(any(_common(one, other) > 0 for other in b) for one in a)
    met += sum(any(_common(one, other) > 0 for other in a) for one in b)
    return met / n


def covered_f1(a: Sequence[Stretch], b: Sequence[Stretch]) -> float:
    """Twice the length that both cover with the same label, over the length that either covers: of spans, character F1.

    Examples
    --------
    >>> covered_f1([Stretch("t", "x", 0, 4)], [Stretch("t", "x", 2, 6), Stretch("t", "y", 0, 2)])
    0.4
    """
    left, right = _merge(a), _merge(b)
    total = _length(left) + _length(right)
    if total == 0:
        return 1.0
    common = sum(_common_length(left[key], right[key]) for key in left.keys() & right.keys())
    return 2 * common / total


def covered_iou(a: Sequence[Stretch], b: Sequence[Stretch]) -> float:
    """The length that both cover with the same label, over the length that either does: of segments, their IoU.

    Examples
    --------
    >>> covered_iou([Stretch("t", "x", 0, 4)], [Stretch("t", "x", 2, 6)])
    0.3333333333333333
    """
    f1 = covered_f1(a, b)
    return f1 / (2 - f1)


def paired_iou(a: Sequence[Box], b: Sequence[Box]) -> float:
    """The mean overlap of boxes paired off, those that overlap most first; one without a partner counts 0.

    Boxes of one part and label are paired. The overlap is the intersection over the union; with one box each this is
    their IoU.

    Examples
    --------
    >>> paired_iou([Box("p", "x", 0, 0, 2, 2)], [Box("p", "x", 1, 0, 2, 2), Box("p", "x", 8, 8, 1, 1)])
    0.16666666666666666
    """
    most = max(len(a), len(b))
    return 1.0 if most == 0 else sum(_pair_off(a, b)) / most


def paired_f1(a: Sequence[Box], b: Sequence[Box], least: float) -> float:
    """As `exact_f1`, where two boxes that were paired off are one from an overlap of `least` on.

    Examples
    --------
    >>> paired_f1([Box("p", "x", 0, 0, 2, 2)], [Box("p", "x", 0, 0, 2, 1)], least=0.5)
    1.0
    """
    n = len(a) + len(b)
    return 1.0 if n == 0 else 2 * sum(iou >= least - _ROUNDING for iou in _pair_off(a, b)) / n


def kendall_tau(a: Sequence[Collection[Hashable]], b: Sequence[Collection[Hashable]]) -> float:
    """Kendall's tau-b of two rankings, over the choices that both have ranked.

    Parameters
    ----------
    a, b : sequence of collections
        Places, best first, each with the choices that share it.

    Returns
    -------
    float
        From -1 (turned round) to 1 (the same order); nan where one of them has all choices in one place.

    References
    ----------
    Kendall (1945), The treatment of ties in ranking problems, Biometrika 33:239-251, doi:10.1093/biomet/33.3.239.

    Examples
    --------
    >>> kendall_tau([["a"], ["b"], ["c"]], [["a"], ["c"], ["b"]])
    0.3333333333333333
    """
    left, right = _shared_places(a, b)
    alike = ties_left = ties_right = n = 0
    for i, j in combinations(range(len(left)), 2):
        x, y = _sign(left[i] - left[j]), _sign(right[i] - right[j])
        n += 1
        alike += x * y
        ties_left += x == 0
        ties_right += y == 0
    told = (n - ties_left) * (n - ties_right)
    return alike / sqrt(told) if told else nan


def spearman_rho(a: Sequence[Collection[Hashable]], b: Sequence[Collection[Hashable]]) -> float:
    """Spearman's rank correlation of two rankings, over the choices that both have ranked; ties share their mean rank.

    Parameters and limits as in `kendall_tau`.

    References
    ----------
    Spearman (1904), American Journal of Psychology 15:72-101, doi:10.2307/1412159; Kendall and Gibbons (1990), Rank
    Correlation Methods, 5th edition, chapter 3 (ties).

    Examples
    --------
    >>> spearman_rho([["a"], ["b"], ["c"]], [["a"], ["c"], ["b"]])
    0.5
    """
    left, right = (_mean_ranks(places) for places in _shared_places(a, b))
    if len(left) == 0:
        return nan
    x, y = left - left.mean(), right - right.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else nan


@dataclass(frozen=True, eq=False)
class PairScores:
    """How alike every two answers to the same item are, by each score.

    Attributes
    ----------
    metrics : tuple of str
        The names of the scores.
    item, first, second : ndarray of int64, (n_pairs,)
        Which item, and which two answers, counted from 0 over all items.
    score : ndarray of float, (n_pairs, n_metrics)
        nan where it cannot be said.
    """

    metrics: tuple[str, ...]
    item: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    score: FloatArray

    def of(self, chosen: NDArray[np.bool_]) -> PairScores:
        """Some of the pairs, (n_pairs,)."""
        return PairScores(self.metrics, self.item[chosen], self.first[chosen], self.second[chosen], self.score[chosen])

    @property
    def answers(self) -> NDArray[np.int64]:
        """The answers that are in any pair, ascending."""
        return np.union1d(self.first, self.second)

    @property
    def n_items(self) -> int:
        """Items with a pair."""
        return len(np.unique(self.item))


def score_pairs(
    answers: Iterable[Sequence[Answer]], scores: Mapping[str, Callable[[Answer, Answer], float]]
) -> PairScores:
    """Compare every two answers to the same item.

    Parameters
    ----------
    answers : iterable of sequences
        The answers to each item, one a person.
    scores : mapping of str to callable
        The metric's name -> how alike two answers are, at most 1; nan where that cannot be said.
    """
    places, found = [], []
    start = 0
    for item, given in enumerate(answers):
        for i, j in combinations(range(len(given)), 2):
            places.append((item, start + i, start + j))
            found.append([score(given[i], given[j]) for score in scores.values()])
        start += len(given)
    place = np.array(places, np.int64).reshape(-1, 3)
    return PairScores(
        tuple(scores), place[:, 0], place[:, 1], place[:, 2], np.array(found, float).reshape(-1, len(scores))
    )


def agreement_of_pairs(
    answers: Iterable[Sequence[Answer]],
    scores: Mapping[str, Callable[[Answer, Answer], float]],
    methods: Mapping[str, str],
    *,
    rng: np.random.Generator,
    n_annotators: int | None = None,
    n_resamples: int = 1000,
) -> list[Figure]:
    """`figures_of_pairs` of what `score_pairs` finds; items with one answer count nowhere."""
    pairs = score_pairs(answers, scores)
    return figures_of_pairs(pairs, methods, rng=rng, n_annotators=n_annotators, n_resamples=n_resamples)


def figures_of_pairs(
    pairs: PairScores,
    methods: Mapping[str, str],
    *,
    rng: np.random.Generator,
    n_annotators: int | None = None,
    n_resamples: int = 1000,
) -> list[Figure]:
    """Each score's mean over pairs of answers to the same item, with a 95 % interval or a named refusal.

    Parameters
    ----------
    pairs : PairScores
    methods : mapping of str to str
        What each metric is, for people.
    rng : numpy.random.Generator
        Source of the bootstrap over items.
    n_annotators : int, optional
        How many people gave them, where it is known.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        One for each score, in their order. Refused where there is no pair, or where none can be scored. Each pair
        counts once. Where every pair is the same the lower end is what Clopper and Pearson's bound leaves, each item
        that may be otherwise counted as 0.

    Raises
    ------
    ValueError
        If there are too few resamples.
    """
    check_resamples(n_resamples)
    size: dict[str, Any] = {
        "n_items": pairs.n_items,
        "n_labels": len(pairs.answers),
        "n_annotators": n_annotators,
    }
    if len(pairs.item) == 0:
        return [Figure.refused(name, NO_PAIRS, **size) for name in pairs.metrics]
    item = np.unique(pairs.item, return_inverse=True)[1].ravel()
    is_told = ~np.isnan(pairs.score)
    # Of each item the sum of each score over its pairs, and over how many; items that are alike are drawn as one kind.
    sums: FloatArray = np.column_stack(
        [np.bincount(item, weights=column) for column in np.where(is_told, pairs.score, 0.0).T]
        + [np.bincount(item, weights=column) for column in is_told.T]
    )
    rows, n_items = np.unique(sums, axis=0, return_counts=True)
    above, below = np.split(rows, 2, axis=1)
    whole_above, whole_below = n_items @ above, n_items @ below

    def compute(weights: FloatArray) -> list[FloatArray]:
        drawn_above, drawn_below = weights @ above, weights @ below
        none = np.full(drawn_above.shape, np.nan)
        means: FloatArray = np.divide(drawn_above, drawn_below, out=none, where=drawn_below > 0)
        return list(means.T)

    is_same: NDArray[np.bool_] = np.all(above >= below, axis=0)
    intervals: list[Interval] = [None] * len(pairs.metrics)
    if not is_same.all():
        intervals = bootstrap_intervals(n_items.astype(np.int64), compute, n_resamples, rng)
    figures = []
    for at, name in enumerate(pairs.metrics):
        if whole_below[at] == 0:
            figures.append(Figure.refused(name, NO_TEXT if name == "token_f1" else NO_ORDER, **size))
            continue
        interval, how = intervals[at], f"percentile bootstrap over items, {n_resamples} resamples"
        if is_same[at]:
            interval, how = (1 - unseen_share(size["n_items"]), 1.0), "exact bound, no difference seen"
        method = f"{methods[name]}; mean over pairs; {how}"
        value = float(whole_above[at] / whole_below[at])
        figures.append(Figure(metric=name, value=value, interval=interval, method=method, **size))
    return figures


# --- Stretches -------------------------------------------------------------------------------------------------------

_Pieces = list[tuple[float, float]]


def _common(a: Stretch, b: Stretch) -> float:
    if (a.part, a.label) != (b.part, b.label):
        return 0.0
    return max(0.0, min(a.end, b.end) - max(a.start, b.start))


def _merge(stretches: Sequence[Stretch]) -> dict[tuple[Hashable, Hashable], _Pieces]:
    """What is covered, by part and label, in pieces that do not touch, ascending."""
    covered: defaultdict[tuple[Hashable, Hashable], _Pieces] = defaultdict(list)
    for one in sorted(stretches, key=lambda one: (one.start, one.end)):
        pieces = covered[one.part, one.label]
        if pieces and one.start <= pieces[-1][1]:
            pieces[-1] = (pieces[-1][0], max(pieces[-1][1], one.end))
        else:
            pieces.append((one.start, one.end))
    return dict(covered)


def _length(covered: Mapping[tuple[Hashable, Hashable], _Pieces]) -> float:
    return sum(end - start for pieces in covered.values() for start, end in pieces)


def _common_length(a: _Pieces, b: _Pieces) -> float:
    common, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        common += max(0.0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return common


# --- Boxes -----------------------------------------------------------------------------------------------------------


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes of the same part and label; 0 for others.

    Examples
    --------
    >>> box_iou(Box("p", "x", 0, 0, 2, 2), Box("p", "x", 1, 0, 2, 2))
    0.3333333333333333
    """
    if (a.part, a.label) != (b.part, b.label):
        return 0.0
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a.w * a.h + b.w * b.h - common)


def _pair_off(a: Sequence[Box], b: Sequence[Box]) -> list[float]:
    """The overlaps of the pairs, each box in one at most; the largest overlap first, ties by the boxes' order."""
    overlaps = [
        (-iou, i, j) for i, one in enumerate(a) for j, other in enumerate(b) if (iou := box_iou(one, other)) > 0
    ]
    left, right, paired = set(range(len(a))), set(range(len(b))), []
    for negative, i, j in sorted(overlaps):
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            paired.append(-negative)
    return paired


# --- Rankings --------------------------------------------------------------------------------------------------------


def _shared_places(a: Sequence[Collection[Hashable]], b: Sequence[Collection[Hashable]]) -> tuple[list[int], list[int]]:
    """The places of the choices that both have ranked, in one order of the choices."""
    left, right = ({choice: place for place, choices in enumerate(ranking) for choice in choices} for ranking in (a, b))
    shared = [choice for choice in left if choice in right]
    return [left[choice] for choice in shared], [right[choice] for choice in shared]


def _mean_ranks(places: Sequence[int]) -> FloatArray:
    found = np.asarray(places)
    level = (found[:, np.newaxis] == found).sum(axis=1) - 1
    ranks: FloatArray = (found[:, np.newaxis] > found).sum(axis=1) + level / 2
    return ranks


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
