"""What every fitted classifier offers, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Matrix: TypeAlias = sparse.csr_matrix | NDArray[Any]
FloatArray = NDArray[np.float64]


class TooFewClassesError(ValueError):
    """Nothing tells classes apart yet: fewer than two occur among the labels."""

    def __init__(self, n_seen: int) -> None:
        super().__init__("only 1 class occurs" if n_seen else "there are no labels to learn from")


class UnsuitableError(ValueError):
    """An estimator cannot be fitted on these items, or on this host; the text says why and what to do."""


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


class StoredModel:
    """What a fitted classifier of this house has in common with the others: a frozen dataclass, stored field by field.

    A class names its kind (`KIND`, and in words `TOLD`), and which of its fields are arrays and which are plain values.
    Its logits come out of an `intercept`, (n_seen,); those of `scaled`, unless it is overridden, out of ``coef`` too.
    """

    KIND: ClassVar[str]
    TOLD: ClassVar[str]
    ARRAYS: ClassVar[tuple[str, ...]]
    PLAIN: ClassVar[tuple[str, ...]] = ("n_classes", "n_features", "n_train", "settings")

    def noting(self, **notes: Any) -> Self:
        """The same model with more in its settings."""
        return self.changed(notes)

    def shifted(self, by: FloatArray) -> Self:
        """The same weights, each intercept moved by so much, (n_seen,); ``settings["shift"]`` says how far in all."""
        before = np.array(self._get("settings").get("shift", np.zeros(len(by))))
        shift = [round(float(value), 4) for value in before + by]
        return self.changed({"shift": shift}, intercept=(self._get("intercept") + by).astype(np.float32))

    def scaled(self, by: float) -> Self:
        """The logits times so much, above 0: 0.5 stays 0.5; ``settings["scale"]`` says how much."""
        larger = {name: (self._get(name) * by).astype(np.float32) for name in ("coef", "intercept")}
        return self.changed({"scale": round(by, 4)}, **larger)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """For `weights.pack`."""
        plain = {name: self._get(name) for name in self.PLAIN}
        return {name: self._get(name) for name in self.ARRAYS}, {"kind": self.KIND, **plain}

    @classmethod
    def read_fields(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that `to_arrays` stored, by name. Raises ValueError for a card of another kind."""
        if card.get("kind") != cls.KIND:
            raise ValueError(f"the card describes {card.get('kind')!r}, not {cls.TOLD}")
        return {name: arrays[name] for name in cls.ARRAYS} | {name: card[name] for name in cls.PLAIN}

    def changed(self, notes: Mapping[str, Any], **fields: Any) -> Self:
        """The same model with other values of some fields, and more in its settings."""
        mine: Any = self
        found: Self = replace(mine, **fields, settings={**mine.settings, **notes})
        return found

    def _get(self, name: str) -> Any:
        return getattr(self, name)


def check_labels(X: Matrix, y: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Labels as codes, (n_items,), -1 where there is none.

    Raises
    ------
    UnsuitableError
        If X has no columns.
    TooFewClassesError
        If fewer than two classes occur among the labels.
    ValueError
        If lengths differ or a code is out of range.
    """
    if not X.shape[1]:
        raise UnsuitableError("these items have nothing that a model could learn from: no text, image or embedding")
    codes = np.asarray(y, np.int64)
    if codes.shape != (X.shape[0],):
        raise ValueError(f"{len(codes)} labels for {X.shape[0]} rows of X")
    if len(codes) and (codes.min() < -1 or codes.max() >= n_classes):
        raise ValueError(f"labels must lie within 0..{n_classes - 1}, or be -1 where there is none")
    n_seen = len(np.unique(codes[codes >= 0]))
    if n_seen < 2:
        raise TooFewClassesError(n_seen)
    return codes


def check_weights(codes: NDArray[np.int64], weights: ArrayLike | None) -> None:
    """Raises ValueError where weights are not numbers above 0, one for each label."""
    if weights is not None and (np.shape(weights) != codes.shape or not (np.asarray(weights) > 0).all()):
        raise ValueError("weights must be numbers above 0, one for each row of X")


def weigh_labels(codes: NDArray[np.int64], n_classes: int, weights: ArrayLike | None) -> NDArray[np.float32]:
    """The weight of each row, (n_items,), so that classes weigh alike, and as much in all as before; 0 without a label.

    `weights`: how much each row counts within its class. Raises ValueError where one is not above 0.
    """
    check_weights(codes, weights)
    own = np.where(codes >= 0, 1.0 if weights is None else np.asarray(weights, np.float64), 0.0)
    of_class = np.bincount(np.maximum(codes, 0), weights=own, minlength=n_classes)
    of_class[of_class == 0] = np.inf
    balanced = own / of_class[np.maximum(codes, 0)]
    return np.asarray(balanced * own.sum() / balanced.sum(), np.float32)


def check_width(X: Matrix, n_features: int) -> None:
    """Raises ValueError for an X of another width than in training."""
    if X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, the model was fitted on {n_features}")


def softmax(logits: NDArray[Any]) -> FloatArray:
    """Rows of logits as probabilities, computed in float64."""
    proba = logits.astype(np.float64)
    proba -= proba.max(axis=1, keepdims=True)
    np.exp(proba, out=proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


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
