"""How good a model is, judged on labels that it never saw: each figure with its interval, or why there is none.

The bootstrap resamples items. What depends on an item only through its accepted and its predicted class needs no more
than a multinomial draw of the confusion matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms.bootstrap import bootstrap_intervals
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson

FloatArray = NDArray[np.float64]
MIN_HOLDOUT = 100
ONE_CLASS = "only 1 class occurs"
N_BINS = 10


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
    average_precision : float or None
        How well the class's probability puts its items first, at no threshold: the mean of the precision over its
        items. By chance it is the class's share of the items. None where nothing, or everything, is of the class.
    average_precision_interval : (float, float) or None
        95 %, on the logit scale (Boyd, Eng and Page 2013).
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
    average_precision: float | None
    average_precision_interval: tuple[float, float] | None
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
    calibration_error : Figure
        How far what the model says of its certainty is from how often it is right: over ten bins of the likeliest
        class's probability the mean difference, weighted by items; 0 to 1, lower is better. Chance alone makes it more
        than 0 in a small holdout.
    reliability : tuple of (float, float, int)
        Of each bin that holds items: mean probability of the likeliest class, share that is right, items. () where the
        figures are refused.
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
    calibration_error: Figure
    reliability: tuple[tuple[float, float, int], ...]
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    n_items: int

    def as_dict(self) -> dict[str, Any]:
        """Plain Python types, ready for JSON."""
        return {
            "metrics": [
                figure.as_dict() for figure in (self.accuracy, self.macro_f1, self.log_loss, self.calibration_error)
            ],
            "reliability": [list(row) for row in self.reliability],
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
    resample. Average precision as its `average_precision_score`; its interval: Boyd, Eng and Page (2013), Area under
    the Precision-Recall Curve: Point Estimates and Confidence Intervals, ECML PKDD. Calibration error: Naeini, Cooper
    and Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI. Interval of the
    accuracy: Wilson (1927). Percentile bootstrap: Efron and Tibshirani (1993), chapter 13.

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
    refusal = tell_too_few(n, minimum)
    accuracy, macro_f1, log_loss = _figures(codes, p, confusion, rng, minimum, n_resamples)
    calibration_error, reliability = _calibration(codes, p, refusal, rng, n_resamples)
    ranked = [rank_class(codes == code, p[:, code], refusal) for code in range(n_classes)]
    return Evaluation(
        accuracy=accuracy,
        macro_f1=macro_f1,
        log_loss=log_loss,
        calibration_error=calibration_error,
        reliability=reliability,
        classes=tuple(figures_of_class(confusion, code, refusal, *ranked[code]) for code in range(n_classes)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        n_items=n,
    )


def judge_at_thresholds(
    y: ArrayLike, proba: ArrayLike, thresholds: Sequence[float | None], *, minimum: int = MIN_HOLDOUT
) -> list[ClassFigures | None]:
    """Each class by itself, where its probability reaches its threshold, whatever else is likelier.

    Parameters
    ----------
    y, proba, minimum : as for `evaluate`
    thresholds : sequence of float or None, (n_classes,)

    Returns
    -------
    list of ClassFigures or None, (n_classes,)
        None where a class has no threshold. Refused as in `evaluate`.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> proba = [[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.6, 0.4]]
    >>> found = judge_at_thresholds([0, 0, 1, 1], proba, [None, 0.2], minimum=4)
    >>> found[0], found[1].precision, found[1].recall
    (None, 0.6666666666666666, 1.0)
    """
    codes, p = np.asarray(y, np.int64), np.asarray(proba, np.float64)
    if p.ndim != 2 or codes.shape != (len(p),) or len(thresholds) != p.shape[1]:
        raise ValueError(f"{codes.shape} labels and {len(thresholds)} thresholds do not fit {p.shape} probabilities")
    codes, p = codes[codes >= 0], p[codes >= 0]
    refusal = tell_too_few(len(codes), minimum)
    found: list[ClassFigures | None] = []
    for code, threshold in enumerate(thresholds):
        if threshold is None:
            found.append(None)
            continue
        is_class = codes == code
        kinds = np.bincount(2 * is_class + (p[:, code] >= threshold), minlength=4)
        figures = figures_of_class(kinds.reshape(2, 2), 1, refusal, *rank_class(is_class, p[:, code], refusal))
        found.append(replace(figures, code=code))
    return found


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
    refusal = tell_too_few(n, minimum)
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

    return accuracy, macro_f1, figure_log_loss(proba[np.arange(n), y])


def figure_log_loss(p: FloatArray) -> Figure:
    """The mean of ``-ln p`` over items, in nats, from what was said of the truth.

    Parameters
    ----------
    p : ndarray of float, (n_items,) or (n_items, n_classes)
        The probability that was given to what is true; of several classes an item's loss is their mean. At least one
        item.

    Returns
    -------
    Figure
        ``log_loss``, from 0; its interval is that of a normal mean, and no wider than a point for a single item.
    """
    # A probability of exactly 0 would make the mean infinite; scikit-learn clips in the same way.
    losses = -np.log(np.clip(p, np.finfo(np.float64).eps, 1.0)).reshape(len(p), -1).mean(axis=1)
    n = len(losses)
    mean, spread = float(losses.mean()), float(losses.std(ddof=1)) if n > 1 else 0.0
    reach = NormalDist().inv_cdf(0.975) * spread / n**0.5
    return Figure(
        metric="log_loss",
        value=mean,
        interval=(max(0.0, mean - reach), mean + reach),
        method="normal mean",
        n_items=n,
        n_labels=n,
    )


def compare_macro_f1(
    y: ArrayLike, proba: ArrayLike, other: ArrayLike, *, rng: np.random.Generator, minimum: int = MIN_HOLDOUT
) -> Figure:
    """By how much one model's macro-F1 is above another's, on the same items.

    Parameters
    ----------
    y, proba, minimum : as for `evaluate`
    other : array-like of float, (n_items, n_classes)
        The other model's probabilities of the same items.
    rng : numpy.random.Generator
        Source of 1000 resamples, in each of which both are judged on the same items.

    Returns
    -------
    Figure
        ``macro_f1_gain``, -1 to 1; refused as macro-F1 is. Where two models are right and wrong on the same items the
        interval is narrow, however wide those of the single figures are.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    codes, one, two = np.asarray(y, np.int64), np.asarray(proba, np.float64), np.asarray(other, np.float64)
    if one.shape != two.shape or one.ndim != 2 or codes.shape != (len(one),):
        raise ValueError(f"{codes.shape} labels, {one.shape} and {two.shape} probabilities do not fit")
    n_classes = one.shape[1]
    is_known = codes >= 0
    codes = codes[is_known]
    size: dict[str, Any] = {"n_items": len(codes), "n_labels": len(codes)}
    refusal = tell_too_few(len(codes), minimum) or (ONE_CLASS if len(np.unique(codes)) == 1 else None)
    if refusal is not None:
        return Figure.refused("macro_f1_gain", refusal, **size)
    said, said_two = one[is_known].argmax(axis=1), two[is_known].argmax(axis=1)
    kinds, n_items = np.unique((codes * n_classes + said) * n_classes + said_two, return_counts=True)
    truth, said, said_two = kinds // n_classes**2, kinds // n_classes % n_classes, kinds % n_classes

    def gain(weights: FloatArray) -> list[FloatArray]:
        tables = [np.zeros((len(weights), n_classes**2)) for _model in range(2)]
        for table, column in zip(tables, (truth * n_classes + said, truth * n_classes + said_two), strict=True):
            for kind, cell in enumerate(column):
                table[:, cell] += weights[:, kind]
        f1 = [macro_f1_of(table.reshape(-1, n_classes, n_classes)) for table in tables]
        return [f1[0] - f1[1]]

    (interval,) = bootstrap_intervals(n_items, gain, 1000, rng)
    method = "paired percentile bootstrap over items, 1000 resamples"
    (value,) = gain(n_items[np.newaxis].astype(np.float64))
    return Figure(metric="macro_f1_gain", value=float(value[0]), interval=interval, method=method, **size)


