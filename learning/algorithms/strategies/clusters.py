"""The first labels of a pool: its largest clusters without one, and once there is a model, those it doubts most."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.basis import at_unit_length
from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray
from learning.algorithms.strategies.dense import N_DIMENSIONS, vectors_of
from learning.algorithms.strategies.distances import one_thread
from learning.algorithms.strategies.kmeans import cluster, nearest_of_each

# Candidates that are clustered: a random sample, where there are more. And clusters of them.
MAX_COMPARED, MAX_CLUSTERS = 4_000, 500
# Few clusters are sought again and again from other starts: it costs little, and they come out better.
_STARTS, _FEW, _MAX_ITERATIONS = 4, 100, 50


def select_uncovered(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    """Candidates and labelled items are put into as many clusters as there will be labels; those without one are asked.

    Parameters
    ----------
    utilities : ndarray of float64, (n_candidates,)
        From 0; how much an item counts, in the clustering and in the weight of its cluster. All alike before there is
        a model.
    n : int
    candidates : Candidates
        With features, and those of what is labelled where anything is.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, (n,)
        The item nearest to the middle of each of the n heaviest clusters in which nothing is labelled, heaviest first.
        Where there are fewer such clusters (there are 500 in all at most), the highest utilities fill up.

    References
    ----------
    Hacohen, Dekel and Weinshall (2022), Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets,
    ICML, arXiv:2202.02794 (TypiClust), with weights.
    """
    compared = rng.permutation(candidates.n)[:MAX_COMPARED]
    chosen = compared[:0]
    if n and len(compared) > n:
        with one_thread():
            vectors, labelled = vectors_of(candidates, compared, rng, with_labelled=True)
            vectors, labelled = _narrow(vectors, labelled, rng)
            if vectors.shape[1]:  # items of which no feature is known are all alike
                chosen = compared[_middles(vectors, labelled, utilities[compared], n, rng)]
    is_left = np.ones(candidates.n, bool)
    is_left[chosen] = False
    left = np.flatnonzero(is_left)
    return np.concatenate([chosen, left[highest(utilities[left], n - len(chosen), rng)]])


def _middles(
    vectors: NDArray[Any], labelled: NDArray[Any], weights: FloatArray, n: int, rng: np.random.Generator
) -> IndexArray:
    """Rows of `vectors` nearest to the middles of the heaviest clusters without a labelled item, at most n of them."""
    weights = weights + 1e-6  # 0 for all would leave nothing to cluster by
    # A dim image is like a bright one.
    rows = at_unit_length(np.concatenate([labelled, vectors]))
    counted = np.concatenate([np.full(len(labelled), weights.mean()), weights])
    n_clusters = min(len(labelled) + n, MAX_CLUSTERS)
    n_starts = _STARTS if n_clusters <= _FEW else 1
    found, far = cluster(rows, counted, n_clusters, rng, n_starts=n_starts, max_iterations=_MAX_ITERATIONS)
    covered, own = found[: len(labelled)], found[len(labelled) :]
    heavy = np.bincount(own, weights=weights, minlength=n_clusters)
    heavy[covered] = 0
    middles = nearest_of_each(own, far[len(labelled) :])
    ranked = middles[np.argsort(-heavy[own[middles]], kind="stable")]
    return ranked[heavy[own[ranked]] > 0][:n]


def _narrow(
    vectors: NDArray[Any], labelled: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both on the 128 directions that matter most, where there are more columns."""
    if vectors.shape[1] <= N_DIMENSIONS:
        return vectors, labelled
    from sklearn.utils.extmath import randomized_svd

    width, seed = min(N_DIMENSIONS, len(vectors) - 1), int(rng.integers(2**31))
    _left, _values, along = randomized_svd(vectors, width, n_iter=2, random_state=seed, flip_sign=False)
    return vectors @ along.T, labelled @ along.T
