"""Classifiers fitted by torch: what they learn, that they repeat themselves, storage, and where they are refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits

from learning.algorithms.basis import fit_basis
from learning.algorithms.estimators import (
    CnnModel,
    EmbeddingBagModel,
    Model,
    TooFewClassesError,
    UnsuitableError,
    cnn,
    fit_logistic,
    read_model,
)
from learning.algorithms.estimators.cnn import fit_cnn
from learning.algorithms.estimators.descent import has_torch
from learning.algorithms.estimators.embedding_bag import fit_embedding_bag
from learning.algorithms.weights import pack, sha256, unpack

pytestmark = pytest.mark.skipif(not has_torch(), reason="torch is not installed")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnn, "MOST_STEPS", 25)


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    X, y = load_digits(return_X_y=True)
    mixed = np.random.default_rng(0).permutation(len(y))  # the file goes writer by writer
    return (X[mixed] / 16).astype(np.float32), y[mixed]


def texts(n: int = 300, n_words: int = 60) -> tuple[sparse.csr_matrix, NDArray[np.int64]]:
    """Class 1 where one of the words of the first half comes with one of the second half: no linear rule says that."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = np.zeros((n, n_words), np.float32)
    half = n_words // 2
    first = rng.integers(0, 2, n)
    second = np.where(y == 1, first, 1 - first)
    X[np.arange(n), first * (half // 2) + rng.integers(0, half // 2, n)] = 0.7
    X[np.arange(n), half + second * (half // 2) + rng.integers(0, half // 2, n)] = 0.7
    return sparse.csr_matrix(X), y


def fit_bag(X: Any, y: Any, **settings: Any) -> EmbeddingBagModel:
    return fit_embedding_bag(X, y, int(max(y)) + 1, seed=3, **settings)


def fit_images(X: Any, y: Any, n_classes: int = 10, **settings: Any) -> CnnModel:
    return fit_cnn(X, y, n_classes, seed=3, shape=(8, 8, 1), **settings)


@pytest.fixture(scope="module")
def of_digits() -> CnnModel:
    X, y = digits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "MOST_STEPS", 300)
        return fit_cnn(X[:200], y[:200], 10, seed=3, shape=(8, 8, 1))


def test_digits_are_learned_better_than_by_a_linear_model(of_digits: CnnModel) -> None:
    X, y = digits()
    linear = fit_logistic(X[:200], y[:200], 10, seed=3)
    right, linearly = ((model.predict_proba(X[200:]).argmax(axis=1) == y[200:]).mean() for model in (of_digits, linear))
    assert right > 0.93
    assert right > linearly + 0.02


def test_words_that_count_only_together_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = texts()
    monkeypatch.setattr("learning.algorithms.estimators.embedding_bag.N_PASSES", 60)
    monkeypatch.setattr("learning.algorithms.estimators.embedding_bag.WORD_RATE", 0.01)
    assert (fit_bag(X, y).predict_proba(X).argmax(axis=1) == y).mean() > 0.95
    assert (fit_logistic(X, y, 2, 0, C=100).predict_proba(X).argmax(axis=1) == y).mean() < 0.75


def test_what_the_network_says_is_what_torch_computes(of_digits: CnnModel) -> None:
    import torch
    from torch.nn import functional

    X, _y = digits()
    images = torch.from_numpy(((X[:20] - of_digits.settings["mean"]) / of_digits.settings["spread"]).astype(np.float32))
    layer = images.reshape(20, 1, 8, 8)
    for kernels, bias in ((of_digits.first, of_digits.first_bias), (of_digits.second, of_digits.second_bias)):
        turned = torch.from_numpy(np.ascontiguousarray(kernels.transpose(3, 2, 0, 1)))
        layer = torch.relu(functional.conv2d(layer, turned, torch.from_numpy(bias), padding=1))
    flat = functional.max_pool2d(layer, 2).permute(0, 2, 3, 1).flatten(1)
    expected = torch.softmax(
        flat @ torch.from_numpy(of_digits.coef.T.copy()) + torch.from_numpy(of_digits.intercept), 1
    )
    np.testing.assert_allclose(of_digits.predict_proba(X[:20]), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 3), (32, 32, 3)])
def test_images_of_every_size_can_be_learned(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(30) % 2
    X = (rng.random((30, int(np.prod(shape)))) * 0.2 + 0.7 * y[:, np.newaxis]).astype(np.float32)
    model = fit_cnn(X, y, 2, seed=0, shape=shape)
    assert (model.predict_proba(X).argmax(axis=1) == y).all()


def test_same_labels_give_the_same_bytes_whatever_came_before() -> None:
    import torch

    X, y = digits()
    words, of = texts(100)
    n_threads = torch.get_num_threads()
    first = [pack(*fit_images(X[:50], y[:50]).to_arrays()), pack(*fit_bag(words, of).to_arrays())]
    torch.manual_seed(77)
    again = [pack(*fit_images(X[:50], y[:50]).to_arrays()), pack(*fit_bag(words, of).to_arrays())]
    assert first == again
    assert torch.get_num_threads() == n_threads


def test_pool_teaches_a_word_that_was_never_labelled() -> None:
    rng = np.random.default_rng(1)
    topic = rng.integers(0, 2, 1000)
    X = np.zeros((1000, 200), np.float32)
    for row, of in enumerate(topic):
        X[row, of * 100 + rng.choice(100, 8, replace=False)] = 0.35
    pool = sparse.csr_matrix(X)
    basis = fit_basis(pool, np.random.default_rng(0))
    model = fit_embedding_bag(pool[:40], topic[:40], 2, 0, basis=basis)
    unseen = np.setdiff1d(np.arange(200), pool[:40].indices)
    alone = fit_embedding_bag(pool[:40], topic[:40], 2, 0)
    assert set(unseen) <= set(model.columns)
    assert not set(unseen) & set(alone.columns)
    assert (model.predict_proba(pool[40:]).argmax(axis=1) == topic[40:]).mean() > 0.9


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_of_labels_that_contradict_each_other_the_weightier_count(fit: Any) -> None:
    kinds = np.repeat(np.eye(64, dtype=np.float32)[[9, 45]], 20, axis=0)  # two things, each said to be both
    y = np.arange(40) % 2
    weights = np.where((kinds[:, 9] > 0) & (y == 1), 10.0, 1.0)
    rows = sparse.csr_matrix(kinds) if fit is fit_bag else kinds
    settings = {} if fit is fit_bag else {"n_classes": 2}
    first, second = fit(rows, y, weights=weights, **settings).predict_proba(rows)[[0, -1], 1]
    assert first > 0.53
    assert second < 0.4


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_unlabelled_rows_are_left_out(fit: Any) -> None:
    X, y = digits()
    gappy = np.where(np.arange(100) % 2 == 0, y[:100], -1)
    rows = sparse.csr_matrix(X[:100]) if fit is fit_bag else X[:100]
    with_gaps, without = fit(rows, gappy), fit(rows[::2], y[:100:2])
    assert with_gaps.n_train == 50
    np.testing.assert_array_equal(with_gaps.predict_proba(rows), without.predict_proba(rows))


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_stored_model_comes_back_as_it_was(fit: Any) -> None:
    X, y = digits()
    rows = sparse.csr_matrix(X[:60]) if fit is fit_bag else X[:60]
    model: Model = fit(rows, y[:60]).shifted(np.arange(10) / 10)
    data = pack(*model.to_arrays())
    again = read_model(*unpack(data, sha256(data)))
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert again.settings == model.settings
    assert type(again) is type(model)


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_class_that_nobody_labelled_yet_is_rare_but_possible(fit: Any) -> None:
    X, y = digits()
    rows, codes = X[:60][y[:60] != 4], y[:60][y[:60] != 4]
    rows = sparse.csr_matrix(rows) if fit is fit_bag else rows
    proba = fit(rows, codes).predict_proba(rows)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(proba[:, 4], 1 / (len(codes) + 10))


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_what_does_not_fit_is_refused(fit: Any) -> None:
    X, y = digits()
    rows = sparse.csr_matrix(X[:30]) if fit is fit_bag else X[:30]
    with pytest.raises(TooFewClassesError):
        fit(rows, np.zeros(30, np.int64))
    with pytest.raises(ValueError, match=r"^weights must be numbers above 0, one for each row of X$"):
        fit(rows, y[:30], weights=np.zeros(30))
    with pytest.raises(ValueError, match=r"^X has 63 features, the model was fitted on 64$"):
        fit(rows, y[:30]).predict_proba(rows[:, :63])


def test_images_of_another_shape_and_texts_without_words_are_refused() -> None:
    X, y = digits()
    with pytest.raises(ValueError, match=r"^rows of 64 are no images of 8 x 9 x 1$"):
        fit_cnn(X[:30], y[:30], 10, 0, shape=(8, 9, 1))
    with pytest.raises(UnsuitableError, match=r"reads words, and these items have none"):
        fit_bag(X[:30], y[:30])


def test_where_torch_is_absent_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = digits()
    monkeypatch.setattr("learning.algorithms.estimators.descent.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UnsuitableError, match=r"^the estimator cnn needs torch, .* pip install 'touchstone\[torch\]'$"):
        fit_images(X[:30], y[:30])
    with pytest.raises(UnsuitableError, match=r"^the estimator embedding_bag needs torch"):
        fit_bag(sparse.csr_matrix(X[:30]), y[:30])


@pytest.mark.parametrize(
    ("kind", "reader"), [("an embedding bag", EmbeddingBagModel), ("a convolutional network", CnnModel)]
)
def test_card_of_something_else_is_refused(kind: str, reader: Any) -> None:
    with pytest.raises(ValueError, match=rf"^the card describes 'logistic', not {kind}$"):
        reader.from_arrays({}, {"kind": "logistic"})


@pytest.mark.parametrize("fit", [fit_bag, fit_images])
def test_scaled_model_is_surer_and_says_the_same(fit: Any) -> None:
    X, y = digits()
    rows = sparse.csr_matrix(X[:60]) if fit is fit_bag else X[:60]
    model: Model = fit(rows, y[:60])
    surer = model.scaled(2.0).noting(seen="twice")
    squared = model.predict_proba(rows) ** 2
    np.testing.assert_allclose(surer.predict_proba(rows), squared / squared.sum(axis=1, keepdims=True), atol=1e-5)
    assert (surer.settings["scale"], surer.settings["seen"]) == (2.0, "twice")
