"""Vectors that were made of an item's content elsewhere, for any kind of content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.features.block import FloatArray


@dataclass(frozen=True)
class Vectors:
    """Dense vectors, each scaled to length 1. Rows: the vectors, float32, finite.

    Attributes
    ----------
    n_dimensions : int
        At least 1.
    """

    n_dimensions: int

    @property
    def n_features(self) -> int:
        return self.n_dimensions

    @property
    def is_sparse(self) -> bool:
        return False

    @property
    def length(self) -> float:
        return 1.0

    def weigh(self, rows: NDArray[np.float32]) -> FloatArray:
        """Each row scaled to length 1; one of zeros (an item without a vector) stays 0."""
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return np.asarray(rows * scale[:, np.newaxis].astype(np.float32), np.float32)


@dataclass(frozen=True)
class GivenFeatures(Vectors):
    """Given vectors.

    Attributes
    ----------
    space : int
        Which vectors: the number of their space. Those of another one mean something else.

    Examples
    --------
    >>> GivenFeatures(2, space=1).weigh(np.array([[3, 4], [0, 0]], np.float32)).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """

    VERSION: ClassVar[int] = 1
    space: int

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {}, {"n_dimensions": self.n_dimensions, "space": self.space}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Self:
        return cls(card["n_dimensions"], card["space"])
