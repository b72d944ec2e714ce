"""One model for each choice where several may hold at once: logistic regressions on the same features, stored as one.

Each choice is told from all that lack it, by itself; probabilities do not sum to 1, and none may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.estimators.logistic import fit_logistic
from learning.algorithms.estimators.model import FloatArray, Matrix, StoredModel, TooFewClassesError, check_width


class AllAlikeError(TooFewClassesError):
    """No choice can be told from its absence yet: each holds for all of the labelled items, or for none."""

    def __init__(self, n_items: int) -> None:
        super().__init__(0)
        if n_items:
            self.args = ("all items have the same choices",)


@dataclass(frozen=True, eq=False)
class OneVsRestModel(StoredModel):
    """Logistic regressions side by side, one for each choice.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes of the choices that held for some of the training items and not for others, ascending.
    columns : ndarray of int64, (n_columns,)
        Features that occurred in training or in the basis; all others weigh exactly 0.
    coef : ndarray of float32, (n_seen, n_columns)
    intercept : ndarray of float32, (n_seen,)
        So that 0.5 is where the line is drawn: a choice of that probability or more is what the model says.
    shares : ndarray of float64, (n_classes,)
        ``(n_held + 1) / (n_train + 2)`` (Laplace): what is said of a choice that nothing is known to tell.
    n_features, n_train : int
    settings : dict
        How it was fitted, for the model's card.
    """

    KIND = "one_vs_rest"
    TOLD = "a model of several choices"
    ARRAYS = ("classes", "columns", "coef", "intercept", "shares")
    PLAIN = ("n_features", "n_train", "settings")

    classes: NDArray[np.int64]
    columns: NDArray[np.int64]
    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]
    shares: FloatArray
    n_features: int
    n_train: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Choices of the question, told apart or not."""
        return len(self.shares)

    def predict_proba(self, X: Matrix) -> FloatArray:
        """The probability that each choice holds, (n_items, n_classes), each by itself.

        Raises
        ------
        ValueError
            If X has another width than in training.
        """
        check_width(X, self.n_features)
        weights = np.zeros((self.n_features, len(self.classes)), np.float32)
        weights[self.columns] = self.coef.T
        logits = np.asarray(X @ weights, np.float64) + self.intercept
        proba = np.tile(self.shares, (X.shape[0], 1))
        proba[:, self.classes] = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
        return proba

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> OneVsRestModel:
        """The inverse of `to_arrays`."""
        return cls(**cls.read_fields(arrays, card))


def fit_one_vs_rest(
    X: Matrix, y: ArrayLike, seed: int, *, basis: Basis | None = None, **settings: Any
) -> OneVsRestModel:
    """Fit a logistic regression for each choice.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items, n_classes)
        1 where a choice holds, else 0; a row of zeros is an item for which none does.
    seed, basis, settings
        As for `fit_logistic`.

    Returns
    -------
    OneVsRestModel

    Raises
    ------
    AllAlikeError
        If every choice holds for all items or for none.
    ValueError
        If shapes do not fit or a value is neither 0 nor 1.

    References
    ----------
    Binary relevance: Tsoumakas and Katakis (2007), Multi-Label Classification: An Overview, International Journal of
    Data Warehousing and Mining 3(3), section 2; as scikit-learn's OneVsRestClassifier on an indicator matrix.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [3.0, 3.0]])
    >>> model = fit_one_vs_rest(X, [[0, 0], [0, 1], [1, 0], [1, 1]], seed=0)
    >>> (model.predict_proba(X) >= 0.5).astype(int).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    held = check_sets(y)
    if held.shape[0] != X.shape[0]:
        raise ValueError(f"{len(held)} labels for {X.shape[0]} rows of X")
    n_held = held.sum(axis=0)
    classes = np.flatnonzero((n_held > 0) & (n_held < len(held)))
    if not len(classes):
        raise AllAlikeError(len(held))
    # Which features occur depends on the items alone, so all choices have the same columns.
    fitted = [fit_logistic(X, held[:, code], 2, seed, basis=basis, **settings) for code in classes]
    return OneVsRestModel(
        classes=classes,
        columns=fitted[0].columns,
        # Of two classes the first is the reference, with weights of 0.
        coef=np.stack([model.coef[1] for model in fitted]),
        intercept=np.array([model.intercept[1] for model in fitted], np.float32),
        shares=(n_held + 1) / (len(held) + 2),
        n_features=X.shape[1],
        n_train=len(held),
        settings={
            **fitted[0].settings,
            "n_iter": max(model.settings["n_iter"] for model in fitted),
            "converged": all(model.settings["converged"] for model in fitted),
        },
    )


def why_alike(y: NDArray[np.int64]) -> str | None:
    """Why nothing can be told apart by these labels, codes or a table of 0 and 1; None where something can."""
    if y.ndim == 1:
        n_seen = len(np.unique(y))
        return str(TooFewClassesError(n_seen)) if n_seen < 2 else None
    return None if (y.any(axis=0) & ~y.all(axis=0)).any() else str(AllAlikeError(len(y)))


def check_sets(y: ArrayLike) -> NDArray[np.int64]:
    """Labels as a table of 0 and 1, (n_items, n_classes). ValueError where they are none."""
    held = np.asarray(y, np.int64)
    if held.ndim != 2 or ((held != 0) & (held != 1)).any():
        raise ValueError("labels of several choices must be a table of 0 and 1")
    return held
