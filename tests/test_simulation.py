"""The simulated loop: reproducible, fair between strategies, and able to show that asking well teaches faster."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from learning.algorithms import simulation
from learning.algorithms.simulation import CurvePoint, simulate_learning


def digits() -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    X, y = load_digits(return_X_y=True)
    return X / 16, y, np.arange(len(y)) % 3 == 0


def values_of(curve: list[CurvePoint]) -> list[float | None]:
    return [point.macro_f1.value for point in curve]


def test_margin_learns_digits_faster_than_chance() -> None:
    X, y, holdout = digits()
    finals = {}
    for strategy in ("margin", "random"):
        curves = [simulate_learning(X, y, holdout, strategy, rounds=8, batch=25, seed=seed) for seed in range(3)]
        finals[strategy] = np.mean([curve[-1].macro_f1.value or 0.0 for curve in curves])
    assert finals["margin"] > finals["random"] + 0.01


def test_curve_says_what_each_point_rests_on() -> None:
    X, y, holdout = digits()
    curve = simulate_learning(X, y, holdout, "entropy", rounds=3, batch=30, seed=1, random_share=0.2)
    assert [(point.round, point.n_labels, point.n_random) for point in curve] == [(1, 30, 30), (2, 60, 36), (3, 90, 42)]
    assert {point.macro_f1.n_items for point in curve} == {int(holdout.sum())}


def test_same_seed_gives_the_same_curve() -> None:
    X, y, holdout = digits()
    first, again = (simulate_learning(X, y, holdout, "margin", rounds=3, batch=20, seed=4) for _ in range(2))
    assert [point.as_dict() for point in first] == [point.as_dict() for point in again]


def test_first_batch_is_the_same_under_every_strategy() -> None:
    X, y, holdout = digits()
    firsts = [
        values_of(simulate_learning(X, y, holdout, strategy, rounds=1, batch=40, seed=2))
        for strategy in ("margin", "entropy", "least_confident", "random")
    ]
    assert firsts == [firsts[0]] * 4


def test_loop_ends_when_the_pool_is_empty() -> None:
    X, y, holdout = digits()
    pool = int((~holdout).sum())
    curve = simulate_learning(X, y, holdout, "margin", rounds=9, batch=500, seed=2)
    assert [point.n_labels for point in curve] == [500, 1000, pool]


def test_round_without_two_classes_is_refused_and_the_next_is_random() -> None:
    y = np.r_[np.zeros(300, int), 1]
    X = y[:, np.newaxis] + 0.0
    curve = simulate_learning(X, y, np.arange(301) < 150, "margin", rounds=2, batch=3, seed=0, n_classes=2)
    assert [point.macro_f1.refusal for point in curve] == ["only 1 class occurs"] * 2
    assert [point.n_random for point in curve] == [3, 6]


def test_small_holdout_refuses_the_figure_and_goes_on() -> None:
    X, y, holdout = digits()
    few = holdout & (np.cumsum(holdout) <= 12)
    curve = simulate_learning(X, y, few, "margin", rounds=2, batch=50, seed=0)
    assert {point.macro_f1.refusal for point in curve} == {"holdout has 12 labels, 100 needed"}


def test_unanimous_votes_are_the_labels() -> None:
    X, y, holdout = digits()
    votes = 3 * np.eye(10, dtype=int)[y]
    voted = simulate_learning(X, y, holdout, "margin", rounds=3, batch=30, seed=1, votes=votes)
    assert values_of(voted) == values_of(simulate_learning(X, y, holdout, "margin", rounds=3, batch=30, seed=1))
    assert [point.n_votes for point in voted] == [90, 180, 270]


def test_split_votes_are_settled_by_the_accepted_label() -> None:
    X, y, holdout = digits()
    votes = np.eye(10, dtype=int)[y] + np.eye(10, dtype=int)[(y + 1) % 10]
    voted = simulate_learning(X, y, holdout, "margin", rounds=2, batch=30, seed=1, votes=votes)
    assert values_of(voted) == values_of(simulate_learning(X, y, holdout, "margin", rounds=2, batch=30, seed=1))


def test_wrong_majorities_teach_wrong_labels() -> None:
    X, y, holdout = digits()
    votes = np.eye(10, dtype=int)[y] + 5 * np.eye(10, dtype=int)[(y + 1) % 10]
    last = simulate_learning(X, y, holdout, "margin", rounds=4, batch=50, seed=1, votes=votes)[-1]
    assert last.macro_f1.value is not None
    assert last.macro_f1.value < 0.1


def test_items_without_a_label_are_never_asked() -> None:
    X, y, holdout = digits()
    gappy = np.where(holdout | (np.arange(len(y)) % 2 == 0), y, -1)
    curve = simulate_learning(X, gappy, holdout, "margin", rounds=2, batch=1000, seed=0)
    assert curve[-1].n_labels == int((~holdout & (gappy >= 0)).sum())


def test_each_round_is_told_as_it_ends() -> None:
    X, y, holdout = digits()
    told: list[CurvePoint] = []
    curve = simulate_learning(X, y, holdout, "random", rounds=2, batch=30, seed=1, on_round=told.append)
    assert told == curve
    assert json.loads(json.dumps(told[0].as_dict(), allow_nan=False)) == told[0].as_dict()


def test_input_that_does_not_fit_is_refused() -> None:
    X, y, holdout = digits()
    with pytest.raises(ValueError, match=r"must be equal$"):
        simulate_learning(X, y[:-1], holdout, "margin", rounds=1, batch=1, seed=0)
    with pytest.raises(ValueError, match=r"^votes are \(3, 10\), expected \(1797, 10\)$"):
        simulate_learning(X, y, holdout, "margin", rounds=1, batch=1, seed=0, votes=np.zeros((3, 10)))
    with pytest.raises(ValueError, match=r"^the holdout leaves nothing to learn from$"):
        simulate_learning(X, y, holdout | True, "margin", rounds=1, batch=1, seed=0)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(simulation).failed == 0
