"""`vote_entropy` and `consensus_entropy`: where several models disagree. modAL's measures over their probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.strategies.batches import select_highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, MissingInputError, Strategy
from learning.algorithms.strategies.uncertainty import check_proba, check_rows


def vote_entropy(committee: ArrayLike) -> FloatArray:
    """Entropy of the votes that the members cast for their likeliest class, in nats.

    Parameters
    ----------
    committee : array-like of float, (n_members, n_items, n_classes)
        Each member's rows sum to 1. Of equally likely classes a member votes for the lowest code.

    Returns
    -------
    ndarray, (n_items,)
        0 (all agree) to ``ln min(n_members, n_classes)``.

    Raises
    ------
    ValueError
        If there is no member or the rows are no probabilities.

    References
    ----------
    Dagan and Engelson (1995), Committee-based Sampling for Training Probabilistic Classifiers, ICML. Computed by modAL.

    Examples
    --------
    >>> vote_entropy([[[0.9, 0.1], [0.9, 0.1]], [[0.8, 0.2], [0.3, 0.7]]]).round(4).tolist()
    [0.0, 0.6931]
    """
    return _measure("vote_entropy", committee)


def consensus_entropy(committee: ArrayLike) -> FloatArray:
    """Entropy of the members' mean probabilities, in nats.

    Parameters and errors as for `vote_entropy`.

    Returns
    -------
    ndarray, (n_items,)
        0 to ``ln n_classes``.

    References
    ----------
    McCallum and Nigam (1998), Employing EM and Pool-Based Active Learning for Text Classification, ICML, section 4.
    Computed by modAL.

    Examples
    --------
    >>> consensus_entropy([[[1.0, 0.0]], [[0.0, 1.0]]]).round(4).tolist()
    [0.6931]
    """
    return _measure("consensus_entropy", committee)


def _measure(name: str, committee: ArrayLike) -> FloatArray:
    from learning.algorithms import modal_adapter

    array: NDArray[np.float64] = np.asarray(committee, np.float64)
    if array.ndim != 3 or not len(array):
        raise ValueError(f"a committee's probabilities must be (n_members, n_items, n_classes), not {array.shape}")
    for member in array:
        check_rows(check_proba(member))
    if not array.shape[1]:
        return np.zeros(0)
    return modal_adapter.measure_committee(name, array)


def _need(candidates: Candidates) -> NDArray[np.float64]:
    if candidates.committee is None:
        raise MissingInputError("this query strategy needs the probabilities of several models")
    return candidates.committee


def _votes(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return vote_entropy(_need(candidates))


def _consensus(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return consensus_entropy(_need(candidates))


VOTE_ENTROPY = Strategy("vote_entropy", _votes, select_highest, needs_committee=True)
CONSENSUS_ENTROPY = Strategy("consensus_entropy", _consensus, select_highest, needs_committee=True)
