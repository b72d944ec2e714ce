"""Where a learning curve leads: what the next labels would bring, and how many labels a figure would take.

numpy alone, so that a page can ask. How far the forecasts can be believed was measured: `benchmarks/curve_outlook.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
MIN_POINTS = 5
# Models of neighbouring points share labels and are judged on the same items, so what parts the points from the curve
# hangs together: this many of them tell as much as one by itself. With 1 the intervals were too narrow by a third.
POINTS_ALIKE = 4
_LEAST_SPREAD = 0.005
_POWERS = np.geomspace(0.1, 2.0, 24)


class NoOutlookError(ValueError):
    """The points do not tell where the curve leads; the message says why."""


@dataclass(frozen=True)
class Forecast:
    """An expected value with its 95 % interval: of the curve, not of the luck of a single model."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Outlook:
    """A curve ``ceiling - scale * n ** -power`` through the points of a learning curve, and its resamples.

    Attributes
    ----------
    n_labels : float
        The most labels among the points.
    curves : ndarray of float64, (1 + n_resamples, 3)
        Ceiling, scale (0 or above) and power of each; the first is that of the points themselves.
    """

    n_labels: float
    curves: FloatArray

    def value_at(self, n_labels: float) -> Forecast:
        """The figure to expect with so many labels (more than 0)."""
        return _forecast(self._at(n_labels))

    def gain_of(self, n_more: float) -> Forecast:
        """By how much the figure is expected to rise with so many labels more; 0 or above."""
        return _forecast(self._at(self.n_labels + n_more) - self._at(self.n_labels))

    def labels_for(self, value: float) -> Forecast:
        """With how many labels the curve reaches a value; infinite where it stays below it, 0 where it begins above."""
        ceiling, scale, power = self.curves.T
        short = ceiling - value
        with np.errstate(divide="ignore", over="ignore"):
            needed = np.where(short > 0, (scale / np.maximum(short, 1e-12)) ** (1 / power), np.inf)
        return _forecast(needed)

    def _at(self, n_labels: float) -> FloatArray:
        ceiling, scale, power = self.curves.T
        return np.asarray(ceiling - scale * n_labels**-power, np.float64)


def look_ahead(
    n_labels: ArrayLike, values: ArrayLike, *, rng: np.random.Generator, top: float = 1.0, n_resamples: int = 400
) -> Outlook:
    """Lay an inverse power law through a learning curve.

    Parameters
    ----------
    n_labels : array-like of float, (n_points,)
        Labels that each model was trained on, above 0.
    values : array-like of float, (n_points,)
        Its figure on the holdout, higher is better; nan (refused) is left out.
    rng : numpy.random.Generator
        Source of the resamples.
    top : float
        The best that the figure can be; the ceiling stays at or below it.
    n_resamples : int
        At least 100.

    Returns
    -------
    Outlook
        The curve of least squares over a grid of 24 powers from 0.1 to 2. A curve that falls counts as level. Resamples
        are parametric: the curve plus normal noise with the spread of the points around it (0.005 at least), widened as
        if only every fourth point told by itself.

    Raises
    ------
    NoOutlookError
        With fewer than 5 points of different sizes, or where the largest has less than twice the labels of the
        smallest: close points say nothing of what lies far beyond them.
    ValueError
        If lengths differ or a size is not above 0.

    References
    ----------
    Cortes, Jackel, Solla, Vapnik and Denker (1993), Learning Curves: Asymptotic Values and Rate of Convergence, NIPS.
    Figueroa, Zeng-Treitler, Kandula and Ngo (2012), Predicting sample size required for classification performance,
    BMC Medical Informatics and Decision Making 12:8.

    Examples
    --------
    >>> n = np.array([100, 200, 300, 400, 500, 600])
    >>> outlook = look_ahead(n, 0.8 - 2 * n ** -0.5, rng=np.random.default_rng(0))
    >>> round(outlook.value_at(1600).value, 2), outlook.labels_for(0.9).value
    (0.75, inf)
    """
    n, v = np.asarray(n_labels, np.float64), np.asarray(values, np.float64)
    if n.ndim != 1 or n.shape != v.shape:
        raise ValueError(f"{n.shape} sizes and {v.shape} values: must be one of each per point")
    n, v = n[np.isfinite(v)], v[np.isfinite(v)]
    if len(n) and n.min() <= 0:
        raise ValueError("sizes must be above 0")
    n_sizes = len(np.unique(n))
    if n_sizes < MIN_POINTS:
        raise NoOutlookError(f"{n_sizes} model{'s' * (n_sizes != 1)} judged, {MIN_POINTS} needed")
    if n.max() < 2 * n.min():
        raise NoOutlookError(f"models were trained on {n.min():.0f} to {n.max():.0f} labels; twice as many are needed")
    best = _fit(n, v[np.newaxis], top)
    ceiling, scale, power = best[0]
    level = ceiling - scale * n**-power
    spread = max(_LEAST_SPREAD, float(np.sqrt(((v - level) ** 2).sum() / max(1, len(n) - 3))))
    spread *= max(1.0, len(n) / POINTS_ALIKE) ** 0.5
    resamples = level + spread * rng.normal(size=(n_resamples, len(n)))
    return Outlook(float(n.max()), np.vstack([best, _fit(n, resamples, top)]))


def _fit(n: FloatArray, values: FloatArray, top: float) -> FloatArray:
    """The curve of each row of values, (n_rows, 3): for a given power the rest is a straight line, with two bounds."""
    curves = np.zeros((len(values), 3))
    least = np.full(len(values), np.inf)
    mean = values.mean(axis=1)
    for power in _POWERS:
        x = n**-power
        away = x - x.mean()
        scale = np.maximum(0, -(values @ away) / (away @ away))
        ceiling = mean + scale * x.mean()
        is_over = ceiling > top
        scale = np.where(is_over, np.maximum(0, (top - values) @ x / (x @ x)), scale)
        ceiling = np.where(is_over, top, ceiling)
        error = ((values - ceiling[:, np.newaxis] + scale[:, np.newaxis] * x) ** 2).sum(axis=1)
        is_better = error < least
        least[is_better] = error[is_better]
        curves[is_better] = np.column_stack([ceiling, scale, np.full(len(values), power)])[is_better]
    return curves


def _forecast(values: FloatArray) -> Forecast:
    low, high = np.quantile(values[1:], [0.025, 0.975], method="nearest")  # some may be infinite
    return Forecast(float(values[0]), (float(low), float(high)))
