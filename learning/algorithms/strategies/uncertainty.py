"""Utilities from a model's own doubt: modAL's measures over stored probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.strategies.batches import select_highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, Strategy

# Rows at a time: what a measure makes on its way stays in the processor's cache.
_CHUNK = 16_384


def least_confident(proba: ArrayLike) -> FloatArray:
    """How far the likeliest class is from certain: ``1 - max p``.

    Parameters
    ----------
    proba : array-like of float, (n_items, n_classes)
        Rows sum to 1; at least two classes.

    Returns
    -------
    ndarray, (n_items,)
        0 (certain) to ``1 - 1/n_classes`` (uniform); higher is more worth labelling.

    Raises
    ------
    ValueError
        If the rows are no probabilities.

    References
    ----------
    Lewis and Gale (1994), A Sequential Algorithm for Training Text Classifiers, SIGIR. Computed by modAL.

    Examples
    --------
    >>> least_confident([[0.5, 0.3, 0.2]])
    array([0.5])
    """
    return _measure("classifier_uncertainty", proba)


def margin(proba: ArrayLike) -> FloatArray:
    """How close the two likeliest classes are: ``1 - (first p - second p)``.

    Parameters and errors as for `least_confident`.

    Returns
    -------
    ndarray, (n_items,)
        0 (certain) to 1 (a tie of the two likeliest); higher is more worth labelling.

    References
    ----------
    Scheffer, Decomain and Wrobel (2001), Active Hidden Markov Models for Information Extraction, IDA. Computed by
    modAL.

    Examples
    --------
    >>> margin([[0.5, 0.3, 0.2]])
    array([0.8])
    """
    return 1 - _measure("classifier_margin", proba)


def entropy(proba: ArrayLike) -> FloatArray:
    """Entropy of the class probabilities, in nats.

    Parameters and errors as for `least_confident`.

    Returns
    -------
    ndarray, (n_items,)
        0 (certain) to ``ln n_classes`` (uniform); higher is more worth labelling.

    References
    ----------
    Shannon (1948); as a query strategy Settles (2009), Active Learning Literature Survey, section 3.1. Computed by
    modAL.

    Examples
    --------
    >>> entropy([[0.5, 0.5], [1.0, 0.0]]).round(4).tolist()
    [0.6931, 0.0]
    """
    return _measure("classifier_entropy", proba)


def check_proba(proba: ArrayLike) -> NDArray[Any]:
    """Probabilities as an array, at least two classes wide; the rows are checked by `check_rows`.

    Raises
    ------
    ValueError
        If the shape does not fit.
    """
    array: NDArray[Any] = np.asarray(proba)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"probabilities must be (n_items, n_classes) with at least 2 classes, not {array.shape}")
    return array


def check_rows(rows: NDArray[Any]) -> None:
    """ValueError where a row is negative, not a number or far from 1 in sum.

    Within 1e-3: float32 and rounded probabilities from elsewhere pass; nan and infinities do not.
    """
    if len(rows) == 0:
        return
    sums = rows @ np.ones(rows.shape[1], rows.dtype)
    if not (rows.min() >= 0 and np.abs(sums - 1).max() <= 1e-3):
        raise ValueError("each row of probabilities must be non-negative and sum to 1")


def _measure(name: str, proba: ArrayLike) -> FloatArray:
    # Here, not above: choosing a batch needs no machine learning library, and modAL takes seconds to import.
    from learning.algorithms import modal_adapter

    array = check_proba(proba)
    values = np.empty(len(array))
    for start in range(0, len(array), _CHUNK):
        rows = array[start : start + _CHUNK]
        check_rows(rows)
        values[start : start + _CHUNK] = modal_adapter.measure(name, rows)
    return values


def _margins(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return margin(candidates.need_proba())


def _entropies(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return entropy(candidates.need_proba())


def _least_confidents(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return least_confident(candidates.need_proba())


MARGIN = Strategy("margin", _margins, select_highest)
ENTROPY = Strategy("entropy", _entropies, select_highest)
LEAST_CONFIDENT = Strategy("least_confident", _least_confidents, select_highest)
