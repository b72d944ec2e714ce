"""Doubted labels: planted errors are found, sure labels are left alone, and the definition is held to by hand."""

from __future__ import annotations

import numpy as np
import pytest

from learning.algorithms.estimators import TooFewClassesError
from learning.algorithms.label_errors import doubt_labels, foretell


def clouds(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that lie well apart, 60 %, 30 % and 10 % of the items."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    return np.eye(3)[y] * 3 + rng.normal(size=(n, 3)), y


def test_planted_errors_are_doubted_first() -> None:
    X, y = clouds(600)
    rng = np.random.default_rng(1)
    wrong = rng.choice(600, 30, replace=False)
    given = y.copy()
    given[wrong] = (given[wrong] + rng.integers(1, 3, 30)) % 3
    doubts = doubt_labels(given, foretell(X, given, 3, seed=0))
    found = np.isin(doubts.index[:30], wrong)
    assert found.mean() >= 0.8
    suggested = doubts.suggested[:30][found]
    assert (suggested == y[doubts.index[:30][found]]).mean() >= 0.95
    assert (np.diff(doubts.belief) >= 0).all()
    assert 20 <= doubts.is_sure.sum() <= 45


def test_what_is_sure_goes_by_the_thresholds_of_the_definition() -> None:
    y = [0, 0, 0, 1, 1, 1, 1]
    proba = [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9], [0.25, 0.75], [0.55, 0.45]]
    # By hand: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.6 + 0.9 + 0.75 + 0.45) / 4 = 0.675.
    doubts = doubt_labels(y, proba)
    assert doubts.index.tolist() == [2, 6]
    assert doubts.suggested.tolist() == [1, 0]
    assert doubts.belief.tolist() == [0.2, 0.45]
    assert doubts.is_sure.tolist() == [True, False]  # 0.55 is less than items of class 0 have on the mean


def test_two_classes_alike_are_no_doubt() -> None:
    assert doubt_labels([0, 1], [[0.5, 0.5], [0.5, 0.5]]).index.tolist() == []


def test_a_class_that_no_label_has_is_never_sure() -> None:
    doubts = doubt_labels([0, 0, 1], [[0.2, 0.1, 0.7], [0.6, 0.2, 0.2], [0.1, 0.5, 0.4]])
    assert (doubts.suggested.tolist(), doubts.is_sure.tolist()) == ([2], [False])


def test_no_model_is_taught_the_label_that_it_foretells() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 300)), rng.integers(0, 2, 200)  # more features than items: a model can learn by heart
    proba = foretell(X, y, 2, seed=0)
    assert abs((proba.argmax(axis=1) == y).mean() - 0.5) < 0.15


def test_what_cannot_be_foretold_is_refused() -> None:
    with pytest.raises(TooFewClassesError):
        foretell(np.zeros((4, 2)), [1, 1, 1, 1], 2, seed=0)
    with pytest.raises(TooFewClassesError):
        foretell(np.zeros((0, 2)), [], 2, seed=0)
    with pytest.raises(ValueError, match="3 labels for 4 rows"):
        foretell(np.zeros((4, 2)), [0, 1, 1], 2, seed=0)
    with pytest.raises(ValueError, match=r"labels must lie within 0\.\.1"):
        doubt_labels([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    assert len(doubt_labels([], np.zeros((0, 3))).index) == 0


def test_a_class_with_a_single_label_can_be_foretold() -> None:
    X, y = clouds(100)
    y[:] = np.where(y == 2, 1, y)
    y[0] = 2
    assert foretell(X, y, 3, seed=0).sum(axis=1) == pytest.approx(1)


def test_the_order_of_ids_changes_nothing_but_the_folds() -> None:
    X, y = clouds(300)
    proba = foretell(X, y, 3, seed=0)
    order = np.random.default_rng(5).permutation(300)
    one, other = doubt_labels(y, proba), doubt_labels(y[order], proba[order])
    assert set(one.index.tolist()) == set(order[other.index].tolist())
