"""What a query strategy may look at in a round: the candidates' scores, and their features where it compares them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from learning.loading import load_training
from learning.questions import holds_several
from reviewers.columns import read_columns

if TYPE_CHECKING:
    from learning.algorithms.basis import Basis
    from learning.algorithms.features import Features, Matrix
    from learning.algorithms.strategies import Candidates
    from learning.features.stored import Shards

# Items from which the directions are fitted along which candidates are compared.
MAX_FIT = 5_000


class ItemVectors:
    """Rows of a feature matrix for items, in their order; the space is made when it is first asked for."""

    def __init__(self, make: Callable[[], tuple[Features, Shards]]) -> None:
        self._make = make

    @cached_property
    def _space(self) -> tuple[Features, Shards]:
        return self._make()

    def __call__(self, items: NDArray[np.int64]) -> Matrix:
        features, shards = self._space
        return shards.vectorise(features, items)

    @property
    def has_pixels_only(self) -> bool:
        """Whether they are pixels and nothing else."""
        from learning.algorithms.features import PIXELS

        return list(self._space[0].blocks) == [PIXELS]


def look_at(
    project: Project,
    question: Question,
    items: NDArray[np.int64],
    proba: NDArray[Any] | None,
    vectors: ItemVectors,
    rng: np.random.Generator,
    *,
    starts_by_coverage: bool,
) -> Candidates:
    """The items as candidates of a batch.

    `proba`: None before there is a model. `vectors`: the items as a model sees them, for strategies that compare.
    `starts_by_coverage`: the strategy asks whether they are dense, which is not found out for others.
    """
    from learning.algorithms.several import doubt_of
    from learning.algorithms.strategies import Candidates

    training = load_training(project, question)
    space = Space(items, vectors, rng)
    y = training.y
    is_dense = starts_by_coverage and len(items) > 0 and _is_dense(vectors(items[:1]))
    if holds_several(question):
        proba = None if proba is None else doubt_of(proba)
        y = np.zeros(0, np.int64)  # no class is rare among others that it excludes
    return Candidates(
        n=len(items),
        proba=proba,
        features=lambda positions: space(items[positions]),
        labelled=lambda: space(training.items),
        y=y,
        is_dense=is_dense,
        has_pixels_only=is_dense and vectors.has_pixels_only,
    )


def drawn_by_chance(project: Project, items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the items chance put before people: a fair sample of what was not chosen.

    Decided by the draw under which an item was first answered or skipped, in its first pass: the order of the pool,
    which is random, or a round's pick with a recorded probability. Not by draws in which an item merely was: what a
    round chose and nobody took comes by the order of the pool later, and what chance picked once may be chosen after
    all; left out or counted by that, the sample would lean to or from what a strategy likes. Nor does a later choice
    take back how an item came: it only hastens its second answer. How imported annotations were drawn nobody knows.

    What strategies chose is missing from the sample, so compare it with what they did not choose, not with the pool.
    """
    found = read_columns(
        """
        select f.item_id as item from (
          select distinct on (s.item_id) s.item_id, s.draw_id, coalesce(a.source, '') as source
          from annotation_seat s
          join annotation_queuerow q on q.id = s.queue_row_id and q.pass_no = 1
          left join annotation_annotation a on a.id = s.annotation_id
          where s.item_id = any(%(items)s::bigint[]) and s.kind = 1 and s.state in (2, 3)
          order by s.item_id, s.id) f
        join annotation_draw d on d.id = f.draw_id and d.project_id = %(project)s and d.stream = 'active'
        left join annotation_drawitem i on i.draw_id = f.draw_id and i.item_id = f.item_id
        where f.source <> 'imported' and (d.round is null or i.probability is not null)""",
        {"project": project.pk, "items": items.tolist()},
        item="int8",
    )
    return np.isin(items, found["item"])


def _is_dense(X: Matrix) -> bool:
    from scipy import sparse

    return not sparse.issparse(X)


class Space:
    """Items in the directions in which these items differ most, where there are texts enough to know any.

    `vectors`: the items before that.
    """

    def __init__(self, items: NDArray[np.int64], vectors: ItemVectors, rng: np.random.Generator) -> None:
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
