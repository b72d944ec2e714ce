"""Several choices at once, the mathematics: one against the rest, lines, shares, figures. scikit-learn as oracle."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from learning.algorithms import evaluation_sets, several, weights
from learning.algorithms.estimators import one_vs_rest, read_model
from learning.algorithms.estimators.one_vs_rest import AllAlikeError, fit_one_vs_rest, why_alike
from learning.algorithms.evaluation_sets import compare_sets, evaluate_sets
from learning.algorithms.label_errors import doubt_sets
from learning.algorithms.several import doubt_of, draw_lines, foretell_sets, make_sure, match_held, teach_sets
from reviewers.algorithms.intervals import wilson


def plant(n: int = 400, seed: int = 0, rare: float = 1.8) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Two noisy features and three choices: one by each, the last one rare."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X + 0.7 * rng.normal(size=(n, 3)) > np.array([0, 0.5, rare])
    return X, y.astype(np.int64)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert [doctest.testmod(module).failed for module in (one_vs_rest, several, evaluation_sets)] == [0, 0, 0]


# The model


def test_each_choice_is_what_scikit_learn_tells_from_the_rest() -> None:
    X, y = plant()
    oracle = OneVsRestClassifier(LogisticRegression(class_weight="balanced")).fit(X, y)
    assert fit_one_vs_rest(X, y, 0).predict_proba(X) == pytest.approx(oracle.predict_proba(X), abs=1e-3)


def test_a_choice_that_nothing_tells_has_its_share_by_laplace() -> None:
    X, y = plant(98)
    y[:, 1], y[:, 2] = 0, 1
    model = fit_one_vs_rest(X, y, 0)
    assert model.classes.tolist() == [0]
    assert model.predict_proba(X)[:, 1:] == pytest.approx(np.tile([0.01, 0.99], (98, 1)))


def test_a_stored_model_is_read_back_from_one_file() -> None:
    X, y = plant()
    model = teach_sets(X, y, np.ones(len(y), bool), 0, some=X, n_left=len(X), basis=None)
    data = weights.pack(*model.to_arrays())
    again = read_model(*weights.unpack(data, weights.sha256(data)))
    assert again.predict_proba(X).tolist() == model.predict_proba(X).tolist()
    assert again.settings == model.settings


def test_labels_that_are_all_alike_are_refused_by_name() -> None:
    with pytest.raises(AllAlikeError, match="all items have the same choices"):
        fit_one_vs_rest(np.eye(3), [[1, 0]] * 3, 0)
    with pytest.raises(AllAlikeError, match="there are no labels to learn from"):
        fit_one_vs_rest(np.zeros((0, 2)), np.zeros((0, 2)), 0)
    assert why_alike(np.array([[1, 0], [1, 1]])) is None
    assert why_alike(np.array([2, 2])) == "only 1 class occurs"
    with pytest.raises(ValueError, match="a table of 0 and 1"):
        fit_one_vs_rest(np.eye(2), [[2, 0], [0, 1]], 0)


# Lines and shares


def test_a_line_is_drawn_where_f1_is_best_and_only_by_enough_labels() -> None:
    X, y = plant(1500, rare=2.2)
    held = np.zeros(len(y), bool)
    held[1000:] = True
    model = fit_one_vs_rest(X[~held], y[~held], 0)
    moved = draw_lines(model, foretell_sets(X[~held], y[~held], 0, basis=None), y[~held])

    def f1(one: one_vs_rest.OneVsRestModel) -> float:
        return float(metrics.f1_score(y[held, 2], one.predict_proba(X[held])[:, 2] >= 0.5))

    assert f1(moved) > f1(model) + 0.1
    assert moved.settings["lines"][2] > 0.7  # balanced weights say a rare choice too often
    few = draw_lines(fit_one_vs_rest(X[:100], y[:100], 0), foretell_sets(X[:100], y[:100], 0, basis=None), y[:100])
    assert few.settings["lines"][2] == 0.5


def test_a_model_is_as_sure_as_unseen_labels_allow_and_says_the_same() -> None:
    X, y = plant(2000, rare=0.5)
    taught, some = slice(0, 300), X[300:]
    by_chance = np.zeros(300, bool)
    model = fit_one_vs_rest(X[taught], y[taught], 0, C=0.01)  # so strong a penalty leaves it hesitant
    unseen = foretell_sets(X[taught], y[taught], 0, basis=None)
    before = match_held(draw_lines(model, model.predict_proba(X[taught]), y[taught]), some, y[:0], y[:0], len(X))
    after = make_sure(before, model.predict_proba(X[taught]), y[taught])
    errors = [evaluate_sets(y[300:], one.predict_proba(some), rng=np.random.default_rng(0)) for one in (before, after)]
    assert (errors[0].calibration_error.value or 0) > 2 * (errors[1].calibration_error.value or 1)
    assert errors[0].macro_f1.value == errors[1].macro_f1.value
    assert make_sure(before, np.full(unseen.shape, np.nan), y[taught]) is before
    assert teach_sets(X[taught], y[taught], by_chance, 0, some=some, n_left=len(some), basis=None).settings["scale"] > 0


def test_shares_are_brought_to_what_chance_labels_allow() -> None:
    X, y = plant(1000)
    model = fit_one_vs_rest(X, y, 0)
    drawn = np.zeros((200, 3), np.int64)
    drawn[:100, 0] = drawn[:80, 1] = 1  # a half, two fifths, none
    moved = match_held(model, X, drawn, y[:0], len(X))
    before, after = ((one.predict_proba(X) >= 0.5).mean(axis=0) for one in (model, moved))
    limits = [wilson(k, 200) for k in (100, 80, 0)]
    assert after == pytest.approx(
        [np.clip(share, *ends) for share, ends in zip(before, limits, strict=True)], abs=0.002
    )
    assert after[2] < before[2]
    chosen = np.ones(
        (500, 3), np.int64
    )  # all of them hold of half of the items: known, whatever chance drew of the rest
    found = (match_held(model, X, drawn, chosen, 500).predict_proba(X) >= 0.5).mean(axis=0)
    assert found[2] == pytest.approx(0.5 + wilson(0, 200)[0] / 2, abs=0.002)
    assert match_held(model, X, drawn[:0], y[:0], len(X)).intercept.tolist() == model.intercept.tolist()


def test_an_item_is_as_doubtful_as_its_most_doubtful_choice() -> None:
    seen = doubt_of([[0.99, 0.5, 0.0], [0.9, 0.2, 0.1]])
    assert seen == pytest.approx(np.array([[0.5, 0.5], [0.8, 0.2]]))


def test_planted_errors_are_doubted_choice_by_choice() -> None:
    X, y = plant(600, rare=0.5)
    y = (np.array([0, 0.5, 0.5]) < X).astype(np.int64)  # without noise
    at = np.flatnonzero(X[:, 1] > 2)[:3]
    y[at, 1] = 0
    first = doubt_sets(X, y, 0)[:3]
    assert {(one.at, one.given, one.looks_like) for one in first} == {(int(one), None, 1) for one in at}


# Figures


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, proba = (rng.random((150, 4)) < [0.5, 0.3, 0.1, 0]).astype(int), rng.random((150, 4))
    proba[:, 3] /= 3  # never held, never said: it does not count
    found = evaluate_sets(y, proba, rng=rng)
    said = (proba >= 0.5).astype(int)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(y, said))
    assert found.macro_f1.value == pytest.approx(metrics.f1_score(y[:, :3], said[:, :3], average="macro"))
    losses = [metrics.log_loss(y[:, code], proba[:, code], labels=[0, 1]) for code in range(4)]
    assert found.log_loss.value == pytest.approx(np.mean(losses))
    for code in range(3):
        one = found.classes[code]
        assert one.average_precision == pytest.approx(metrics.average_precision_score(y[:, code], proba[:, code]))
        assert one.recall == pytest.approx(metrics.recall_score(y[:, code], said[:, code]))
        assert one.precision == pytest.approx(metrics.precision_score(y[:, code], said[:, code]))
        assert (one.code, one.n_items) == (code, y[:, code].sum())
    for figure in (found.macro_f1, found.accuracy, found.log_loss, found.calibration_error):
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1] or figure is found.calibration_error
    assert json.loads(json.dumps(found.as_dict()))["confusion"] == []


def test_the_interval_of_macro_f1_is_that_of_resampling_items_one_by_one() -> None:
    X, y = plant(200)
    said = fit_one_vs_rest(X, y, 0).predict_proba(X) >= 0.5
    found = evaluate_sets(y, said, rng=np.random.default_rng(0), n_resamples=4000)
    rng = np.random.default_rng(1)
    values = []
    for _resample in range(2000):
        rows = rng.integers(200, size=200)
        hits, either = (y[rows] & said[rows]).sum(axis=0), (y[rows] + said[rows]).sum(axis=0)
        values.append((2 * hits / either).mean())
    assert found.macro_f1.interval == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.006)


def test_calibration_by_hand() -> None:
    y, proba = np.array([[1, 0]] * 60 + [[0, 0]] * 60), np.tile([0.75, 0.05], (120, 1))
    found = evaluate_sets(y, proba, rng=np.random.default_rng(0))
    assert found.calibration_error.value == pytest.approx((0.25 + 0.05) / 2)
    assert np.array(found.reliability) == pytest.approx(np.array([(0.75, 0.5, 120), (0.95, 1.0, 120)]))


def test_too_few_or_nothing_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    few = evaluate_sets([[1, 0]] * 9, np.full((9, 2), 0.5), rng=rng)
    assert few.macro_f1.refusal == few.classes[0].refusal == "holdout has 9 labels, 100 needed"
    none = evaluate_sets(np.zeros((120, 2)), np.full((120, 2), 0.1), rng=rng)
    assert none.macro_f1.refusal == "no item has any of the choices"
    assert none.accuracy.value == 1
    with pytest.raises(ValueError, match="do not fit"):
        evaluate_sets(np.zeros((3, 2)), np.zeros((3, 3)), rng=rng)


def test_two_models_are_compared_on_the_same_items() -> None:
    X, y = plant(600)
    good = fit_one_vs_rest(X, y, 0).predict_proba(X)
    poor = np.where(np.random.default_rng(0).random(good.shape) < 0.15, 1 - good, good)
    gain = compare_sets(y, good, poor, rng=np.random.default_rng(0))
    f1 = [metrics.f1_score(y, one >= 0.5, average="macro") for one in (good, poor)]
    assert gain.value == pytest.approx(f1[0] - f1[1])
    assert gain.interval is not None
    assert gain.interval[0] > 0
    assert compare_sets(y, good, good, rng=np.random.default_rng(0)).interval == (0, 0)
