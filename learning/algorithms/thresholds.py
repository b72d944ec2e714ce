"""Where to draw the line for a rare class: a threshold chosen on scores of labels that the model had not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Where nothing can be chosen by: the likelier side.
DEFAULT_THRESHOLD = 0.5


def best_threshold(scores: ArrayLike, is_positive: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The threshold at which "score at or above it" has the highest F1.

    Parameters
    ----------
    scores : array-like of float, (n_items,)
        Of items that the model had not seen (`label_errors.foretell`).
    is_positive : array-like of bool, (n_items,)
    weights : array-like of float, (n_items,), optional
        How many items of the pool each stands for, above 0; all alike where left out.

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
    each = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    ranked, hits = values[order], np.cumsum((each * positive)[order])
    # Only where the score falls can a line be drawn.
    is_edge = np.r_[ranked[1:] < ranked[:-1], True]
    f1 = np.where(is_edge, 2 * hits / (np.cumsum(each[order]) + hits[-1]), -1)
    best = int(f1.argmax())
    return float((ranked[best] + ranked[best + 1]) / 2) if best + 1 < len(ranked) else float(ranked[best])
