"""What a query strategy may look at in a round: the candidates' scores, and their contents where it compares them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from learning.loading import Content, load_contents, load_training

if TYPE_CHECKING:
    from learning.algorithms.basis import Basis
    from learning.algorithms.features import Features, Matrix
    from learning.algorithms.strategies import Candidates

# Items from which the space is fitted in which candidates are compared.
MAX_FIT = 5_000


def look_at(
    project: Project, question: Question, items: NDArray[np.int64], proba: NDArray[Any], rng: np.random.Generator
) -> Candidates:
    """The items as candidates of a batch. Contents are read only where the strategy asks for them."""
    from learning.algorithms.strategies import Candidates

    training = load_training(project, question)
    space = _Space(project, items, rng)
    return Candidates(
        n=len(items),
        proba=proba,
        features=lambda positions: space.vectors(items[positions]),
        labelled=lambda: space.vectors(training.items),
        y=training.y,
    )


class _Space:
    """A space of its own in which items are compared, whoever scored them; fitted when first asked."""

    def __init__(self, project: Project, items: NDArray[np.int64], rng: np.random.Generator) -> None:
        self.project, self.items, self.rng = project, items, rng

    @cached_property
    def fitted(self) -> tuple[Features, Basis | None]:
        from learning.algorithms.basis import fit_basis
        from learning.algorithms.features import fit_features

        some = self.items
        if len(some) > MAX_FIT:
            some = np.sort(self.rng.choice(some, MAX_FIT, replace=False))
        contents = self._read(some)
        texts, images = [content.text for content in contents], [content.image for content in contents]
        features = fit_features(texts, images)
        if features.text is None:
            return features, None
        return features, fit_basis(features.transform(texts, images), self.rng)

    def vectors(self, items: NDArray[np.int64]) -> Matrix:
        """The items' features, (n_items, n_features); short and dense where the pool is large enough for directions."""
        from scipy import sparse

        features, basis = self.fitted
        contents = self._read(items)
        X = features.transform([content.text for content in contents], [content.image for content in contents])
        return X if basis is None else basis.embed(sparse.csr_matrix(X))

    def _read(self, items: NDArray[np.int64]) -> list[Content]:
        return [content for some in load_contents(self.project, items) for content in some]
