"""The simulated loop: reproducible, fair between strategies, and able to show that asking well teaches faster."""

from __future__ import annotations

import doctest
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits

from learning.algorithms import cold_start, label_efficiency, simulation, thresholds
from learning.algorithms.cold_start import compare_cold_starts, thin_out
from learning.algorithms.label_efficiency import (
    StrategyCurve,
    area_difference,
    compare_strategies,
    rarest_class,
    score_at_threshold,
    split_holdout,
)
from learning.algorithms.simulation import LabelledFile, Step, run_rounds
from learning.algorithms.thresholds import best_threshold


def digits(**known: Any) -> LabelledFile:
    X, y = load_digits(return_X_y=True)
    return LabelledFile(X / 16, y, holdout=np.arange(len(y)) % 3 == 0, n_classes=10, **known)


def play(file: LabelledFile, strategy: str, rounds: int, batch: int, seed: int = 1, share: float = 0.0) -> list[Step]:
    return list(run_rounds(file, strategy, [batch] * rounds, seed=seed, random_share=share))


def asked(steps: list[Step]) -> list[list[int]]:
    return [step.labels.tolist() for step in steps]


def test_margin_learns_digits_faster_than_chance() -> None:
    found = compare_strategies(digits(), ["margin", "random"], [25] * 8, positive=8, seeds=range(3))
    margin, chance = found.curves
    assert margin.figures["macro_f1"][:, -1].mean() > chance.figures["macro_f1"][:, -1].mean() + 0.01
    assert found.full["macro_f1"] > 0.95
    difference = area_difference(margin, chance)
    assert difference.value == pytest.approx((margin.areas() - chance.areas()).mean())
    assert difference.interval is not None
    assert difference.interval[0] < (margin.areas() - chance.areas()).mean() < difference.interval[1]


def test_steps_say_what_they_rest_on() -> None:
    steps = play(digits(), "entropy", 3, 30, share=0.2)
    assert [(step.n_labels, step.n_random, step.n_votes) for step in steps] == [
        (30, 30, 30),
        (60, 36, 60),
        (90, 42, 90),
    ]
    assert [int((step.labels >= 0).sum()) for step in steps] == [30, 60, 90]


@pytest.mark.parametrize("strategy", ["margin", "adaptive", "vote_entropy"])
def test_same_seed_gives_the_same_rounds(strategy: str) -> None:
    assert asked(play(digits(), strategy, 3, 20, seed=4)) == asked(play(digits(), strategy, 3, 20, seed=4))


def test_first_batch_is_the_same_under_every_strategy() -> None:
    firsts = [asked(play(digits(), name, 1, 40, seed=2)) for name in ("margin", "kmeans", "random", "coreset")]
    assert firsts == [firsts[0]] * 4


def test_words_are_begun_by_chance_under_the_default_too() -> None:
    texts = replace(digits(), X=sparse.csr_matrix(digits().X))
    assert asked(play(texts, "adaptive", 1, 40, seed=2)) == asked(play(texts, "random", 1, 40, seed=2))


def test_images_are_begun_by_what_looks_unlike() -> None:
    file, seeds = digits(), range(3)
    n_digits = {
        name: [len(np.unique(file.y[play(file, name, 1, 20, seed)[0].labels >= 0])) for seed in seeds]
        for name in ("adaptive", "random")
    }
    assert sum(n_digits["adaptive"]) > sum(n_digits["random"])
    assert [step.n_random for step in play(file, "adaptive", 2, 20, share=0.2)] == [4, 8]


def test_loop_ends_when_the_pool_is_empty() -> None:
    assert [step.n_labels for step in play(digits(), "margin", 9, 500)] == [500, 1000, len(digits().pool)]


def test_round_without_two_classes_is_refused_and_the_next_is_random() -> None:
    y = np.r_[np.zeros(300, int), 1]
    file = LabelledFile(y[:, np.newaxis] + 0.0, y, holdout=np.arange(301) < 150, n_classes=2)
    steps = play(file, "margin", 2, 3, seed=0)
    assert [(step.model, step.refusal) for step in steps] == [(None, "only 1 class occurs")] * 2
    assert [step.n_random for step in steps] == [3, 6]


def test_unanimous_votes_are_the_labels() -> None:
    votes = 3 * np.eye(10, dtype=int)[digits().y]
    voted = play(digits(votes=votes), "margin", 3, 30)
    assert asked(voted) == asked(play(digits(), "margin", 3, 30))
    assert [step.n_votes for step in voted] == [90, 180, 270]


def test_split_votes_are_settled_by_the_accepted_label() -> None:
    y = digits().y
    votes = np.eye(10, dtype=int)[y] + np.eye(10, dtype=int)[(y + 1) % 10]
    assert asked(play(digits(votes=votes), "margin", 2, 30)) == asked(play(digits(), "margin", 2, 30))


def test_wrong_majorities_teach_wrong_labels() -> None:
    y = digits().y
    votes = np.eye(10, dtype=int)[y] + 5 * np.eye(10, dtype=int)[(y + 1) % 10]
    (curve,) = compare_strategies(digits(votes=votes), ["margin"], [50] * 4, positive=1, seeds=[1]).curves
    assert curve.figures["macro_f1"][0, -1] < 0.1


