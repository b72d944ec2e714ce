"""Figures on a holdout: scikit-learn as oracle, coverage by simulation, and what is refused."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from learning.algorithms import evaluation
from learning.algorithms.evaluation import Evaluation, compare_macro_f1, evaluate, macro_f1_of
from reviewers.algorithms.intervals import wilson


def rng(seed: int = 11) -> np.random.Generator:
    return np.random.default_rng(seed)


def draw_case(seed: int, n: int, n_classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    source = rng(seed)
    return source.integers(0, n_classes, n), source.dirichlet(np.ones(n_classes), size=n)


def figures_of(found: Evaluation) -> list[object]:
    return [found.accuracy.value, found.macro_f1.value, found.log_loss.value]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(20, 60), n_classes=st.integers(2, 5))
def test_figures_are_those_of_scikit_learn(seed: int, n: int, n_classes: int) -> None:
    y, proba = draw_case(seed, n, n_classes)
    y[:2] = [0, 1]
    found = evaluate(y, proba, rng=rng(), minimum=20)
    predicted, codes = proba.argmax(axis=1), list(range(n_classes))
    assert figures_of(found) == pytest.approx(
        [
            metrics.accuracy_score(y, predicted),
            metrics.f1_score(y, predicted, average="macro", zero_division=0.0),
            metrics.log_loss(y, proba, labels=codes),
        ]
    )
    assert found.confusion == tuple(map(tuple, metrics.confusion_matrix(y, predicted, labels=codes).tolist()))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        y, predicted, labels=codes, zero_division=np.nan
    )
    for code, figures in enumerate(found.classes):
        assert figures.n_items == support[code]
        by_class = [np.nan if x is None else x for x in (figures.precision, figures.recall, figures.f1)]
        assert by_class == pytest.approx([precision[code], recall[code], f1[code]], nan_ok=True)


def test_row_order_changes_nothing() -> None:
    y, proba = draw_case(1, 200, 3)
    order = rng().permutation(200)
    one, other = evaluate(y, proba, rng=rng()), evaluate(y[order], proba[order], rng=rng())
    assert one.confusion == other.confusion
    assert one.macro_f1 == other.macro_f1
    assert one.log_loss.value == pytest.approx(other.log_loss.value)


def test_interval_is_that_of_resampling_items_one_by_one() -> None:
    y, proba = draw_case(2, 150, 3)
    predicted, source = proba.argmax(axis=1), rng(3)
    picks = [source.integers(0, 150, 150) for _ in range(1500)]
    scores = [metrics.f1_score(y[pick], predicted[pick], average="macro") for pick in picks]
    found = evaluate(y, proba, rng=rng(), n_resamples=20_000).macro_f1
    assert found.interval == pytest.approx(np.quantile(scores, [0.025, 0.975]).tolist(), abs=0.012)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # A planted confusion: 3 classes, of which 80, 70 and 60 % are found.
    joint = np.array([[0.4, 0.05, 0.05], [0.06, 0.21, 0.03], [0.04, 0.04, 0.12]])
    truth, source = float(macro_f1_of(joint)), rng(5)
    covered = 0
    for seed in range(200):
        cells = source.choice(9, size=400, p=joint.ravel())
        figure = evaluate(cells // 3, np.eye(3)[cells % 3], rng=rng(seed)).macro_f1
        low, high = figure.interval or (1.0, 0.0)
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_same_seed_gives_the_same_interval() -> None:
    y, proba = draw_case(4, 120, 3)
    assert evaluate(y, proba, rng=rng(1)) == evaluate(y, proba, rng=rng(1))
    assert evaluate(y, proba, rng=rng(1)).macro_f1.interval != evaluate(y, proba, rng=rng(2)).macro_f1.interval


def test_perfect_predictions() -> None:
    y = np.arange(120) % 3
    found = evaluate(y, np.eye(3)[y], rng=rng())
    assert figures_of(found) == pytest.approx([1, 1, 0])
    assert found.accuracy.interval == pytest.approx((120 / (120 + 1.959964**2), 1.0), abs=1e-6)  # Wilson with k = n


def test_small_holdout_is_refused_by_name() -> None:
    y, proba = draw_case(6, 12, 2)
    found = evaluate(y, proba, rng=rng())
    assert {figure.refusal for figure in (found.accuracy, found.macro_f1, found.log_loss)} == {
        "holdout has 12 labels, 100 needed"
    }
    assert sum(map(sum, found.confusion)) == found.n_items == 12


@pytest.mark.parametrize(("n", "refusal"), [(0, "holdout has 0 labels, 1 needed"), (1, None)])
def test_lowest_minimum_is_one_label(n: int, refusal: str | None) -> None:
    y, proba = draw_case(6, n, 2)
    assert evaluate(y, proba, rng=rng(), minimum=0).accuracy.refusal == refusal


def test_one_class_refuses_macro_f1_and_shows_the_rest() -> None:
    found = evaluate(np.zeros(100, int), np.tile([0.8, 0.2], (100, 1)), rng=rng())
    assert found.macro_f1.refusal == "only 1 class occurs"
    assert found.accuracy.value == 1.0
    assert found.log_loss.value == pytest.approx(-np.log(0.8))


def test_items_without_an_accepted_label_are_left_out() -> None:
    y, proba = draw_case(7, 300, 3)
    gappy = np.where(np.arange(300) % 3 == 0, -1, y)
    assert evaluate(gappy, proba, rng=rng()) == evaluate(y[gappy >= 0], proba[gappy >= 0], rng=rng())


def test_class_that_never_occurs_has_no_figures_and_does_not_count() -> None:
    y = np.arange(100) % 2
    found = evaluate(y, np.eye(3)[y], rng=rng())
    assert found.macro_f1.value == 1.0
    assert {name: value for name, value in found.classes[2].as_dict().items() if value is not None} == {
        "code": 2,
        "n_items": 0,
        "n_predicted": 0,
    }


def test_figures_of_a_class_come_with_their_intervals_or_are_refused() -> None:
    y, proba = draw_case(5, 200, 3)
    for figures in evaluate(y, proba, rng=rng()).classes:
        for name in ("precision", "recall", "f1"):
            low, high = getattr(figures, f"{name}_interval")
            assert 0 <= low < getattr(figures, name) < high <= 1
    few = evaluate(y[:50], proba[:50], rng=rng()).classes[0]
    assert (few.f1, few.f1_interval, few.refusal) == (None, None, "holdout has 50 labels, 100 needed")


def test_the_interval_of_f1_is_wilsons_of_the_share_of_hits_mapped() -> None:
    """8 of the class found, 2 missed, 2 wrongly taken for it: 8 hits of 12, and F1 = 2J / (1 + J)."""
    y = np.r_[np.zeros(10, int), np.ones(90, int)]
    predicted = np.r_[np.zeros(8, int), np.ones(2, int), np.zeros(2, int), np.ones(88, int)]
    figures = evaluate(y, np.eye(2)[predicted], rng=rng()).classes[0]
    low, high = wilson(8, 12)
    assert figures.f1 == pytest.approx(2 * (8 / 12) / (1 + 8 / 12))
    assert figures.f1_interval == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_probability_of_nought_costs_much_but_not_everything() -> None:
    y = np.r_[np.ones(1, int), np.arange(99) % 2]
    proba = np.eye(2)[np.r_[0, np.arange(99) % 2]]
    assert evaluate(y, proba, rng=rng()).log_loss.value == pytest.approx(36.04 / 100, abs=1e-3)


@pytest.mark.parametrize(
    ("y", "n_resamples", "message"),
    [
        ([0], 1000, r"\(1,\) labels do not fit \(2, 2\) probabilities"),
        ([0, 2], 1000, r"labels must lie within 0\.\.1, or be -1 where there is none"),
        ([0, 1], 10, "10 resamples are too few for an interval: at least 1000"),
    ],
)
def test_input_that_does_not_fit_is_refused(y: list[int], n_resamples: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluate(y, [[0.5, 0.5]] * 2, rng=rng(), n_resamples=n_resamples)


def test_evaluation_is_ready_for_json() -> None:
    y, proba = draw_case(8, 120, 3)
    found = evaluate(y, proba, rng=rng()).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [metric["metric"] for metric in found["metrics"]] == [
        "accuracy",
        "macro_f1",
        "log_loss",
        "calibration_error",
    ]


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(evaluation).failed == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(20, 60), n_classes=st.integers(2, 5))
def test_average_precision_is_that_of_scikit_learn_ties_too(seed: int, n: int, n_classes: int) -> None:
    y, proba = draw_case(seed, n, n_classes)
    y[:2] = [0, 1]
    proba = np.round(proba, 1) + 0.1
    proba /= proba.sum(axis=1, keepdims=True)
    for code, figures in enumerate(evaluate(y, proba, rng=rng(), minimum=20).classes):
        expected = metrics.average_precision_score(y == code, proba[:, code]) if (y == code).any() else None
        assert figures.average_precision == (None if expected is None else pytest.approx(expected))


def test_intervals_of_average_precision_hold_the_truth() -> None:
    source = rng(5)
    y = (source.random(200_000) < 0.2).astype(np.int64)
    score = 1 / (1 + np.exp(-(y + source.normal(size=len(y)))))
    proba = np.column_stack([1 - score, score])
    truth = metrics.average_precision_score(y, score)
    held = []
    for _run in range(200):
        some = source.integers(0, len(y), 400)
        interval = evaluate(y[some], proba[some], rng=source).classes[1].average_precision_interval
        assert interval is not None
        held.append(interval[0] <= truth <= interval[1])
    assert 0.9 <= np.mean(held) <= 1.0


def test_calibration_by_hand() -> None:
    proba = np.array([[0.95, 0.05]] * 60 + [[0.65, 0.35]] * 40)
    y = np.array([0] * 57 + [1] * 3 + [0] * 20 + [1] * 20)
    found = evaluate(y, proba, rng=rng())
    assert found.calibration_error.value == pytest.approx(0.4 * 0.15)  # the first bin says what is: 57 of 60 are 0.95
    assert [(round(said, 2), share, n) for said, share, n in found.reliability] == [(0.65, 0.5, 40), (0.95, 0.95, 60)]
    low, high = found.calibration_error.interval or (1.0, 0.0)
    assert low < 0.06 < high
    assert evaluate(y[:20], proba[:20], rng=rng()).calibration_error.refusal == "holdout has 20 labels, 100 needed"


def test_two_models_are_compared_on_the_same_items() -> None:
    source = rng(3)
    y = source.integers(0, 3, 400)
    good = np.eye(3)[np.where(source.random(400) < 0.8, y, source.integers(0, 3, 400))]
    worse = np.where((source.random(400) < 0.1)[:, np.newaxis], np.eye(3)[source.integers(0, 3, 400)], good)
    found = compare_macro_f1(y, worse, good, rng=rng())
    apart = evaluate(y, worse, rng=rng()).macro_f1, evaluate(y, good, rng=rng()).macro_f1
    assert found.value == pytest.approx((apart[0].value or 0) - (apart[1].value or 0))
    assert found.interval is not None
    assert found.interval[1] < 0
    assert (apart[0].interval or (0, 1))[1] > (apart[1].interval or (0, 1))[0]  # unpaired one could not tell
    same = compare_macro_f1(y, good, good, rng=rng())
    assert (same.value, same.interval) == (0.0, (0.0, 0.0))
    assert compare_macro_f1(y[:5], good[:5], good[:5], rng=rng()).refusal == "holdout has 5 labels, 100 needed"
    with pytest.raises(ValueError, match="do not fit"):
        compare_macro_f1(y, good, good[:, :2], rng=rng())
