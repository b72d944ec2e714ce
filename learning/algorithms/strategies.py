"""Query strategies: probabilities to utilities, and utilities to a batch.

The two steps are apart on purpose. A utility says how much a label would teach; choosing a batch adds chance: ties are
broken by it, and a stated share of the batch ignores utility altogether, with a known probability of inclusion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Batch:
    """The items chosen for labelling, in the order in which they should be served.

    Attributes
    ----------
    index : ndarray of int64, (n_picks,)
        Positions among the candidates, each at most once; entry 0 has rank 1.
    utility : ndarray of float64, (n_picks,)
    is_random : ndarray of bool, (n_picks,)
        Drawn by chance, not for its utility.
    probability : ndarray of float64, (n_picks,)
        Exact probability of inclusion of random picks, given the others; nan where the choice was deterministic, for
        which there is none.
    """

    index: NDArray[np.int64]
    utility: FloatArray
    is_random: NDArray[np.bool_]
    probability: FloatArray

    @property
    def rank(self) -> NDArray[np.int64]:
        """1 for the first to be served."""
        return np.arange(1, len(self.index) + 1)


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


UNCERTAINTY: dict[str, Callable[[ArrayLike], FloatArray]] = {
    "margin": margin,
    "entropy": entropy,
    "least_confident": least_confident,
}
RANDOM = "random"
STRATEGIES = (*UNCERTAINTY, RANDOM)


def utilities_of(strategy: str, proba: ArrayLike, rng: np.random.Generator) -> FloatArray:
    """Utilities under a strategy by its name.

    Parameters
    ----------
    strategy : {"margin", "entropy", "least_confident", "random"}
        Random: uniform draws from `rng`, whatever the probabilities.
    proba : array-like of float, (n_items, n_classes)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, (n_items,)
        Higher is more worth labelling.

    Raises
    ------
    ValueError
        If no strategy has this name, or the rows are no probabilities.
    """
    if strategy == RANDOM:
        return rng.random(len(np.asarray(proba)))
    if strategy not in UNCERTAINTY:
        raise ValueError(f"no query strategy is called {strategy!r}; there are {', '.join(STRATEGIES)}")
    return UNCERTAINTY[strategy](proba)


def select_batch(utilities: ArrayLike, n: int, random_share: float, rng: np.random.Generator) -> Batch:
    """Choose a batch: the highest utilities, and a share by chance among the rest.

    Parameters
    ----------
    utilities : array-like of float, (n_candidates,)
        Higher is more worth labelling. For the strategy "random" pass a `random_share` of 1: then every pick is a
        random draw with its probability.
    n : int
        Picks wanted, from 0; fewer where there are fewer candidates.
    random_share : float
        0 to 1; ``round(n * random_share)`` picks, halves up, are drawn uniformly without replacement from what the
        others left.
    rng : numpy.random.Generator
        Breaks ties between equal utilities, draws the random picks and spreads them over the ranks.

    Returns
    -------
    Batch
        The picks by utility keep their order, highest first. The random ones stand at random ranks between them: at
        the end they would mostly be replaced by the next batch before anybody saw them, and which of them get labelled
        would depend on how fast people work.

    Raises
    ------
    ValueError
        If a utility is not finite, n is negative or the share is not within [0, 1].

    Notes
    -----
    O(n_candidates + n log n).

    Examples
    --------
    >>> batch = select_batch([0.1, 0.9, 0.5, 0.2], n=2, random_share=0.0, rng=np.random.default_rng(0))
    >>> batch.index.tolist(), batch.probability.tolist()
    ([1, 2], [nan, nan])
    >>> batch = select_batch([0.1, 0.9, 0.5, 0.2], n=2, random_share=0.5, rng=np.random.default_rng(0))
    >>> batch.probability[batch.is_random].tolist()  # one of the three that the best one left
    [0.3333333333333333]
    """
    values = np.asarray(utilities, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("utilities must be finite numbers, one for each candidate")
    if n < 0 or not 0 <= random_share <= 1:
        raise ValueError(f"n={n}, random_share={random_share}: n must be 0 or more, the share within 0 to 1")
    n_picks = min(n, len(values))
    n_random = int(n_picks * random_share + 0.5)
    best = _highest(values, n_picks - n_random, rng)
    is_left = np.ones(len(values), bool)
    is_left[best] = False
    left = np.flatnonzero(is_left)
    drawn = rng.choice(left, n_random, replace=False)

    is_random = np.zeros(n_picks, bool)
    is_random[rng.choice(n_picks, n_random, replace=False)] = True
    index = np.empty(n_picks, np.int64)
    index[is_random], index[~is_random] = drawn, best
    probability = np.where(is_random, n_random / max(1, len(left)), np.nan)
    return Batch(index, values[index], is_random, probability)


def draw_batch(strategy: str, proba: ArrayLike, n: int, random_share: float, rng: np.random.Generator) -> Batch:
    """Utilities and batch in one, with "random" as what it is: all picks drawn by chance.

    Parameters and errors as for `utilities_of` and `select_batch`.

    Examples
    --------
    >>> draw_batch("random", [[0.5, 0.5]] * 4, 2, 0.0, np.random.default_rng(0)).probability.tolist()
    [0.5, 0.5]
    """
    utilities = utilities_of(strategy, proba, rng)
    return select_batch(utilities, n, 1.0 if strategy == RANDOM else random_share, rng)


def _highest(values: FloatArray, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the n highest values, highest first, ties in random order and at random across the edge."""
    if n == 0:
        return np.zeros(0, np.int64)
    edge = np.partition(values, len(values) - n)[len(values) - n]
    above = np.flatnonzero(values > edge)
    tied = rng.choice(np.flatnonzero(values == edge), n - len(above), replace=False)
    chosen = np.concatenate([above, tied])
    return chosen[np.lexsort((rng.random(n), -values[chosen]))]


def _measure(name: str, proba: ArrayLike) -> FloatArray:
    # Here, not above: choosing a batch needs no machine learning library, and modAL takes seconds to import.
    from learning.algorithms import modal_adapter

    array: NDArray[Any] = np.asarray(proba)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"probabilities must be (n_items, n_classes) with at least 2 classes, not {array.shape}")
    # Sums within 1e-3: float32 and rounded probabilities from elsewhere pass; nan and infinities do not.
    if len(array) == 0:
        return np.zeros(0)
    sums = array @ np.ones(array.shape[1], array.dtype)
    if not (array.min() >= 0 and np.abs(sums - 1).max() <= 1e-3):
        raise ValueError("each row of probabilities must be non-negative and sum to 1")
    return np.asarray(modal_adapter.measure(name, array), np.float64)
