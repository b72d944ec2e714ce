"""Whether two samples differ: the statistics, their chances of a false alarm, and what they find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from learning.algorithms import drift
from learning.algorithms.drift import (
    adjust,
    compare_shares,
    compare_values,
    compare_vectors,
    count_bins,
    cut_points,
    stability_index,
)

Compare = Callable[[np.random.Generator, float], float]


def shares(rng: np.random.Generator, moved: float) -> float:
    """p of 400 rows in three bins beside 300, of which so many more are in the rarest."""
    before = rng.multinomial(400, [0.7, 0.25, 0.05])
    return compare_shares(before, rng.multinomial(300, [0.7 - moved, 0.25, 0.05 + moved]), rng).p


def values(rng: np.random.Generator, moved: float) -> float:
    """p of 400 numbers beside 300 that are so much larger; to two digits, so that many are equal."""
    return compare_values(rng.normal(size=400).round(1), rng.normal(moved, size=300).round(1), rng).p


def vectors(rng: np.random.Generator, moved: float) -> float:
    """p of 200 vectors beside 150 of which the first number is so much larger."""
    before, after = rng.normal(size=(200, 8)), rng.normal(size=(150, 8))
    after[:, 0] += moved
    return compare_vectors(before, after, rng).comparison.p


def test_the_index_is_the_divergence_of_one_from_the_other_both_ways() -> None:
    before, after = np.array([120, 40, 30, 10]), np.array([80, 50, 60, 10])
    p, q = before / before.sum(), after / after.sum()
    assert stability_index(before, after) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    assert stability_index(after, before) == pytest.approx(stability_index(before, after))


def test_the_index_of_one_population_is_a_scaled_chi_square() -> None:
    """Yurdakul (2018): for n and m rows in B bins (1/n + 1/m) times a chi-square of B - 1 degrees of freedom."""
    rng = np.random.default_rng(0)
    parts = [0.4, 0.3, 0.2, 0.1]
    before, after = rng.multinomial(2000, parts, size=4000), rng.multinomial(1000, parts, size=4000)
    scaled = stability_index(before, after) / (1 / 2000 + 1 / 1000)
    assert scaled.mean() == pytest.approx(3, abs=0.15)
    assert (scaled > stats.chi2.ppf(0.99, 3)).mean() == pytest.approx(0.01, abs=0.005)


def test_an_empty_bin_leaves_the_index_finite() -> None:
    assert stability_index([10, 0], [0, 10]) == pytest.approx(2 * (20 / 21 - 1 / 21) * np.log(20), rel=1e-6)


def test_the_greatest_difference_is_scipys() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=80).round(1), rng.normal(0.3, size=50).round(1)
    found = compare_values(first, second, rng)
    assert found.value == pytest.approx(stats.ks_2samp(first, second).statistic)


def test_the_chance_of_an_order_is_that_of_all_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4 and 4 numbers there are 70 orders; with many drawn the p-value is their share, as scipy counts it."""
    monkeypatch.setattr(drift, "ENOUGH", 10**9)
    first, second = [1.0, 2.0, 3.0, 5.0], [4.0, 6.0, 7.0, 8.0]
    found = compare_values(first, second, np.random.default_rng(2))
    assert found.p == pytest.approx(stats.ks_2samp(first, second, method="exact").pvalue, abs=0.02)
    table = compare_shares([8, 2], [1, 9], np.random.default_rng(2))
    assert table.p == pytest.approx(stats.fisher_exact([[8, 2], [1, 9]])[1], abs=0.002)


def test_the_distance_is_mahalanobis_own_over_the_columns_and_their_squares() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(150, 3)), rng.normal(0.8, 1.5, size=(120, 3))
    together = np.concatenate([first, second])
    wide = np.hstack([together, (together - together.mean(axis=0)) ** 2])
    apart = wide[150:].mean(axis=0) - wide[:150].mean(axis=0)
    exact = np.sqrt(apart @ np.linalg.solve(np.cov(wide.T, bias=True), apart))
    assert compare_vectors(first, second, rng).comparison.value == pytest.approx(exact, rel=0.01)


def test_another_spread_around_the_same_middle_is_found() -> None:
    rng = np.random.default_rng(8)
    assert compare_vectors(rng.normal(size=(200, 8)), rng.normal(0, 1.5, size=(150, 8)), rng).comparison.p < 0.001


def test_of_many_columns_the_widest_directions_count() -> None:
    rng = np.random.default_rng(9)
    first, second = rng.normal(size=(200, 400)), rng.normal(size=(150, 400))
    assert compare_vectors(first, second, rng).comparison.p > 0.01
    assert compare_vectors(first, second + np.linspace(0, 1, 400), rng).comparison.p < 0.001


def test_the_strangest_rows_are_those_that_only_the_second_sample_has() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    second[:60, 2] += 4
    strangest = np.argsort(compare_vectors(first, second, rng).strangeness)[::-1][:40]
    assert (strangest < 60).mean() > 0.9


@pytest.mark.parametrize("compare", [shares, values, vectors])
def test_without_a_difference_p_values_are_as_small_as_they_say_and_no_smaller(compare: Compare) -> None:
    p = np.array([compare(np.random.default_rng(seed), 0.0) for seed in range(200)])
    # 99.9 % bounds of the binomial at each level.
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() <= stats.binom.ppf(0.9995, 200, level) / 200
    assert p.mean() > 0.4


@pytest.mark.parametrize(("compare", "moved"), [(shares, 0.15), (values, 0.6), (vectors, 1.2)])
def test_a_difference_is_found(compare: Compare, moved: float) -> None:
    assert all(compare(np.random.default_rng(seed), moved) < 0.001 for seed in range(3))


def test_equal_samples_of_one_number_are_no_news() -> None:
    rng = np.random.default_rng(5)
    assert compare_values([1.0] * 10, [1.0] * 10, rng).p == 1
    assert compare_shares([10, 0], [20, 0], rng).p == 1
    assert compare_vectors(np.ones((10, 3)), np.ones((10, 3)), rng).comparison.p == 1


@pytest.mark.parametrize("compare", [compare_shares, compare_values, compare_vectors])
def test_an_empty_sample_cannot_be_compared(compare: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="0 rows"):
        compare(np.ones((1, 2)) if compare is compare_vectors else [1], [], np.random.default_rng(0))


def test_the_same_seed_gives_the_same_p() -> None:
    assert values(np.random.default_rng(6), 0.1) == values(np.random.default_rng(6), 0.1)


def test_the_smallest_of_four_is_multiplied_by_four_and_none_falls_below_a_smaller_one() -> None:
    assert adjust([0.02, 0.01, 0.9, 0.012]) == pytest.approx([0.04, 0.04, 0.9, 0.04])


def test_bins_hold_as_many_rows_each_and_all_of_the_other_sample() -> None:
    sample = np.random.default_rng(7).normal(size=1000)
    cuts = cut_points(sample)
    assert count_bins(sample, cuts).tolist() == [100] * 10
    assert count_bins([-99, 99, 99], cuts).tolist() == [1, *[0] * 8, 2]
    assert count_bins([1.0, 1.0], cut_points([1.0, 1.0])).sum() == 2
