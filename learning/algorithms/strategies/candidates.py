"""What a query strategy may look at, and what it is: utilities, then a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Matrix: TypeAlias = sparse.csr_matrix | NDArray[Any]
FloatArray: TypeAlias = NDArray[np.float64]
IndexArray: TypeAlias = NDArray[np.int64]


class MissingInputError(ValueError):
    """A strategy was not given something that it cannot do without."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items that a batch may be chosen from, and what is known about them and about those labelled so far.

    Attributes
    ----------
    n : int
        How many there are.
    proba : ndarray of float, (n, n_classes), or None
        A model's probabilities; None before there is a model.
    features : callable or None
        Positions of candidates to their features, (n_positions, n_features), dense or CSR. Called for those that a
        strategy looks at, so that a pool need not lie in memory as features.
    labelled : callable or None
        The features of what is labelled already, (n_labelled, n_features), in the same space.
    y : ndarray of int64, (n_labelled,)
        The codes of what is labelled already; empty where that is not known.
    committee : ndarray of float, (n_members, n, n_classes), or None
        Probabilities of several models.
    is_dense : bool
        Whether every feature of an item says something, as of images and embeddings; of words an item has few.
    has_pixels_only : bool
        Whether the features are those of images and of nothing else.
    similarity : ndarray of float, (n,), or None
        How like the words of a policy each candidate is, 0 to 1 (`keywords.similarity_to`).
    """

    n: int
    proba: NDArray[Any] | None = None
    features: Callable[[IndexArray], Matrix] | None = None
    labelled: Callable[[], Matrix] | None = None
    y: IndexArray = field(default_factory=lambda: np.zeros(0, np.int64))
    committee: NDArray[Any] | None = None
    similarity: NDArray[Any] | None = None
    is_dense: bool = False
    has_pixels_only: bool = False

    @classmethod
    def of(cls, proba: ArrayLike, **known: Any) -> Candidates:
        """Candidates of which the probabilities are known, and perhaps more."""
        array = np.asarray(proba)
        return cls(n=len(array), proba=array, **known)

    def need_proba(self) -> NDArray[Any]:
        """The probabilities. MissingInputError where there is no model."""
        if self.proba is None:
            raise MissingInputError("there are no probabilities: no model has scored the candidates")
        return self.proba

    def need_features(self, positions: IndexArray) -> Matrix:
        """The features of these candidates. MissingInputError where there are none."""
        if self.features is None:
            raise MissingInputError("this query strategy compares items and needs their features")
        return self.features(positions)


@dataclass(frozen=True)
class Strategy:
    """How a batch is chosen, in two steps.

    Attributes
    ----------
    name : str
        By which people ask for it.
    utilities : callable
        ``(candidates, rng) -> (n,) float64``: higher is more worth labelling.
    select : callable
        ``(utilities, n, candidates, rng) -> (n,) int64``: positions of the chosen, each once, first to be served
        first; `n` is at most the number of candidates.
    needs_features, needs_committee, uses_similarity : bool
        What must be there in `Candidates`; whoever draws a batch provides nothing that is not needed.
    starts_by_coverage : bool
        Without a model it needs no chance where the features are dense.
    is_random : bool
        All of the batch is drawn by chance, with a known probability.
    """

    name: str
    utilities: Callable[[Candidates, np.random.Generator], FloatArray]
    select: Callable[[FloatArray, int, Candidates, np.random.Generator], IndexArray]
    needs_features: bool = False
    needs_committee: bool = False
    uses_similarity: bool = False
    starts_by_coverage: bool = False
    is_random: bool = False
