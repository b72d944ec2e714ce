"""What unlabelled texts tell about words: the directions in which a pool differs most.

A few hundred labelled texts hold a small part of a pool's words. Words that stand in the same company point the same
way here, so what is learned of one carries over to the others, seen in training or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.algorithms.features import Matrix

N_DIRECTIONS = 128
# More texts hardly change the directions and take longer: about 1 s for so many.
MAX_TEXTS = 10_000
# Fewer texts than this have no directions worth the name.
MIN_TEXTS = 500


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal directions in a feature space.

    Attributes
    ----------
    columns : ndarray of int64, (n_columns,)
        Features that occur in the texts it was fitted on, ascending; the directions are 0 elsewhere.
    loadings : ndarray of float32, (n_columns, n_directions)
    """

    columns: NDArray[np.int64]
    loadings: NDArray[np.float32]

    def project(self, X: sparse.csr_matrix) -> NDArray[Any]:
        """Coordinates of rows, (n_items, n_directions)."""
        return np.asarray(X[:, self.columns] @ self.loadings)

    def within(self, span: slice) -> Basis | None:
        """The directions as they lie in some of the columns, for rows of these alone; None where they do not."""
        is_there = (self.columns >= span.start) & (self.columns < span.stop)
        return Basis(self.columns[is_there] - span.start, self.loadings[is_there]) if is_there.any() else None

    def embed(self, X: sparse.csr_matrix) -> NDArray[Any]:
        """Coordinates of rows as vectors of length 1, by which texts can be compared; all 0 where no word is known."""
        return at_unit_length(self.project(X))


def at_unit_length(rows: NDArray[Any]) -> NDArray[Any]:
    """Each row scaled to length 1, (n_rows, n_columns); a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def fit_basis(X: Matrix, rng: np.random.Generator, n_directions: int = N_DIRECTIONS) -> Basis | None:
    """The directions that hold most of the rows' length.

    Parameters
    ----------
    X : csr_matrix, (n_texts, n_features)
        Features of labelled and unlabelled texts alike; of more than 10,000 a random sample counts.
    rng : numpy.random.Generator
        Draws the sample and starts the decomposition.
    n_directions : int
        Fewer where there are fewer texts or words.

    Returns
    -------
    Basis or None
        None for dense features (images have no words) and for fewer than 500 texts.

    References
    ----------
    Deerwester et al. (1990), Indexing by Latent Semantic Analysis, JASIS 41(6). Halko, Martinsson and Tropp (2011),
    Finding Structure with Randomness, SIAM Review 53(2).

    Examples
    --------
    >>> texts = sparse.random(600, 900, density=0.02, random_state=0, format="csr")
    >>> basis = fit_basis(texts, np.random.default_rng(0), n_directions=5)
    >>> np.round(basis.loadings.T @ basis.loadings, 3).tolist() == np.eye(5).tolist()
    True
    >>> fit_basis(texts[:10], np.random.default_rng(0)) is None
    True
    """
    if not sparse.issparse(X) or X.shape[0] < MIN_TEXTS:
        return None
    from sklearn.utils.extmath import randomized_svd

    rows = sparse.csr_matrix(X)
    if X.shape[0] > MAX_TEXTS:
        rows = rows[np.sort(rng.choice(X.shape[0], MAX_TEXTS, replace=False))]
    columns = np.unique(rows.indices[rows.data != 0]).astype(np.int64)
    width = min(n_directions, len(columns) - 1)
    if width < 1:
        return None
    with threadpool_limits(limits=1):
        _left, _lengths, loadings = randomized_svd(
            rows[:, columns], width, n_iter=3, random_state=int(rng.integers(2**31)), flip_sign=False
        )
    return Basis(columns, np.ascontiguousarray(loadings.T, np.float32))
