"""How good a model is, judged on labels that it never saw: each figure with its interval, or why there is none.

The bootstrap resamples items. Everything but the log-loss depends on an item only through its accepted and its
predicted class, so a resample of the items is a multinomial draw of the confusion matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson

FloatArray = NDArray[np.float64]
MIN_HOLDOUT = 100
ONE_CLASS = "only 1 class occurs"


@dataclass(frozen=True)
class ClassFigures:
    """One class, counted on the holdout.

    Attributes
    ----------
    code : int
    precision, recall, f1 : float or None
        Shares, 0 to 1; None where nothing was predicted as the class, nothing is of the class, or neither, and
        where `refusal` says that there are too few labels.
    precision_interval, recall_interval, f1_interval : (float, float) or None
        95 %, Wilson. F1 is a function of one share, hits among what is or was predicted as the class, so its interval
        is that share's, mapped.
    n_items, n_predicted : int
        Items of the class, and items predicted as it.
    refusal : str or None
        Why there are no figures.
    """

    code: int
    precision: float | None
    precision_interval: tuple[float, float] | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    f1: float | None
    f1_interval: tuple[float, float] | None
    n_items: int
    n_predicted: int
    refusal: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain Python types, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Evaluation:
    """A model's figures on one holdout.

    Attributes
    ----------
    accuracy : Figure
        Share of items whose likeliest class is the accepted one.
    macro_f1 : Figure
        Mean F1 of the classes that occur as accepted or predicted.
    log_loss : Figure
        Mean ``-ln p`` of the accepted class, in nats; 0 is perfect, lower is better.
    classes : tuple of ClassFigures
        One for each class of the question.
    confusion : tuple of tuple of int, (n_classes, n_classes)
        Items by accepted class (row) and predicted class (column).
    n_items : int
        Items in the holdout with an accepted label.
    """

    accuracy: Figure
    macro_f1: Figure
    log_loss: Figure
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    n_items: int

    def as_dict(self) -> dict[str, Any]:
        """Plain Python types, ready for JSON."""
        return {
            "metrics": [figure.as_dict() for figure in (self.accuracy, self.macro_f1, self.log_loss)],
            "classes": [figures.as_dict() for figures in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "n_items": self.n_items,
        }


def evaluate(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    rng: np.random.Generator,
    minimum: int = MIN_HOLDOUT,
    n_resamples: int = 1000,
) -> Evaluation:
    """Judge predictions against accepted labels.

    Parameters
    ----------
    y : array-like of int, (n_items,)
        Accepted codes; rows with -1 (no accepted label yet) are left out.
    proba : array-like of float, (n_items, n_classes)
        Predicted probabilities, rows sum to 1. Of equally likely classes the lowest code is predicted.
    rng : numpy.random.Generator
        Source of the bootstrap.
    minimum : int
        Fewest labels for which figures are shown.
    n_resamples : int
        At least 1000.

    Returns
    -------
    Evaluation
        With fewer labels than `minimum` every figure is refused ("holdout has 12 labels, 100 needed"). Where only one
        class occurs among the labels, macro-F1 is refused. The confusion matrix and the counts are shown as they are.

    Raises
    ------
    ValueError
        If the shapes do not fit or a code is out of range.

    References
    ----------
    Macro-F1 as scikit-learn's `f1_score(average="macro")`: over the classes that occur in either list, resample by
    resample. Interval of the accuracy: Wilson (1927). Percentile bootstrap: Efron and Tibshirani (1993), chapter 13.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    >>> found = evaluate([0, 1, 1, 1], proba, rng=np.random.default_rng(0), minimum=4)
    >>> found.accuracy.value, round(found.macro_f1.value, 3), found.confusion
    (0.75, 0.733, ((1, 0), (1, 2)))
    >>> evaluate([0, 1, 1, 1], proba, rng=np.random.default_rng(0)).accuracy.refusal
    'holdout has 4 labels, 100 needed'
    """
    codes, p = np.asarray(y, np.int64), np.asarray(proba, np.float64)
    if p.ndim != 2 or codes.shape != (len(p),):
        raise ValueError(f"{codes.shape} labels do not fit {p.shape} probabilities")
    if n_resamples < 1000:
        raise ValueError(f"{n_resamples} resamples are too few for an interval: at least 1000")
    n_classes = p.shape[1]
    if len(codes) and (codes.min() < -1 or codes.max() >= n_classes):
        raise ValueError(f"labels must lie within 0..{n_classes - 1}, or be -1 where there is none")
    codes, p = codes[codes >= 0], p[codes >= 0]
    n = len(codes)
    predicted = p.argmax(axis=1) if n else codes
    confusion = np.bincount(codes * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    accuracy, macro_f1, log_loss = _figures(codes, p, confusion, rng, minimum, n_resamples)
    return Evaluation(
        accuracy=accuracy,
        macro_f1=macro_f1,
        log_loss=log_loss,
        classes=tuple(_class_figures(confusion, code, _too_few(n, minimum)) for code in range(n_classes)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        n_items=n,
    )


def macro_f1_of(confusion: ArrayLike) -> FloatArray:
    """Macro-F1 from confusion matrices.

    Parameters
    ----------
    confusion : array-like of int, (..., n_classes, n_classes)
        Accepted class by row, predicted by column.

    Returns
    -------
    ndarray, (...)
        Mean over the classes that occur in row or column; nan of an empty matrix.

    Examples
    --------
    >>> round(float(macro_f1_of([[5, 1, 0], [2, 4, 0], [0, 0, 0]])), 4)
    0.7483
    """
    counts = np.asarray(confusion, np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    either = counts.sum(axis=-1) + counts.sum(axis=-2)
    f1 = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    n_occurring = (either > 0).sum(axis=-1)
    mean: FloatArray = np.divide(
        f1.sum(axis=-1), n_occurring, out=np.full(n_occurring.shape, np.nan), where=n_occurring > 0
    )
    return mean


def _figures(
    y: NDArray[np.int64],
    proba: FloatArray,
    confusion: NDArray[np.int64],
    rng: np.random.Generator,
    minimum: int,
    n_resamples: int,
) -> tuple[Figure, Figure, Figure]:
    n = len(y)
    size: dict[str, Any] = {"n_items": n, "n_labels": n}
    refusal = _too_few(n, minimum)
    if refusal is not None:
        accuracy, macro_f1, log_loss = (
            Figure.refused(metric, refusal, **size) for metric in ("accuracy", "macro_f1", "log_loss")
        )
        return accuracy, macro_f1, log_loss

    n_hits = int(np.trace(confusion))
    accuracy = Figure(metric="accuracy", value=n_hits / n, interval=wilson(n_hits, n), method="Wilson", **size)

    if len(np.unique(y)) == 1:
        macro_f1 = Figure.refused("macro_f1", ONE_CLASS, **size)
    else:
        resamples = rng.multinomial(n, confusion.ravel() / n, size=n_resamples).reshape(n_resamples, *confusion.shape)
        low, high = np.quantile(macro_f1_of(resamples), [0.025, 0.975])
        method = f"percentile bootstrap over items, {n_resamples} resamples"
        macro_f1 = Figure(
            metric="macro_f1",
            value=float(macro_f1_of(confusion)),
            interval=(float(low), float(high)),
            method=method,
            **size,
        )

    # A probability of exactly 0 would make the mean infinite; scikit-learn clips in the same way.
    losses = -np.log(np.clip(proba[np.arange(n), y], np.finfo(np.float64).eps, 1.0))
    mean, spread = float(losses.mean()), float(losses.std(ddof=1)) if n > 1 else 0.0
    reach = NormalDist().inv_cdf(0.975) * spread / n**0.5
    log_loss = Figure(
        metric="log_loss", value=mean, interval=(max(0.0, mean - reach), mean + reach), method="normal mean", **size
    )
    return accuracy, macro_f1, log_loss


def _too_few(n: int, minimum: int) -> str | None:
    needed = max(1, minimum)
    return f"holdout has {n} label{'s' * (n != 1)}, {needed} needed" if n < needed else None


def _class_figures(confusion: NDArray[np.int64], code: int, refusal: str | None) -> ClassFigures:
    hits, n_items, n_predicted = (
        int(confusion[code, code]),
        int(confusion[code].sum()),
        int(confusion[:, code].sum()),
    )
    n_either = n_items + n_predicted - hits
    low, high = wilson(hits, n_either) if n_either else (0.0, 1.0)
    shown_precision, shown_recall, shown_f1 = (refusal is None and n > 0 for n in (n_predicted, n_items, n_either))
    return ClassFigures(
        code=code,
        precision=hits / n_predicted if shown_precision else None,
        precision_interval=wilson(hits, n_predicted) if shown_precision else None,
        recall=hits / n_items if shown_recall else None,
        recall_interval=wilson(hits, n_items) if shown_recall else None,
        f1=2 * hits / (n_items + n_predicted) if shown_f1 else None,
        f1_interval=(2 * low / (1 + low), 2 * high / (1 + high)) if shown_f1 else None,
        n_items=n_items,
        n_predicted=n_predicted,
        refusal=refusal,
    )
