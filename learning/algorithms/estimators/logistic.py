"""The classifier that learns from accepted labels: logistic regression, fitted by scikit-learn and stored as arrays.

Prediction needs the arrays only, so a stored model does not depend on the library's version.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.algorithms.basis import Basis
from learning.algorithms.estimators.model import (
    FloatArray,
    Matrix,
    StoredModel,
    check_labels,
    check_weights,
    check_width,
    softmax,
    spread_over_classes,
)

# A text's coordinates in the basis are about half as long as the text: so scaled both parts count alike.
_BASIS_SCALE = 1.0
# With more weights than this, and so many times fewer rows than columns, a model is fitted in the span of its rows.
_MANY_WEIGHTS, _FEWER = 200_000, 4


@dataclass(frozen=True, eq=False)
class LogisticModel(StoredModel):
    """A fitted multinomial logistic regression.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes that occurred among the training labels, ascending.
    columns : ndarray of int64, (n_columns,)
        Features that occurred in training or in the basis; all others weigh exactly 0.
    coef : ndarray of float32, (n_seen, n_columns)
    intercept : ndarray of float32, (n_seen,)
    n_classes, n_features : int
        Classes of the question, seen or not; width of X.
    n_train : int
        Labels it was fitted on; the sum of their weights where they were weighted.
    settings : dict
        How it was fitted, for the model's card; whether it converged.
    """

    KIND = "logistic"
    TOLD = "a logistic model"
    ARRAYS = ("classes", "columns", "coef", "intercept")

    classes: NDArray[np.int64]
    columns: NDArray[np.int64]
    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]
    n_classes: int
    n_features: int
    n_train: int
    settings: dict[str, Any] = field(default_factory=dict)

    def predict_proba(self, X: Matrix) -> FloatArray:
        """Probabilities, (n_items, n_classes), rows sum to 1; classes never seen as `spread_over_classes` says.

        Raises
        ------
        ValueError
            If X has another width than in training.
        """
        check_width(X, self.n_features)
        # One wide weight matrix instead of cutting columns out of a pool of a million rows.
        weights = np.zeros((self.n_features, len(self.classes)), np.float32)
        weights[self.columns] = self.coef.T
        seen = softmax(np.asarray(X @ weights, np.float64) + self.intercept)
        return spread_over_classes(seen, self.classes, self.n_classes, self.n_train)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> LogisticModel:
        """The inverse of `to_arrays`."""
        return cls(**cls.read_fields(arrays, card))


def fit_logistic(
    X: Matrix,
    y: ArrayLike,
    n_classes: int,
    seed: int,
    *,
    basis: Basis | None = None,
    weights: ArrayLike | None = None,
    C: float = 1.0,
    class_weight: str | None = "balanced",
    max_iter: int = 1000,
) -> LogisticModel:
    """Fit logistic regression with an L2 penalty.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1; rows with -1 (unlabelled) are left out.
    n_classes : int
        Classes of the question.
    seed : int
        For solvers that draw; lbfgs does not, so the same labels give the same model. Recorded on the card.
    basis : Basis, optional
        Directions of the pool's texts, for sparse X. Weights along them are penalised less, so that words which were
        not seen in training weigh what their company does. Folded into `coef`: the model stays one linear map.
    weights : array-like of float, (n_items,), optional
        How much each row counts, above 0; 1 where left out. A label that is shared by several classes is a row for
        each of them.
    C : float
        Inverse strength of the penalty, above 0.
    class_weight : "balanced" or None
        Balanced: rare classes weigh as much as common ones, which is what macro-F1 asks for; probabilities are then
        not shares of the pool.
    max_iter : int
        Steps of the solver; whether they were enough stands in ``settings["converged"]``.

    Returns
    -------
    LogisticModel

    Raises
    ------
    UnsuitableError
        If X has no columns.
    TooFewClassesError
        If fewer than two classes occur among the labels.
    ValueError
        If lengths differ, a code is out of range or a weight is not above 0.

    References
    ----------
    scikit-learn's LogisticRegression (lbfgs); features not seen in training are left out first, which changes nothing
    but the time: their weight under the penalty is 0.

    Examples
    --------
    >>> model = fit_logistic(np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1], n_classes=2, seed=0)
    >>> model.predict_proba(np.array([[0.0], [3.0]])).argmax(axis=1).tolist()
    [0, 1]
    """
    codes = check_labels(X, y, n_classes)
    check_weights(codes, weights)
    is_labelled = codes >= 0
    X_train, y_train = X[is_labelled], codes[is_labelled]
    w_train = None if weights is None else np.asarray(weights, np.float64)[is_labelled]
    classes = np.unique(y_train)
    is_used = np.zeros(X.shape[1], bool)
    is_used[X_train.nonzero()[1]] = True
    # Where nothing is known of any item one empty column stands in, and the shares are all that is learned.
    columns = np.flatnonzero(is_used) if is_used.any() else np.zeros(1, np.int64)
    estimator = LogisticRegression(C=C, class_weight=class_weight, max_iter=max_iter, random_state=seed)
    # More threads only contend on a busy machine, and sums in another order are other sums.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Of many classes most have one label or two at first: scikit-learn takes that for a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        seen = [X_train[:, columns].astype(np.float64)]
        if basis is not None:
            seen.append(_BASIS_SCALE * basis.project(X_train).astype(np.float64))
        n_rows, n_columns = len(y_train), sum(part.shape[1] for part in seen)
        if len(classes) * n_columns > _MANY_WEIGHTS and _FEWER * n_rows < n_columns:
            rows, unturn = turn_into_span(seen)
            coef = unturn(estimator.fit(rows, y_train, sample_weight=w_train).coef_)
        else:
            joined = seen[0] if basis is None else sparse.hstack(seen, format="csr")
            coef = estimator.fit(joined, y_train, sample_weight=w_train).coef_
    intercept = estimator.intercept_
    if basis is not None:
        columns, coef = _fold(columns, coef, basis)
    if len(classes) == 2:  # one row for the second class: the first is the reference
        coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)
    return LogisticModel(
        classes=classes,
        columns=columns,
        coef=coef.astype(np.float32),
        intercept=intercept.astype(np.float32),
        n_classes=n_classes,
        n_features=X.shape[1],
        n_train=len(y_train) if w_train is None else round(w_train.sum()),
        settings={
            "estimator": LogisticModel.KIND,
            "C": C,
            "class_weight": class_weight,
            "seed": seed,
            "n_directions": 0 if basis is None else basis.loadings.shape[1],
            "n_iter": int(estimator.n_iter_.max()),
            "converged": bool(estimator.n_iter_.max() < max_iter),
        },
    )


def turn_into_span(parts: Sequence[Matrix]) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
    """Rows in as many columns as there are rows, with the same products with each other.

    The best weights under an L2 penalty lie in the span of the rows (representer theorem: Kimeldorf and Wahba 1971), so
    a linear model of few rows with many columns is the same one in these, found many times sooner.

    Parameters
    ----------
    parts : sequence of csr_matrix or ndarray of float, (n_items, any)
        The rows' columns, in parts that lie side by side.

    Returns
    -------
    (ndarray, (n_items, n_items), callable)
        The turned rows; and what turns weights of them, (n_classes, n_items), into those of all columns, (n_classes,
        n_features), of the same length.

    Examples
    --------
    >>> X = np.array([[3.0, 0.0, 4.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    >>> rows, unturn = turn_into_span([X])
    >>> np.round(rows @ rows.T, 3).tolist(), np.round(unturn(np.array([[1.0, 0.0]])), 3).tolist()
    ([[25.0, 0.0], [0.0, 4.0]], [[0.6, 0.0, 0.8, 0.0]])
    """
    products = np.zeros((parts[0].shape[0],) * 2)
    for part in parts:
        own: Any = part @ part.T
        products += own.toarray() if sparse.issparse(own) else own
    # Rows that are alike, or empty, would leave nothing to divide by; so little changes no figure.
    products[np.diag_indices(len(products))] += 1e-9 * max(float(products.diagonal().max()), 1.0)
    lower = cholesky(products, lower=True)

    def unturn(coef: FloatArray) -> FloatArray:
        of_rows = solve_triangular(lower, coef.T, lower=True, trans="T")
        return np.hstack([np.asarray((part.T @ of_rows).T) for part in parts])

    return lower, unturn


def _fold(columns: NDArray[np.int64], coef: FloatArray, basis: Basis) -> tuple[NDArray[np.int64], FloatArray]:
    """Weights of features and of directions as weights of features alone."""
    both = np.union1d(columns, basis.columns)
    folded = np.zeros((len(coef), len(both)))
    folded[:, np.searchsorted(both, columns)] = coef[:, : len(columns)]
    folded[:, np.searchsorted(both, basis.columns)] += _BASIS_SCALE * coef[:, len(columns) :] @ basis.loadings.T
    return both, folded
