"""The first labels of a pool: items that stand for as many others as possible, and for those the model doubts most."""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.basis import at_unit_length
from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray
from learning.algorithms.strategies.dense import narrow, vectors_of
from learning.algorithms.strategies.distances import NearestDistances, one_thread
from learning.algorithms.strategies.uncertainty import margin

# Candidates that are compared, each with each: a random sample, where there are more.
MAX_COMPARED = 4_000
# How much of items' distance is that between what a model says of them, beside that of two contents chosen by chance.
# Of 0.08 to 0.3 nothing was better on digits; without any it took a tenth more labels.
SAID_SHARE = 0.25
# What a model of few labels says of an image is averaged this many times over the image and those nearest to it. One to
# five times and 5 to 15 images were as good on digits. Vectors of other kinds lost by it.
SMOOTHINGS, NEIGHBOURS = 3, 8
# Mean gain of an item, as a squared distance from 0 to 4, that is rounding.
_NOTHING = 1e-6


def select_covering(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    """Greedily the items that bring the others nearest to something labelled.

    Parameters
    ----------
    utilities : ndarray of float64, (n_candidates,)
        From 0; how much it counts that an item has a label near it. All alike before there is a model.
    n : int
    candidates : Candidates
        With features, and those of what is labelled where anything is.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64, (n,)
        Each lessens most the sum, over the items and by their utilities, of the squared distance to the nearest label
        or pick; rows have length 1. Where there is a model, an item is the farther from another, and from a label, the
        less alike what it says of them (Hellinger distance): a near label of another class covers less. Of images the
        root of how close the margin is in their neighbourhood counts in the utilities' place. Where nothing lessens the
        sum any more, the highest utilities fill up.

    References
    ----------
    Wei, Iyer and Bilmes (2015), Submodularity in Data Subset Selection and Active Learning, ICML (facility location,
    weighed by doubt). Zhu and Ghahramani (2002), Learning from Labeled and Unlabeled Data with Label Propagation.
    Minoux (1978), Accelerated greedy algorithms for maximizing submodular set functions.
    """
    compared = rng.permutation(candidates.n)[:MAX_COMPARED]
    chosen = compared[:0]
    if n and len(compared) > n:
        with one_thread():
            vectors, labelled = narrow(*vectors_of(candidates, compared, rng, with_labelled=True), rng)
            # At length 1 a dim image is like a bright one.
            vectors, labelled = at_unit_length(vectors), at_unit_length(labelled)
            weights = utilities[compared]
            if candidates.proba is not None:
                said = np.asarray(candidates.proba[compared], np.float64)
                people = np.eye(said.shape[1])[candidates.y[: len(labelled)]]
                vectors, labelled = _add_said(vectors, labelled, said, people)
                if candidates.has_pixels_only:
                    weights = np.sqrt(margin(_smooth(vectors, labelled, said, people)))
            chosen = compared[_cover(vectors, labelled, weights, n)]
    is_left = np.ones(candidates.n, bool)
    is_left[chosen] = False
    left = np.flatnonzero(is_left)
    return np.concatenate([chosen, left[highest(utilities[left], n - len(chosen), rng)]])


def _smooth(vectors: NDArray[Any], labelled: NDArray[Any], said: FloatArray, people: FloatArray) -> FloatArray:
    """What a model says, as `said`, averaged over near items and labels: of those, what people said."""
    from sklearn.neighbors import NearestNeighbors

    known = np.vstack([vectors, labelled])
    search = NearestNeighbors(n_neighbors=min(1 + NEIGHBOURS, len(known)), algorithm="brute").fit(known)
    near = search.kneighbors(vectors, return_distance=False)  # the item itself too
    every = np.vstack([said, people])
    for _ in range(SMOOTHINGS):
        every[: len(said)] = every[near].mean(axis=1)
    return every[: len(said)]


def _add_said(
    vectors: NDArray[Any], labelled: NDArray[Any], said: FloatArray, people: FloatArray
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both with columns for what a model says of them, and what people said: roots of probabilities.

    Their squared distances are 2 where nothing is common to two rows of probabilities, 0 where they are equal.
    """
    apart = 2 * ((vectors**2).sum(axis=1).mean() - (vectors.mean(axis=0) ** 2).sum())  # squared, of two in the mean
    scale = np.sqrt(SAID_SHARE * max(apart, 0) / 2)
    return np.hstack([vectors, scale * np.sqrt(said)]), np.hstack([labelled, scale * people])


def _cover(vectors: NDArray[Any], labelled: NDArray[Any], weights: FloatArray, n: int) -> IndexArray:
    """Rows of `vectors` in the order in which they are picked, at most n; the first of equals."""
    weights = weights + 1e-6  # 0 for all would leave nothing to choose by
    lengths = (vectors**2).sum(axis=1)
    apart = np.maximum(lengths[:, np.newaxis] + lengths - 2 * (vectors @ vectors.T), 0)  # squared distances
    far = np.minimum(NearestDistances(vectors, labelled).squared, apart.max(initial=0))

    def gain(row: int) -> float:
        return float(weights @ np.maximum(far - apart[row], 0))

    # Gains only fall with each pick, so that a row whose gain of now is above the others' of before is the best of all.
    heap = [(-gain(row), row) for row in range(len(vectors))]
    heapify(heap)
    least = _NOTHING * weights.sum()
    picks: list[int] = []
    while heap and len(picks) < n:
        best = heap[0][1]
        now = (-gain(best), best)
        heapreplace(heap, now)
        if heap[0] != now:
            continue
        if -now[0] <= least:
            break
        heappop(heap)
        picks.append(best)
        far = np.minimum(far, apart[best])
    return np.array(picks, np.int64)
