"""Shares of classes in a pool: brought within what labels drawn by chance allow, and no farther."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from learning.algorithms import shares as module
from learning.algorithms.estimators import Model, fit_logistic
from learning.algorithms.shares import level_of, match_shares
from reviewers.algorithms.intervals import wilson

X = np.random.default_rng(4).normal(size=(3000, 2))


def fit(n_classes: int = 2) -> Model:
    """Taught by items from one side only, so that it calls too few of the pool the last class."""
    y = (X[:200] @ [1.0, 0.5] > 1.5).astype(np.int64) + (X[:200, 1] > 1.5) * (n_classes - 2)
    return fit_logistic(X[:200], np.minimum(y, n_classes - 1), n_classes, 0)


def shares_of(model: Model) -> list[float]:
    return [
        float(share) for share in np.bincount(model.predict_proba(X).argmax(axis=1), minlength=model.n_classes) / len(X)
    ]


def test_a_share_that_chance_labels_rule_out_moves_to_the_nearest_one_they_allow() -> None:
    model = fit()
    assert shares_of(model)[1] < 0.2
    moved = match_shares(model, X, [50, 50])
    assert shares_of(moved)[1] == pytest.approx(wilson(50, 100, level_of(2))[0], abs=0.003)
    assert moved.settings["shift"][1] > 0 > moved.settings["shift"][0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_model_that_hardly_tells_items_apart_is_matched_too(n_classes: int) -> None:
    """Steps by the ratio of shares went to and fro here, and ended with hardly any item called the rarer class."""
    rng = np.random.default_rng(2)
    weak = fit_logistic(X[:60], rng.integers(n_classes, size=60), n_classes, 0, C=1e-3)
    counts = np.array([70, 30, 20][:n_classes])
    found = shares_of(match_shares(weak, X, counts))
    for share, count in zip(found, counts, strict=True):
        low, high = wilson(int(count), int(counts.sum()), level_of(n_classes))
        assert low - 0.005 <= share <= high + 0.005


def test_what_chance_labels_allow_stays_as_it_is() -> None:
    model = fit()
    n_positive = round(100 * shares_of(model)[1])
    same = match_shares(model, X, [100 - n_positive, n_positive])
    assert np.array_equal(same.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(match_shares(model, X, [0, 0]).predict_proba(X), model.predict_proba(X))
    few = match_shares(model, X, [1, 1])  # an interval from 0.21 to 0.79
    assert shares_of(few)[1] == pytest.approx(max(shares_of(model)[1], wilson(1, 2, level_of(2))[0]), abs=0.003)


def test_what_a_strategy_chose_counts_as_what_it_is_known_to_be() -> None:
    """Of 3,000 items 900 of 1,000 chosen are of the class, and about a tenth of the others."""
    moved = match_shares(fit(), X, [90, 10], chosen=[100, 900], n_left=2000)
    low, _high = wilson(10, 100, level_of(2))
    assert shares_of(moved)[1] == pytest.approx((900 + 2000 * low) / 3000, abs=0.003)


def test_the_order_of_items_does_not_change() -> None:
    model = fit()
    moved = match_shares(model, X, [10, 90])
    before, after = (np.argsort(one.predict_proba(X)[:, 1], kind="stable") for one in (model, moved))
    assert np.mean(before == after) > 0.99  # rounding to single precision may swap neighbours


def test_several_classes_are_matched_at_once() -> None:
    counts = np.array([300, 400, 300])
    found = shares_of(match_shares(fit(3), X, counts))
    for share, count in zip(found, counts, strict=True):
        low, high = wilson(int(count), 1000, level_of(3))
        assert low - 0.005 <= share <= high + 0.005


def test_a_class_that_was_never_seen_is_left_alone() -> None:
    model = fit_logistic(X[:200], (X[:200, 0] > 0).astype(np.int64), 3, 0)
    moved = match_shares(model, X, [50, 20, 5])
    assert moved.classes.tolist() == [0, 1]
    assert np.isfinite(moved.predict_proba(X)).all()


def test_counts_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^3 counts for 2 classes$"):
        match_shares(fit(), X, [1, 2, 3])


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
