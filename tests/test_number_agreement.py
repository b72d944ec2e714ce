"""Agreement on numbers against published figures, the `krippendorff` package, the counting engine, and its limits."""

from __future__ import annotations

import doctest
from typing import Any

import krippendorff
import numpy as np
import pytest
from numpy.typing import NDArray

from reviewers.algorithms import number_agreement
from reviewers.algorithms.agreement import LabelTable, agreement_of
from reviewers.algorithms.number_agreement import agreement_of_numbers, interval_alpha


def planted(seed: int, n_items: int = 200, n_people: int = 4) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(item, person, number): one true number an item, everybody a little off it, a third of the labels missing."""
    rng = np.random.default_rng(seed)
    item, person = np.indices((n_items, n_people)).reshape(2, -1)
    number = np.round(rng.normal(50, 10, n_items)[item] + rng.normal(0, 4, len(item)), 3)
    kept = rng.random(len(item)) > 1 / 3
    return item[kept], person[kept], number[kept]


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(number_agreement).failed == 0
    assert doctest.testmod(number_agreement).attempted > 3


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_krippendorff_package(seed: int) -> None:
    item, person, number = planted(seed)
    matrix = np.full((4, 200), np.nan)
    matrix[person, item] = number
    oracle = krippendorff.alpha(matrix, level_of_measurement="interval")
    assert interval_alpha(item, number) == pytest.approx(oracle, abs=1e-9)


def test_whole_numbers_have_the_figures_of_the_counting_engine() -> None:
    item, person, number = planted(3)
    whole = np.round(number / 10).astype(np.int64)
    table = LabelTable.from_codes(item, person, whole - whole.min(), int(np.ptp(whole)) + 1)
    counted = agreement_of(table, rng=np.random.default_rng(1), distances=("interval",))
    summed = agreement_of_numbers(item, person, whole, rng=np.random.default_rng(1))
    assert [one.metric for one in summed] == [one.metric for one in counted]
    for one, other in zip(summed, counted, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert one.interval == pytest.approx(other.interval, abs=0.02)
        assert (one.n_items, one.n_labels, one.n_annotators) == (other.n_items, other.n_labels, other.n_annotators)


def test_unit_and_origin_do_not_matter() -> None:
    item, _person, number = planted(1)
    assert interval_alpha(item, number * 1000 - 1e9) == pytest.approx(interval_alpha(item, number), abs=1e-6)


def test_row_order_does_not_matter_to_value_or_interval() -> None:
    item, person, number = planted(2)
    order = np.random.default_rng(9).permutation(len(item))
    one = agreement_of_numbers(item, person, number, rng=np.random.default_rng(1), tolerance=2)
    other = agreement_of_numbers(item[order], person[order], number[order], rng=np.random.default_rng(1), tolerance=2)
    assert one == other


def test_raw_agreement_counts_pairs_within_the_tolerance() -> None:
    item, person, number = [1, 1, 1, 2, 2], [1, 2, 3, 1, 2], [0.3, 0.4, 0.9, 5, 5]
    rng = np.random.default_rng(0)
    assert agreement_of_numbers(item, person, number, rng=rng)[0].value == pytest.approx(1 / 2)
    assert agreement_of_numbers(item, person, number, rng=rng, tolerance=0.1)[0].value == pytest.approx(2 / 3)
    assert agreement_of_numbers(item, person, number, rng=rng, tolerance=0.6)[0].value == 1.0


def test_tolerance_leaves_alpha_alone() -> None:
    item, person, number = planted(4)
    strict, lenient = (
        agreement_of_numbers(item, person, number, rng=np.random.default_rng(1), tolerance=t)[1] for t in (0, 5)
    )
    assert strict == lenient


def test_numbers_given_by_chance_have_an_alpha_near_zero() -> None:
    item, person = np.indices((500, 2)).reshape(2, -1)
    number = np.random.default_rng(5).normal(size=1000)
    (_raw, alpha) = agreement_of_numbers(item, person, number, rng=np.random.default_rng(1))
    assert alpha.interval is not None
    assert alpha.interval[0] < 0 < alpha.interval[1]


def test_where_nobody_differs_the_interval_is_the_exact_bound() -> None:
    item, person, number = [1, 1, 2, 2, 3, 3], [1, 2] * 3, [1.5, 1.5, 2, 2, 8.25, 8.25]
    raw, alpha = agreement_of_numbers(item, person, number, rng=np.random.default_rng(0))
    assert (raw.value, alpha.value) == (1.0, 1.0)
    assert raw.interval is not None
    assert raw.interval[0] == pytest.approx(0.025 ** (1 / 3))
    assert alpha.interval is not None
    assert alpha.interval[0] < raw.interval[0]
    assert "exact bound" in alpha.method


def test_one_number_alone_has_no_alpha() -> None:
    raw, alpha = agreement_of_numbers([1, 1, 2, 2], [1, 2, 1, 2], [0.1] * 4, rng=np.random.default_rng(0))
    assert (raw.value, alpha.refusal) == (1.0, "only 1 class occurs")
    assert np.isnan(interval_alpha([1, 1], [0.1, 0.1]))


@pytest.mark.parametrize("labels", [([], [], []), ([1, 2], [1, 1], [3.0, 4.0])])
def test_without_an_item_that_two_people_labelled_all_is_refused(labels: tuple[list[int], ...]) -> None:
    figures = agreement_of_numbers(*labels, rng=np.random.default_rng(0))
    assert [one.metric for one in figures] == ["raw_agreement", "alpha_interval"]
    assert {one.refusal for one in figures} == {"no item has two labels"}
    assert {one.n_labels for one in figures} == {0}


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        ([1.0], {}, "one entry per label"),
        ([1.0, float("nan")], {}, "finite"),
        ([1.0, 2.0], {"tolerance": -1}, "tolerance -1"),
        ([1.0, 2.0], {"n_resamples": 10}, "at least 1000"),
    ],
)
def test_what_makes_no_sense_is_refused(number: list[float], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreement_of_numbers([1, 1], [1, 2], number, rng=np.random.default_rng(0), **options)
