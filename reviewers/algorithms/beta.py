"""The beta distribution over arrays, with numpy alone: quantiles, binomial tails, and shrinkage towards a group's mean.

`reviewers/algorithms/intervals.py` has the same for one number at a time, to the last bit; here a few hundred people or
thousands of pairs are looked at together, and twelve digits are enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

FEWEST_PEOPLE = 5
# A prior worth more labels than this says that people do not differ at all, which nobody can know of a few of them.
_HEAVIEST, _LIGHTEST = 1000.0, 2.0
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


@dataclass(frozen=True)
class BetaPrior:
    """How shares lie among people: Beta(a, b), worth ``a + b`` trials.

    Parameters
    ----------
    a, b : float
        Above 0.
    """

    a: float
    b: float

    @property
    def mean(self) -> float:
        """The share that people have in the middle."""
        return self.a / (self.a + self.b)

    @property
    def weight(self) -> float:
        """How many trials of a person's own it is worth."""
        return self.a + self.b

    def shrink(self, hits: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Each person's share with the prior counted in: means, (n,), and the ends of their intervals, (n, 2).

        Examples
        --------
        >>> mean, interval = BetaPrior(8, 2).shrink([0, 90], [0, 100])
        >>> mean.round(3).tolist(), interval.round(3).tolist()
        ([0.8, 0.891], [[0.518, 0.972], [0.827, 0.942]])
        """
        k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
        a, b = self.a + k, self.b + n - k
        tail = (1 - level) / 2
        ends = np.stack([beta_quantile(tail, a, b), beta_quantile(1 - tail, a, b)], axis=1)
        return a / (a + b), ends


def fit_prior(hits: ArrayLike, trials: ArrayLike) -> BetaPrior | None:
    """The prior that the people's own figures suggest (empirical Bayes), from the moments of a beta-binomial.

    Parameters
    ----------
    hits, trials : array-like of int, (n_people,)
        People without a trial are passed over.

    Returns
    -------
    BetaPrior or None
        None from fewer than `FEWEST_PEOPLE`: how far people differ cannot be told. Its weight lies within 2..1000:
        where people differ no more than chance has it, each is still told apart by a thousand labels of their own.

    References
    ----------
    Kleinman (1973), Proportions with extraneous variance: single and independent samples, JASA 68:46-54.

    Examples
    --------
    >>> prior = fit_prior([90, 80, 70, 95, 60], [100] * 5)
    >>> round(prior.mean, 3), round(prior.weight, 1)
    (0.79, 7.7)
    """
    k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    k, n = k[n > 0], n[n > 0]
    if len(n) < FEWEST_PEOPLE:
        return None
    share, rho = k / n, 0.0
    mean = 0.5
    for _ in range(20):
        weight = n / (1 + rho * (n - 1))
        total = weight.sum()
        mean = float(np.clip((weight @ share) / total, 0.5 / n.sum(), 1 - 0.5 / n.sum()))
        rest = weight * (1 - weight / total)
        by_chance = mean * (1 - mean) * (rest / n).sum()
        room = mean * (1 - mean) * (rest.sum() - (rest / n).sum())
        found = (weight @ (share - mean) ** 2 - by_chance) / room if room > 0 else 0.0
        found = float(np.clip(found, 1 / (1 + _HEAVIEST), 1 / (1 + _LIGHTEST)))
        if abs(found - rho) < 1e-9:
            break
        rho = found
    heavy = 1 / rho - 1
    return BetaPrior(mean * heavy, (1 - mean) * heavy)


def beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """The regularised incomplete beta function I_x(a, b), element by element (DLMF 8.17.22).

    Parameters
    ----------
    x : array-like of float
        Within 0..1; below and above, 0 and 1.
    a, b : array-like of float
        Above 0, of shapes that go together with x's.
    """
    x, a, b = (np.array(one) for one in np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, a, b))))
    is_mirrored = x > (a + 1) / (a + b + 2)  # the fraction converges fast only below the mean; DLMF 8.17.4
    x, a, b = np.where(is_mirrored, 1 - x, x), np.where(is_mirrored, b, a), np.where(is_mirrored, a, b)
    inside = np.clip(x, 1e-300, 1 - 1e-16)
    log_front = _log_gamma(a + b) - _log_gamma(a) - _log_gamma(b) + a * np.log(inside) + b * np.log1p(-inside)
    found = np.exp(log_front) / (a * _fraction(inside, a, b))
    found = np.where(x <= 0, 0.0, found)
    return np.clip(np.where(is_mirrored, 1 - found, found), 0.0, 1.0)


def beta_quantile(p: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """The x with I_x(a, b) = p, by bisection to twelve digits.

    Examples
    --------
    >>> beta_quantile([0.025, 0.975], [81, 82], [183, 182]).round(4).tolist()
    [0.2527, 0.3676]
    """
    p, a, b = (np.array(one) for one in np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (p, a, b))))
    low, high = np.zeros_like(p), np.ones_like(p)
    for _ in range(40):
        middle = (low + high) / 2
        is_below = beta_cdf(middle, a, b) < p
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    found: FloatArray = (low + high) / 2
    return found


def binomial_tail(hits: ArrayLike, trials: ArrayLike, share: ArrayLike) -> FloatArray:
    """The chance of so many hits or more in so many trials of that share; 1 where there are no hits.

    Hits and trials need not be whole: divided by an overdispersion they are numbers of effective trials.

    Examples
    --------
    >>> binomial_tail([8, 0], [10, 10], 0.5).round(4).tolist()
    [0.0547, 1.0]
    """
    k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    known = k > 0
    tail = beta_cdf(share, np.where(known, k, 1.0), np.where(known, n - k, 0.0) + 1)
    return np.where(known, tail, 1.0)


def _fraction(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """1 + d1/(1 + d2/(1 + ...)) by Lentz's method, until the slowest element stands still."""
    tiny = 1e-300
    value = numerator = np.ones_like(x)
    denominator = np.zeros_like(x)
    for j in range(1, 10_000):
        m = j // 2
        if j % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 + d * denominator
        denominator = 1 / np.where(denominator == 0, tiny, denominator)
        numerator = 1 + d / numerator
        numerator = np.where(numerator == 0, tiny, numerator)
        step = numerator * denominator
        value = value * step
        if np.all(np.abs(step - 1) < 1e-13):
            break
    return value
