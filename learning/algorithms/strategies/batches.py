"""From utilities to a batch: the strategy's choice, and a stated share by chance with its exact probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.strategies.candidates import Candidates, FloatArray, IndexArray

Select = Callable[[FloatArray, int, Candidates, np.random.Generator], IndexArray]


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

    index: IndexArray
    utility: FloatArray
    is_random: NDArray[np.bool_]
    probability: FloatArray

    @property
    def rank(self) -> IndexArray:
        """1 for the first to be served."""
        return np.arange(1, len(self.index) + 1)


def select_highest(utilities: FloatArray, n: int, candidates: Candidates, rng: np.random.Generator) -> IndexArray:
    """The n highest utilities, highest first, ties in random order and at random across the edge."""
    return highest(utilities, n, rng)


def highest(values: FloatArray, n: int, rng: np.random.Generator) -> IndexArray:
    """Positions of the n highest values, highest first, ties in random order and at random across the edge.

    O(n_values + n log n).
    """
    if n == 0:
        return np.zeros(0, np.int64)
    edge = np.partition(values, len(values) - n)[len(values) - n]
    above = np.flatnonzero(values > edge)
    tied = rng.choice(np.flatnonzero(values == edge), n - len(above), replace=False)
    chosen = np.concatenate([above, tied])
    return chosen[np.lexsort((rng.random(n), -values[chosen]))]


def select_batch(
    utilities: ArrayLike,
    n: int,
    random_share: float,
    rng: np.random.Generator,
    *,
    candidates: Candidates | None = None,
    select: Select = select_highest,
) -> Batch:
    """Choose a batch: what the strategy selects by utility, and a share by chance among the rest.

    Parameters
    ----------
    utilities : array-like of float, (n_candidates,)
        Higher is more worth labelling. For a strategy that draws by chance pass a `random_share` of 1: then every pick
        is a random draw with its probability.
    n : int
        Picks wanted, from 0; fewer where there are fewer candidates.
    random_share : float
        0 to 1; ``round(n * random_share)`` picks, halves up, are drawn uniformly without replacement from what the
        others left.
    rng : numpy.random.Generator
        Breaks ties between equal utilities, draws the random picks and spreads them over the ranks.
    candidates : Candidates, optional
        For a `select` that looks at more than utilities.
    select : callable
        The strategy's own choice; the highest utilities where left out.

    Returns
    -------
    Batch
        The picks by utility keep the order of their selection. The random ones stand at random ranks between them: at
        the end they would mostly be replaced by the next batch before anybody saw them, and which of them get labelled
        would depend on how fast people work.

    Raises
    ------
    ValueError
        If a utility is not finite, n is negative or the share is not within [0, 1].

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
    best = np.zeros(0, np.int64)
    if n_picks > n_random:
        best = select(values, n_picks - n_random, candidates or Candidates(n=len(values)), rng)
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
