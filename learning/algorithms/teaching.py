"""How a round makes its model of labels: fitted, then held to what labels drawn by chance allow.

`simulate learning` makes its models here as well, so that what it measures is what a project gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.estimators import Matrix, Model
from learning.algorithms.estimators.recipes import Recipe, cook, settle
from learning.algorithms.shares import match_shares


@dataclass(frozen=True, eq=False)
class Lesson:
    """Labels to learn from.

    Attributes
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : ndarray of int64, (n_items,)
        Codes, 0..n_classes-1.
    is_by_chance : ndarray of bool, (n_items,)
        Which items were drawn by chance, with a recorded probability.
    """

    X: Matrix
    y: NDArray[np.int64]
    is_by_chance: NDArray[np.bool_]

    def select(self, is_used: NDArray[np.bool_]) -> Lesson:
        """The part of it that is marked."""
        return Lesson(self.X[is_used], self.y[is_used], self.is_by_chance[is_used])


def choose(recipe: Recipe, lesson: Lesson, n_classes: int, seed: int, *, basis: Basis | None) -> Recipe:
    """By which estimator a lesson is learned, where the recipe leaves that open. UnsuitableError as `settle` says."""
    return settle(recipe, lesson.X, lesson.y, n_classes, seed, basis=basis)


def teach(lesson: Lesson, n_classes: int, seed: int, *, recipe: Recipe, some: Matrix, basis: Basis | None) -> Model:
    """Fit a model of a lesson.

    `recipe`: of an estimator that was chosen. `some`: features of a fair sample of the pool, labelled items among it.
    `basis`: directions of the pool's texts. Raises TooFewClassesError where fewer than two classes occur,
    UnsuitableError where the estimator cannot learn these items.
    """
    model = cook(recipe, lesson.X, lesson.y, n_classes, seed, basis=basis)
    return match_shares(model, some, np.bincount(lesson.y[lesson.is_by_chance], minlength=n_classes))
