"""How much of a pool a model calls each class, held against labels that were drawn by chance.

A model that chose what it learns from knows the doubtful items and little of the rest. Where labels are noisy it then
calls hardly anything by the rarer names. Labels drawn by chance say how much there is of each class, within limits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.estimators import Matrix, Model
from reviewers.algorithms.intervals import wilson

_MAX_STEPS = 60
_NEAR_ENOUGH = 0.002
# One standard error, of all shares together: with limits of 95 % models learned 0.005 less of noisy labels (macro-F1,
# toxic_spans); with one standard error for each of ten classes a few chance labels bent models (digits).
LEVEL = 0.6827


def match_shares(
    model: Model, X: Matrix, counts: ArrayLike, *, chosen: ArrayLike | None = None, n_left: int = 0
) -> Model:
    """Move a model's intercepts until the share that it calls each class is one that chance labels allow.

    Parameters
    ----------
    model : Model
    X : csr_matrix or ndarray, (n_items, n_features)
        A fair sample of the pool, labelled items among it.
    counts : array-like of int, (n_classes,)
        Labels of each class among those that were drawn by chance, and no others.
    chosen : array-like of int, (n_classes,), optional
        Labels of each class among those that a strategy chose. They are known, and the limits are for the rest alone.
    n_left : int
        How many items of the pool no strategy chose; counts beside `chosen` only.

    Returns
    -------
    Model
        The same weights. The intercepts stay as they are where every share lies within the interval (Wilson) that the
        counts give, at `level_of` so many classes, so that few chance labels change little; else the shares are brought
        to its nearest end. How far each moved is in ``settings["shift"]``. The order of items by one class against
        another does not change.

    Raises
    ------
    ValueError
        If there is not one count for each class, or X has another width than in training.

    Examples
    --------
    >>> from learning.algorithms.estimators import fit_logistic
    >>> X = np.linspace(0, 1, 101)[:, np.newaxis]
    >>> model = fit_logistic(X[50:], np.arange(50, 101) > 90, n_classes=2, seed=0)
    >>> moved = match_shares(model, X, [50, 50])
    >>> [int((one.predict_proba(X).argmax(axis=1) == 1).sum()) for one in (model, moved)]
    [18, 45]
    """
    drawn = np.asarray(counts, np.int64)
    if drawn.shape != (model.n_classes,):
        raise ValueError(f"{len(drawn)} counts for {model.n_classes} classes")
    n_drawn = int(drawn.sum())
    shift = np.zeros(len(model.classes))
    if n_drawn and X.shape[0]:
        level = level_of(len(model.classes))
        limits = np.array([wilson(int(drawn[code]), n_drawn, level) for code in model.classes])
        if chosen is not None:
            limits = with_known(limits, np.asarray(chosen)[model.classes][:, np.newaxis], int(np.sum(chosen)), n_left)
        shift = _bring_within(np.log(model.predict_proba(X)[:, model.classes] + 1e-300), limits)
    return model.shifted(shift)


def with_known(
    limits: NDArray[np.float64], n_held: NDArray[np.int64] | int, n_known: int, n_left: int
) -> NDArray[np.float64]:
    """Limits of shares in the whole pool: of `n_known` items it is known what they are, of `n_left` others the limits.

    What a strategy chose is what the model calls by the rare names, rightly or not. Held to the others' share on the
    others alone, it calls most of the chosen ones so, and new items like them.

    Examples
    --------
    >>> with_known(np.array([0.01, 0.03]), 40, n_known=100, n_left=900).round(3).tolist()
    [0.049, 0.067]
    """
    return np.asarray((n_held + n_left * limits) / max(1, n_known + n_left))


def level_of(n_classes: int) -> float:
    """The confidence level of one share, so that of all shares together it is about 68 % (Sidak 1967).

    Examples
    --------
    >>> [round(level_of(n_classes), 3) for n_classes in (2, 3, 10)]
    [0.683, 0.826, 0.958]
    """
    return float(LEVEL ** (1 / max(1, n_classes - 1)))


def _bring_within(logits: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each column, (n_items, n_seen), must move until the share of rows that it leads is within its limits.

    The column that is farthest off is moved to where it leads exactly as many rows as its nearest limit says, again and
    again. What it gains or loses the others lose or gain: the sum of what is beyond the limits never grows. Steps by
    the ratio of the shares, in its place, overshoot where columns differ by little, and go to and fro for ever.
    """
    n, shift = len(logits), np.zeros(logits.shape[1])
    for _step in range(_MAX_STEPS):
        moved = logits + shift
        shares = np.bincount(moved.argmax(axis=1), minlength=len(shift)) / n
        wanted = np.clip(shares, limits[:, 0], limits[:, 1])
        worst = int(np.abs(wanted - shares).argmax())
        if abs(wanted[worst] - shares[worst]) <= _NEAR_ENOUGH:
            break
        lacking = np.sort(np.delete(moved, worst, axis=1).max(axis=1) - moved[:, worst])
        n_wanted = min(max(round(wanted[worst] * n), 1), n - 1)
        shift[worst] += (lacking[n_wanted - 1] + lacking[n_wanted]) / 2
    return np.asarray(shift - shift.mean())
