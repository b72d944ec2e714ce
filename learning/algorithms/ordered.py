"""How far off a model is on a scale: what being right or wrong does not tell of ratings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.evaluation import MIN_HOLDOUT, tell_too_few
from reviewers.algorithms.bootstrap import bootstrap_intervals, unseen_share
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.pairs import pair_agreement_of

FloatArray = NDArray[np.float64]
MEAN_ERROR, KAPPA = "mean_absolute_error", "cohen_kappa_quadratic"


def judge_distance(
    confusion: ArrayLike,
    scale: ArrayLike,
    *,
    rng: np.random.Generator,
    minimum: int = MIN_HOLDOUT,
    n_resamples: int = 1000,
) -> list[Figure]:
    """How far predicted ratings are from the accepted ones.

    Parameters
    ----------
    confusion : array-like of int, (n_points, n_points)
        Items by accepted (row) and predicted point (column), as `evaluate` counts them.
    scale : array-like of float, (n_points,)
        The number of each point, all different.
    rng : numpy.random.Generator
        Source of the bootstrap.
    minimum : int
        Fewest items for which figures are shown.
    n_resamples : int
        At least 1000.

    Returns
    -------
    list of Figure
        ``mean_absolute_error``: how many points of the scale a prediction is off in the mean, 0 to the scale's length,
        lower is better. ``cohen_kappa_quadratic``: agreement of prediction and accepted rating beyond chance, where far
        off counts as the square of the distance; at most 1, 0 by chance. Both are refused below `minimum` items, kappa
        also where only one point occurs. Where no prediction is off the upper end of the error is Clopper and Pearson's
        bound on how many could be, times the length of the scale.

    Raises
    ------
    ValueError
        If the table is no square of counts, the scale does not fit, or there are too few resamples.

    References
    ----------
    Cohen (1968), Psychological Bulletin 70:213-220. Mean absolute error as scikit-learn's `mean_absolute_error`.
    Percentile bootstrap over items: Efron and Tibshirani (1993), chapter 13.

    Examples
    --------
    >>> found = judge_distance([[2, 1, 0], [0, 3, 1], [0, 0, 3]], [1, 2, 3], rng=np.random.default_rng(0), minimum=10)
    >>> [(figure.metric, round(figure.value, 3)) for figure in found]
    [('mean_absolute_error', 0.2), ('cohen_kappa_quadratic', 0.833)]
    """
    table, points = np.asarray(confusion), np.asarray(scale, np.float64)
    agreement = pair_agreement_of(table, rng=rng, weights=("quadratic",), values=points, n_resamples=n_resamples)
    n = int(table.sum())
    size: dict[str, Any] = {"n_items": n, "n_labels": n}
    refusal = tell_too_few(n, minimum)
    if refusal is not None:
        return [Figure.refused(name, refusal, **size) for name in (MEAN_ERROR, KAPPA)]
    accepted, predicted = np.nonzero(table)
    n_items = table[accepted, predicted].astype(np.int64)
    off = np.abs(points[accepted] - points[predicted])

    def mean(weights: FloatArray) -> list[FloatArray]:
        return [np.asarray(weights @ off / weights.sum(axis=1))]

    if off.any():
        (interval,) = bootstrap_intervals(n_items, mean, n_resamples, rng)
        method = f"percentile bootstrap over items, {n_resamples} resamples"
    else:
        interval, method = (0.0, float(unseen_share(n) * np.ptp(points))), "exact bound, no error seen"
    error = Figure(
        metric=MEAN_ERROR,
        value=float(mean(n_items[np.newaxis].astype(np.float64))[0][0]),
        interval=interval,
        method=method,
        **size,
    )
    kappa = next(figure for figure in agreement if figure.metric == KAPPA)
    return [error, replace(kappa, **size, n_annotators=None, prevalence=None)]
