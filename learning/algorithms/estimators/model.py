"""What every fitted classifier offers, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Matrix: TypeAlias = sparse.csr_matrix | NDArray[Any]
FloatArray = NDArray[np.float64]


class TooFewClassesError(ValueError):
    """Nothing tells classes apart yet: fewer than two occur among the labels."""

    def __init__(self, n_seen: int) -> None:
        super().__init__("only 1 class occurs" if n_seen else "there are no labels to learn from")


class Model(Protocol):
    """A fitted classifier: immutable, stored as arrays and a card, predicting without the library that fitted it.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes that occurred among the training labels, ascending.
    n_classes, n_features : int
        Classes of the question, seen or not; width of X.
    n_train : int
        Labels it was fitted on.
    settings : dict
        How it was fitted, for the model's card.
    """

    @property
    def classes(self) -> NDArray[np.int64]: ...
    @property
    def n_classes(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_train(self) -> int: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...

    def predict_proba(self, X: Matrix) -> FloatArray:
        """Probabilities, (n_items, n_classes), rows sum to 1. Raises ValueError for an X of another width."""
        ...

    def shifted(self, by: FloatArray) -> Model:
        """The same model with the logits of the seen classes moved by so much, (n_seen,); noted in the settings."""
        ...

    def scaled(self, by: float) -> Model:
        """The same model with the logits of the seen classes times so much (1 / temperature); noted in the settings."""
        ...

    def noting(self, **notes: Any) -> Model:
        """The same model with more in its settings, plain types."""
        ...

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and card for `weights.pack`; the card's "kind" says which class reads them."""
        ...


def spread_over_classes(seen: FloatArray, classes: NDArray[np.int64], n_classes: int, n_train: int) -> FloatArray:
    """Probabilities of the seen classes, (n_items, n_seen), as probabilities of all, (n_items, n_classes).

    Classes without a training label share ``n_unseen / (n_train + n_classes)`` equally (Laplace's rule), so that
    nothing is called impossible that was merely not seen yet.
    """
    n_unseen = n_classes - len(classes)
    if n_unseen == 0:
        return seen
    each = 1 / (n_train + n_classes)
    proba = np.full((len(seen), n_classes), each)
    proba[:, classes] = seen * (1 - n_unseen * each)
    return proba
