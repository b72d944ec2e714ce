"""`coreset`: items that leave none far from a labelled one, whatever a model thinks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray, Strategy
from learning.algorithms.strategies.dense import vectors_of
from learning.algorithms.strategies.distances import NearestDistances, one_thread

# Candidates that are compared with each other: a random sample, where there are more.
MAX_COMPARED = 10_000


def greedy_centres(X: NDArray[Any], centres: NDArray[Any], n: int) -> IndexArray:
    """Pick items one by one, each the farthest from all centres and earlier picks.

    Parameters
    ----------
    X : ndarray of float, (n_candidates, n_columns)
    centres : ndarray of float, (n_centres, n_columns)
        What is covered already; with none the first item is the first pick.
    n : int
        At most n_candidates.

    Returns
    -------
    ndarray of int64, (n,)
        In the order of picking; of equally far ones the first. The greatest distance that is left is at most twice the
        least possible one.

    References
    ----------
    Gonzalez (1985), Clustering to minimize the maximum intercluster distance. Sener and Savarese (2018), Active
    Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR, arXiv:1708.00489.

    Examples
    --------
    >>> greedy_centres(np.array([[1.0], [2.0], [9.0], [5.0]]), np.array([[0.0]]), n=2).tolist()
    [2, 3]
    """
    picked = np.zeros(n, np.int64)
    with one_thread():
        nearest = NearestDistances(X, centres)
        for number in range(n):
            squared = nearest.squared.copy()
            squared[picked[:number]] = -np.inf
            picked[number] = squared.argmax()
            nearest.add(int(picked[number]))
    return picked


def _no_preference(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return np.zeros(candidates.n)


def _select(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    compared = rng.permutation(candidates.n)[: max(n, MAX_COMPARED)]
    if n == 0:
        return compared[:0]
    with one_thread():
        X, labelled = vectors_of(candidates, compared, rng, with_labelled=True)
    return compared[greedy_centres(X, labelled, n)]


CORESET = Strategy("coreset", _no_preference, _select, needs_features=True)
