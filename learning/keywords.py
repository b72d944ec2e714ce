"""How like the words of a policy the texts of a pool are: where to start before anything is labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.models import Project
from learning.scoring import fit_space, predict

if TYPE_CHECKING:
    from scipy import sparse

    from learning.features.stored import Shards


@dataclass(frozen=True, eq=False)
class _Likeness:
    """Scores items as a model does, in one column: `keywords.similarity_to`."""

    policy: sparse.csr_matrix
    n_classes: int = 1

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        from learning.algorithms.strategies.keywords import similarity_to

        return similarity_to(X, self.policy)[:, np.newaxis]


def find_likeness(
    project: Project, shards: Shards, items: NDArray[np.int64], keywords: str, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """The likeness of each item (ascending) to the words, (n_items,), 0 to 1; None where none of them occurs."""
    from scipy import sparse

    from learning.algorithms.features import Features, count_texts
    from learning.algorithms.features.texts import COUNTERS

    blocks = fit_space(shards, items, rng).blocks
    space = Features({name: block for name, block in blocks.items() if name in COUNTERS})
    if not space.blocks:
        return None
    likeness = _Likeness(sparse.csr_matrix(space.join(count_texts([keywords], list(space.blocks)), 1)))
    found = predict(space, shards, likeness, items, lambda _n: None)[:, 0]
    return found if found.any() else None
