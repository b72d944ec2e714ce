"""Which estimator learns: what is asked for, what `auto` comes to, parts fused, and what each of them refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits

from annotation import settings
from learning.actions.models import TRAINED_NAMES
from learning.algorithms.estimators import FusionModel, TooFewClassesError, UnsuitableError, cnn, read_model, recipes
from learning.algorithms.estimators.descent import has_torch
from learning.algorithms.estimators.recipes import Recipe, cook, settle
from learning.algorithms.features import PIXELS, TEXT
from learning.algorithms.weights import pack, sha256, unpack

with_torch = pytest.mark.skipif(not has_torch(), reason="torch is not installed")
SPANS = {TEXT: slice(0, 20), PIXELS: slice(20, 84)}
SHAPE = (8, 8, 1)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnn, "MOST_STEPS", 60)


def images(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    X, y = load_digits(return_X_y=True)
    mixed = np.random.default_rng(0).permutation(len(y))[:n]
    return (X[mixed] / 16).astype(np.float32), y[mixed]


def both_parts(n: int, wrong: float = 0.0) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
    """Digits with two words that name them, of which a share is wrong; every third item lacks the words, and every
    fifth the image (of those that have words).
    """
    pixels, y = images(n)
    rng = np.random.default_rng(1)
    named = np.where(rng.random(n) < wrong, rng.integers(0, 10, n), y)
    words = np.zeros((n, 20), np.float32)
    words[np.arange(n), named] = words[np.arange(n), 10 + named] = 0.7
    number = np.arange(n)
    words[number % 3 == 0] = 0
    pixels[(number % 5 == 0) & (number % 3 > 0)] = 0
    return sparse.csr_matrix(np.hstack([words, pixels / 8])), y


def fused(n: int = 300, **given: Any) -> tuple[FusionModel, sparse.csr_matrix, NDArray[np.int64]]:
    X, y = both_parts(n, **given)
    model = cook(Recipe("fusion", SPANS, SHAPE), X, y, 10, 0)
    assert isinstance(model, FusionModel)
    return model, X, y


def test_names_that_the_settings_know_are_those_that_can_be_fitted() -> None:
    assert settings.ESTIMATORS == recipes.ESTIMATORS
    assert settings.TORCH_ESTIMATORS == recipes.NEEDS_TORCH
    assert tuple(TRAINED_NAMES) == recipes.ESTIMATORS[1:]


@with_torch
def test_auto_takes_the_network_for_images_that_it_foretells_better() -> None:
    X, y = images(80)
    asked = Recipe("auto", {PIXELS: slice(0, 64)}, SHAPE)
    assert settle(asked, X, y, 10, 0).estimator == "cnn"


@with_torch
def test_auto_keeps_logistic_regression_where_place_tells_nothing_more() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((80, 64))
    y = ((X - 0.5) @ rng.normal(size=64) > 0).astype(np.int64)
    asked = Recipe("auto", {PIXELS: slice(0, 64)}, SHAPE)
    assert settle(asked, X.astype(np.float32), y, 2, 0).estimator == "logistic"


@pytest.mark.parametrize(("n", "chosen"), [(150, "fusion"), (40, "logistic")])
def test_auto_fuses_parts_where_that_foretells_better(n: int, chosen: str) -> None:
    X, y = both_parts(n, wrong=0.3)
    assert settle(Recipe("auto", SPANS, SHAPE), X, y, 10, 0).estimator == chosen


def test_auto_learns_parts_together_where_neither_says_anything_alone() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    noise = rng.normal(size=(120, 5)) * 4
    X = np.hstack([noise + y[:, np.newaxis], noise])  # the second part says what to take off the first
    assert settle(Recipe("auto", {"emb:a": slice(0, 5), "emb:b": slice(5, 10)}), X, y, 2, 0).estimator == "logistic"


@pytest.mark.parametrize(
    ("spans", "n"),
    [({TEXT: slice(0, 64)}, 150), ({PIXELS: slice(0, 64)}, 40), ({"emb:a": slice(0, 64)}, 150), ({}, 150)],
)
def test_auto_is_logistic_regression_for_all_else(spans: dict[str, slice], n: int) -> None:
    X, y = images(n)
    assert settle(Recipe("auto", spans, SHAPE), X, y, 10, 0).estimator == "logistic"


def test_auto_needs_no_torch_and_what_was_asked_for_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learning.algorithms.estimators.descent.find_spec", lambda name: None)
    X, y = images(60)
    asked = Recipe("auto", {PIXELS: slice(0, 64)}, SHAPE)
    assert settle(asked, X, y, 10, 0).estimator == "logistic"
    with pytest.raises(UnsuitableError, match=r"^the estimator cnn needs torch"):
        settle(Recipe("cnn", asked.spans, SHAPE), X, y, 10, 0)


@pytest.mark.parametrize(("name", "reads"), [("cnn", "pixels"), ("embedding_bag", "text")])
def test_estimator_that_can_read_nothing_of_the_items_is_refused(name: str, reads: str) -> None:
    X, y = images(60)
    with pytest.raises(UnsuitableError, match=rf"^the estimator {name} learns from {reads}, and these items have none"):
        cook(Recipe(name, {"emb:a": slice(0, 64)}), X, y, 10, 0)


@with_torch
@pytest.mark.parametrize(
    ("name", "kinds"), [("cnn", ["logistic", "cnn"]), ("embedding_bag", ["embedding_bag", "logistic"])]
)
def test_part_that_an_estimator_cannot_read_is_learned_beside_it(name: str, kinds: list[str]) -> None:
    X, y = both_parts(120)
    model = cook(Recipe(name, SPANS, SHAPE), X, y, 10, 0)
    assert [part["estimator"] for part in model.settings["parts"].values()] == kinds


def test_fused_parts_say_more_than_one_of_them() -> None:
    model, _X, _y = fused(wrong=0.4)
    new, truth = both_parts(700, wrong=0.4)
    new, truth = new[300:], truth[300:]
    has_both = (np.arange(300, 700) % 3 > 0) & (np.arange(300, 700) % 5 > 0)
    right = (model.predict_proba(new).argmax(axis=1) == truth)[has_both].mean()
    for name, span in SPANS.items():
        alone = next(part for part in model.parts if part[0] == name)[2]
        assert right > (alone.predict_proba(new[:, span]).argmax(axis=1) == truth)[has_both].mean()
    np.testing.assert_allclose(model.predict_proba(new).sum(axis=1), 1)


def test_part_that_is_noise_hardly_counts() -> None:
    model, _X, _y = fused(wrong=1.0)
    assert model.parts[0][0] == TEXT
    assert model.shares[0] < 0.2
    assert model.shares.sum() == pytest.approx(1)


def test_item_that_lacks_a_part_is_told_by_the_others() -> None:
    model, X, _y = fused()
    _name, span, words = model.parts[0]
    X = X.tolil()
    X[0, 20:] = 0
    X[0, :20] = 0
    X[0, 3] = X[0, 13] = 0.7
    row = sparse.csr_matrix(X[:1])
    by_words, said = words.predict_proba(row[:, span])[0], model.predict_proba(row)[0]
    expected = by_words**model.strength
    np.testing.assert_allclose(said, expected / expected.sum(), atol=1e-6)


def test_item_that_lacks_every_part_is_as_likely_as_its_class_is_common() -> None:
    model, _X, y = fused()
    empty = sparse.csr_matrix((1, 84), dtype=np.float32)
    np.testing.assert_allclose(model.predict_proba(empty)[0], np.bincount(y) / len(y), atol=1e-6)


def test_stored_fusion_comes_back_as_it_was() -> None:
    model, X, _y = fused(100)
    moved = model.shifted(np.arange(10) / 10)
    data = pack(*moved.to_arrays())
    again = read_model(*unpack(data, sha256(data)))
    np.testing.assert_array_equal(again.predict_proba(X), moved.predict_proba(X))
    assert again.settings == moved.settings
    expected = model.predict_proba(X) * np.exp(np.arange(10) / 10)
    np.testing.assert_allclose(again.predict_proba(X), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_class_that_nobody_labelled_and_one_that_occurs_in_one_part_only_stay_possible() -> None:
    X, y = both_parts(200)
    rows = np.flatnonzero((y != 4) & ((y != 7) | (X[:, :20].getnnz(axis=1) == 0)))
    model = cook(Recipe("fusion", SPANS, SHAPE), X[rows], y[rows], 10, 0)
    proba = model.predict_proba(X)
    assert 4 not in model.classes
    np.testing.assert_allclose(proba[:, 4], 1 / (len(rows) + 10))
    assert (proba > 0).all()


def test_part_in_which_one_class_occurs_is_left_out() -> None:
    X, y = both_parts(90)
    X = X.tolil()
    X[np.flatnonzero(y != 1), :20] = 0
    model = cook(Recipe("fusion", SPANS, SHAPE), sparse.csr_matrix(X), y, 10, 0)
    assert list(model.settings["parts"]) == [PIXELS]
    with pytest.raises(TooFewClassesError):
        cook(Recipe("fusion", SPANS, SHAPE), sparse.csr_matrix((90, 84), dtype=np.float32), y, 10, 0)


def test_same_labels_give_the_same_bytes() -> None:
    first, again = (pack(*fused(80)[0].to_arrays()) for _ in range(2))
    assert first == again


def test_scaled_fusion_is_surer_even_of_what_lacks_every_part() -> None:
    model, _X, _y = fused(80)
    rows = sparse.vstack([both_parts(100)[0][80:], sparse.csr_matrix((1, 84), dtype=np.float32)], format="csr")
    surer = model.scaled(2.0).noting(seen="twice")
    squared = model.predict_proba(rows) ** 2
    np.testing.assert_allclose(surer.predict_proba(rows), squared / squared.sum(axis=1, keepdims=True), atol=1e-6)
    assert (surer.settings["scale"], surer.settings["seen"]) == (2.0, "twice")


def test_item_with_two_labels_stays_in_one_fold() -> None:
    X, y = both_parts(60)
    twice = np.repeat(np.arange(60), 2)
    weights = np.full(120, 0.5)
    once = cook(Recipe("fusion", SPANS, SHAPE), X, y, 10, 0)
    halves = cook(Recipe("fusion", SPANS, SHAPE), X[twice], y[twice], 10, 0, weights=weights, items=twice)
    assert isinstance(once, FusionModel)
    assert isinstance(halves, FusionModel)
    np.testing.assert_allclose(halves.shares, once.shares, atol=0.02)
    assert halves.n_train == 60
