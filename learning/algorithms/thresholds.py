"""Where to draw the line for a rare class: a threshold chosen on scores of labels that the model had not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.estimators import TooFewClassesError, fit_logistic
from learning.algorithms.features import Matrix

FloatArray = NDArray[np.float64]
N_FOLDS = 3
# Where nothing can be chosen by: the likelier side.
DEFAULT_THRESHOLD = 0.5


def score_unseen(
    X: Matrix, y: ArrayLike, n_classes: int, rng: np.random.Generator, *, basis: Basis | None = None
) -> FloatArray | None:
    """Probabilities of each labelled item by a model that was fitted without it.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1, all of them labels.
    n_classes : int
    rng : numpy.random.Generator
        Deals the items of each class to three folds.
    basis : Basis, optional
        As in `fit_logistic`.

    Returns
    -------
    ndarray of float64, (n_items, n_classes), or None
        None where the labels without one of the folds are of fewer than two classes.
    """
    codes = np.asarray(y, np.int64)
    fold = np.empty(len(codes), np.int64)
    for code in np.unique(codes):
        members = rng.permutation(np.flatnonzero(codes == code))
        fold[members] = np.arange(len(members)) % N_FOLDS
    proba = np.empty((len(codes), n_classes))
    for number in range(N_FOLDS):
        is_out = fold == number
        try:
            model = fit_logistic(X[~is_out], codes[~is_out], n_classes, 0, basis=basis)
        except TooFewClassesError:
            return None
        proba[is_out] = model.predict_proba(X[is_out])
    return proba


def best_threshold(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """The threshold at which "score at or above it" has the highest F1.

    Parameters
    ----------
    scores : array-like of float, (n_items,)
        Of items that the model had not seen.
    is_positive : array-like of bool, (n_items,)

    Returns
    -------
    float
        Halfway to the next lower score, so that it does not hang on one item; of equally good ones the highest. 0.5
        where no item is positive.

    References
    ----------
    Lipton, Elkan and Naryanaswamy (2014), Optimal Thresholding of Classifiers to Maximize F1 Measure, ECML.

    Examples
    --------
    >>> best_threshold([0.1, 0.2, 0.3, 0.4], [False, False, True, True])
    0.25
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(is_positive, bool)
    if not positive.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], np.cumsum(positive[order])
    # Only where the score falls can a line be drawn.
    is_edge = np.r_[ranked[1:] < ranked[:-1], True]
    f1 = np.where(is_edge, 2 * hits / (np.arange(1, len(values) + 1) + positive.sum()), -1)
    best = int(f1.argmax())
    return float((ranked[best] + ranked[best + 1]) / 2) if best + 1 < len(ranked) else float(ranked[best])
