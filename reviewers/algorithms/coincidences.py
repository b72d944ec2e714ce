"""Which values meet on the same items, and each value against all others: what a table of label by label shows.

All from the count vectors of `reviewers.algorithms.labels`, so that a million items cost what their few dozen vectors
cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.labels import CountVectors


def coincidence_matrix(vectors: CountVectors) -> NDArray[np.float64]:
    """How often two values meet in a pair of labels of one item, each label counted once whatever the overlap.

    Parameters
    ----------
    vectors : CountVectors

    Returns
    -------
    ndarray of float, (n_values, n_values)
        Symmetric; sums to the labels on items with two or more. All on the diagonal where everybody agrees; all 0
        where no item has two labels.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section C, https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    >>> coincidence_matrix(CountVectors.from_counts([[2, 1], [0, 2]])).tolist()
    [[1.0, 1.0], [1.0, 2.0]]
    """
    counts = vectors.counts.astype(np.float64)
    share = vectors.n_items / np.maximum(counts.sum(axis=1) - 1, 1)
    matrix: NDArray[np.float64] = (counts * share[:, np.newaxis]).T @ counts
    matrix[np.diag_indices(len(matrix))] -= share @ counts
    return matrix


def items_with_both(vectors: CountVectors) -> NDArray[np.int64]:
    """On how many items two values were both given; on the diagonal, on how many one was given at least twice.

    Parameters
    ----------
    vectors : CountVectors

    Returns
    -------
    ndarray of int64, (n_values, n_values)
        Symmetric. An item with three different labels is in three cells on each side of the diagonal.

    Examples
    --------
    >>> items_with_both(CountVectors.from_counts([[2, 1], [0, 2]], [5, 3])).tolist()
    [[5, 5], [5, 3]]
    """
    is_given = (vectors.counts > 0).astype(np.float64)
    matrix = np.rint((is_given * vectors.n_items[:, np.newaxis]).T @ is_given).astype(np.int64)
    matrix[np.diag_indices(len(matrix))] = vectors.n_items @ (vectors.counts > 1)
    return matrix


def one_against_rest(vectors: CountVectors, is_one: ArrayLike) -> CountVectors:
    """The same labels with two values: those that `is_one` names, and all others.

    Parameters
    ----------
    vectors : CountVectors
    is_one : array-like of bool, (n_values,)
        One value of a choice; of sets of choices, the sets that hold one choice.

    Returns
    -------
    CountVectors
        Two values: 0 for the rest, 1 for the one.

    Examples
    --------
    >>> both = one_against_rest(CountVectors.from_counts([[1, 1, 0], [0, 1, 1]]), [False, False, True])
    >>> both.counts.tolist(), both.n_items.tolist()
    ([[1, 1], [2, 0]], [1, 1])
    """
    sides = np.column_stack((~np.asarray(is_one, bool), np.asarray(is_one, bool))).astype(np.int64)
    counts = vectors.counts @ sides
    distinct, inverse = np.unique(counts, axis=0, return_inverse=True)
    n_items = np.zeros(len(distinct), np.int64)
    np.add.at(n_items, inverse.ravel(), vectors.n_items)
    return CountVectors(distinct, n_items, vectors.singles @ sides, vectors.n_annotators)
