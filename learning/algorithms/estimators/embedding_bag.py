"""A small network for texts: the mean of its words' embeddings, one hidden layer, fitted by torch.

Prediction needs numpy and the arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from learning.algorithms.basis import Basis
from learning.algorithms.estimators.descent import choose_device, deal, descend, repeatable, require_torch
from learning.algorithms.estimators.model import (
    FloatArray,
    Matrix,
    StoredModel,
    UnsuitableError,
    check_labels,
    check_width,
    softmax,
    spread_over_classes,
    weigh_labels,
)

NAME = "embedding_bag"
N_HIDDEN = 32
BATCH = 32
# Passes over the labels: more made it worse on two labelled files, at 500 labels as at 3,000.
N_PASSES = 10
LEAST_STEPS = 150
# Words are learned slower than what they share: most occur in few of the labelled texts.
RATE, WORD_RATE = 0.003, 0.001


@dataclass(frozen=True, eq=False)
class EmbeddingBagModel(StoredModel):
    """A fitted embedding bag: ``softmax(relu(X E + h) W' + c)``.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes that occurred among the training labels, ascending.
    columns : ndarray of int64, (n_columns,)
        Features that occurred in training or in the basis; the embeddings of all others are 0.
    embeddings : ndarray of float32, (n_columns, n_hidden)
    hidden : ndarray of float32, (n_hidden,)
    coef : ndarray of float32, (n_seen, n_hidden)
    intercept : ndarray of float32, (n_seen,)
    n_classes, n_features : int
        Classes of the question, seen or not; width of X.
    n_train : int
        Labels it was fitted on.
    settings : dict
        How it was fitted, for the model's card.

    References
    ----------
    Iyyer et al. (2015), Deep Unordered Composition Rivals Syntactic Methods for Text Classification, ACL. Joulin et al.
    (2017), Bag of Tricks for Efficient Text Classification, EACL.
    """

    KIND = NAME
    TOLD = "an embedding bag"
    ARRAYS = ("classes", "columns", "embeddings", "hidden", "coef", "intercept")

    classes: NDArray[np.int64]
    columns: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    hidden: NDArray[np.float32]
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
        wide = np.zeros((self.n_features, self.embeddings.shape[1]), np.float32)
        wide[self.columns] = self.embeddings
        hidden = np.maximum(np.asarray(X @ wide) + self.hidden, 0)
        seen = softmax(hidden @ self.coef.T + self.intercept)
        return spread_over_classes(seen, self.classes, self.n_classes, self.n_train)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> EmbeddingBagModel:
        """The inverse of `to_arrays`."""
        return cls(**cls.read_fields(arrays, card))


def fit_embedding_bag(
    X: Matrix, y: ArrayLike, n_classes: int, seed: int, *, basis: Basis | None = None, weights: ArrayLike | None = None
) -> EmbeddingBagModel:
    """Fit an embedding bag by Adam, classes weighing alike.

    Parameters
    ----------
    X : csr_matrix, (n_items, n_features)
        Weights of words, by which their embeddings count.
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1; rows with -1 (unlabelled) are left out.
    n_classes : int
        Classes of the question.
    seed : int
        First weights and the order of the labels. On the processor the same input gives the same weights, to the bit.
    basis : Basis, optional
        Directions of the pool's texts: a word's embedding is its place among them, through a learned matrix, plus what
        was learned of the word itself. Folded into `embeddings`.
    weights : array-like of float, (n_items,), optional
        How much each row counts, above 0; 1 where left out.

    Returns
    -------
    EmbeddingBagModel

    Raises
    ------
    TooFewClassesError
        If fewer than two classes occur among the labels.
    UnsuitableError
        If X is dense (it holds no words), or torch is not installed.
    ValueError
        If lengths differ or a code is out of range.
    """
    if not sparse.issparse(X):
        raise UnsuitableError("the estimator embedding_bag reads words, and these items have none: choose another")
    codes = check_labels(X, y, n_classes)
    require_torch(NAME)
    is_labelled = codes >= 0
    counted = weigh_labels(codes, n_classes, weights)[is_labelled]
    X_train = sparse.csr_matrix(X[is_labelled])
    classes, places = np.unique(codes[is_labelled], return_inverse=True)
    columns = np.unique(X_train.indices).astype(np.int64)
    shares = None if basis is None else np.asarray(basis.project(X_train), np.float32)
    device, words, through, hidden, coef, intercept = _learn(
        sparse.csr_matrix(X_train[:, columns]), shares, places.astype(np.int64), counted, len(classes), seed
    )
    if basis is not None and through is not None:
        both = np.union1d(columns, basis.columns)
        embeddings = np.zeros((len(both), N_HIDDEN), np.float32)
        embeddings[np.searchsorted(both, columns)] = words
        embeddings[np.searchsorted(both, basis.columns)] += basis.loadings @ through
        columns, words = both, embeddings
    return EmbeddingBagModel(
        classes=classes,
        columns=columns,
        embeddings=words,
        hidden=hidden,
        coef=coef,
        intercept=intercept,
        n_classes=n_classes,
        n_features=X.shape[1],
        n_train=X_train.shape[0] if weights is None else round(np.asarray(weights)[is_labelled].sum()),
        settings={
            "estimator": NAME,
            "class_weight": "balanced",
            "seed": seed,
            "n_hidden": N_HIDDEN,
            "n_passes": N_PASSES,
            "batch": BATCH,
            "n_directions": 0 if basis is None else basis.loadings.shape[1],
            "device": device,
        },
    )


def _learn(
    X: sparse.csr_matrix,
    shares: NDArray[np.float32] | None,
    y: NDArray[np.int64],
    weights: NDArray[np.float32],
    n_seen: int,
    seed: int,
) -> tuple[
    str,
    NDArray[np.float32],
    NDArray[np.float32] | None,
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
]:
    """The device, then the weights: of words, of directions, of the hidden layer, and out of it."""
    import torch

    rng, device = np.random.default_rng([seed, 8]), choose_device()

    def draw(*shape: int, scale: float) -> torch.Tensor:
        values = torch.from_numpy((rng.normal(size=shape) * scale).astype(np.float32)).to(device)
        return values.requires_grad_()

    with repeatable():
        bag = torch.nn.EmbeddingBag(X.shape[1], N_HIDDEN, mode="sum", sparse=True, device=device)
        with torch.no_grad():
            # Without directions nothing else breaks the symmetry of the hidden layer.
            bag.weight.copy_(draw(X.shape[1], N_HIDDEN, scale=0.3 if shares is None else 0.0))
        through = None if shares is None else draw(shares.shape[1], N_HIDDEN, scale=2 / np.sqrt(shares.shape[1]))
        hidden, intercept = draw(N_HIDDEN, scale=0.0), draw(n_seen, scale=0.0)
        coef = draw(N_HIDDEN, n_seen, scale=1 / np.sqrt(N_HIDDEN))
        along = None if shares is None else torch.from_numpy(shares).to(device)
        truth, counted = torch.from_numpy(y).to(device), torch.from_numpy(weights).to(device)

        def loss_of(rows: NDArray[np.int64]) -> torch.Tensor:
            some = X[rows]
            drawn = torch.from_numpy(rows).to(device)
            told = bag(
                torch.from_numpy(some.indices.astype(np.int64)).to(device),
                torch.from_numpy(some.indptr[:-1].astype(np.int64)).to(device),
                per_sample_weights=torch.from_numpy(some.data.astype(np.float32)).to(device),
            )
            if along is not None and through is not None:
                told = told + along[drawn] @ through
            logits = torch.relu(told + hidden) @ coef + intercept
            losses = torch.nn.functional.cross_entropy(logits, truth[drawn], reduction="none")
            return (losses * counted[drawn]).mean()

        dense = [hidden, coef, intercept, *([] if through is None else [through])]
        n_steps = max(LEAST_STEPS, N_PASSES * -(-len(y) // BATCH))
        descend(
            loss_of,
            [torch.optim.SparseAdam([bag.weight], lr=WORD_RATE), torch.optim.Adam(dense, lr=RATE)],
            deal(len(y), BATCH, n_steps, rng),
            n_steps,
        )

    def stored(values: torch.Tensor) -> NDArray[np.float32]:
        return np.ascontiguousarray(values.detach().cpu().numpy(), np.float32)

    return (
        device.type,
        stored(bag.weight),
        None if through is None else stored(through),
        stored(hidden),
        stored(coef.T),
        stored(intercept),
    )
