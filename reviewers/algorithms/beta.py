"""The beta distribution over arrays, with numpy alone: quantiles, binomial tails, and shrinkage towards a group's mean.

`reviewers/algorithms/intervals.py` has the same for one number at a time, to the last bit; here a few hundred people or
thousands of pairs are looked at together, and seven digits are enough.
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
_N_WEIGHTS = 24  # between the two
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


@dataclass(frozen=True, eq=False)
class BetaPrior:
    """How shares lie among people: Beta(mean * weight, (1 - mean) * weight), where the weight is not known exactly.

    Attributes
    ----------
    mean : float
        The share that people have in the middle, between 0 and 1.
    mean_variance : float
        How uncertain that is.
    weights, chances : ndarray of float64, (n_weights,)
        How many trials of a person's own the prior may be worth, and how probable each is; the chances sum to 1.
    """

    mean: float
    mean_variance: float
    weights: FloatArray
    chances: FloatArray

    @property
    def weight(self) -> float:
        """How many trials of a person's own it is worth, in the middle: people differ as that weight has it."""
        return 1 / float(self.chances @ (1 / (self.weights + 1))) - 1

    def shrink(self, hits: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Each person's share with the prior counted in: means, (n,), and the ends of their intervals, (n, 2).

        The posterior is a mixture over the weights; its interval is that of the beta distribution with the same mean
        and variance, to which the mean's own uncertainty is added.

        Examples
        --------
        >>> prior = BetaPrior(0.8, 0.0, np.array([10.0]), np.array([1.0]))
        >>> mean, interval = prior.shrink([0, 90], [0, 100])
        >>> mean.round(3).tolist(), interval.round(3).tolist()
        ([0.8, 0.891], [[0.518, 0.972], [0.827, 0.942]])
        """
        k, n = np.asarray(hits, np.float64)[:, np.newaxis], np.asarray(trials, np.float64)[:, np.newaxis]
        each = (self.mean * self.weights + k) / (self.weights + n)
        spread = each * (1 - each) / (self.weights + n + 1)
        spread += (self.weights / (self.weights + n)) ** 2 * self.mean_variance
        mean = each @ self.chances
        variance = spread @ self.chances + (each - mean[:, np.newaxis]) ** 2 @ self.chances
        size = np.maximum(mean * (1 - mean) / variance - 1, 1e-3)
        tail = (1 - level) / 2
        ends = [beta_quantile(p, mean * size, (1 - mean) * size) for p in (tail, 1 - tail)]
        return mean, np.stack(ends, axis=1)


def fit_prior(hits: ArrayLike, trials: ArrayLike) -> BetaPrior | None:
    """The prior that the people's own figures suggest (empirical Bayes).

    Parameters
    ----------
    hits, trials : array-like of int, (n_people,)
        People without a trial are passed over.

    Returns
    -------
    BetaPrior or None
        None from fewer than `FEWEST_PEOPLE`: how far people differ cannot be told.

    Notes
    -----
    The mean follows from the moments of a beta-binomial (Kleinman). The weight lies within 2..1000, and how probable
    each is follows from the likelihood of the people's figures; beforehand a spread between people twice as large, as a
    standard deviation, is twice as probable. From few labels of few people one cannot tell whether they differ at all:
    to take the likeliest weight for the true one would give intervals that are far too short. With these, the tests
    find 93 to 98 % of what was planted.

    References
    ----------
    Kleinman (1973), Proportions with extraneous variance: single and independent samples, JASA 68:46-54.

    Examples
    --------
    >>> prior = fit_prior([90, 80, 70, 95, 60], [100] * 5)
    >>> round(prior.mean, 3), round(prior.weight, 1)
    (0.79, 6.0)
    """
    k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    k, n = k[n > 0], n[n > 0]
    if len(n) < FEWEST_PEOPLE:
        return None
    mean = _fit_mean(k, n)
    spreads = np.linspace((_HEAVIEST + 1) ** -0.5, (_LIGHTEST + 1) ** -0.5, _N_WEIGHTS)
    weights = 1 / spreads**2 - 1
    likelihood = np.array([_log_likelihood(k, n, mean * weight, (1 - mean) * weight) for weight in weights])
    chances = np.exp(likelihood - likelihood.max()) * spreads
    chances /= chances.sum()
    rho = float(chances @ (1 / (weights + 1)))
    variance = mean * (1 - mean) / float((n / (1 + rho * (n - 1))).sum())
    return BetaPrior(mean, variance, weights, chances)


def _fit_mean(k: FloatArray, n: FloatArray) -> float:
    """Kleinman's mean of a beta-binomial, fitted together with its correlation, which is 1 / (weight + 1)."""
    share, rho, mean = k / n, 0.0, 0.5
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
    return mean


def _log_likelihood(k: FloatArray, n: FloatArray, a: float, b: float) -> float:
    """The logarithm of the beta-binomial's likelihood, less what does not depend on a and b."""
    each = _log_scale(np.full(1, a), np.full(1, b)) - _log_scale(a + k, b + n - k)
    return float(each.sum())


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
    return _cdf(x, a, b, _log_scale(a, b))


def _log_scale(a: FloatArray, b: FloatArray) -> FloatArray:
    """Minus the logarithm of the beta function, which is the same for (b, a)."""
    scale: FloatArray = _log_gamma(a + b) - _log_gamma(a) - _log_gamma(b)
    return scale


def _cdf(x: FloatArray, a: FloatArray, b: FloatArray, log_scale: FloatArray) -> FloatArray:
    is_mirrored = x > (a + 1) / (a + b + 2)  # the fraction converges fast only below the mean; DLMF 8.17.4
    x, a, b = np.where(is_mirrored, 1 - x, x), np.where(is_mirrored, b, a), np.where(is_mirrored, a, b)
    inside = np.clip(x, 1e-300, 1 - 1e-16)
    log_front = log_scale + a * np.log(inside) + b * np.log1p(-inside)
    found = np.exp(log_front) / (a * _fraction(inside, a, b))
    found = np.where(x <= 0, 0.0, found)
    return np.clip(np.where(is_mirrored, 1 - found, found), 0.0, 1.0)


def beta_quantile(p: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """The x with I_x(a, b) = p, by bisection to seven digits.

    Examples
    --------
    >>> beta_quantile([0.025, 0.975], [81, 82], [183, 182]).round(4).tolist()
    [0.2527, 0.3676]
    """
    p, a, b = (np.array(one) for one in np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (p, a, b))))
    low, high, scale = np.zeros_like(p), np.ones_like(p), _log_scale(a, b)
    for _ in range(24):
        middle = (low + high) / 2
        is_below = _cdf(middle, a, b, scale) < p
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
