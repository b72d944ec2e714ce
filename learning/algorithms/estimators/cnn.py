"""A small convolutional network for images of at most 32 x 32 pixels, fitted by torch.

Prediction needs numpy and the arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from learning.algorithms.estimators.descent import choose_device, deal, descend, repeatable, require_torch
from learning.algorithms.estimators.model import (
    FloatArray,
    Matrix,
    StoredModel,
    check_labels,
    check_width,
    softmax,
    spread_over_classes,
    weigh_labels,
)

NAME = "cnn"
N_KERNELS = (16, 32)
BATCH = 32
RATE, DECAY, DROPPED = 0.003, 0.01, 0.3
# So many steps for each square root of the labels: few labels are gone through often, each time moved by a pixel.
STEPS, MOST_STEPS = 80, 8000
# Halved after a layer where both sides have at least so many pixels; after the first only where it is no thumbnail.
_HALVED_FROM = (16, 4)
_CHUNK = 256

# Height, width, channels.
Shape: TypeAlias = tuple[int, int, int]
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CnnModel(StoredModel):
    """Two layers of 3 x 3 kernels, each followed by ReLU and halved by the greatest of 2 x 2, then logistic.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes that occurred among the training labels, ascending.
    first, second : ndarray of float32, (3, 3, n_in, n_out)
        Kernels; `first_bias`, `second_bias`, (n_out,).
    coef : ndarray of float32, (n_seen, height * width * 32 of what is left)
    intercept : ndarray of float32, (n_seen,)
    shape : tuple of int
        Height, width, channels: a row of X is such an image, row by row, 0 black; their product is `n_features`.
    n_classes, n_features, n_train : int
    settings : dict
        How it was fitted, for the model's card; pixels are first brought to ``(value - mean) / spread``.

    References
    ----------
    LeCun et al. (1998), Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 86(11).
    """

    KIND = NAME
    TOLD = "a convolutional network"
    ARRAYS = ("classes", "first", "first_bias", "second", "second_bias", "coef", "intercept")
    PLAIN = ("shape", "n_classes", "n_features", "n_train", "settings")

    classes: NDArray[np.int64]
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    coef: Floats
    intercept: Floats
    shape: Shape
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
        parts = [np.zeros((0, len(self.classes)))]
        for start in range(0, X.shape[0], _CHUNK):
            images = _as_images(X[start : start + _CHUNK], self.shape)
            images = (images - self.settings["mean"]) / self.settings["spread"]
            for kernels, bias, least in (
                (self.first, self.first_bias, _HALVED_FROM[0]),
                (self.second, self.second_bias, _HALVED_FROM[1]),
            ):
                images = np.maximum(_convolve(images.astype(np.float32), kernels) + bias, 0)
                if min(images.shape[1:3]) >= least:
                    images = _halve(images)
            parts.append(softmax(images.reshape(len(images), -1) @ self.coef.T + self.intercept))
        return spread_over_classes(np.concatenate(parts), self.classes, self.n_classes, self.n_train)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> CnnModel:
        """The inverse of `to_arrays`."""
        found = cls.read_fields(arrays, card)
        return cls(**found | {"shape": tuple(found["shape"])})


def _as_images(X: Matrix, shape: Shape) -> Floats:
    rows = sparse.csr_matrix(X).toarray() if sparse.issparse(X) else X
    return np.asarray(rows, np.float32).reshape(-1, *shape)


def _convolve(images: Floats, kernels: Floats) -> Floats:
    """Same size as before, black around: (n, height, width, n_in) -> (n, height, width, n_out)."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = (
        padded[:, down : down + height, right : right + width] @ kernels[down, right]
        for down in range(3)
        for right in range(3)
    )
    return np.asarray(sum(moved), np.float32)


