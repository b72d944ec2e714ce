"""A model for each part of an item (words, pixels, ...), their probabilities pooled by those parts that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

from learning.algorithms.estimators.model import (
    FloatArray,
    Matrix,
    Model,
    StoredModel,
    TooFewClassesError,
    check_labels,
    check_width,
    softmax,
    spread_over_classes,
    weigh_labels,
)

NAME = "fusion"
N_FOLDS = 3
_LEAST = 1e-12  # a probability of 0 would outvote everything


@dataclass(frozen=True, eq=False)
class FusionModel(StoredModel):
    """Models of parts. Pooled are their log-probabilities, as ``strength * sum(share * log p)``.

    Attributes
    ----------
    classes : ndarray of int64, (n_seen,)
        Codes that occurred among the training labels, ascending.
    parts : tuple of (str, slice, Model)
        Name, columns of X and model of each part that could be learned.
    shares : ndarray of float64, (n_parts,)
        How much each part counts, 0 to 1, 1 in sum. Of an item that lacks a part (its columns are all 0) the others
        take its share.
    strength : float
        Above 1 where parts say different things and confirm each other; 1 for the mean.
    prior : ndarray of float64, (n_seen,)
        Of the classes, in the ratios that are said of an item that lacks every part: as fitted, those of the labels.
    intercept : ndarray of float32, (n_seen,)
        Added to the logits; 0 as fitted.
    n_classes, n_features, n_train : int
    settings : dict
        How it was fitted, with each part's own settings, for the model's card.

    References
    ----------
    Genest and Zidek (1986), Combining Probability Distributions, Statistical Science 1(1), section 3.2 (logarithmic
    pool).
    """

    KIND = NAME
    TOLD = "a fusion of models"
    ARRAYS = ("classes", "shares", "prior", "intercept")
    PLAIN = ("strength", "n_classes", "n_features", "n_train", "settings")

    classes: NDArray[np.int64]
    parts: tuple[tuple[str, slice, Model], ...]
    shares: FloatArray
    strength: float
    prior: FloatArray
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
        logits = np.zeros((len(self.parts), X.shape[0], len(self.classes)))
        is_there = np.zeros((len(self.parts), X.shape[0]), bool)
        for number, (_name, span, model) in enumerate(self.parts):
            rows = X[:, span]
            is_there[number] = has_part(rows)
            logits[number] = _log(model.predict_proba(rows)[:, self.classes])
        pooled = _pool(logits, is_there, self.shares, self.strength)
        pooled[~is_there.any(axis=0)] = _log(self.prior)
        return spread_over_classes(softmax(pooled + self.intercept), self.classes, self.n_classes, self.n_train)

    def scaled(self, by: float) -> FusionModel:
        """The pooled logits times so much, above 0; ``settings["scale"]`` says how much."""
        return self.changed(
            {"scale": round(by, 4)},
            strength=self.strength * by,
            prior=self.prior**by,
            intercept=(self.intercept * by).astype(np.float32),
        )

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """For `weights.pack`; arrays of the parts' models lie under their number."""
        arrays, fused = super().to_arrays()
        cards = []
        for number, (name, span, model) in enumerate(self.parts):
            own, card = model.to_arrays()
            arrays |= {f"{number}/{key}": array for key, array in own.items()}
            cards.append({"name": name, "span": [span.start, span.stop], "model": card})
        return arrays, {**fused, "parts": cards}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        card: Mapping[str, Any],
        read: Callable[[Mapping[str, NDArray[Any]], Mapping[str, Any]], Model],
    ) -> FusionModel:
        """The inverse of `to_arrays`; `read` reads the model of a part."""
        found = cls.read_fields(arrays, card)
        parts = []
        for number, told in enumerate(card["parts"]):
            own = {
                key.removeprefix(f"{number}/"): array for key, array in arrays.items() if key.startswith(f"{number}/")
            }
            parts.append((str(told["name"]), slice(*told["span"]), read(own, told["model"])))
        return cls(parts=tuple(parts), **found)


# Fits a model of a part: its name, rows, labels as codes, and weights of the rows.
FitPart = Callable[[str, Matrix, NDArray[np.int64], "NDArray[np.float64] | None"], Model]


def has_part(rows: Matrix) -> NDArray[np.bool_]:
    """Which items have a part, (n_items,): those whose columns of it are not all 0."""
    if sparse.issparse(rows):
        return np.asarray(sparse.csr_matrix(rows).getnnz(axis=1) > 0)
    return np.asarray((rows != 0).any(axis=1))


