"""Short dense vectors of items, for strategies that compare items with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from learning.algorithms.basis import at_unit_length
from learning.algorithms.strategies.candidates import Candidates, IndexArray, Matrix
from learning.algorithms.strategies.distances import one_thread

N_DIMENSIONS = 128


def vectors_of(
    candidates: Candidates, positions: IndexArray, rng: np.random.Generator, *, with_labelled: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Dense vectors of candidates, and of what is labelled already, in one space.

    Returns
    -------
    (ndarray, (n_positions, n_columns), ndarray, (n_labelled, n_columns))
        The second has no rows where labelled items are not asked for or not known.

    Raises
    ------
    MissingInputError
        If the candidates have no features.
    """
    X = candidates.need_features(positions)
    if not with_labelled or candidates.labelled is None:
        dense = shorten(X, rng)
        return dense, np.zeros((0, dense.shape[1]), dense.dtype)
    labelled = candidates.labelled()
    if sparse.issparse(X) or sparse.issparse(labelled):
        both = shorten(sparse.vstack([sparse.csr_matrix(X), sparse.csr_matrix(labelled)], format="csr"), rng)
    else:
        both = shorten(np.vstack([X, labelled]), rng)
    return both[: len(positions)], both[len(positions) :]


def shorten(X: Matrix, rng: np.random.Generator, n_dimensions: int = N_DIMENSIONS) -> NDArray[Any]:
    """Dense vectors for the rows of a matrix.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    rng : numpy.random.Generator
        Starts the decomposition.
    n_dimensions : int
        Most columns of the result.

    Returns
    -------
    ndarray of float, (n_items, at most n_dimensions or n_features)
        Dense input as it is. Sparse input: its rows on the directions in which they differ most, scaled to length 1
        (truncated singular value decomposition, randomised). A row of zeros stays zero.

    References
    ----------
    Halko, Martinsson and Tropp (2011), Finding Structure with Randomness, SIAM Review 53(2). Deerwester et al. (1990),
    Indexing by Latent Semantic Analysis, JASIS 41(6).
    """
    if not sparse.issparse(X):
        dense: NDArray[Any] = np.asarray(X)
        return dense if dense.dtype.kind == "f" else dense.astype(np.float64)
    rows = sparse.csr_matrix(X)
    used = np.unique(rows.indices)
    filled = rows[:, used]
    width = min(n_dimensions, len(used) - 1, rows.shape[0] - 1)
    if width < 2:
        return np.asarray(filled.toarray())
    return at_unit_length(_on_main_directions(filled, width, rng))


def narrow(
    vectors: NDArray[Any], labelled: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as `vectors_of` gives them, on the 128 directions in which they are longest where there are more columns."""
    width = min(N_DIMENSIONS, len(vectors) + len(labelled) - 1)
    if vectors.shape[1] <= N_DIMENSIONS or width < 2:
        return vectors, labelled
    both = _on_main_directions(np.vstack([vectors, labelled]), width, rng)
    return both[: len(vectors)], both[len(vectors) :]


def _on_main_directions(rows: Matrix, width: int, rng: np.random.Generator) -> NDArray[Any]:
    from sklearn.utils.extmath import randomized_svd

    with one_thread():
        left, values, _right = randomized_svd(
            rows, width, n_iter=2, random_state=int(rng.integers(2**31)), flip_sign=False
        )
    return np.asarray(left * values)
