"""The classifier: scikit-learn's own predictions as oracle, planted truth, storage, and its limits."""

from __future__ import annotations

import doctest
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from learning.algorithms import estimators, weights
from learning.algorithms.basis import Basis
from learning.algorithms.estimators import LogisticModel, TooFewClassesError, UnsuitableError, fit_logistic, logistic
from learning.algorithms.estimators.model import weigh_labels
from learning.algorithms.weights import WeightsError, pack, sha256, unpack


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_predictions_are_those_of_scikit_learn(n_classes: int) -> None:
    X, y = digits()
    train, test = np.flatnonzero(y < n_classes)[:200], np.arange(1000, 1200)
    oracle = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(X[train].astype(float), y[train])
    model = fit_logistic(X[train], y[train], n_classes, seed=0)
    np.testing.assert_allclose(model.predict_proba(X[test]), oracle.predict_proba(X[test]), atol=1e-4)


def test_digits_are_learned() -> None:
    X, y = digits()
    model = fit_logistic(X[:1000], y[:1000], 10, seed=0)
    assert model.settings["converged"]
    assert (model.predict_proba(X[1000:]).argmax(axis=1) == y[1000:]).mean() > 0.9


def test_sparse_and_dense_input_give_one_model() -> None:
    X, y = digits()
    dense, thin = fit_logistic(X[:300], y[:300], 10, 0), fit_logistic(sparse.csr_matrix(X[:300]), y[:300], 10, 0)
    expected = dense.predict_proba(X[300:400])
    np.testing.assert_allclose(thin.predict_proba(sparse.csr_matrix(X[300:400])), expected, atol=1e-5)


def test_same_labels_give_the_same_bytes() -> None:
    X, y = digits()
    first, again = (pack(*fit_logistic(X[:300], y[:300], 10, seed=3).to_arrays()) for _ in range(2))
    assert first == again


def test_planted_weights_are_recovered() -> None:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(20_000, 3))
    planted = np.array([2.0, -1.0, 0.0])
    y = (rng.random(len(X)) < 1 / (1 + np.exp(-(X @ planted + 0.5)))).astype(np.int64)
    model = fit_logistic(X, y, 2, seed=0, class_weight=None)
    np.testing.assert_allclose(model.coef[1] - model.coef[0], planted, atol=0.1)
    assert model.intercept[1] - model.intercept[0] == pytest.approx(0.5, abs=0.1)


def test_unlabelled_rows_are_left_out() -> None:
    X, y = digits()
    gappy = np.where(np.arange(300) % 2 == 0, y[:300], -1)
    with_gaps, without = fit_logistic(X[:300], gappy, 10, 0), fit_logistic(X[:300:2], y[:300:2], 10, 0)
    assert with_gaps.n_train == 150
    np.testing.assert_array_equal(with_gaps.coef, without.coef)


def test_class_that_nobody_labelled_yet_is_rare_but_possible() -> None:
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    proba = fit_logistic(X, [0, 0, 3, 3], n_classes=4, seed=0).predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(proba[:, [1, 2]], 1 / 8)
    assert proba.argmax(axis=1).tolist() == [0, 0, 3, 3]


def test_features_that_never_occurred_weigh_nothing() -> None:
    X = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    model = fit_logistic(X, [0, 0, 1, 1], 2, seed=0)
    assert model.columns.tolist() == [0]
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X + np.array([0, 100])))


def test_items_of_which_nothing_is_known_teach_the_shares_of_the_classes_alone() -> None:
    model = fit_logistic(sparse.csr_matrix((4, 9)), [0, 0, 0, 1], 2, seed=0, class_weight=None)
    np.testing.assert_allclose(model.predict_proba(sparse.csr_matrix((1, 9))), [[0.75, 0.25]], atol=1e-3)
    with pytest.raises(UnsuitableError, match="nothing that a model could learn from"):
        fit_logistic(np.zeros((4, 0)), [0, 0, 0, 1], 2, seed=0)


