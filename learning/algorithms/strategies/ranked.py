"""`ranked`: modAL's ranked batch, uncertain and unlike what is known, with distances kept instead of made anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray, Strategy
from learning.algorithms.strategies.dense import vectors_of
from learning.algorithms.strategies.distances import NearestDistances, one_thread
from learning.algorithms.strategies.uncertainty import least_confident

# Candidates that are compared with each other: those of highest utility, where there are more.
MAX_COMPARED = 10_000


def ranked_batch(X: NDArray[Any], labelled: NDArray[Any], utilities: FloatArray, n: int) -> IndexArray:
    """Pick items one by one, each time the best balance of uncertain and unlike all that is labelled or picked.

    Parameters
    ----------
    X : ndarray of float, (n_candidates, n_columns)
    labelled : ndarray of float, (n_labelled, n_columns)
    utilities : ndarray of float64, (n_candidates,)
        0 to 1.
    n : int
        At most n_candidates.

    Returns
    -------
    ndarray of int64, (n,)
        In the order of picking. Score: ``a (1 - s) + (1 - a) u`` with s = 1 / (1 + distance to the nearest) and
        a = n_unlabelled / (n_unlabelled + n_labelled), both moving with each pick; of equal scores the first. Where
        nothing is labelled the item comes first whose mean distance to all others is least.

    References
    ----------
    Cardoso et al. (2017), Ranked batch-mode active learning, Information Sciences 379. The same picks as
    `modAL.batch.ranked_batch`, which computes all distances again for each pick.

    Examples
    --------
    >>> X = np.array([[0.0], [0.1], [5.0], [9.0]])
    >>> ranked_batch(X, np.array([[0.0]]), np.array([0.5, 0.5, 0.4, 0.3]), n=2).tolist()
    [3, 2]
    """
    picked: list[int] = []
    if n == 0:
        return np.zeros(0, np.int64)
    with one_thread():
        nearest = NearestDistances(X, labelled)
        is_open = np.ones(len(X), bool)
        if not len(labelled):
            picked.append(_most_central(X))
        while True:
            if picked:
                nearest.add(picked[-1])
                is_open[picked[-1]] = False
            if len(picked) == n:
                return np.array(picked, np.int64)
            n_known, n_open = len(labelled) + len(picked), len(X) - len(picked)
            if not len(labelled):  # the first pick was not taken from the pool
                n_open += 1
            share = n_open / (n_open + n_known)
            scores = share * (1 - 1 / (1 + nearest.distances())) + (1 - share) * utilities
            scores[~is_open] = -np.inf
            picked.append(int(scores.argmax()))


def _most_central(X: NDArray[Any]) -> int:
    lengths = np.einsum("ij,ij->i", X, X)
    means = [np.sqrt(np.maximum(lengths + lengths[row] - 2 * (X @ X[row]), 0)).mean() for row in range(len(X))]
    return int(np.argmin(means))


def _least_confidents(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return least_confident(candidates.need_proba())


def _select(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    # In random order, so that chance decides between equal scores.
    compared = rng.permutation(highest(utilities, min(len(utilities), max(n, MAX_COMPARED)), rng))
    if n == 0:
        return compared[:0]
    with one_thread():
        X, labelled = vectors_of(candidates, compared, rng, with_labelled=True)
    return compared[ranked_batch(X, labelled, utilities[compared], n)]


RANKED = Strategy("ranked", _least_confidents, _select, needs_features=True)
