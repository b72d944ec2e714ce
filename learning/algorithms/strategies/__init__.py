"""Query strategies: what is known about candidates to utilities, and utilities to a batch.

The two steps are apart on purpose. A utility says how much a label would teach; choosing a batch adds what one item
says about another, and chance: ties are broken by it, and a stated share of the batch ignores utility altogether, with
a known probability of inclusion.

A strategy is one module here and one line in `REGISTRY`.
"""

from __future__ import annotations

from numpy.random import Generator
from numpy.typing import ArrayLike

from learning.algorithms.strategies.adaptive import ADAPTIVE
from learning.algorithms.strategies.batches import Batch, select_batch
from learning.algorithms.strategies.candidates import Candidates, FloatArray, MissingInputError, Strategy
from learning.algorithms.strategies.chance import CHANCE
from learning.algorithms.strategies.committee import CONSENSUS_ENTROPY, VOTE_ENTROPY
from learning.algorithms.strategies.coreset import CORESET
from learning.algorithms.strategies.keywords import KEYWORDS
from learning.algorithms.strategies.kmeans import KMEANS
from learning.algorithms.strategies.ranked import RANKED
from learning.algorithms.strategies.rare import RARE
from learning.algorithms.strategies.uncertainty import ENTROPY, LEAST_CONFIDENT, MARGIN

REGISTRY: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        ADAPTIVE,
        MARGIN,
        ENTROPY,
        LEAST_CONFIDENT,
        KMEANS,
        RANKED,
        CORESET,
        RARE,
        KEYWORDS,
        VOTE_ENTROPY,
        CONSENSUS_ENTROPY,
        CHANCE,
    )
}

RANDOM = CHANCE.name

__all__ = [
    "MARGIN",
    "RANDOM",
    "RARE",
    "REGISTRY",
    "Batch",
    "Candidates",
    "MissingInputError",
    "draw_batch",
    "find_strategy",
    "select_batch",
    "utilities_of",
]


def find_strategy(name: str) -> Strategy:
    """The strategy of this name. ValueError names the known ones."""
    if name not in REGISTRY:
        raise ValueError(f"no query strategy is called {name!r}; there are {', '.join(REGISTRY)}")
    return REGISTRY[name]


def utilities_of(strategy: str, proba: ArrayLike, rng: Generator) -> FloatArray:
    """Utilities under a strategy by its name, of candidates of which only the probabilities are known.

    Parameters
    ----------
    strategy : str
        One of `REGISTRY`. Random: uniform draws from `rng`, whatever the probabilities.
    proba : array-like of float, (n_items, n_classes)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, (n_items,)
        Higher is more worth labelling.

    Raises
    ------
    ValueError
        If no strategy has this name, the rows are no probabilities, or more must be known.
    """
    return find_strategy(strategy).utilities(Candidates.of(proba), rng)


def draw_batch(strategy: str, candidates: Candidates | ArrayLike, n: int, random_share: float, rng: Generator) -> Batch:
    """Utilities and batch in one, with "random" as what it is: all picks drawn by chance.

    Parameters
    ----------
    strategy : str
        One of `REGISTRY`.
    candidates : Candidates, or array-like of float, (n_items, n_classes)
        What is known about them; probabilities alone where the strategy needs nothing else.
    n, random_share, rng
        As for `select_batch`.

    Returns
    -------
    Batch

    Raises
    ------
    MissingInputError
        If the strategy needs more than is known.
    ValueError
        As `find_strategy` and `select_batch` do.

    Examples
    --------
    >>> import numpy as np
    >>> draw_batch("random", [[0.5, 0.5]] * 4, 2, 0.0, np.random.default_rng(0)).probability.tolist()
    [0.5, 0.5]
    """
    found = find_strategy(strategy)
    known = candidates if isinstance(candidates, Candidates) else Candidates.of(candidates)
    utilities = found.utilities(known, rng)
    share = 1.0 if found.is_random else random_share
    return select_batch(utilities, n, share, rng, candidates=known, select=found.select)
