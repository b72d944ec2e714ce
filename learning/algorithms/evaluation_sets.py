"""How good a model is where several choices may hold at once, judged on labels that it never saw.

The same figures as in `evaluation`, under the same names. The bootstrap resamples items, as an item's choices hang
together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.estimators.one_vs_rest import check_sets
from learning.algorithms.evaluation import (
    MIN_HOLDOUT,
    N_BINS,
    ClassFigures,
    Evaluation,
    figure_log_loss,
    figures_of_class,
    rank_class,
    tell_too_few,
)
from learning.algorithms.thresholds import DEFAULT_THRESHOLD
from reviewers.algorithms.bootstrap import bootstrap_intervals
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson

FloatArray = NDArray[np.float64]
NONE_OCCURS = "no item has any of the choices"
METRICS = ("accuracy", "macro_f1", "log_loss", "calibration_error")


def evaluate_sets(
    y: ArrayLike,
    proba: ArrayLike,
    *,
    rng: np.random.Generator,
    minimum: int = MIN_HOLDOUT,
    n_resamples: int = 1000,
) -> Evaluation:
    """Judge predicted sets of choices against accepted ones.

    Parameters
    ----------
    y : array-like of int, (n_items, n_classes)
        1 where a choice holds, else 0; a row of zeros is "none of them".
    proba : array-like of float, (n_items, n_classes)
        The probability of each choice by itself; of 0.5 or more is what the model says.
    rng, minimum, n_resamples
        As for `evaluate`.

    Returns
    -------
    Evaluation
        `accuracy`: share of items of which the whole set is right. `macro_f1`: mean F1 of the choices that are accepted
        or predicted of some item. `log_loss`: mean over items and choices. `calibration_error`, `reliability`: over
        items and choices, by the probability of what is said (that it holds, or that it does not). `classes`: of each
        choice against its absence. `confusion` is empty: a choice is not taken for another one. With fewer labels than
        `minimum` every figure is refused; macro-F1 also where no item has any of the choices.

    Raises
    ------
    ValueError
        If the shapes do not fit, a label is neither 0 nor 1, or there are too few resamples.

    References
    ----------
    Macro-F1 and accuracy as scikit-learn's `f1_score(average="macro")` and `accuracy_score` of indicator matrices. The
    others as in `evaluate`.

    Examples
    --------
    >>> y, proba = [[1, 0], [1, 1], [0, 0], [0, 0]], [[0.9, 0.1], [0.8, 0.4], [0.6, 0.2], [0.1, 0.3]]
    >>> found = evaluate_sets(y, proba, rng=np.random.default_rng(0), minimum=4)
    >>> found.accuracy.value, round(found.macro_f1.value, 2), [one.recall for one in found.classes]
    (0.5, 0.4, [1.0, 0.0])
    """
    held, p = _check(y, proba)
    n, n_classes = held.shape
    said = p >= DEFAULT_THRESHOLD
    size: dict[str, Any] = {"n_items": n, "n_labels": n}
    refusal = tell_too_few(n, minimum)
    classes = tuple(_class(held[:, code], p[:, code], code, refusal) for code in range(n_classes))
    if refusal is not None:
        accuracy, macro_f1, log_loss, error = (Figure.refused(metric, refusal, **size) for metric in METRICS)
        return Evaluation(accuracy, macro_f1, log_loss, error, (), classes, (), n)

    n_right = int((held == said).all(axis=1).sum())
    accuracy = Figure(metric="accuracy", value=n_right / n, interval=wilson(n_right, n), method="Wilson", **size)
    if held.any():
        n_alike, (true, told) = _group(held, said)
        value, interval = _with_interval(n_alike, lambda weights: [_macro_f1(weights, true, told)], n_resamples, rng)
        method = f"percentile bootstrap over items, {n_resamples} resamples"
        macro_f1 = Figure(metric="macro_f1", value=value, interval=interval, method=method, **size)
    else:
        macro_f1 = Figure.refused("macro_f1", NONE_OCCURS, **size)
    log_loss = figure_log_loss(np.where(held, p, 1 - p))
    error, reliability = _calibration(held == said, np.where(said, p, 1 - p), rng, n_resamples)
    return Evaluation(accuracy, macro_f1, log_loss, error, reliability, classes, (), n)


def compare_sets(
    y: ArrayLike, proba: ArrayLike, other: ArrayLike, *, rng: np.random.Generator, minimum: int = MIN_HOLDOUT
) -> Figure:
    """By how much one model's macro-F1 is above another's, on the same items.

    Parameters
    ----------
    y, proba, minimum : as for `evaluate_sets`
    other : array-like of float, (n_items, n_classes)
        The other model's probabilities of the same items.
    rng : numpy.random.Generator
        Source of 1000 resamples, in each of which both are judged on the same items.

    Returns
    -------
    Figure
        ``macro_f1_gain``, -1 to 1; refused as macro-F1 is.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    (held, one), (_held, two) = _check(y, proba), _check(y, other)
    size: dict[str, Any] = {"n_items": len(held), "n_labels": len(held)}
    refusal = tell_too_few(len(held), minimum) or (None if held.any() else NONE_OCCURS)
    if refusal is not None:
        return Figure.refused("macro_f1_gain", refusal, **size)

    n_alike, (true, told, told_too) = _group(held, one >= DEFAULT_THRESHOLD, two >= DEFAULT_THRESHOLD)

    def gain(weights: FloatArray) -> list[FloatArray]:
        return [_macro_f1(weights, true, told) - _macro_f1(weights, true, told_too)]

    value, interval = _with_interval(n_alike, gain, 1000, rng)
    method = "paired percentile bootstrap over items, 1000 resamples"
    return Figure(metric="macro_f1_gain", value=value, interval=interval, method=method, **size)


