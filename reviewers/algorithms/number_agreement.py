"""How far annotators agree on numbers: alike within a tolerance, and Krippendorff's alpha at the interval level.

Numbers may all differ from each other, so that nothing is counted value by value as in `agreement.py`. Each item comes
down to four figures (how many labels, their mean, their spread, the share of pairs alike), and both statistics, and
each bootstrap resample of them, to weighted sums of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.agreement import NO_PAIRS, ONE_CLASS
from reviewers.algorithms.bootstrap import Interval, bootstrap_intervals, check_resamples, unseen_share
from reviewers.algorithms.figures import Figure

METRICS = ("raw_agreement", "alpha_interval")
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the items with two labels or more come to, items alike in all of it taken together.

    (n_rows,) each: `size` labels with their `mean` (from a common origin), the sum of their squared distances from it
    (`spread`), and the share of pairs `alike`; `n_items` is how many items are so.
    """

    size: FloatArray
    mean: FloatArray
    spread: FloatArray
    alike: FloatArray
    n_items: NDArray[np.int64]

    @property
    def observed(self) -> FloatArray:
        """An item's part of the observed disagreement; exactly 0 where its numbers are one."""
        return 2 * self.size * self.spread / (self.size - 1)


def interval_alpha(item: ArrayLike, number: ArrayLike) -> float:
    """Krippendorff's alpha with the interval distance.

    Parameters
    ----------
    item : array-like of int, (n_labels,)
    number : array-like of float, (n_labels,)
        Finite.

    Returns
    -------
    float
        At most 1: 1 perfect, 0 chance, below 0 systematic disagreement; nan where no item has two labels or all
        numbers are the same (0/0).

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    The 12 units and 4 observers of the paper, sections C and D:

    >>> observers = [[1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    ...              [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0]]
    >>> _, item = np.indices((4, 12)).reshape(2, -1)
    >>> is_label = np.ravel(observers) > 0
    >>> round(interval_alpha(item[is_label], np.ravel(observers)[is_label]), 3)
    0.849
    """
    sums, _n_annotators, _numbers = _sum_up(item, np.zeros_like(item), number, 0.0)
    if len(sums.size) == 0:
        return float("nan")
    return float(_alphas(sums, sums.n_items[np.newaxis].astype(np.float64))[0])


def agreement_of_numbers(
    item: ArrayLike,
    annotator: ArrayLike,
    number: ArrayLike,
    *,
    rng: np.random.Generator,
    tolerance: float = 0.0,
    n_resamples: int = 1000,
) -> list[Figure]:
    """Raw agreement and the interval alpha, with 95 % intervals or named refusals.

    Parameters
    ----------
    item, annotator : array-like of int, (n_labels,)
        Any ids; at most one label per annotator and item.
    number : array-like of float, (n_labels,)
        Finite.
    rng : numpy.random.Generator
        Source of the bootstrap; the same seed and labels give the same intervals, in any row order.
    tolerance : float
        Two numbers no further apart are alike, for raw agreement; alpha weighs every distance.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``raw_agreement`` and ``alpha_interval``. Without an item with two labels both are refused; where all numbers
        are the same alpha is, and raw agreement (then 1) is shown.

    Raises
    ------
    ValueError
        If the arrays differ in length, a number is not finite, the tolerance is negative or the resamples too few.

    Notes
    -----
    Items are resampled, as in `agreement.agreement_of`; where nobody disagreed the lower end is what Clopper and
    Pearson's bound leaves, each item that may be split counted as far apart as two of the numbers are. Time grows with
    items that differ: about 1000 draws for each.
    """
    check_resamples(n_resamples)
    if tolerance < 0:
        raise ValueError(f"tolerance {tolerance}: must be 0 or more")
    sums, n_annotators, numbers = _sum_up(item, annotator, number, tolerance)
    n_items = int(sums.n_items.sum())
    size: dict[str, Any] = {
        "n_items": n_items,
        "n_labels": int(sums.n_items @ sums.size),
        "n_annotators": n_annotators,
    }
    if n_items == 0:
        return [Figure.refused(metric, NO_PAIRS, **size) for metric in METRICS]
    all_items = sums.n_items[np.newaxis].astype(np.float64)
    raw = float(sums.alike @ sums.n_items / n_items)
    mean_interval, alpha_interval = bootstrap_intervals(
        sums.n_items,
        lambda weights: (weights @ sums.alike / n_items, _alphas(sums, weights)),
        n_resamples,
        rng,
    )
    bootstrapped = f"percentile bootstrap over items, {n_resamples} resamples"
    bound = "exact bound, no disagreement seen"
    unseen = unseen_share(n_items)

    def figure_for(metric: str, value: float, interval: Interval, method: str) -> Figure:
        return Figure(metric=metric, value=value, interval=interval, method=method, **size)

    raw_interval: Interval
    if bool((sums.alike == 1).all()):
        raw_interval, how = (1 - unseen, 1.0), bound
    else:
        raw_interval, how = mean_interval, bootstrapped
    alike = (
        f"mean over items of pairs no more than {tolerance:g} apart" if tolerance else "mean over items of pairs alike"
    )
    figures = [figure_for("raw_agreement", raw, raw_interval, f"{alike}; {how}")]

    if numbers.min() == numbers.max():
        return [*figures, Figure.refused("alpha_interval", ONE_CLASS, **size)]
    if not sums.observed.any():
        chance = float(_expected(sums, all_items)[0]) / size["n_labels"]  # mean squared distance of two labels
        alpha, how = 1.0, bound
        interval: Interval = (float(1 - unseen * (numbers.max() - numbers.min()) ** 2 / chance), 1.0)
    else:
        alpha, how = float(_alphas(sums, all_items)[0]), bootstrapped
        interval = alpha_interval
    return [*figures, figure_for("alpha_interval", alpha, interval, f"Krippendorff's alpha, interval; {how}")]


