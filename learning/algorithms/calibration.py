"""How sure a model may be of what it says: one factor for its logits, found on labels that it had not seen.

Classes weigh alike in training and few labels are shrunk by the penalty: a new model is far less sure than it is right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

FloatArray = NDArray[np.float64]
# Standard deviations of what is thought of the factor's logarithm before a label is seen, and of how far the factor of
# the pool may be from that of the labels. By five files, where 0.15 and 0.5 were tried for the second.
PRIOR, PRIOR_OF_POOL = 1.0, 0.25
_MOST = 3.0


def scale_logits(proba: ArrayLike, by: float) -> FloatArray:
    """Probabilities, (n_items, n_classes), with their logits times so much; rows sum to 1."""
    logits = np.log(np.asarray(proba, np.float64) + 1e-300) * by
    logits -= logits.max(axis=1, keepdims=True)
    scaled = np.exp(logits)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def find_scale(proba: ArrayLike, y: ArrayLike, weights: ArrayLike) -> float:
    """The factor of the logits under which labels that were not seen are least surprising.

    Parameters
    ----------
    proba : array-like of float, (n_items, n_classes)
        Of labelled items, by models that had not seen their labels; rows sum to 1.
    y : array-like of int, (n_items,)
        Their codes.
    weights : array-like of float, (n_items,)
        How many items of the pool each stands for, above 0.

    Returns
    -------
    float
        1 / temperature, e^-3 to e^3; 1 where there are no labels. First the factor of all labels alike. From there it
        goes where the weighted labels say, as far as they are many: a handful of labels drawn by chance moves it
        little.

    Raises
    ------
    ValueError
        If lengths differ.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), On Calibration of Modern Neural Networks, ICML (temperature). Number of
    labels that weighted ones are worth: Kish (1965), Survey Sampling.

    Examples
    --------
    >>> hesitant = np.tile([[0.6, 0.4], [0.4, 0.6]], (50, 1))
    >>> round(find_scale(hesitant, [0, 1] * 45 + [1, 0] * 5, np.ones(100)), 1)  # right in nine of ten
    5.4
    """
    logits, codes, each = np.log(np.asarray(proba, np.float64) + 1e-300), np.asarray(y), np.asarray(weights, float)
    if not len(logits) == len(codes) == len(each):
        raise ValueError(
            f"{len(logits)} rows of probabilities, {len(codes)} labels, {len(each)} weights: must be equal"
        )
    if not len(codes):
        return 1.0
    rows = np.arange(len(codes))

    def most_likely(n_worth: float, of: FloatArray, centre: float, spread: float) -> float:
        def loss(log_scale: float) -> float:
            moved = logits * np.exp(log_scale)
            moved -= moved.max(axis=1, keepdims=True)
            surprise = np.log(np.exp(moved).sum(axis=1)) - moved[rows, codes]
            return float(n_worth * (of * surprise).sum() / of.sum() + ((log_scale - centre) / spread) ** 2 / 2)

        return float(minimize_scalar(loss, bounds=(-_MOST, _MOST), method="bounded").x)

    of_labels = most_likely(len(codes), np.ones(len(codes)), 0.0, PRIOR)
    n_worth = each.sum() ** 2 / (each**2).sum()
    return float(np.exp(most_likely(n_worth, each, of_labels, PRIOR_OF_POOL)))
