"""Whether two samples come from one population: what a model was taught on, and what has come in since.

Every comparison is a permutation test: were both samples from one population, it would not matter which row came from
which, so its chance of a false alarm is what it says, whatever the rows are distributed like. Of many comparisons all
together hold one stated rate (Holm). How often that was wrong, and what is found, is measured: `benchmarks/drift.py`.

Rows must be independent and neither sample may have taught what measures them: a model is surer of what it was taught.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

FloatArray = NDArray[np.float64]

ALPHA = 0.01
# Of one comparison. 10,000 orders tell apart p-values down to 0.0001: enough for Holm over 100 comparisons at 1 %.
MOST_ORDERS = 9_999
# Once so many orders were as extreme there is no alarm to come, and no need to go on (Besag and Clifford).
ENOUGH = 20
N_DIRECTIONS = 128
_FIRST_BLOCK, _BLOCK = 100, 1_000
_RIDGE = 1e-3
# With as many directions as rows any two samples lie far apart, and nothing stands out.
_ROWS_FOR_EACH = 16


@dataclass(frozen=True)
class Comparison:
    """One statistic of two samples, and how likely one at least as large is without any difference.

    Attributes
    ----------
    value : float
        0 for samples that look the same; larger for ones that differ more.
    p : float
        In (0, 1].
    """

    value: float
    p: float


def stability_index(expected: ArrayLike, actual: ArrayLike) -> FloatArray:
    """The population stability index: the symmetric divergence (Jeffreys) of shares over bins.

    Parameters
    ----------
    expected : array-like, (..., n_bins)
        Counts, at least one row in all. An empty bin counts as half a row, so that the index stays finite.
    actual : array-like, (..., n_bins)

    Returns
    -------
    ndarray of float64, (...)
        0 for equal shares. By a rule of thumb below 0.1 little has changed and above 0.25 much; as it grows with fewer
        rows, no alarm should go by that. For n and m rows of one population it is (1/n + 1/m) times a chi-square of
        n_bins - 1 degrees of freedom, for large n and m.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, Wiley. Yurdakul (2018), Statistical Properties of Population Stability
    Index, Western Michigan University (the distribution). Kullback and Leibler (1951), On Information and Sufficiency,
    Annals of Mathematical Statistics 22(1).

    Examples
    --------
    >>> round(float(stability_index([50, 50], [40, 60])), 5)
    0.04055
    >>> float(stability_index([10, 20, 30], [100, 200, 300]))
    0.0
    """
    p, q = (_shares(counts) for counts in (expected, actual))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def _shares(counts: ArrayLike) -> FloatArray:
    found = np.maximum(np.asarray(counts, np.float64), 0.5)
    return np.asarray(found / found.sum(axis=-1, keepdims=True))


def compare_shares(expected: ArrayLike, actual: ArrayLike, rng: np.random.Generator) -> Comparison:
    """Whether two samples fall into bins alike, by their stability index.

    Parameters
    ----------
    expected, actual : array-like of int, (n_bins,)
        Counts.
    rng : numpy.random.Generator

    Returns
    -------
    Comparison
        `p` is exact whatever the counts: of both samples together each order is as likely, so a sample's counts are
        multivariate hypergeometric.

    Raises
    ------
    ValueError
        Where a sample is empty.
    """
    first, second = np.asarray(expected, np.int64), np.asarray(actual, np.int64)
    _require_rows(int(first.sum()), int(second.sum()))
    together = first + second

    def reorder(n: int) -> FloatArray:
        drawn = rng.multivariate_hypergeometric(together, int(second.sum()), size=n, method="marginals")
        return stability_index(together - drawn, drawn)

    return _compare(float(stability_index(first, second)), reorder)


def compare_values(expected: ArrayLike, actual: ArrayLike, rng: np.random.Generator) -> Comparison:
    """Whether two samples of numbers are distributed alike: the greatest difference of their distribution functions.

    Parameters
    ----------
    expected, actual : array-like of float, (n,), (m,)
        Ties are allowed.
    rng : numpy.random.Generator

    Returns
    -------
    Comparison
        `value` is Kolmogorov's and Smirnov's D, 0 to 1.

    Raises
    ------
    ValueError
        Where a sample is empty.

    References
    ----------
    Smirnov (1939), On the Estimation of the Discrepancy between Empirical Curves of Distribution for Two Independent
    Samples, Bulletin de l'Universite de Moscou 2(2).

    Examples
    --------
    >>> compare_values([1, 2, 3, 4], [3, 4, 5, 6], np.random.default_rng(0)).value
    0.5
    """
    first, second = (np.asarray(values, np.float64).ravel() for values in (expected, actual))
    n, m = len(first), len(second)
    _require_rows(n, m)
    together = np.concatenate([first, second])
    order = np.argsort(together, kind="stable")
    ranked = together[order]
    is_end = np.append(ranked[1:] != ranked[:-1], True)  # where a run of equal numbers ends
    reached = m * np.arange(1, n + m + 1)

    def measure(is_second: NDArray[np.bool_]) -> FloatArray:
        # In whole numbers, n * m times as large, which are faster, and equal where they should be.
        apart = np.cumsum(is_second, axis=-1, dtype=np.int64)
        apart *= n + m
        apart -= reached
        np.abs(apart, out=apart)
        return np.asarray((apart if is_end.all() else apart[..., is_end]).max(axis=-1) / (n * m))

    observed = measure((np.arange(n + m) >= n)[order])
    return _compare(float(observed), lambda k: measure(_deal(k, n, m, rng)))


@dataclass(frozen=True, eq=False)
class ContentComparison:
    """`compare_vectors`' result: the comparison, and how far each row of the second sample lies on the new side.

    Attributes
    ----------
    comparison : Comparison
    strangeness : ndarray of float64, (m,)
        Highest for the rows that the second sample has and the first one lacks.
    """

    comparison: Comparison
    strangeness: FloatArray


def compare_vectors(expected: ArrayLike, actual: ArrayLike, rng: np.random.Generator) -> ContentComparison:
    """Whether two samples of vectors lie alike, in their middle and their spread: Hotelling's statistic by permutation.

    Parameters
    ----------
    expected, actual : array-like of float, (n, n_columns), (m, n_columns)
        Of more than 128 columns, or one for every 16 rows, those directions count in which both samples together are
        widest.
    rng : numpy.random.Generator

    Returns
    -------
    ContentComparison
        Its `value` is Mahalanobis' distance of the two means, over the columns and their squares: how many standard
        deviations they lie apart, along the line that tells them apart best. Without any difference it is about the
        root of twice the number of columns times (1/n + 1/m), not 0.

    Raises
    ------
    ValueError
        Where a sample is empty.

    References
    ----------
    Hotelling (1931), The Generalization of Student's Ratio, Annals of Mathematical Statistics 2(3). On topics of texts
    it found more than the maximum mean discrepancy under a Gaussian kernel (Gretton et al. 2012, JMLR 13), which was
    tried, at a fifth of its time.
    """
    first, second = (np.asarray(rows, np.float64) for rows in (expected, actual))
    n, m = len(first), len(second)
    _require_rows(n, m)
    with threadpool_limits(limits=1):
        rows = _even_out(np.concatenate([first, second]), rng)
        total = rows.sum(axis=0, dtype=np.float64)

        def part(sums: NDArray[Any]) -> FloatArray:
            """Difference of the means, by sums over the second sample, (..., n_columns)."""
            return np.asarray(sums / m - (total - sums) / n)

        def reorder(k: int) -> FloatArray:
            sums = (_deal(k, n, m, rng).astype(np.float32) @ rows).astype(np.float64)
            return np.asarray(np.linalg.norm(part(sums), axis=-1))

        apart = part(rows[n:].sum(axis=0, dtype=np.float64))
        comparison = _compare(float(np.linalg.norm(apart)), reorder)
    return ContentComparison(comparison, np.asarray(rows[n:] @ apart, np.float64))


def _even_out(rows: FloatArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rows and their squares so that all directions have a variance of 1 and none goes with another, (n_rows, width).

    Made of all rows together, so it does not know which sample a row is of. Directions in which hardly anything differs
    stay short.
    """
    rows = rows - rows.mean(axis=0)
    width = min(N_DIRECTIONS, max(2, len(rows) // _ROWS_FOR_EACH))
    if rows.shape[1] > width:
        from sklearn.utils.extmath import randomized_svd

        left, lengths, _right = randomized_svd(rows, width, random_state=int(rng.integers(2**31)), flip_sign=False)
        rows = left * lengths
    rows = np.hstack([rows, rows**2])
    rows -= rows.mean(axis=0)
    deviations = rows.std(axis=0)
    rows /= np.where(deviations > 0, deviations, 1)
    variances, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    most = variances.max(initial=0.0)
    scales = np.sqrt(np.maximum(variances, 0) + _RIDGE * most) if most > 0 else np.ones_like(variances)
    return np.asarray(rows @ (axes / scales), np.float32)


def _deal(k: int, n: int, m: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """`k` orders of both samples together: which rows fall to the second one, (k, n + m)."""
    keys = rng.random((k, n + m))
    return np.asarray(keys >= np.partition(keys, n, axis=1)[:, n : n + 1])


def _compare(observed: float, reorder: Callable[[int], FloatArray]) -> Comparison:
    """The p-value of a statistic, over as many orders as it takes.

    Besag and Clifford (1991), Sequential Monte Carlo p-values, Biometrika 78(2): where the `ENOUGH`-th order as extreme
    is the l-th one, p is ENOUGH / l; where so many do not come, (as extreme + 1) / (MOST_ORDERS + 1). Both are valid.
    """
    n_extreme = done = 0
    # Equal statistics come out a little apart, by the order in which numbers are added.
    least = observed - 1e-9 * max(1.0, abs(observed)) if observed else 0.0
    while done < MOST_ORDERS:
        block = min(_FIRST_BLOCK if not done else _BLOCK, MOST_ORDERS - done)
        is_extreme = reorder(block) >= least
        if n_extreme + is_extreme.sum() >= ENOUGH:
            place = int(np.flatnonzero(is_extreme)[ENOUGH - n_extreme - 1]) + 1
            return Comparison(observed, ENOUGH / (done + place))
        n_extreme += int(is_extreme.sum())
        done += block
    return Comparison(observed, (n_extreme + 1) / (MOST_ORDERS + 1))


def _require_rows(n: int, m: int) -> None:
    if not n or not m:
        raise ValueError(f"samples of {n} and {m} rows: nothing can be compared")


def adjust(p: Sequence[float]) -> list[float]:
    """p-values of several comparisons, so that those at most alpha hold a false alarm in alpha of all cases or fewer.

    References
    ----------
    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> [round(value, 3) for value in adjust([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    >>> adjust([])
    []
    """
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def cut_points(values: ArrayLike, n_bins: int = 10) -> FloatArray:
    """Where a sample is cut into bins of as many rows each, (at most n_bins - 1,); fewer where numbers repeat.

    Examples
    --------
    >>> cut_points([1, 2, 3, 4], 2).tolist()
    [2.5]
    """
    return np.unique(np.quantile(np.asarray(values, np.float64), np.arange(1, n_bins) / n_bins))


def count_bins(values: ArrayLike, cuts: FloatArray) -> NDArray[np.int64]:
    """How many numbers lie in each bin, (n_cuts + 1,); a number at a cut lies above it."""
    places = np.searchsorted(cuts, np.asarray(values, np.float64), side="right")
    return np.asarray(np.bincount(places, minlength=len(cuts) + 1), np.int64)
