"""Intervals for a share and for the difference of two: Newcombe's tables, scipy's beta quantiles, their limits."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reviewers.algorithms import intervals
from reviewers.algorithms.intervals import clopper_pearson, newcombe, wilson


# Newcombe (1998), Two-sided confidence intervals for the single proportion, Statistics in Medicine 17:857-872, Table I.
@pytest.mark.parametrize(
    ("k", "n", "published"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_is_as_newcombe_printed_it(k: int, n: int, published: tuple[float, float]) -> None:
    assert tuple(round(end, 4) for end in wilson(k, n)) == published


@pytest.mark.parametrize(
    ("k", "n", "published"),
    [(81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617)), (0, 20, (0, 0.1684)), (1, 29, (0.0009, 0.1776))],
)
def test_clopper_pearson_is_as_newcombe_printed_it(k: int, n: int, published: tuple[float, float]) -> None:
    assert tuple(round(end, 4) for end in clopper_pearson(k, n)) == published


# Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in Medicine
# 17:873-890, Table II, method 10.
@pytest.mark.parametrize(
    ("counts", "published"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_as_newcombe_printed_it(
    counts: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    assert tuple(round(end, 4) for end in newcombe(*counts)) == published


def test_a_share_of_nothing_leaves_the_difference_open() -> None:
    assert newcombe(0, 0, 3, 7) == newcombe(3, 7, 0, 0) == (-1.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(2, 100_000), share=st.floats(0.0, 1.0), level=st.sampled_from([0.8, 0.95, 0.999]))
def test_clopper_pearson_is_scipys_beta_quantile(n: int, share: float, level: float) -> None:
    k = 1 + round(share * (n - 2))
    low = stats.beta.ppf((1 - level) / 2, k, n - k + 1)
    high = stats.beta.ppf((1 + level) / 2, k + 1, n - k)
    assert clopper_pearson(k, n, level) == pytest.approx((low, high), rel=1e-9)


@given(n=st.integers(1, 500), data=st.data())
def test_intervals_hold_the_share_and_mirror(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_impossible_counts_and_levels_are_refused(interval: object) -> None:
    assert callable(interval)
    with pytest.raises(ValueError, match="hits must lie within 0 and the number of trials"):
        interval(3, 2)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        interval(1, 2, level=1.0)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(intervals).failed == 0
