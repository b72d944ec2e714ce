"""By which estimator a model is made: as the project's settings say, or by what the items and the labels allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.estimators.cnn import Shape, fit_cnn
from learning.algorithms.estimators.descent import has_torch, require_torch
from learning.algorithms.estimators.embedding_bag import fit_embedding_bag
from learning.algorithms.estimators.fusion import N_FOLDS, fit_fusion
from learning.algorithms.estimators.logistic import fit_logistic
from learning.algorithms.estimators.model import FloatArray, Matrix, Model, UnsuitableError
from learning.algorithms.features import PIXELS, TEXT
from learning.algorithms.folds import deal_folds, score_unseen

AUTO, LOGISTIC, EMBEDDING_BAG, CNN, FUSION = ESTIMATORS = ("auto", "logistic", "embedding_bag", "cnn", "fusion")
NEEDS_TORCH = (EMBEDDING_BAG, CNN)
# Folds of fewer labels tell nothing.
MIN_TO_COMPARE = 50


@dataclass(frozen=True)
class Recipe:
    """An estimator's name, of `ESTIMATORS`, and what the columns of X are.

    Attributes
    ----------
    estimator : str
    spans : mapping of str to slice
        The columns of each part, by its name (`Features.parts`); empty where that does not matter (one part alone, for
        `logistic`).
    shape : tuple of int or None
        Height, width, channels of the block of pixels, where there is one.
    """

    estimator: str = LOGISTIC
    spans: Mapping[str, slice] = field(default_factory=dict)
    shape: Shape | None = None

    @property
    def has_pixels_only(self) -> bool:
        return list(self.spans) == [PIXELS] and self.shape is not None


# Logistic regression, whatever the columns are.
PLAIN = Recipe()


def settle(
    recipe: Recipe,
    X: Matrix,
    y: NDArray[np.int64],
    n_classes: int,
    seed: int,
    *,
    basis: Basis | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Recipe:
    """A recipe whose estimator is named: what `auto` comes to for these labels.

    Logistic regression, which nothing was ahead of on labelled texts (docs/models.md), but for two cases, in
    which from 50 labels on that estimator is taken whose log-loss on unseen labels is lower. Images alone, where torch
    is installed: logistic regression or the convolutional network. Several kinds of parts: logistic regression over
    all columns side by side, or over each part's, fused.

    Raises UnsuitableError where the one asked for needs torch, and it is not installed.
    """
    if recipe.estimator in NEEDS_TORCH:
        require_torch(recipe.estimator)
    if recipe.estimator != AUTO:
        return recipe
    other = FUSION if len(recipe.spans) > 1 else CNN if recipe.has_pixels_only and has_torch() else None
    if other is None or len(y) < MIN_TO_COMPARE:
        return replace(recipe, estimator=LOGISTIC)

    def loss_of(name: str) -> float:
        tried = replace(recipe, estimator=name)

        def fit(is_used: NDArray[np.bool_]) -> Model:
            some = None if weights is None else weights[is_used]
            return cook(tried, X[is_used], y[is_used], n_classes, seed, basis=basis, weights=some)

        return log_loss(score_unseen(fit, X, y, n_classes, seed, N_FOLDS), y)

    return replace(recipe, estimator=min((LOGISTIC, other), key=loss_of))


def log_loss(proba: FloatArray, y: NDArray[np.int64]) -> float:
    """The mean of ``-log p`` of what is so; a probability under 1e-6 counts as that."""
    return float(-np.log(np.maximum(proba[np.arange(len(y)), y], 1e-6)).mean())


def cook(
    recipe: Recipe,
    X: Matrix,
    y: ArrayLike,
    n_classes: int,
    seed: int,
    *,
    basis: Basis | None = None,
    weights: ArrayLike | None = None,
    items: NDArray[np.int64] | None = None,
) -> Model:
    """Fit a model by a settled recipe.

    X, y, n_classes, seed, basis, weights: as for `fit_logistic`. `items`: which item each row is of, where one may have
    several: they stay in one fold. Where items have blocks that the estimator named
    cannot read, these are learned by logistic regression, and the models are fused.

    Raises TooFewClassesError, ValueError as `fit_logistic`; UnsuitableError where the items have nothing that the
    estimator can read, or torch is not installed.
    """
    name = recipe.estimator
    if name == LOGISTIC or (name == FUSION and len(recipe.spans) < 2):
        return fit_logistic(X, y, n_classes, seed, basis=basis, weights=weights)
    reads = {EMBEDDING_BAG: TEXT, CNN: PIXELS}.get(name)
    if reads is not None and reads not in recipe.spans:
        raise UnsuitableError(f"the estimator {name} learns from {reads}, and these items have none: choose another")
    if len(recipe.spans) == 1:
        return _cook_part(recipe, reads or "", X, y, n_classes, seed, basis, weights)

    def fit_part(part: str, rows: Matrix, codes: NDArray[np.int64], counted: NDArray[np.float64] | None) -> Model:
        own = None if basis is None or part != TEXT else basis.within(recipe.spans[part])
        return _cook_part(recipe, part, rows, codes, n_classes, seed, own, counted)

    _items, first, item = np.unique(np.arange(X.shape[0]) if items is None else items, True, True)
    folds = deal_folds(np.asarray(y, np.int64)[first], N_FOLDS, seed)[item]
    return fit_fusion(X, y, n_classes, seed, spans=recipe.spans, fit_part=fit_part, weights=weights, folds=folds)


def _cook_part(
    recipe: Recipe,
    part: str,
    X: Matrix,
    y: ArrayLike,
    n_classes: int,
    seed: int,
    basis: Basis | None,
    weights: ArrayLike | None,
) -> Model:
    """Pixels by the network, words by the embedding bag where those are asked for; else logistic regression."""
    if part == PIXELS and recipe.estimator == CNN and recipe.shape is not None:
        return fit_cnn(X, y, n_classes, seed, shape=recipe.shape, weights=weights)
    if part == TEXT and recipe.estimator == EMBEDDING_BAG:
        return fit_embedding_bag(X, y, n_classes, seed, basis=basis, weights=weights)
    # Beside other blocks pixels are scaled so that a white image is as long as a text; alone they are not, and the same
    # penalty would be a far stronger one.
    is_scaled = part == PIXELS and recipe.shape is not None and len(recipe.spans) > 1
    C = float(np.prod(recipe.shape or 1)) if is_scaled else 1.0
    return fit_logistic(X, y, n_classes, seed, basis=basis, weights=weights, C=C)
