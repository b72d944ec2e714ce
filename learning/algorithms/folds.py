"""Scores of labelled items by models that were not taught their labels: each fold by what the others teach."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.estimators.model import FloatArray, Matrix, Model, TooFewClassesError

# A model of the rows that are marked.
Fit = Callable[[NDArray[np.bool_]], Model]


def deal_folds(codes: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each item, (n_items,), from 0; each class is dealt out evenly."""
    order = np.random.default_rng([seed, 4]).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]  # class by class, each in random order
    fold = np.empty(len(codes), np.int64)
    fold[order] = np.arange(len(codes)) % n_folds
    return fold


def score_unseen(fit: Fit, X: Matrix, y: ArrayLike, n_classes: int, seed: int, n_folds: int) -> FloatArray:
    """Probabilities of labelled items by models that were not taught their labels, (n_items, n_classes).

    Parameters
    ----------
    fit : callable
        Makes a model of those rows that are marked.
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1.
    n_classes, seed : int
        The seed says which items are put into one fold; each class is dealt out evenly.
    n_folds : int
        At least 2.

    Raises
    ------
    TooFewClassesError
        Where fewer than two classes are left to learn from in some fold.
    ValueError
        If lengths differ or there are fewer than 2 folds.

    References
    ----------
    Stone (1974), Cross-Validatory Choice and Assessment of Statistical Predictions, JRSS B 36(2).
    """
    codes = np.asarray(y, np.int64)
    if n_folds < 2:
        raise ValueError(f"{n_folds} folds: at least 2")
    if codes.shape != (X.shape[0],):
        raise ValueError(f"{len(codes)} labels for {X.shape[0]} rows of X")
    if len(np.unique(codes)) < 2:
        raise TooFewClassesError(len(np.unique(codes)))
    fold, proba = deal_folds(codes, n_folds, seed), np.zeros((len(codes), n_classes))
    for number in range(n_folds):
        is_out = fold == number
        if is_out.any():
            proba[is_out] = fit(~is_out).predict_proba(X[is_out])
    return proba
