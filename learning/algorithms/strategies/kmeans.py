"""`kmeans`: the closest margins, spread out. The best of those measured on labelled files, and quick."""

from __future__ import annotations

import warnings

import numpy as np

from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray, Strategy
from learning.algorithms.strategies.dense import vectors_of
from learning.algorithms.strategies.distances import one_thread
from learning.algorithms.strategies.uncertainty import margin

# So many times the batch by margin, then one item from each cluster of those.
PREFILTER = 10
_MAX_ITERATIONS = 20


def _margins(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return margin(candidates.need_proba())


def select_spread(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    """One of each of n clusters among the 10 n highest utilities.

    Parameters
    ----------
    utilities : ndarray of float64, (n_candidates,)
        From 0; weights in the clustering, so that clusters are small where much is to be learned.
    n : int
    candidates : Candidates
        With features.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, (n,)
        The item nearest to the middle of each cluster, highest utility first. Where there are fewer different items
        than clusters, the highest utilities fill up.

    References
    ----------
    Zhdanov (2019), Diverse mini-batch Active Learning, arXiv:1901.05954.
    """
    top = highest(utilities, min(len(utilities), PREFILTER * n), rng)
    if len(top) <= n or n < 2:
        return np.asarray(top[:n])
    with one_thread():
        vectors, _none = vectors_of(candidates, top, rng)
        if not vectors.shape[1]:  # items of which no feature is known are all alike
            return np.asarray(top[:n])
        chosen = nearest_to_centres(vectors, utilities[top], n, rng)
    rest = np.setdiff1d(np.arange(len(top)), chosen)[: n - len(chosen)]
    return np.asarray(top[np.sort(np.concatenate([chosen, rest]))], np.int64)


def nearest_to_centres(
    vectors: FloatArray, weights: FloatArray, n_clusters: int, rng: np.random.Generator
) -> IndexArray:
    """Rows nearest to the centres of a weighted k-means, one of each cluster that is not empty; the first of equals."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    # A weight of 0 for all would leave nothing to cluster by.
    weights = weights - min(0.0, weights.min()) + 1e-6
    n_different = len(np.unique(vectors, axis=0))
    seed = int(rng.integers(2**31))
    model = KMeans(min(n_clusters, n_different), n_init=1, max_iter=_MAX_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows that differ by rounding only
        distances = model.fit(vectors, sample_weight=weights).transform(vectors)
    cluster = model.labels_
    order = np.lexsort((distances[np.arange(len(vectors)), cluster], cluster))
    is_first = np.r_[True, cluster[order][1:] != cluster[order][:-1]]
    return np.asarray(order[is_first], np.int64)


KMEANS = Strategy("kmeans", _margins, select_spread, needs_features=True)
