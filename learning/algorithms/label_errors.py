"""Labels that a model, taught by all the others, does not believe: where to look for errors first.

What is doubted may be right; the model may be what is wrong. A person decides. How many planted errors are found was
measured: `benchmarks/label_errors.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.estimators import Matrix, Model, TooFewClassesError, fit_logistic
from learning.algorithms.folds import score_unseen

FloatArray = NDArray[np.float64]
N_FOLDS = 5
# Classes as they weigh among the labels: balanced ones found a tenth fewer of planted errors.
_FOR_ERRORS = {"class_weight": None, "C": 10.0}


@dataclass(frozen=True, eq=False)
class Doubts:
    """Labels that look like another class, the least believed first.

    Attributes
    ----------
    index : ndarray of int64, (n_doubted,)
        Positions among the labels.
    suggested : ndarray of int64, (n_doubted,)
        The class that each looks like most.
    belief : ndarray of float64, (n_doubted,)
        Probability of the class that was given, 0 to 1.
    is_sure : ndarray of bool, (n_doubted,)
        It looks like another class as surely as items of that class do: by confident learning an error. The share of
        these among all labels is its estimate of how many are wrong.
    """

    index: NDArray[np.int64]
    suggested: NDArray[np.int64]
    belief: FloatArray
    is_sure: NDArray[np.bool_]


def foretell(X: Matrix, y: ArrayLike, n_classes: int, seed: int, n_folds: int = N_FOLDS, **settings: Any) -> FloatArray:
    """Probabilities of labelled items by models that were not taught their labels.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1.
    n_classes : int
    seed : int
        Which items are put into one fold; each class is dealt out evenly.
    n_folds : int
        At least 2.
    settings
        As for `fit_logistic`; where left out, those by which most planted errors are found.

    Returns
    -------
    ndarray, (n_items, n_classes)
        Each row by the model of the other folds.

    Raises
    ------
    TooFewClassesError
        Where fewer than two classes are left to learn from in some fold.
    ValueError
        If lengths differ, a code is out of range or there are fewer than 2 folds.
    """
    codes = np.asarray(y, np.int64)

    def fit(is_taught: NDArray[np.bool_]) -> Model:
        return fit_logistic(X[is_taught], codes[is_taught], n_classes, seed, **(settings or _FOR_ERRORS))

    return score_unseen(fit, X, codes, n_classes, seed, n_folds)


@dataclass(frozen=True)
class Doubt:
    """One label that looks wrong: of which item, what was given, what it looks like (codes), and how much is believed.

    Where several classes may hold, None says that the class does not: one of `given` and `looks_like` is None.
    """

    at: int
    given: int | None
    looks_like: int | None
    belief: float
    is_sure: bool


def doubt_codes(X: Matrix, y: NDArray[np.int64], n_classes: int, seed: int) -> list[Doubt]:
    """The labels that look like another class, the least believed first: `foretell`, then `doubt_labels`."""
    found = doubt_labels(y, foretell(X, y, n_classes, seed))
    rows = zip(
        found.index.tolist(), found.suggested.tolist(), found.belief.tolist(), found.is_sure.tolist(), strict=True
    )
    return [Doubt(at, int(y[at]), looks_like, belief, is_sure) for at, looks_like, belief, is_sure in rows]


def doubt_sets(X: Matrix, y: NDArray[np.int64], seed: int) -> list[Doubt]:
    """The same where several classes may hold, `y` (n_items, n_classes): class by class, whether it holds of an item.

    Classes that hold for all items, or all but one, or none, or one, are left out: nothing foretells them. Raises
    TooFewClassesError where none is left.
    """
    told = [code for code in range(y.shape[1]) if 1 < y[:, code].sum() < len(y) - 1]
    if not told:
        raise TooFewClassesError(0 if not len(y) else 1)
    doubts = []
    for code in told:
        for one in doubt_codes(X, y[:, code], 2, seed):
            given, looks_like = (code if held else None for held in (one.given, one.looks_like))
            doubts.append(Doubt(one.at, given, looks_like, one.belief, one.is_sure))
    return sorted(doubts, key=lambda one: one.belief)


def doubt_labels(y: ArrayLike, proba: ArrayLike) -> Doubts:
    """Find the labels that look like another class.

    Parameters
    ----------
    y : array-like of int, (n_items,)
        Given codes, 0..n_classes-1.
    proba : array-like of float, (n_items, n_classes)
        Probabilities by models that were not taught the item's own label (`foretell`); rows sum to 1.

    Returns
    -------
    Doubts
        Every label whose class is not the likeliest, the lowest probability first, ties in the order of the labels: so
        ordered more planted errors come first than among those alone that confident learning names, which `is_sure`
        marks. Its threshold of a class is the mean probability of the class among the items that were given it; an item
        looks surely like the likeliest of the classes whose thresholds it reaches. Nothing is doubted where there are
        no labels.

    Raises
    ------
    ValueError
        If shapes do not fit or a code is out of range.

    References
    ----------
    Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70,
    sections 3.1 (thresholds) and 3.2 (ranking by self-confidence).

    Examples
    --------
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]]
    >>> doubts = doubt_labels([0, 0, 0, 1, 1], proba)  # the third was given class 0
    >>> doubts.index.tolist(), doubts.suggested.tolist(), doubts.belief.tolist(), doubts.is_sure.tolist()
    ([2], [1], [0.1], [True])
    """
    codes, p = np.asarray(y, np.int64), np.asarray(proba, np.float64)
    if p.ndim != 2 or codes.shape != (len(p),):
        raise ValueError(f"{codes.shape} labels do not fit {p.shape} probabilities")
    n, n_classes = p.shape
    if n and (codes.min() < 0 or codes.max() >= n_classes):
        raise ValueError(f"labels must lie within 0..{n_classes - 1}")
    given = p[np.arange(n), codes]
    likeliest = p.argmax(axis=1) if n else codes
    doubted = np.flatnonzero(p[np.arange(n), likeliest] > given)
    doubted = doubted[np.argsort(given[doubted], kind="stable")]
    n_given = np.bincount(codes, minlength=n_classes)
    sums = np.bincount(codes, weights=given, minlength=n_classes)
    thresholds = np.divide(sums, n_given, out=np.full(n_classes, np.inf), where=n_given > 0)
    # The mean of equal numbers may lie above them by what rounding adds.
    reached = np.where(p[doubted] >= thresholds - 1e-12, p[doubted], -1.0)
    is_sure = (reached.max(axis=1) >= 0) & (reached.argmax(axis=1) != codes[doubted])
    return Doubts(doubted, likeliest[doubted], given[doubted], is_sure)
