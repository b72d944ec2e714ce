"""How far two values are apart: on the four levels of measurement, between sets of choices, or as given.

A distance is a matrix over the values of a question, 0 on the diagonal, and is what enters a sum of disagreement: for
the levels of measurement that is Krippendorff's squared difference. Weights are the reverse: 1 for two equal values.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Distance = Literal["nominal", "ordinal", "interval", "ratio"]
SetDistance = Literal["jaccard", "masi"]
Weights = Literal["identity", "linear", "quadratic"]

DISTANCES: tuple[Distance, ...] = ("nominal", "ordinal", "interval", "ratio")
WEIGHTS: tuple[Weights, ...] = ("identity", "linear", "quadratic")


def make_scale(n_values: int, values: ArrayLike | None) -> FloatArray:
    """The number that each code stands for; the codes themselves where `values` is None.

    Raises
    ------
    ValueError
        If there are not `n_values` finite numbers that differ from each other.
    """
    scale = np.arange(n_values, dtype=np.float64) if values is None else np.asarray(values, np.float64)
    if scale.shape != (n_values,) or not np.isfinite(scale).all():
        raise ValueError(f"values must be {n_values} finite numbers, one for each code")
    if len(np.unique(scale)) < n_values:
        raise ValueError("values must differ from each other")
    return scale


def mid_ranks(totals: FloatArray, scale: FloatArray) -> FloatArray:
    """The mean rank of each value among all labels, centred and scaled to within [-1/2, 1/2].

    Parameters
    ----------
    totals : ndarray, (n_resamples, n_values)
        Labels of each value; each row sums to more than 0.
    scale : ndarray, (n_values,)
        Tells the order of the values.

    Returns
    -------
    ndarray, (n_resamples, n_values)
        The ordinal difference between two values is the difference of theirs.
    """
    order = np.argsort(scale, kind="stable")
    ordered = totals[:, order]
    ranks = np.empty_like(totals)
    n = totals.sum(axis=1, keepdims=True)
    ranks[:, order] = (np.cumsum(ordered, axis=1) - ordered / 2) / n - 0.5
    return ranks


def ratio_distances(scale: FloatArray) -> FloatArray:
    """``((a - b) / (a + b)) ** 2`` between any two numbers from 0 up, 0 between 0 and 0; raises ValueError below 0."""
    if scale.min() < 0:
        raise ValueError("the ratio distance is for values from 0 up")
    total = scale[:, np.newaxis] + scale
    apart = scale[:, np.newaxis] - scale
    squared: FloatArray = np.square(np.divide(apart, total, out=np.zeros_like(total), where=total > 0))
    return squared


def set_distances(sets: ArrayLike, kind: SetDistance) -> FloatArray:
    """How far sets of choices are apart.

    Parameters
    ----------
    sets : array-like of bool, (n_sets, n_choices)
        What is in each set.
    kind : {"jaccard", "masi"}
        Jaccard: 1 less the share of what both hold in what either holds. MASI: the same share counts in full only
        between equal sets, by 2/3 where one holds the other, by 1/3 where they only overlap.

    Returns
    -------
    ndarray, (n_sets, n_sets)
        From 0 (the same set; two empty sets are the same) to 1 (nothing in common).

    References
    ----------
    Jaccard (1912), New Phytologist 11:37-50; Passonneau (2006), Measuring Agreement on Set-valued Items (MASI) for
    Semantic and Pragmatic Annotation, LREC, which puts the distance into alpha as it is, not squared.

    Examples
    --------
    >>> set_distances([[1, 1, 0, 0], [1, 1, 1, 1]], "masi").round(3).tolist()
    [[0.0, 0.667], [0.667, 0.0]]
    """
    ticked = np.asarray(sets, bool).astype(np.float64)
    size = ticked.sum(axis=1)
    shared = ticked @ ticked.T
    either = size[:, np.newaxis] + size - shared
    similar = np.divide(shared, either, out=np.ones_like(shared), where=either > 0)
    if kind == "jaccard":
        apart: FloatArray = 1 - similar
        return apart
    if kind != "masi":
        raise ValueError(f"no distance between sets is called {kind!r}; there are jaccard, masi")
    one_holds_other = shared == np.minimum(size[:, np.newaxis], size)
    share = np.where(shared == either, 1.0, np.where(one_holds_other, 2 / 3, 1 / 3))
    distances: FloatArray = 1 - similar * share
    return distances


def check_distances(given: ArrayLike, n_values: int) -> FloatArray:
    """A given matrix of distances, checked: square, symmetric, 0 on the diagonal and above 0 elsewhere.

    Raises
    ------
    ValueError
        If it is not.
    """
    matrix = np.asarray(given, np.float64)
    if matrix.shape != (n_values, n_values) or not np.isfinite(matrix).all():
        raise ValueError(f"a given distance must be a {n_values} x {n_values} matrix of finite numbers")
    is_other = ~np.eye(n_values, dtype=bool)
    if (matrix != matrix.T).any() or np.diagonal(matrix).any() or (matrix[is_other] <= 0).any():
        raise ValueError("a given distance must be symmetric, 0 on the diagonal and above 0 elsewhere")
    return matrix


def make_weights(kind: Weights, scale: FloatArray) -> FloatArray:
    """How far two values count as agreement, from 0 (the two ends of the scale) to 1 (equal).

    Parameters
    ----------
    kind : {"identity", "linear", "quadratic"}
        Equal or not; 1 less the distance over the length of the scale; 1 less its square.
    scale : ndarray, (n_values,)
        As `make_scale` gives it.

    Returns
    -------
    ndarray, (n_values, n_values)

    References
    ----------
    Cohen (1968), Psychological Bulletin 70:213-220, doi:10.1037/h0026256; Gwet (2014), Handbook of Inter-Rater
    Reliability, 4th edition, chapter 3.

    Examples
    --------
    >>> make_weights("quadratic", np.array([1.0, 2.0, 3.0])).tolist()
    [[1.0, 0.75, 0.0], [0.75, 1.0, 0.75], [0.0, 0.75, 1.0]]
    """
    if kind not in WEIGHTS:
        raise ValueError(f"no weights are called {kind!r}; there are {', '.join(WEIGHTS)}")
    if kind == "identity" or len(scale) == 1:
        return np.eye(len(scale))
    apart: FloatArray = np.abs(scale[:, np.newaxis] - scale) / np.ptp(scale)
    return 1 - (apart if kind == "linear" else np.square(apart))
