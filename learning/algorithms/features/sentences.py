"""Texts as vectors of a sentence model, which stands on what it was taught elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.features.block import FloatArray
from learning.algorithms.features.given import Vectors

# Beside counted words of length 1. As long as these they took more from what is learned of 24,783 tweets than they gave
# (docs/features.md), and every number of such a vector counts in every text.
LENGTH = 0.5


@dataclass(frozen=True)
class SentenceFeatures(Vectors):
    """Vectors of a sentence model, each scaled to length 1/2. Rows: the vectors, float32, finite.

    Attributes
    ----------
    n_dimensions : int
        At least 1.
    model : str
        Which model made them: the SHA-256 of its files. Those of another one mean something else.

    References
    ----------
    Reimers and Gurevych (2019), Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, EMNLP.

    Examples
    --------
    >>> SentenceFeatures(2, "").weigh(np.array([[3, 4], [0, 0]], np.float32)).round(2).tolist()
    [[0.30000001192092896, 0.4000000059604645], [0.0, 0.0]]
    """

    # Vectors are stored: raise this whenever `learning/features/encoding.py` gives a model other texts.
    VERSION: ClassVar[int] = 1
    model: str

    @property
    def length(self) -> float:
        """As that of words, so that a space with both leaves these rows as short as they are."""
        return 1.0

    def weigh(self, rows: NDArray[np.float32]) -> FloatArray:
        """Each row scaled to length 1/2; one of zeros (an item without a text) stays 0."""
        return super().weigh(rows) * np.float32(LENGTH)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {}, {"n_dimensions": self.n_dimensions, "model": self.model}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Self:
        return cls(card["n_dimensions"], card["model"])
