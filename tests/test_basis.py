"""Directions of a pool's texts: what they are, and that a model fitted with them is still one linear map."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from learning.algorithms import basis as module
from learning.algorithms.basis import Basis, fit_basis
from learning.algorithms.estimators import fit_logistic
from learning.algorithms.features import count_words, fit_text


def texts(n: int = 800) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Texts of two topics, each of five of its own 150 words and a common one."""
    rng = np.random.default_rng(3)
    y = np.arange(n) % 2
    lines = [
        " ".join([*(f"topic{topic}word{rng.integers(150)}" for _ in range(5)), f"any{rng.integers(9)}"]) for topic in y
    ]
    counts = count_words(lines)
    return fit_text(counts).weigh(counts), y


@pytest.fixture(scope="module")
def pool() -> tuple[sparse.csr_matrix, np.ndarray, Basis]:
    X, y = texts()
    basis = fit_basis(X, np.random.default_rng(0), n_directions=10)
    assert basis is not None
    return X, y, basis


def test_words_unseen_in_training_weigh_what_their_company_does(
    pool: tuple[sparse.csr_matrix, np.ndarray, Basis],
) -> None:
    X, y, basis = pool
    plain, helped = fit_logistic(X[:8], y[:8], 2, 0), fit_logistic(X[:8], y[:8], 2, 0, basis=basis)
    right = [(model.predict_proba(X[8:]).argmax(axis=1) == y[8:]).mean() for model in (plain, helped)]
    assert right[1] > max(0.85, right[0] + 0.05)
    assert helped.settings["n_directions"] == 10


def test_weights_are_those_of_features_and_directions_side_by_side(
    pool: tuple[sparse.csr_matrix, np.ndarray, Basis],
) -> None:
    X, y, basis = pool
    both = sparse.hstack([X, basis.project(X)], format="csr")
    oracle = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(both[:30].astype(float), y[:30])
    found = fit_logistic(X[:30], y[:30], 2, 0, basis=basis).predict_proba(X[30:])
    np.testing.assert_allclose(found, oracle.predict_proba(both[30:].astype(float)), atol=1e-3)


def test_directions_are_the_same_for_the_same_seed(pool: tuple[sparse.csr_matrix, np.ndarray, Basis]) -> None:
    X, _y, basis = pool
    again = fit_basis(X, np.random.default_rng(0), n_directions=10)
    assert again is not None
    assert np.array_equal(again.loadings, basis.loadings)


def test_texts_of_one_topic_lie_together(pool: tuple[sparse.csr_matrix, np.ndarray, Basis]) -> None:
    X, y, basis = pool
    vectors = basis.embed(X)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors[y == 0] @ vectors[y == 0].T
    assert alike.mean() > (vectors[y == 0] @ vectors[y == 1].T).mean() + 0.2
    assert not basis.embed(sparse.csr_matrix((1, X.shape[1]))).any()


def test_images_and_small_pools_have_no_directions() -> None:
    assert fit_basis(np.ones((600, 4), np.float32), np.random.default_rng(0)) is None
    assert fit_basis(texts(400)[0], np.random.default_rng(0)) is None
    assert fit_basis(sparse.csr_matrix((600, 50)), np.random.default_rng(0)) is None


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