def fit_fusion(
    X: Matrix,
    y: ArrayLike,
    n_classes: int,
    seed: int,
    *,
    spans: Mapping[str, slice],
    fit_part: FitPart,
    weights: ArrayLike | None = None,
    folds: NDArray[np.int64],
) -> FusionModel:
    """Fit a model of each part on the items that have it, and how much each counts by what they say of unseen items.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Codes 0..n_classes-1; rows with -1 (unlabelled) are left out.
    n_classes : int
        Classes of the question.
    seed : int
        Recorded on the card; `fit_part` and `folds` have their own.
    spans : mapping of str to slice
        The columns of each part, one after the other.
    fit_part : callable
        Fits a model of one part.
    weights : array-like of float, (n_items,), optional
        How much each row counts, above 0; 1 where left out.
    folds : ndarray of int64, (n_items,)
        The fold of each item, from 0: shares and strength minimise the log-loss, classes weighing alike, of items
        whose fold did not teach the models.

    Returns
    -------
    FusionModel
        Of those parts in which two classes occur; shares are equal where the folds teach too little to tell.

    Raises
    ------
    TooFewClassesError
        If fewer than two classes occur among the labels, or in no part.
    ValueError
        If lengths differ or a code is out of range.
    """
    codes = check_labels(X, y, n_classes)
    balanced = weigh_labels(codes, n_classes, weights)
    given = None if weights is None else np.asarray(weights, np.float64)
    is_labelled = codes >= 0
    classes = np.unique(codes[is_labelled])
    found: list[tuple[str, slice, Model]] = []
    unseen, there = [], []
    for name, span in spans.items():
        rows = X[:, span]
        is_there = has_part(rows) & is_labelled

        def fit(is_used: NDArray[np.bool_], name: str = name, rows: Matrix = rows) -> Model:
            return fit_part(name, rows[is_used], codes[is_used], None if given is None else given[is_used])

        try:
            found.append((name, span, fit(is_there)))
        except TooFewClassesError:
            continue
        scored = np.full((len(codes), len(classes)), 1 / len(classes))
        for number in np.unique(folds):
            is_out = is_there & (folds == number)
            if is_out.any():
                try:
                    scored[is_out] = fit(is_there & ~is_out).predict_proba(rows[is_out])[:, classes]
                except TooFewClassesError:
                    continue
        unseen.append(_log(scored))
        there.append(is_there)
    if not found:
        raise TooFewClassesError(1)
    shares, strength = _weigh_parts(
        np.stack(unseen)[:, is_labelled],
        np.stack(there)[:, is_labelled],
        np.searchsorted(classes, codes[is_labelled]),
        balanced[is_labelled],
    )
    return FusionModel(
        classes=classes,
        parts=tuple(found),
        shares=shares,
        strength=strength,
        prior=np.bincount(codes[is_labelled], minlength=n_classes)[classes] / is_labelled.sum(),
        intercept=np.zeros(len(classes), np.float32),
        n_classes=n_classes,
        n_features=X.shape[1],
        n_train=round((is_labelled if given is None else given[is_labelled]).sum()),
        settings={
            "estimator": NAME,
            "seed": seed,
            "strength": round(strength, 4),
            "parts": {
                name: {"share": round(float(share), 4), **model.settings}
                for (name, _span, model), share in zip(found, shares, strict=True)
            },
        },
    )


def _log(proba: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(proba, _LEAST)))


def _pool(logs: FloatArray, is_there: NDArray[np.bool_], shares: FloatArray, strength: float) -> FloatArray:
    """Logits, (n_items, n_seen), of (n_parts, n_items, n_seen) log-probabilities; 0 where no part is there."""
    counted = shares[:, np.newaxis] * is_there
    # Parts whose share is 0 speak alone where they are alone.
    counted = np.where(counted.sum(axis=0) > 0, counted, is_there)
    total = counted.sum(axis=0)
    counted = np.divide(counted, total, out=np.zeros(counted.shape), where=total > 0)
    return np.asarray(strength * np.einsum("pi,pik->ik", counted, logs))


def _weigh_parts(
    logs: FloatArray, is_there: NDArray[np.bool_], y: NDArray[np.int64], weights: NDArray[np.float32]
) -> tuple[FloatArray, float]:
    """Shares and strength of least log-loss, drawn a little towards equal shares and a strength of 1."""
    n_parts, rows = len(logs), np.arange(len(y))

    def read(values: Sequence[float] | FloatArray) -> tuple[FloatArray, float]:
        raised = np.exp(np.asarray(values[:-1]) - np.max(values[:-1]))
        return raised / raised.sum(), float(np.exp(values[-1]))

    def loss(values: FloatArray) -> float:
        shares, strength = read(values)
        pooled = _pool(logs, is_there, shares, strength)
        pooled -= pooled.max(axis=1, keepdims=True)
        said = pooled[rows, y] - np.log(np.exp(pooled).sum(axis=1))
        return float(-(weights * said).sum() + (np.asarray(values) ** 2).sum())

    return read(optimize.minimize(loss, np.zeros(n_parts + 1), method="L-BFGS-B").x)