def _calibration(
    y: NDArray[np.int64], proba: FloatArray, refusal: str | None, rng: np.random.Generator, n_resamples: int
) -> tuple[Figure, tuple[tuple[float, float, int], ...]]:
    n = len(y)
    size: dict[str, Any] = {"n_items": n, "n_labels": n}
    if refusal is not None:
        return Figure.refused("calibration_error", refusal, **size), ()
    top = proba.max(axis=1)
    is_right = proba.argmax(axis=1) == y
    in_bin = np.minimum((top * N_BINS).astype(np.int64), N_BINS - 1)
    # A bin and whether it was right: of these an item's own probability differs by less than a bin's width, and so a
    # resample is a draw of at most twenty counts.
    kinds = in_bin * 2 + is_right
    counts = np.bincount(kinds, minlength=2 * N_BINS)
    sums = np.bincount(kinds, weights=top, minlength=2 * N_BINS)
    off = np.divide(sums, counts, out=np.zeros(2 * N_BINS), where=counts > 0)
    off = np.where(np.arange(2 * N_BINS) % 2 == 1, 1 - off, -off)

    def error(weights: FloatArray) -> list[FloatArray]:
        of_bin = (weights * off).reshape(-1, N_BINS, 2).sum(axis=2)
        return [np.asarray(np.abs(of_bin).sum(axis=1) / weights.sum(axis=1))]

    (interval,) = bootstrap_intervals(counts, error, n_resamples, rng)
    figure = Figure(
        metric="calibration_error",
        value=float(error(counts[np.newaxis].astype(np.float64))[0][0]),
        interval=interval,
        method=f"{N_BINS} bins, percentile bootstrap over items, {n_resamples} resamples",
        **size,
    )
    n_in, n_right, confidence = (part.reshape(N_BINS, 2) for part in (counts, counts, sums))
    held = np.flatnonzero(n_in.sum(axis=1))
    return figure, tuple(
        (
            float(confidence[number].sum() / n_in[number].sum()),
            float(n_right[number, 1] / n_in[number].sum()),
            int(n_in[number].sum()),
        )
        for number in held
    )


