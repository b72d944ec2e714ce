"""The first labels of images and embeddings: items that stand for many others, none for what has a label near it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from learning.algorithms.strategies import Candidates, draw_batch
from learning.algorithms.strategies.coverage import (
    MAX_COMPARED,
    NEIGHBOURS,
    SAID_SHARE,
    SMOOTHINGS,
    select_covering,
)

SIZES = (40, 30, 20, 10)
GROUPS = np.repeat(np.arange(4), SIZES)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def known(X: NDArray[np.float64], labelled: NDArray[np.float64] | None = None) -> Candidates:
    rows = np.zeros((0, X.shape[1])) if labelled is None else labelled
    return Candidates(
        n=len(X),
        features=lambda positions: X[positions],
        labelled=lambda: rows,
        y=np.zeros(len(rows), np.int64),
        is_dense=True,
    )


def groups(n_columns: int = 6) -> NDArray[np.float64]:
    """Four far-off groups of different sizes."""
    return np.eye(n_columns)[GROUPS] * 9 + rng().normal(size=(len(GROUPS), n_columns)) * 0.1


def pick(candidates: Candidates, n: int, utilities: NDArray[np.float64] | None = None, seed: int = 7) -> list[int]:
    values = np.ones(candidates.n) if utilities is None else utilities
    return [int(index) for index in select_covering(values, n, candidates, rng(seed))]


def cover_most(apart: NDArray[np.float64], far: NDArray[np.float64], doubt: NDArray[np.float64], n: int) -> list[int]:
    """The best item of all, n times: `apart` from each other, `far` from the nearest label, (n_items,)."""
    best: list[int] = []
    for _ in range(n):
        gains = doubt @ np.maximum(far[:, None] - apart, 0)
        best.append(int(gains.argmax()))
        far = np.minimum(far, apart[best[-1]])
    return best


def test_each_group_is_asked_once_the_largest_first() -> None:
    assert GROUPS[pick(known(groups()), 4)].tolist() == [0, 1, 2, 3]


def test_a_group_with_a_label_is_not_asked_again() -> None:
    X = groups()
    assert sorted(GROUPS[pick(known(X, X[[0, 75]]), 2)].tolist()) == [1, 3]


@pytest.mark.parametrize("group", range(4))
def test_the_middle_of_a_group_stands_for_it(group: int) -> None:
    X = groups()
    first_of_others = [int(np.argmax(other == GROUPS)) for other in range(4) if other != group]
    [index] = pick(known(X, X[first_of_others]), 1)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    far = np.linalg.norm(unit - unit[group == GROUPS].mean(axis=0), axis=1)
    assert index == far.argmin()


def test_what_a_model_doubts_weighs_more_than_many_items() -> None:
    doubt = np.where(GROUPS == 3, 1.0, 0.01)
    assert GROUPS[pick(known(groups()), 4, doubt)[0]] == 3


def test_a_dim_image_is_like_a_bright_one() -> None:
    X = np.concatenate([groups(), groups() / 20])
    assert np.tile(GROUPS, 2)[pick(known(X), 4)].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("n", [0, 1, 7, 99, 100])
@pytest.mark.parametrize("n_columns", [6, 300])
def test_as_many_different_items_are_picked_as_asked_for(n: int, n_columns: int) -> None:
    found = pick(known(groups(n_columns), groups(n_columns)[:5]), n)
    assert len(set(found)) == len(found) == n


@pytest.mark.parametrize("X", [np.ones((50, 3)), np.zeros((50, 3)), np.zeros((50, 0))])
def test_items_that_are_all_alike_are_chosen_by_chance(X: NDArray[np.float64]) -> None:
    found = [tuple(sorted(pick(known(X), 5, seed=seed))) for seed in range(8)]
    assert all(len(set(picks)) == 5 for picks in found)
    assert len(set(found)) > 5
    assert pick(known(X), 5, seed=3) == pick(known(X), 5, seed=3)


@pytest.mark.parametrize("seed", range(5))
def test_each_pick_is_the_one_that_covers_most(seed: int) -> None:
    chance = rng(seed)
    X, labelled, doubt = chance.normal(size=(60, 4)), chance.normal(size=(3, 4)), chance.random(60)
    unit, near = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, labelled))
    apart = ((unit[:, None] - unit) ** 2).sum(axis=2)
    far = ((unit[:, None] - near) ** 2).sum(axis=2).min(axis=1)
    assert pick(known(X, labelled), 12, doubt) == cover_most(apart, far, doubt, 12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("has_pixels_only", [False, True])
def test_what_a_model_says_and_what_people_said_sets_items_apart(seed: int, has_pixels_only: bool) -> None:
    """The squared distance of contents, and a share of Hellinger's between probabilities, where a label is sure.

    Of images the root of the doubt that is left where probabilities and labels are averaged over the nearest.
    """
    chance = rng(seed)
    X, labelled, doubt = chance.normal(size=(60, 4)), chance.normal(size=(3, 4)), chance.random(60)
    proba, y = chance.dirichlet(np.ones(3), size=60), np.array([0, 2, 2])
    unit, near = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, labelled))
    apart = ((unit[:, None] - unit) ** 2).sum(axis=2)
    share = SAID_SHARE * apart.mean()
    apart += share * (1 - np.sqrt(proba[:, None] * proba).sum(axis=2))
    far = ((unit[:, None] - near) ** 2).sum(axis=2) + share * (1 - np.sqrt(proba[:, y]))
    if has_pixels_only:
        nearest = np.concatenate([apart, far], axis=1).argsort(axis=1)[:, : 1 + NEIGHBOURS]
        said = proba
        for _ in range(SMOOTHINGS):
            said = np.concatenate([said, np.eye(3)[y]])[nearest].mean(axis=1)
        [_third, second, first] = np.sort(said, axis=1).T
        weights = np.sqrt(1 - (first - second))
    else:
        weights = doubt
    warm = replace(known(X, labelled), proba=proba, y=y, has_pixels_only=has_pixels_only)
    assert pick(warm, 12, doubt) == cover_most(apart, far.min(axis=1), weights, 12)


@pytest.mark.parametrize(("has_pixels_only", "asked"), [(False, 0), (True, 2)])
def test_of_images_a_doubtful_neighbourhood_is_asked_before_one_doubtful_image(
    has_pixels_only: bool, asked: int
) -> None:
    """Of the largest group one image is doubted, and of a smaller one every other; all groups have a label."""
    X = groups()
    proba = np.tile([0.99, 0.01], (100, 1))
    proba[[5, *range(71, 90, 2)]] = 0.5
    doubt = np.where(np.arange(100) == 5, 30.0, np.where(proba[:, 0] == 0.5, 1.0, 0.0))
    warm = replace(known(X, X[[0, 40, 70, 90]]), proba=proba, has_pixels_only=has_pixels_only)
    assert GROUPS[pick(warm, 1, doubt)].tolist() == [asked]


@pytest.mark.parametrize("X", [np.ones((50, 3)), np.zeros((50, 3)), np.zeros((50, 0))])
@pytest.mark.parametrize("n_labels", [1, 3, 9])
def test_images_that_are_all_alike_are_chosen_by_what_a_model_says(X: NDArray[np.float64], n_labels: int) -> None:
    proba = np.repeat([[1.0, 0.0], [0.5, 0.5]], 25, axis=0)
    warm = replace(known(X, X[:n_labels]), proba=proba, has_pixels_only=True)
    assert min(pick(warm, 4, np.arange(50) / 50)) >= 25


def test_of_items_that_are_as_near_to_a_label_those_are_asked_about_that_are_called_otherwise() -> None:
    X = groups()
    proba = np.where(GROUPS[:, None] == 3, [0.1, 0.9], [0.9, 0.1])
    warm = replace(known(X, X[[0, 40, 70, 90]]), proba=proba)  # all four labelled the first class
    assert GROUPS[pick(warm, 1)].tolist() == [3]


def test_where_all_are_covered_the_greatest_doubt_fills_up() -> None:
    doubt = np.arange(100) / 100
    found = pick(known(np.eye(4)[GROUPS]), 10, doubt)
    assert sorted(GROUPS[found[:4]].tolist()) == [0, 1, 2, 3]
    assert found[4:] == sorted(set(range(90, 100)) - set(found[:4]), reverse=True)[:6]


def test_of_a_large_pool_a_sample_is_compared() -> None:
    X = rng().normal(size=(MAX_COMPARED + 500, 3))
    assert len(set(pick(known(X), 30))) == 30
    assert pick(known(X), 30) != pick(known(X), 30, seed=8)


@pytest.mark.parametrize(("n_labels", "asked"), [(1, [1, 2, 3]), (99, [1, 2, 3])])
def test_the_default_covers_what_is_dense(n_labels: int, asked: list[int]) -> None:
    X = groups()
    cold = known(X)
    assert GROUPS[draw_batch("adaptive", cold, 4, 0.0, rng()).index].tolist() == [0, 1, 2, 3]
    warm = replace(known(X, X[:1].repeat(n_labels, axis=0)), proba=np.full((len(X), 2), 0.5))
    assert sorted(GROUPS[draw_batch("adaptive", warm, 3, 0.0, rng()).index].tolist()) == asked


def test_with_a_hundred_labels_the_default_goes_on_by_margins() -> None:
    X, proba = groups(), rng().dirichlet([1.0, 1.0], size=len(GROUPS))
    many = replace(known(X, X), proba=proba, y=np.arange(100) % 2)
    found = [draw_batch(name, many, 5, 0.0, rng()).index.tolist() for name in ("adaptive", "kmeans")]
    assert found[0] == found[1]


@pytest.mark.parametrize(("n_labels", "n_likely"), [(39, 0), (60, 5)])
def test_a_rare_class_is_looked_for_among_what_covers(n_labels: int, n_likely: int) -> None:
    """Once labels are enough to tell, half of a batch are the likeliest of a class with one label."""
    X, likely = groups(), np.arange(70, 80)
    proba = np.where(np.isin(np.arange(100), likely)[:, None], [0.1, 0.9], [0.9, 0.1])
    warm = replace(known(X, X[:n_labels]), proba=proba, y=np.r_[np.zeros(n_labels - 1, np.int64), 1])
    found = draw_batch("adaptive", warm, 10, 0.0, rng()).index
    assert len(set(found[::2]) & set(likely)) >= n_likely
    assert n_likely or set(found) == set(pick(warm, 10, np.full(100, 0.2)))