def _sum_up(
    item: ArrayLike, annotator: ArrayLike, number: ArrayLike, tolerance: float
) -> tuple[_Sums, int, FloatArray]:
    """The sums, how many annotators have a label on the items that count, and those items' numbers."""
    items, people = np.asarray(item, np.int64), np.asarray(annotator, np.int64)
    numbers = np.asarray(number, np.float64)
    if not items.shape == numbers.shape == people.shape or items.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError("item, annotator and number must have one entry per label, and numbers be finite")
    _, codes, n_labels = np.unique(items, return_inverse=True, return_counts=True)
    is_used = n_labels[codes] >= 2
    n_annotators = len(np.unique(people[is_used]))
    order = np.lexsort((numbers[is_used], codes[is_used]))
    numbers = numbers[is_used][order]
    _, codes, n_labels = np.unique(codes[is_used][order], return_inverse=True, return_counts=True)
    if len(codes) == 0:
        nothing = np.zeros(0)
        return _Sums(nothing, nothing, nothing, nothing, np.zeros(0, np.int64)), n_annotators, numbers
    n_alike = np.zeros(len(n_labels))
    # Within an item the numbers ascend, so that the pairs are those one place apart, two places apart, and so on.
    for lag in range(1, int(n_labels.max())):
        above, below = numbers[lag:], numbers[:-lag]
        is_near = above - below <= tolerance + (2 * np.spacing(np.maximum(abs(above), abs(below))) if tolerance else 0)
        np.add.at(n_alike, codes[lag:][is_near & (codes[lag:] == codes[:-lag])], 1)
    size = n_labels.astype(np.float64)
    # From the item's least number: so the spread is exactly 0 where all its numbers are one.
    least = numbers[np.concatenate(([0], np.cumsum(n_labels)[:-1]))]
    above_least = numbers - least[codes]
    shift = np.bincount(codes, above_least) / size
    spread = np.bincount(codes, (above_least - shift[codes]) ** 2)
    # And from a number that occurs: so the means are exactly 0 where it is the only one.
    middle = numbers[np.argsort(numbers)[len(numbers) // 2]]
    rows = np.column_stack((size, least - middle + shift, spread, n_alike / (size * (size - 1) / 2)))
    distinct, n_items = np.unique(rows, axis=0, return_counts=True)
    size, mean, spread, alike = np.ascontiguousarray(distinct.T)
    return _Sums(size, mean, spread, alike, n_items.astype(np.int64)), n_annotators, numbers


def _expected(sums: _Sums, weights: FloatArray) -> FloatArray:
    """Expected disagreement for each row of weights, (n_resamples, n_rows) -> (n_resamples,)."""
    n = weights @ sums.size
    total = weights @ (sums.size * sums.mean)
    squares = weights @ (sums.spread + sums.size * sums.mean**2)
    expected: FloatArray = 2 * (n * squares - total**2) / (n - 1)
    return expected


def _alphas(sums: _Sums, weights: FloatArray) -> FloatArray:
    """Alpha for each row of weights; nan where one number has all."""
    observed, expected = weights @ sums.observed, _expected(sums, weights)
    # What is left of one number is rounding.
    is_defined = expected > 1e-12 * _expected(sums, sums.n_items[np.newaxis].astype(np.float64))
    alphas = np.full(len(weights), np.nan)
    alphas[is_defined] = 1 - observed[is_defined] / expected[is_defined]
    return alphas
