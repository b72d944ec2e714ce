"""What a query strategy may look at in a round: the candidates' scores, and their features where it compares them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Draw, DrawItem, Project
from learning.loading import Content, load_contents, load_training

if TYPE_CHECKING:
    from learning.algorithms.basis import Basis
    from learning.algorithms.features import Features, Matrix
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
    vectors: Vectors | None,
    rng: np.random.Generator,
) -> Candidates:
    """The items as candidates of a batch.

    `vectors`: the items as the model sees them. Where the model is not of this house there are none: then the contents
    of those items are read that the strategy asks for.
    """
    from learning.algorithms.strategies import Candidates

    training = load_training(project, question)
    space = find_space(project, items, vectors, rng)
    return Candidates(
        n=len(items),
        proba=proba,
        features=lambda positions: space(items[positions]),
        labelled=lambda: space(training.items),
        y=training.y,
    )


def find_space(
    project: Project, items: NDArray[np.int64], vectors: Vectors | None, rng: np.random.Generator
) -> Vectors:
    """Items in the directions in which these items differ most, where there are texts enough to know any.

    `vectors` as for `look_at`.
    """
    return _Space(items, vectors or _Contents(project, items, rng), rng)


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


class _Contents:
    """Features from the contents of items, in a space that is fitted when first asked."""

    def __init__(self, project: Project, items: NDArray[np.int64], rng: np.random.Generator) -> None:
        self.project, self.items, self.rng = project, items, rng

    @cached_property
    def features(self) -> Features:
        from learning.algorithms.features import fit_features

        contents = self._read(_sample(self.items, self.rng))
        return fit_features([content.text for content in contents], [content.image for content in contents])

    def __call__(self, items: NDArray[np.int64]) -> Matrix:
        contents = self._read(items)
        return self.features.transform([one.text for one in contents], [one.image for one in contents])

    def _read(self, items: NDArray[np.int64]) -> list[Content]:
        return [content for some in load_contents(self.project, items) for content in some]


def _sample(items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return items if len(items) <= MAX_FIT else np.sort(rng.choice(items, MAX_FIT, replace=False))
