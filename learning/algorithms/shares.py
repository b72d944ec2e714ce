"""How much of a pool a model calls each class, held against labels that were drawn by chance.

A model that chose what it learns from knows the doubtful items and little of the rest. Where labels are noisy it then
calls hardly anything by the rarer names. Labels drawn by chance say how much there is of each class, within limits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from learning.algorithms.estimators import Matrix, Model
from reviewers.algorithms.intervals import wilson

_MAX_STEPS = 60
_NEAR_ENOUGH = 0.002


def match_shares(model: Model, X: Matrix, counts: ArrayLike) -> Model:
    """Move a model's intercepts until the share that it calls each class is one that chance labels allow.

    Parameters
    ----------
    model : Model
    X : csr_matrix or ndarray, (n_items, n_features)
        A fair sample of the pool, labelled items among it.
    counts : array-like of int, (n_classes,)
        Labels of each class among those that were drawn by chance, and no others.

    Returns
    -------
    Model
        The same weights. The intercepts stay as they are where every share lies within the 95 % interval (Wilson) that
        the counts give, so that few chance labels change little; else the shares are brought to its nearest end. How
        far each moved is in ``settings["shift"]``. The order of items by one class against another does not change.

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
    [18, 41]
    """
    drawn = np.asarray(counts, np.int64)
    if drawn.shape != (model.n_classes,):
        raise ValueError(f"{len(drawn)} counts for {model.n_classes} classes")
    n_drawn = int(drawn.sum())
    shift = np.zeros(len(model.classes))
    if n_drawn and X.shape[0]:
        limits = np.array([wilson(int(drawn[code]), n_drawn) for code in model.classes])
        logits = np.log(model.predict_proba(X)[:, model.classes] + 1e-300)
        for _step in range(_MAX_STEPS):
            shares = np.bincount((logits + shift).argmax(axis=1), minlength=len(shift)) / len(logits)
            wanted = np.clip(shares, limits[:, 0], limits[:, 1])
            if np.abs(wanted - shares).max() <= _NEAR_ENOUGH:
                break
            # Half of the way: moving one class moves the shares of the others too.
            shift += np.clip(np.log(np.maximum(wanted, 1e-4) / np.maximum(shares, 1e-4)), -1, 1) / 2
    return model.shifted(shift)
