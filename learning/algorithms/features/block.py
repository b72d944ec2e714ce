"""What every kind of feature has in common: a block of columns, fitted once, that makes them of stored rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float32]
Matrix: TypeAlias = sparse.csr_matrix | FloatArray


class Block(Protocol):
    """Columns of one kind.

    What does not depend on the pool is worked out once for each item and stored as a row (counts of words, pixels); a
    block turns such rows into columns. Two versions of a kind have different rows for the same content.
    """

    VERSION: ClassVar[int]

    @property
    def n_features(self) -> int:
        """How many columns."""
        ...

    @property
    def is_sparse(self) -> bool:
        """Whether rows and columns are CSR matrices, or dense arrays."""
        ...

    @property
    def length(self) -> float:
        """The length of the longest row that there can be."""
        ...

    def weigh(self, rows: Any) -> Matrix:
        """Stored rows as columns, float32, (n_items, n_features); a row of zeros stays one."""
        ...

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and card, for `weights.pack`."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Self:
        """The inverse of `to_arrays`."""
        ...