def test_items_without_a_label_are_never_asked() -> None:
    file = digits()
    gappy = np.where(file.holdout | (np.arange(len(file.y)) % 2 == 0), file.y, -1)
    steps = play(LabelledFile(file.X, gappy, file.holdout, 10), "margin", 2, 1000)
    assert steps[-1].n_labels == int((~file.holdout & (gappy >= 0)).sum())


def test_input_that_does_not_fit_is_refused() -> None:
    file = digits()
    with pytest.raises(ValueError, match=r"must be equal$"):
        LabelledFile(file.X, file.y[:-1], file.holdout, 10)
    with pytest.raises(ValueError, match=r"^votes are \(3, 10\), expected \(1797, 10\)$"):
        digits(votes=np.zeros((3, 10), int))
    with pytest.raises(ValueError, match=r"^the holdout leaves nothing to learn from$"):
        LabelledFile(file.X, file.y, file.holdout | True, 10)


def curve_of(*rows: list[float]) -> StrategyCurve:
    values = np.array(rows)
    n_labels = 50 * np.arange(1, values.shape[1] + 1)
    return StrategyCurve(
        "margin", n_labels, {"macro_f1": values}, np.zeros_like(values, np.int64), values[:, -1], n_labels, n_labels
    )


def test_labels_to_a_goal_go_by_the_mean_of_the_seeds() -> None:
    curve = curve_of([0.2, 0.9, 0.6, 0.8], [0.4, 0.3, 0.8, 0.8])
    assert [curve.labels_to("macro_f1", goal) for goal in (0.3, 0.6, 0.7, 0.81)] == [50, 100, 150, None]


def test_the_difference_of_areas_is_paired() -> None:
    """Seeds differ by far more than strategies do: an unpaired interval would hold 0."""
    one, other = curve_of([0.2, 0.4], [0.5, 0.7], [0.8, 0.98]), curve_of([0.18, 0.4], [0.49, 0.69], [0.78, 0.98])
    figure = area_difference(one, other)
    assert figure.value == pytest.approx(0.01)
    assert figure.interval == pytest.approx((0.01, 0.01))
    assert area_difference(one, other, most=50).value == pytest.approx(0.05 / 3)
    assert area_difference(curve_of([0.1]), curve_of([0.2])).refusal == "there is 1 seed, 2 needed"


def test_a_threshold_finds_what_the_likelier_side_hides() -> None:
    file = replace(rare_file(), similarity=None)
    found = compare_strategies(file, ["margin"], [400], positive=1, seeds=[1])
    assert found.curves[0].f1_chosen[0] > found.curves[0].figures["f1"][0, -1]
    assert score_at_threshold(None, file, 1) == 0


@pytest.mark.parametrize(
    ("scores", "is_positive", "expected"),
    [
        ([0.9, 0.1, 0.2], [True, False, False], 0.55),
        ([0.3, 0.3, 0.3], [True, False, False], 0.3),
        ([0.3, 0.2], [False, False], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 0.225),
    ],
)
def test_thresholds_are_as_worked_by_hand(scores: list[float], is_positive: list[bool], expected: float) -> None:
    assert best_threshold(scores, is_positive) == pytest.approx(expected)


def test_the_holdout_has_its_share_of_each_class() -> None:
    y = np.repeat([0, 1, 2], [1000, 100, 10])
    held = split_holdout(y, np.random.default_rng(3))
    assert np.bincount(y[held]).tolist() == [200, 20, 2]
    assert rarest_class(y) == 2


def rare_file() -> LabelledFile:
    """2,000 items, 10 % of them of the class; likeness to the policy tells half of them."""
    rng = np.random.default_rng(5)
    y: NDArray[np.int64] = (np.arange(2000) % 10 == 0).astype(np.int64)
    X = y[:, np.newaxis] * 1.5 + rng.normal(size=(2000, 3))
    similarity = np.where((y == 1) & (np.arange(2000) % 20 == 0), 0.9, rng.random(2000) * 0.5)
    return LabelledFile(X, y, holdout=np.arange(2000) % 7 == 1, n_classes=2, similarity=similarity)


def test_thinning_leaves_two_in_a_hundred_on_both_sides() -> None:
    thin = thin_out(rare_file(), 1, np.random.default_rng(0))
    assert thin.y[thin.pool].mean() == pytest.approx(0.02, abs=0.001)
    assert thin.similarity is not None
    assert len(thin.similarity) == len(thin.y) == thin.X.shape[0]
    assert len(thin_out(thin, 1, np.random.default_rng(1)).y) == len(thin.y)


def test_words_of_a_policy_find_more_than_chance() -> None:
    file = thin_out(rare_file(), 1, np.random.default_rng(0))
    by_words, by_chance = compare_cold_starts(file, ["adaptive", "random"], seeds=[1, 2])
    assert by_words.found[:, 0].min() > by_chance.found[:, 0].max() + 5
    assert by_words.found.shape == (2, 3)
    assert by_words.ap.mean() > 0.02


@pytest.mark.parametrize("module", [simulation, label_efficiency, cold_start, thresholds])
def test_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
