"""`rare`: half of the likeliest of a rare class, half of the closest margins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray, Strategy
from learning.algorithms.strategies.uncertainty import margin

# A class under this share of the labels is rare, once there are labels enough for that to be less than two of them.
RARE_SHARE, RARE_FROM = 0.05, 40


def find_rare(y: ArrayLike, n_classes: int) -> int | None:
    """The rarest class, where it is under 5 % of at least 40 labels; None where none is, or none has occurred.

    A class of which there is no label yet is not rare: nothing is known of it that could be looked for.

    Examples
    --------
    >>> find_rare([0] * 60 + [1], n_classes=3)
    1
    >>> find_rare([0, 1], n_classes=2) is None
    True
    """
    counts = np.bincount(np.asarray(y, np.int64), minlength=n_classes)
    if counts.sum() < RARE_FROM:
        return None
    code = int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    return code if counts[code] < RARE_SHARE * counts.sum() else None


def least_common(y: ArrayLike, n_classes: int) -> int:
    """The class with the fewest labels among those that occur; the last one where none does."""
    counts = np.bincount(np.asarray(y, np.int64), minlength=n_classes)
    return int(np.where(counts > 0, counts, counts.max() + 1).argmin()) if counts.any() else n_classes - 1


def alternate(first: IndexArray, second: IndexArray, n: int) -> IndexArray:
    """n different positions, from the one list and the other in turn, each list's own order kept.

    Examples
    --------
    >>> alternate(np.array([1, 2, 3]), np.array([2, 5, 6]), 4).tolist()
    [1, 2, 5, 3]
    """
    merged = np.empty(len(first) + len(second), np.int64)
    n_both = min(len(first), len(second))
    merged[: 2 * n_both : 2], merged[1 : 2 * n_both : 2] = first[:n_both], second[:n_both]
    merged[2 * n_both :] = np.concatenate([first[n_both:], second[n_both:]])
    _values, places = np.unique(merged, return_index=True)
    return merged[np.sort(places)[:n]]


def _margins(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return margin(candidates.need_proba())


def _select(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    proba = candidates.need_proba()
    likely = np.asarray(proba[:, least_common(candidates.y, proba.shape[1])], np.float64)
    return alternate(highest(likely, n, rng), highest(utilities, n, rng), n)


RARE = Strategy("rare", _margins, _select)
