"""`adaptive`, the one to use without choosing: it starts from words, likeness or chance and goes on by its labels.

1. No model yet: the texts most like the policy's words where there are any, else by chance.
2. Images and embeddings, until 100 labels: the items that stand for most others, weighed by how close the margins are;
   of images alone, by how close they are in the neighbourhood.
   Texts too were tried so: it was no better than chance at the start and margins after it.
3. A model: the closest margins, spread out (`kmeans`).
4. A class that is under 5 % of the labels: half of the batch are the likeliest of it, by 2 and by 3.

The share drawn by chance comes on top, from the round's settings, as for every strategy.
"""

from __future__ import annotations

import numpy as np

from learning.algorithms.strategies.batches import highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray, Strategy
from learning.algorithms.strategies.coverage import select_covering
from learning.algorithms.strategies.kmeans import select_spread
from learning.algorithms.strategies.rare import alternate, find_rare
from learning.algorithms.strategies.uncertainty import margin

# Labels chosen by the policy's words before the model takes over.
KEYWORD_LABELS = 80
# Labels up to which the pool is covered; more made no difference.
COVERAGE_LABELS = 100


def _is_early(candidates: Candidates) -> bool:
    n_labels = len(candidates.y)
    is_known = candidates.proba is None or n_labels > 0
    return candidates.is_dense and candidates.similarity is None and is_known and n_labels < COVERAGE_LABELS


def _is_cold(candidates: Candidates) -> bool:
    by_words = candidates.similarity is not None and len(candidates.y) < KEYWORD_LABELS
    return candidates.proba is None or by_words


def _utilities(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    if not _is_cold(candidates):
        return margin(candidates.need_proba())
    if candidates.similarity is not None:
        return np.asarray(candidates.similarity, np.float64)
    return np.ones(candidates.n) if _is_early(candidates) else rng.random(candidates.n)


def _select(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    is_early = _is_early(candidates)
    if _is_cold(candidates) and not is_early:
        return highest(utilities, n, rng)
    doubted = (select_covering if is_early else select_spread)(utilities, n, candidates, rng)
    rare = None if candidates.proba is None else find_rare(candidates.y, candidates.proba.shape[1])
    if rare is None:
        return doubted
    likely = highest(np.asarray(candidates.need_proba()[:, rare], np.float64), n, rng)
    return alternate(likely, doubted, n)


ADAPTIVE = Strategy("adaptive", _utilities, _select, needs_features=True, uses_similarity=True, starts_by_coverage=True)