def test_weighted_labels_of_a_class_weigh_as_much_together_as_those_of_another() -> None:
    found = weigh_labels(np.array([0, 0, 0, 1, -1]), 3, [1.0, 2.0, 1.0, 5.0, 9.0])
    np.testing.assert_allclose(found, [1.125, 2.25, 1.125, 4.5, 0.0])
    np.testing.assert_allclose(weigh_labels(np.array([0, 0, 0, 1]), 2, None), [2 / 3, 2 / 3, 2 / 3, 2])


def test_row_of_twice_the_weight_counts_like_two() -> None:
    X, y = digits()
    twice = np.r_[np.arange(100), np.arange(50)]
    weights = np.where(np.arange(100) < 50, 2.0, 1.0)
    weighted = fit_logistic(X[:100], y[:100], 10, 0, class_weight=None, weights=weights)
    copied = fit_logistic(X[twice], y[twice], 10, 0, class_weight=None)
    np.testing.assert_allclose(weighted.predict_proba(X[100:200]), copied.predict_proba(X[100:200]), atol=1e-3)


def test_solver_that_ran_out_of_steps_says_so() -> None:
    X, y = digits()
    assert fit_logistic(X[:300], y[:300], 10, 0, max_iter=2).settings["converged"] is False


def test_too_few_classes_are_refused_by_name() -> None:
    with pytest.raises(TooFewClassesError, match=r"^only 1 class occurs$"):
        fit_logistic(np.ones((3, 1)), [1, 1, -1], 2, seed=0)
    with pytest.raises(TooFewClassesError, match=r"^there are no labels to learn from$"):
        fit_logistic(np.ones((3, 1)), [-1, -1, -1], 2, seed=0)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], "2 labels for 3 rows of X"),
        ([0, 1, 2], r"labels must lie within 0\.\.1, or be -1 where there is none"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit_logistic(np.ones((3, 1)), y, 2, seed=0)


def test_other_features_than_in_training_are_refused() -> None:
    model = fit_logistic(np.array([[0.0], [1.0]]), [0, 1], 2, seed=0)
    with pytest.raises(ValueError, match=r"^X has 2 features, the model was fitted on 1$"):
        model.predict_proba(np.ones((1, 2)))


def test_stored_model_comes_back_as_it_was() -> None:
    X, y = digits()
    model = fit_logistic(X[:300], y[:300], 10, seed=3)
    data = pack(*model.to_arrays())
    again = LogisticModel.from_arrays(*unpack(data, sha256(data)))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.settings == model.settings


def test_changed_bytes_are_refused() -> None:
    data = pack({"a": np.arange(3)}, {})
    changed = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(WeightsError, match=r"^the stored weights do not match their recorded SHA-256$"):
        unpack(changed, sha256(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95\x00",
        (2).to_bytes(8, "little") + b"{}",
        (2**60).to_bytes(8, "little") + b"{}",
    ],
)
def test_bytes_that_are_no_weights_are_refused(data: bytes) -> None:
    with pytest.raises(WeightsError, match=r"^these bytes are no stored weights: "):
        unpack(data, sha256(data))


def test_card_can_be_read_from_the_header_alone() -> None:
    data = pack({"a": np.arange(3)}, {"kind": "test"})
    header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["card"]) == {"kind": "test"}


def test_card_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the card describes 'features', not a logistic model$"):
        LogisticModel.from_arrays({}, {"kind": "features"})


@pytest.mark.parametrize("module", [estimators, logistic, weights])
def test_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_many_classes_in_the_span_of_few_rows_give_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are alike, and empty ones, among them."""
    X = sparse.random(60, 900, density=0.05, random_state=3, format="csr")
    X = sparse.vstack([X, X[:5], sparse.csr_matrix((2, 900))], format="csr")
    y = np.arange(67) % 8
    basis = Basis(np.arange(900), np.eye(900, 4, dtype=np.float32))
    straight = fit_logistic(X, y, 9, seed=0, basis=basis).predict_proba(X)
    monkeypatch.setattr(logistic, "_MANY_WEIGHTS", 0)
    turned = fit_logistic(X, y, 9, seed=0, basis=basis)
    assert turned.settings["n_iter"] > 1
    np.testing.assert_allclose(turned.predict_proba(X), straight, atol=1e-4)
