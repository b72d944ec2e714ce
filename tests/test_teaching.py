"""How a model is made of labels: what answers say beyond the label, how sure it may be, and its thresholds."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from learning.algorithms import beliefs, calibration, evaluation, teaching
from learning.algorithms.beliefs import believe
from learning.algorithms.calibration import find_scale, scale_logits
from learning.algorithms.estimators import fit_logistic, read_model
from learning.algorithms.evaluation import judge_at_thresholds
from learning.algorithms.teaching import Lesson, calibrate, teach
from learning.algorithms.thresholds import best_threshold

RNG = np.random.default_rng(6)
N = 1200
TRUTH: NDArray[np.int64] = (RNG.random(N) < 0.1).astype(np.int64)
# Rows of length 1, as texts are: the penalty keeps a model of few labels unsure.
X = np.c_[TRUTH * 2.5, np.ones(N)] + RNG.normal(size=(N, 2))
X /= 4
ALL = np.ones(400, bool)


def made(lesson: Lesson, n_left: int = N) -> Any:
    model = teach(lesson, 2, 0, some=X, n_left=N, basis=None)
    return calibrate(model, lesson, 0, n_left=n_left, basis=None)


def log_loss(model: Any) -> float:
    return float(-np.log(model.predict_proba(X[400:])[np.arange(N - 400), TRUTH[400:]]).mean())


def test_a_model_is_as_sure_as_it_is_right_and_calls_items_as_before() -> None:
    lesson = Lesson(X[:400], TRUTH[:400], ALL)
    raw, sure = teach(lesson, 2, 0, some=X, n_left=N, basis=None), made(lesson)
    assert log_loss(sure) < log_loss(raw) - 0.02
    assert sure.settings["scale"] > 1.1
    said = [model.predict_proba(X).argmax(axis=1) for model in (raw, sure)]
    assert np.mean(said[0] == said[1]) > 0.999  # rounding to single precision
    arrays, card = sure.to_arrays()
    assert np.array_equal(read_model(arrays, card).predict_proba(X), sure.predict_proba(X))


def test_a_rare_class_is_found_at_its_threshold() -> None:
    sure = made(Lesson(X[:400], TRUTH[:400], ALL))
    proba = sure.predict_proba(X[400:])
    (_common, rare) = judge_at_thresholds(TRUTH[400:], proba, sure.settings["thresholds"])
    said = proba.argmax(axis=1) == 1
    likeliest = 2 * (said & (TRUTH[400:] == 1)).sum() / (said.sum() + TRUTH[400:].sum())
    assert rare is not None
    assert rare.f1 is not None
    assert rare.f1 > likeliest + 0.03
    assert (rare.code, rare.n_items) == (1, int(TRUTH[400:].sum()))
    assert rare.f1_interval is not None
    assert rare.f1_interval[0] < rare.f1 < rare.f1_interval[1]


def test_labels_that_chance_drew_stand_for_what_nobody_chose() -> None:
    """Chosen ones are half of the rare class: by them alone thresholds would be those of another world."""
    chosen = np.concatenate([np.flatnonzero(TRUTH)[-60:], np.flatnonzero(TRUTH == 0)[-60:]])
    drawn = np.setdiff1d(np.arange(N), chosen)[:300]
    rows = np.concatenate([chosen, drawn])
    lesson = Lesson(X[rows], TRUTH[rows], np.isin(rows, drawn))
    weights = lesson.weigh(n_left=N - 120)
    assert weights[:120].tolist() == [1.0] * 120
    assert weights[120:].tolist() == [(N - 120) / 300] * 300
    in_pool, among_labels = (made(lesson, n_left).settings["thresholds"][0] for n_left in (N - 120, 300))
    assert in_pool < among_labels - 0.1  # the common class is said more freely where it is commoner


def test_a_threshold_goes_by_what_labels_stand_for() -> None:
    """Two true of three at 0.6: F1 0.8. Ten false ones at 0.7: from 0.9 on F1 0.67, farther down at most 0.29."""
    scores, is_class = [0.9, 0.7, 0.6], [True, False, True]
    assert best_threshold(scores, is_class) == pytest.approx(0.6)
    assert best_threshold(scores, is_class, [1, 10, 1]) == pytest.approx(0.8)


def test_too_few_labels_to_keep_some_back_leave_a_model_as_it_is() -> None:
    few = np.array([np.flatnonzero(TRUTH)[0], *np.flatnonzero(TRUTH == 0)[:4]])
    model = made(Lesson(X[few], TRUTH[few], np.ones(5, bool)))
    assert "scale" not in model.settings
    assert "thresholds" not in model.settings


def test_a_class_without_a_label_has_no_threshold() -> None:
    lesson = Lesson(X[:400], TRUTH[:400] * 2, ALL)
    model = calibrate(teach(lesson, 3, 0, some=X, n_left=N, basis=None), lesson, 0, n_left=N, basis=None)
    thresholds = model.settings["thresholds"]
    assert [value is None for value in thresholds] == [False, True, False]
    assert judge_at_thresholds(np.zeros(N, int), model.predict_proba(X), thresholds)[1] is None


def test_a_handful_of_chance_labels_moves_the_factor_little() -> None:
    proba = np.tile([[0.6, 0.4], [0.4, 0.6]], (100, 1))
    y = np.tile([0, 1], 100)
    y[:4] = [1, 0, 1, 0]  # wrong, and the only ones that chance drew
    alike, few = (find_scale(proba, y, np.where(np.arange(200) < 4, weight, 1.0)) for weight in (1.0, 5000.0))
    assert 0.5 * alike < few < 0.95 * alike
    assert find_scale(np.zeros((0, 2)), [], []) == 1
    np.testing.assert_allclose(scale_logits([[0.2, 0.8]], 2.0), [[0.04 / 0.68, 0.64 / 0.68]])


def test_a_label_in_doubt_counts_for_both_classes() -> None:
    """As if each row stood there once for each class, with its weight."""
    shares = believe(TRUTH[:400], np.c_[3 - TRUTH[:400], TRUTH[:400]])
    soft = teach(Lesson(X[:400], TRUTH[:400], ~ALL, shares), 2, 0, some=X, n_left=N, basis=None)
    rows, codes = np.nonzero(shares)
    by_rows = fit_logistic(X[rows], codes, 2, 0, weights=shares[rows, codes])
    assert np.array_equal(soft.predict_proba(X), by_rows.predict_proba(X))
    hard = teach(Lesson(X[:400], TRUTH[:400], ~ALL), 2, 0, some=X, n_left=N, basis=None)
    assert (hard.settings["soft_labels"], soft.settings["soft_labels"]) == (False, True)
    assert soft.n_train == hard.n_train == 400
    assert not np.array_equal(soft.predict_proba(X), hard.predict_proba(X))


def test_a_weight_of_two_is_the_row_twice() -> None:
    twice = fit_logistic(np.concatenate([X[:400], X[:50]]), np.concatenate([TRUTH[:400], TRUTH[:50]]), 2, 0)
    weighted = fit_logistic(X[:400], TRUTH[:400], 2, 0, weights=np.where(np.arange(400) < 50, 2.0, 1.0))
    np.testing.assert_allclose(weighted.predict_proba(X), twice.predict_proba(X), atol=1e-4)
    with pytest.raises(ValueError, match=r"^weights must be numbers above 0, one for each row of X$"):
        fit_logistic(X[:400], TRUTH[:400], 2, 0, weights=np.zeros(400))


@pytest.mark.parametrize("module", [beliefs, calibration, evaluation, teaching])
def test_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
