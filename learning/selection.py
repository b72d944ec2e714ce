"""What a query strategy may look at in a round: the candidates' scores, and their features where it compares them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Draw, DrawItem, Project
from learning.loading import load_training

if TYPE_CHECKING:
    from learning.algorithms.basis import Basis
    from learning.algorithms.features import Matrix
    from learning.algorithms.strategies import Candidates

# Items from which the directions are fitted along which candidates are compared.
MAX_FIT = 5_000

# Rows of a feature matrix for items, in their order.
Vectors = Callable[[NDArray[np.int64]], "Matrix"]


def look_at(
    project: Project,
    question: Question,
    items: NDArray[np.int64],
    proba: NDArray[Any],
    vectors: Vectors,
    rng: np.random.Generator,
) -> Candidates:
    """The items as candidates of a batch. `vectors`: the items as a model sees them, for strategies that compare."""
    from learning.algorithms.strategies import Candidates

    training = load_training(project, question)
    space = _Space(items, vectors, rng)
    return Candidates(
        n=len(items),
        proba=proba,
        features=lambda positions: space(items[positions]),
        labelled=lambda: space(training.items),
        y=training.y,
    )


def drawn_by_chance(project: Project, items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the items were put into a batch by chance, with a recorded probability; no others are a fair sample."""
    drawn = DrawItem.objects.filter(
        draw__project=project, draw__stream=Draw.Stream.ACTIVE, probability__isnull=False
    ).values_list("item_id", flat=True)
    return np.isin(items, np.fromiter(drawn.distinct(), np.int64))


class _Space:
    """Features in short, where there are texts enough to know the directions in which they differ."""

    def __init__(self, items: NDArray[np.int64], vectors: Vectors, rng: np.random.Generator) -> None:
        self.items, self.vectors, self.rng = items, vectors, rng

    @cached_property
    def basis(self) -> Basis | None:
        from learning.algorithms.basis import fit_basis

        return fit_basis(self.vectors(_sample(self.items, self.rng)), self.rng)

    def __call__(self, items: NDArray[np.int64]) -> Matrix:
        from scipy import sparse

        X = self.vectors(items)
        return X if self.basis is None else self.basis.embed(sparse.csr_matrix(X))


def _sample(items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return items if len(items) <= MAX_FIT else np.sort(rng.choice(items, MAX_FIT, replace=False))