def _halve(images: Floats) -> Floats:
    """The greatest of each 2 x 2; an odd last row or column is left out."""
    n, height, width, n_in = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return np.asarray(even.reshape(n, height // 2, 2, width // 2, 2, n_in).max(axis=(2, 4)))


def fit_cnn(
    X: Matrix, y: ArrayLike, n_classes: int, seed: int, *, shape: Shape, weights: ArrayLike | None = None
) -> CnnModel:
    """Fit a convolutional network by Adam, classes weighing alike, each image moved by up to a pixel in each step.

    Parameters
    ----------
    X : ndarray or csr_matrix, (n_items, height * width * channels)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1; rows with -1 (unlabelled) are left out.
    n_classes : int
        Classes of the question.
    seed : int
        First weights, order and movement of the images. On the processor the same input gives the same weights, to the
        bit.
    shape : tuple of int
        Height, width, channels of the images.
    weights : array-like of float, (n_items,), optional
        How much each row counts, above 0; 1 where left out.

    Returns
    -------
    CnnModel

    Raises
    ------
    TooFewClassesError
        If fewer than two classes occur among the labels.
    UnsuitableError
        If torch is not installed.
    ValueError
        If lengths differ, a code is out of range or rows are not of that shape.
    """
    if X.shape[1] != np.prod(shape):
        raise ValueError(f"rows of {X.shape[1]} are no images of {' x '.join(map(str, shape))}")
    codes = check_labels(X, y, n_classes)
    require_torch(NAME)
    is_labelled = codes >= 0
    counted = weigh_labels(codes, n_classes, weights)[is_labelled]
    images = _as_images(X[is_labelled], shape)
    classes, places = np.unique(codes[is_labelled], return_inverse=True)
    mean, spread = float(images.mean()), float(images.std()) or 1.0
    n_steps = min(round(STEPS * len(images) ** 0.5), MOST_STEPS)
    device, arrays = _learn((images - mean) / spread, places.astype(np.int64), counted, len(classes), seed, n_steps)
    return CnnModel(
        classes=classes,
        **arrays,
        shape=shape,
        n_classes=n_classes,
        n_features=X.shape[1],
        n_train=len(images) if weights is None else round(np.asarray(weights)[is_labelled].sum()),
        settings={
            "estimator": NAME,
            "class_weight": "balanced",
            "seed": seed,
            "mean": mean,
            "spread": spread,
            "n_steps": n_steps,
            "batch": BATCH,
            "device": device,
        },
    )


def _learn(
    images: Floats, y: NDArray[np.int64], weights: Floats, n_seen: int, seed: int, n_steps: int
) -> tuple[str, dict[str, Floats]]:
    """The device, and the fitted arrays by name."""
    import torch
    from torch.nn import functional

    rng, device = np.random.default_rng([seed, 9]), choose_device()

    def draw(*shape: int, scale: float) -> torch.Tensor:
        values = torch.from_numpy((rng.normal(size=shape) * scale).astype(np.float32)).to(device)
        return values.requires_grad_()

    height, width, channels = images.shape[1:]
    halves = []
    for least in _HALVED_FROM:
        halves.append(min(height, width) >= least)
        height, width = (height // 2, width // 2) if halves[-1] else (height, width)
    n_left = height * width * N_KERNELS[1]
    with repeatable():
        first = draw(N_KERNELS[0], channels, 3, 3, scale=np.sqrt(2 / (9 * channels)))
        second = draw(N_KERNELS[1], N_KERNELS[0], 3, 3, scale=np.sqrt(2 / (9 * N_KERNELS[0])))
        coef = draw(n_left, n_seen, scale=1 / np.sqrt(n_left))
        first_bias, second_bias = draw(N_KERNELS[0], scale=0.0), draw(N_KERNELS[1], scale=0.0)
        intercept = draw(n_seen, scale=0.0)
        pixels = np.pad(images.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=images.min())
        truth, counted = torch.from_numpy(y).to(device), torch.from_numpy(weights).to(device)

        def loss_of(rows: NDArray[np.int64]) -> torch.Tensor:
            drawn = torch.from_numpy(rows).to(device)
            layer = torch.from_numpy(_move(pixels[rows], rng)).to(device)
            for kernels, bias, is_halved in ((first, first_bias, halves[0]), (second, second_bias, halves[1])):
                layer = torch.relu(functional.conv2d(layer, kernels, bias, padding=1))
                layer = functional.max_pool2d(layer, 2) if is_halved else layer
            flat = layer.permute(0, 2, 3, 1).flatten(1)
            is_kept = torch.from_numpy((rng.random(flat.shape) >= DROPPED).astype(np.float32)).to(device)
            logits = (flat * is_kept / (1 - DROPPED)) @ coef + intercept
            return (functional.cross_entropy(logits, truth[drawn], reduction="none") * counted[drawn]).mean()

        parameters = [first, first_bias, second, second_bias, coef, intercept]
        optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
        descend(loss_of, [optimizer], deal(len(images), BATCH, n_steps, rng), n_steps)

    def stored(values: torch.Tensor) -> Floats:
        return np.ascontiguousarray(values.detach().cpu().numpy(), np.float32)

    return device.type, {
        "first": stored(first.permute(2, 3, 1, 0)),
        "first_bias": stored(first_bias),
        "second": stored(second.permute(2, 3, 1, 0)),
        "second_bias": stored(second_bias),
        "coef": stored(coef.T),
        "intercept": stored(intercept),
    }


def _move(padded: Floats, rng: np.random.Generator) -> Floats:
    """Each image cut out of its padded one at a random place: (n, n_in, height + 2, width + 2) -> two less each."""
    n, _n_in, height, width = padded.shape
    down, right = rng.integers(0, 3, n), rng.integers(0, 3, n)
    views = np.lib.stride_tricks.sliding_window_view(padded, (height - 2, width - 2), axis=(2, 3))
    return np.ascontiguousarray(views[np.arange(n), :, down, right])
