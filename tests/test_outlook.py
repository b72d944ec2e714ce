"""Where a learning curve leads: planted curves are found again, and what cannot be told is refused."""

from __future__ import annotations

import numpy as np
import pytest

from learning.algorithms.outlook import NoOutlookError, look_ahead

SIZES = np.arange(100, 1300, 100)


def planted(n: np.ndarray, ceiling: float = 0.8, scale: float = 3.0, power: float = 0.6) -> np.ndarray:
    return ceiling - scale * n**-power


def test_a_curve_without_noise_is_found_again() -> None:
    outlook = look_ahead(SIZES, planted(SIZES), rng=np.random.default_rng(0))
    assert outlook.value_at(5000).value == pytest.approx(planted(np.array(5000.0)), abs=0.005)
    assert outlook.gain_of(500).value == pytest.approx(planted(np.array(1700.0)) - planted(np.array(1200.0)), abs=0.002)
    needed = outlook.labels_for(0.75)
    assert needed.value == pytest.approx((3 / 0.05) ** (1 / 0.6), rel=0.1)
    assert needed.interval[0] < needed.value < needed.interval[1]
    assert outlook.labels_for(0.99).value == np.inf


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    gain = planted(np.array(1700.0)) - planted(np.array(1200.0))
    held = []
    for _run in range(60):
        low, high = look_ahead(SIZES, planted(SIZES) + rng.normal(0, 0.01, len(SIZES)), rng=rng).gain_of(500).interval
        held.append(low <= gain <= high)
    assert np.mean(held) >= 0.95


def test_a_curve_that_falls_promises_no_gain() -> None:
    outlook = look_ahead(SIZES, 0.7 - SIZES / 10_000, rng=np.random.default_rng(0))
    assert outlook.gain_of(500).value == 0
    assert outlook.gain_of(500).interval[0] == 0
    assert outlook.labels_for(0.9).value == np.inf


def test_no_figure_is_foretold_above_the_best_there_is() -> None:
    outlook = look_ahead(SIZES, 1.2 - 6 * SIZES**-0.4, rng=np.random.default_rng(0))
    assert outlook.value_at(1e9).value <= 1


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([100, 200, 300, 400], "4 models judged, 5 needed"),
        ([100], "1 model judged, 5 needed"),
        ([], "0 models judged, 5 needed"),
        ([100, 100, 100, 200, 300], "3 models judged, 5 needed"),
        ([1000, 1100, 1200, 1300, 1400], "models were trained on 1000 to 1400 labels; twice as many are needed"),
    ],
)
def test_too_few_points_are_refused_by_name(sizes: list[int], said: str) -> None:
    with pytest.raises(NoOutlookError, match=f"^{said}$"):
        look_ahead(sizes, np.full(len(sizes), 0.5), rng=np.random.default_rng(0))


def test_refused_figures_are_left_out() -> None:
    values = planted(SIZES)
    values[::2] = np.nan
    assert look_ahead(SIZES, values, rng=np.random.default_rng(0)).gain_of(500).value > 0
    values[1:6] = np.nan
    with pytest.raises(NoOutlookError, match="3 models judged"):
        look_ahead(SIZES, values, rng=np.random.default_rng(0))


def test_points_come_in_any_order() -> None:
    order = np.random.default_rng(2).permutation(len(SIZES))
    values = planted(SIZES) + np.random.default_rng(3).normal(0, 0.01, len(SIZES))
    one = look_ahead(SIZES, values, rng=np.random.default_rng(0)).value_at(3000).value
    other = look_ahead(SIZES[order], values[order], rng=np.random.default_rng(0)).value_at(3000).value
    assert one == pytest.approx(other, abs=1e-9)