def rank_class(
    is_class: NDArray[np.bool_], p: FloatArray, refusal: str | None
) -> tuple[float | None, tuple[float, float] | None]:
    """Average precision of one class and its interval."""
    n, n_class = len(is_class), int(is_class.sum())
    if refusal is not None or not 0 < n_class < n:
        return None, None
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), n - 1)  # equal probabilities have no order among them
    hits = is_class[order].cumsum()[ends]
    value = float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / n_class)
    if value >= 1:  # no logit; then nothing that is not of the class stands before what is
        return 1.0, (wilson(n_class, n_class)[0], 1.0)
    spread = NormalDist().inv_cdf(0.975) / (n_class * value * (1 - value)) ** 0.5
    low, high = (1 / (1 + np.exp(-(np.log(value / (1 - value)) + way * spread))) for way in (-1, 1))
    return value, (float(low), float(high))


def tell_too_few(n: int, minimum: int) -> str | None:
    """Why so few labels are not judged by; None where they are enough."""
    needed = max(1, minimum)
    return f"holdout has {n} label{'s' * (n != 1)}, {needed} needed" if n < needed else None


def figures_of_class(
    confusion: NDArray[np.int64],
    code: int,
    refusal: str | None,
    average_precision: float | None,
    average_precision_interval: tuple[float, float] | None,
) -> ClassFigures:
    """One class, from the counts of a confusion matrix; figures are left out where there is a refusal."""
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
        average_precision=average_precision,
        average_precision_interval=average_precision_interval,
        n_items=n_items,
        n_predicted=n_predicted,
        refusal=refusal,
    )
