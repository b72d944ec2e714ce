"""Percentile intervals by resampling items, without a loop over items or resamples.

How often each kind of item (a count vector, a cell of a table) is drawn when n items are drawn with replacement is one
multinomial number, so a resample is a row of weights over the few distinct kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.intervals import clopper_pearson

FloatArray = NDArray[np.float64]
Interval = tuple[float, float] | None

FEWEST_RESAMPLES = 1000

# Bounds the working memory to about 32 MB per array.
_CELLS_AT_ONCE = 4_000_000


def bootstrap_intervals(
    n_items: NDArray[np.int64],
    compute: Callable[[FloatArray], Sequence[FloatArray]],
    n_resamples: int,
    rng: np.random.Generator,
) -> list[Interval]:
    """The middle 95 % of each statistic over resamples of the items.

    Parameters
    ----------
    n_items : ndarray of int64, (n_kinds,)
        Items of each kind; at least one item in all.
    compute : callable
        Takes weights, (some, n_kinds), and returns for each statistic its values, (some,); nan where undefined. It is
        called with a part of the resamples at a time.
    n_resamples : int
        At least `FEWEST_RESAMPLES`.
    rng : numpy.random.Generator

    Returns
    -------
    list of (float, float) or None
        One for each statistic. Resamples in which it is undefined are left out; None where most are.

    Raises
    ------
    ValueError
        If there are too few resamples.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile intervals).
    """
    check_resamples(n_resamples)
    n = int(n_items.sum())
    share = n_items / n
    parts: list[Sequence[FloatArray]] = []
    step = max(1, _CELLS_AT_ONCE // len(share))
    for start in range(0, n_resamples, step):
        weights = rng.multinomial(n, share, size=min(step, n_resamples - start)).astype(np.float64)
        parts.append(compute(weights))
    return [_middle(np.concatenate(samples)) for samples in zip(*parts, strict=True)]


def check_resamples(n_resamples: int) -> None:
    """Raise ValueError where there are too few resamples for an interval."""
    if n_resamples < FEWEST_RESAMPLES:
        raise ValueError(f"{n_resamples} resamples are too few for an interval: at least {FEWEST_RESAMPLES}")


def unseen_share(n_items: int) -> float:
    """The largest share of items that may be split although none of `n_items` was, at 97.5 %.

    Where nobody disagreed every resample is perfect and says nothing; Clopper and Pearson's bound does:
    ``1 - (0.05/2) ** (1/n)``.
    """
    return 1 - clopper_pearson(n_items, n_items)[0]


def _middle(samples: FloatArray) -> Interval:
    """Ends of the middle 95 % of resampled values; None where most resamples have no value at all."""
    defined = samples[~np.isnan(samples)]
    if len(defined) < len(samples) / 2:
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)
