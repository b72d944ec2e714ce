"""`keywords`: the texts most like the words of a policy, for a start without any label."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from learning.algorithms.strategies.batches import select_highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, MissingInputError, Strategy


def similarity_to(X: sparse.csr_matrix, policy: sparse.csr_matrix) -> FloatArray:
    """How like a policy's words each text is.

    Parameters
    ----------
    X : csr_matrix, (n_items, n_features)
        TF-IDF, rows of length 1 or 0.
    policy : csr_matrix, (1, n_features)
        The policy's text in the same features.

    Returns
    -------
    ndarray of float64, (n_items,)
        The cosine, 0 (no word in common) to 1.
    """
    return np.asarray((X @ policy.T).todense(), np.float64).ravel()


def _similarities(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    if candidates.similarity is None:
        raise MissingInputError("this query strategy needs the words of a policy")
    return np.asarray(candidates.similarity, np.float64)


KEYWORDS = Strategy("keywords", _similarities, select_highest, uses_similarity=True)