def _check(y: ArrayLike, proba: ArrayLike) -> tuple[NDArray[np.bool_], FloatArray]:
    held, p = check_sets(y), np.asarray(proba, np.float64)
    if held.shape != p.shape:
        raise ValueError(f"{held.shape} labels do not fit {p.shape} probabilities")
    return held.astype(bool), p


def _group(*tables: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[NDArray[np.bool_]]]:
    """Items that are alike in all tables, (n_items, n_classes), as one row of each: how many, and those rows."""
    rows, n_alike = np.unique(np.hstack(tables), axis=0, return_counts=True)
    return n_alike, np.split(rows, len(tables), axis=1)


def _macro_f1(weights: FloatArray, held: NDArray[np.bool_], said: NDArray[np.bool_]) -> FloatArray:
    """Of each row of weights, (n_resamples, n_rows); nan where nothing occurs."""
    hits = weights @ (held & said).astype(np.float64)
    either = weights @ (held.astype(np.float64) + said)
    f1 = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    n_occurring = (either > 0).sum(axis=1)
    none = np.full(len(f1), np.nan)
    return np.asarray(np.divide(f1.sum(axis=1), n_occurring, out=none, where=n_occurring > 0))


def _with_interval(
    n_alike: NDArray[np.int64],
    compute: Callable[[FloatArray], list[FloatArray]],
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[float, tuple[float, float] | None]:
    """A statistic of all items, by how many of each sort there are, and its interval."""
    (interval,) = bootstrap_intervals(n_alike, compute, n_resamples, rng)
    return float(compute(n_alike[np.newaxis].astype(np.float64))[0][0]), interval


def _class(held: NDArray[np.bool_], p: FloatArray, code: int, refusal: str | None) -> ClassFigures:
    table = np.bincount(held * 2 + (p >= DEFAULT_THRESHOLD), minlength=4).reshape(2, 2)
    return replace(figures_of_class(table, 1, refusal, *rank_class(held, p, refusal)), code=code)


def _calibration(
    is_right: NDArray[np.bool_], certainty: FloatArray, rng: np.random.Generator, n_resamples: int
) -> tuple[Figure, tuple[tuple[float, float, int], ...]]:
    n, n_classes = certainty.shape
    in_bin = np.minimum((certainty * N_BINS).astype(np.int64), N_BINS - 1)
    # How far off an item is in each bin, over its choices.
    off = np.zeros((n, N_BINS))
    np.add.at(off, (np.arange(n)[:, np.newaxis], in_bin), is_right - certainty)

    def error(weights: FloatArray) -> list[FloatArray]:
        return [np.asarray(np.abs(weights @ off).sum(axis=1) / (weights.sum(axis=1) * n_classes))]

    value, interval = _with_interval(np.ones(n, np.int64), error, n_resamples, rng)
    figure = Figure(
        metric="calibration_error",
        value=value,
        interval=interval,
        method=f"{N_BINS} bins over items and choices, percentile bootstrap over items, {n_resamples} resamples",
        n_items=n,
        n_labels=n,
    )
    counts, sums, right = (
        np.bincount(in_bin.ravel(), weights=weights, minlength=N_BINS)
        for weights in (None, certainty.ravel(), is_right.ravel().astype(np.float64))
    )
    return figure, tuple(
        (float(sums[number] / counts[number]), float(right[number] / counts[number]), int(counts[number]))
        for number in np.flatnonzero(counts)
    )
