"""Confidence intervals for a share, k hits among n independent trials, and for the difference of two shares.

Written with the standard library alone, so that a web node without scipy can show them. Intervals for statistics that
are not shares (alpha, macro-F1) are bootstrapped where those statistics live.
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    Parameters
    ----------
    k, n : float
        Hits and trials, ``0 <= k <= n``. Not whole where they are numbers of effective trials.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    (float, float)
        Lower and upper end, within [0, 1]; (0, 1) where n is 0: nothing is known.

    Raises
    ------
    ValueError
        If k is not within 0..n or the level is not within (0, 1).

    References
    ----------
    Wilson (1927), JASA 22:209-212; recommended by Brown, Cai and DasGupta (2001), doi:10.1214/ss/1009213286.

    Examples
    --------
    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    _check(k, n, level)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = k / n
    middle = p + z * z / (2 * n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and n hits the formula gives exactly 0 and 1; rounding must not leave a bound just outside.
    lower = 0.0 if k == 0 else (middle - reach) / scale
    upper = 1.0 if k == n else (middle + reach) / scale
    return lower, upper


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval for a share: covers at least `level`, whatever the true share.

    Parameters, empty input and errors as for `wilson`.

    Returns
    -------
    (float, float)
        Lower and upper end, within [0, 1].

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26:404-413, as quantiles of the beta distribution.

    Examples
    --------
    >>> [round(end, 4) for end in clopper_pearson(81, 263)]
    [0.2527, 0.3676]
    """
    _check(k, n, level)
    if n == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    lower = 0.0 if k == 0 else _beta_quantile(tail, k, n - k + 1)
    upper = 1.0 if k == n else 1 - _beta_quantile(tail, n - k, k + 1)
    return lower, upper


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float = 0.95) -> tuple[float, float]:
    """Newcombe's interval for the difference of two independent shares, ``k1 / n1 - k2 / n2``, from Wilson's intervals.

    Parameters
    ----------
    k1, n1, k2, n2 : int
        Hits and trials of the first and the second share, ``0 <= k <= n``.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    (float, float)
        Lower and upper end, within [-1, 1]; (-1, 1) where either number of trials is 0: nothing is known.

    Raises
    ------
    ValueError
        As for `wilson`.

    References
    ----------
    Newcombe (1998), Statistics in Medicine 17:873-890, method 10.

    Examples
    --------
    >>> [round(end, 4) for end in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    low1, high1 = wilson(k1, n1, level)
    low2, high2 = wilson(k2, n2, level)
    if n1 == 0 or n2 == 0:
        return -1.0, 1.0
    p1, p2 = k1 / n1, k2 / n2
    lower = p1 - p2 - math.hypot(p1 - low1, high2 - p2)
    upper = p1 - p2 + math.hypot(high1 - p1, p2 - low2)
    return max(-1.0, lower), min(1.0, upper)


def _check(k: float, n: float, level: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} hits among {n} trials: hits must lie within 0 and the number of trials")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: must lie between 0 and 1")


def _beta_quantile(p: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = p, by bisection: I is monotone, and 100 halvings exhaust a double."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below the mean; DLMF 8.17.4 mirrors the rest
        return 1 - _beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, evaluated by Lentz's method; about sqrt(max(a, b)) terms."""
    tiny = 1e-300
    value = numerator = 1.0
    denominator = 0.0
    for j in range(1, 100_000):
        m = j // 2
        if j % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / ((1 + d * denominator) or tiny)
        numerator = (1 + d / numerator) or tiny
        step = numerator * denominator
        value *= step
        if abs(step - 1) < 1e-15:
            break
    return value
