"""Texts as hashed words, weighed by how rare they are in the pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from learning.algorithms.features.block import FloatArray

N_HASHED = 2**18
# Words to a column. Pairs made it worse on four labelled files at up to 1,000 labels (mean macro-F1 of a margin curve
# .50 against .54 on 24,783 tweets, .79 against .83 on 4,185 dialogue turns): too many columns for so few labels.
MAX_WORDS = 1
# A word of one text only cannot carry over to another, but takes its part of the row's length: worth .01 to .03 of
# macro-F1 on the tweets. A pool under 100 texts is too small to tell which words are rare.
MIN_TEXTS = 2
SMALL_POOL = 100


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """Hashed TF-IDF of words. Rows: counts.

    Attributes
    ----------
    idf : ndarray of float32, (2**18,)
        Weight of each column: ``ln((1 + n) / (1 + df)) + 1``, as in scikit-learn's smoothed form; 0 for a word of
        fewer than two texts in a pool of 100 or more.
    """

    # Counts are stored (`learning/features/stored.py`): raise this whenever `count_words` gives others for any text.
    VERSION: ClassVar[int] = 1
    idf: FloatArray

    @property
    def n_features(self) -> int:
        return len(self.idf)

    @property
    def is_sparse(self) -> bool:
        return True

    @property
    def length(self) -> float:
        return 1.0

    def weigh(self, rows: sparse.csr_matrix) -> sparse.csr_matrix:
        """Counts to features: ``(1 + ln count) * idf``, each row scaled to length 1 (a row without words stays 0)."""
        weighted = rows.astype(np.float32, copy=True)
        weighted.data = (1 + np.log(weighted.data)) * self.idf[weighted.indices]
        weighted.eliminate_zeros()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        weighted.data /= np.repeat(lengths, np.diff(weighted.indptr)).astype(np.float32)
        return weighted

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {"idf": self.idf}, {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Self:
        return cls(arrays["idf"])


def count_words(texts: Iterable[str]) -> sparse.csr_matrix:
    """Count words under their hashes.

    Parameters
    ----------
    texts : iterable of str

    Returns
    -------
    csr_matrix of float32, (n_texts, 2**18)
        Counts from 1 up. A word is any run of letters, digits and underscores, in lower case.

    References
    ----------
    Weinberger et al. (2009), Feature Hashing for Large Scale Multitask Learning, ICML, arXiv:0902.2206.

    Examples
    --------
    >>> counts = count_words(["buy buy now", ""])
    >>> sorted(counts[0].data.tolist()), counts[1].nnz
    ([1.0, 2.0], 0)
    """
    # Signed hashes would cancel each other out in the logarithm of the counts.
    vectorizer = HashingVectorizer(
        n_features=N_HASHED,
        ngram_range=(1, MAX_WORDS),
        token_pattern=r"\w+",  # noqa: S106
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
    rows = list(texts)
    if not rows:
        return sparse.csr_matrix((0, N_HASHED), dtype=np.float32)
    return vectorizer.transform(rows)


def fit_text(counts: sparse.csr_matrix) -> TextFeatures:
    """Weigh columns by how rare they are in a pool; an empty pool weighs all alike."""
    return TextFeatures(weigh_columns(counts))


def weigh_columns(counts: sparse.csr_matrix) -> FloatArray:
    """The `idf` of a pool's counts, float32, (n_columns,)."""
    n_texts, n_columns = counts.shape
    n_with = np.bincount(counts.indices, minlength=n_columns)
    idf = np.log((1 + n_texts) / (1 + n_with)) + 1
    if n_texts >= SMALL_POOL:
        idf[n_with < MIN_TEXTS] = 0
    return np.asarray(idf, np.float32)
