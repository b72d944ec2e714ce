"""How a round makes its model of labels: fitted, held to what labels drawn by chance allow, and made as sure as it may.

`simulate learning` makes its models here as well, so that what it measures is what a project gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.calibration import find_scale, scale_logits
from learning.algorithms.estimators import Matrix, Model, TooFewClassesError, UnsuitableError
from learning.algorithms.estimators.recipes import AUTO, LOGISTIC, PLAIN, Recipe, cook, settle
from learning.algorithms.folds import score_unseen
from learning.algorithms.several import teach_sets
from learning.algorithms.shares import match_shares
from learning.algorithms.thresholds import best_threshold

# More folds cost more time and changed no figure by more than its noise.
CALIBRATION_FOLDS = 3
# With fewer labels of a class among those that chance drew its threshold goes by all labels alike.
MIN_DRAWN = 5
N_MEMBERS = 5


@dataclass(frozen=True, eq=False)
class Lesson:
    """Labels to learn from.

    Attributes
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : ndarray of int64, (n_items,)
        Codes, 0..n_classes-1. Where several classes may hold, (n_items, n_classes): 1 for those that do, else 0.
    is_by_chance : ndarray of bool, (n_items,)
        Which items were drawn by chance (`selection.drawn_by_chance`).
    beliefs : ndarray of float64, (n_items, n_classes), or None
        How much each item counts for each class: shares that sum to 1 where votes leave doubt (`beliefs.believe`), or
        less in all where an item is to weigh less. None: 1 for its label.
    """

    X: Matrix
    y: NDArray[np.int64]
    is_by_chance: NDArray[np.bool_]
    beliefs: NDArray[np.float64] | None = None

    def select(self, used: NDArray[np.bool_] | NDArray[np.int64]) -> Lesson:
        """The part of it that is marked, or these rows of it."""
        beliefs = None if self.beliefs is None else self.beliefs[used]
        return Lesson(self.X[used], self.y[used], self.is_by_chance[used], beliefs)

    def weigh(self, n_left: int) -> NDArray[np.float64]:
        """How many items each label stands for, (n_items,).

        One that was chosen for itself; those that chance drew together for the `n_left` items that nobody chose.
        """
        n_drawn = int(self.is_by_chance.sum())
        return np.where(self.is_by_chance, max(1.0, n_left / max(1, n_drawn)), 1.0)


def choose(recipe: Recipe, lesson: Lesson, n_classes: int, seed: int, *, basis: Basis | None) -> Recipe:
    """By which estimator a lesson is learned, where the recipe leaves that open.

    UnsuitableError as `settle` says, and where several classes may hold at once: logistic regression alone learns them.
    """
    if lesson.y.ndim == 2:
        if recipe.estimator not in (AUTO, LOGISTIC):
            raise UnsuitableError(f"{recipe.estimator} learns no sets of choices: take auto or logistic")
        return PLAIN
    return settle(recipe, lesson.X, lesson.y, n_classes, seed, basis=basis)


def teach(
    lesson: Lesson,
    n_classes: int,
    seed: int,
    *,
    recipe: Recipe = PLAIN,
    some: Matrix,
    n_left: int,
    basis: Basis | None,
) -> Model:
    """Fit a model of a lesson.

    `recipe`: of an estimator that was chosen. `some`: features of a fair sample of the pool, labelled items among it.
    `n_left`: items of the pool that no strategy chose, labelled ones among them. `basis`: directions of the pool's
    texts. Raises TooFewClassesError where fewer than two classes occur, or all items have the same set of them,
    UnsuitableError where the estimator cannot learn these items.
    """
    if lesson.y.ndim == 2:
        return teach_sets(lesson.X, lesson.y, lesson.is_by_chance, seed, some=some, n_left=n_left, basis=basis)
    model = _fit(lesson, n_classes, seed, recipe, basis)
    drawn, chosen = (
        np.bincount(lesson.y[used], minlength=n_classes) for used in (lesson.is_by_chance, ~lesson.is_by_chance)
    )
    made = match_shares(model, some, drawn, chosen=chosen, n_left=n_left)
    return made.noting(soft_labels=lesson.beliefs is not None)


def calibrate(
    model: Model, lesson: Lesson, seed: int, *, recipe: Recipe = PLAIN, n_left: int, basis: Basis | None
) -> Model:
    """A model that was taught a lesson, made as sure of itself as it may be, and thresholds for its classes.

    Both by scores of the labels from models that had not seen them. The likeliest class of every item stays what it
    was. ``settings["thresholds"]`` holds for each class the probability from which on calling items by it has the best
    F1, whatever else they are called; None for a class without a label. Where the labels are too few to keep some back
    the model stays as it is. `recipe`: as for `teach`. `n_left`: items that no strategy chose, labelled ones among
    them. Of several classes at once `teach` has drawn the lines already.
    """
    if lesson.y.ndim == 2:
        return model
    try:
        unseen = score_lesson(model, lesson, seed, recipe=recipe, basis=basis)
    except TooFewClassesError:
        return model
    codes, weights = model.classes, lesson.weigh(n_left)
    scale = find_scale(unseen[:, codes], np.searchsorted(codes, lesson.y), weights)
    sure = scale_logits(unseen[:, codes], scale)
    found: list[float | None] = [None] * model.n_classes
    for column, code in enumerate(codes):
        is_class = lesson.y == code
        by_pool = (is_class & lesson.is_by_chance).sum() >= MIN_DRAWN
        found[code] = best_threshold(sure[:, column], is_class, weights if by_pool else None)
    return model.scaled(scale).noting(thresholds=found)


def score_lesson(
    model: Model, lesson: Lesson, seed: int, *, recipe: Recipe = PLAIN, basis: Basis | None
) -> NDArray[np.float64]:
    """Probabilities of a lesson's items, (n_items, n_classes), by models that had not seen their labels.

    They are made as `model` was by `teach`, and moved as it was to hold the shares. Raises TooFewClassesError where the
    labels are too few to keep some back.
    """
    shift = np.zeros(model.n_classes)
    shift[model.classes] = model.settings.get("shift", 0.0)

    def fit(is_taught: NDArray[np.bool_]) -> Model:
        part = _fit(lesson.select(is_taught), model.n_classes, seed, recipe, basis)
        return part.shifted(shift[part.classes])

    return score_unseen(fit, lesson.X, lesson.y, model.n_classes, seed, CALIBRATION_FOLDS)


def teach_committee(
    model: Model, lesson: Lesson, rng: np.random.Generator, seed: int, *, recipe: Recipe = PLAIN, basis: Basis | None
) -> list[Model]:
    """Five models, each fitted on its own resample of the lesson (query by bagging).

    `model`, taught the whole lesson, sits in for a member whose resample holds one class only.
    """
    members: list[Model] = []
    for _member in range(N_MEMBERS):
        resample = rng.integers(len(lesson.y), size=len(lesson.y))
        try:
            members.append(_fit(lesson.select(resample), model.n_classes, seed, recipe, basis))
        except TooFewClassesError:
            members.append(model)
    return members


def _fit(lesson: Lesson, n_classes: int, seed: int, recipe: Recipe, basis: Basis | None) -> Model:
    if lesson.beliefs is None:
        return cook(recipe, lesson.X, lesson.y, n_classes, seed, basis=basis)
    rows, codes = np.nonzero(lesson.beliefs)
    weights = lesson.beliefs[rows, codes]
    return cook(recipe, lesson.X[rows], codes, n_classes, seed, basis=basis, weights=weights, items=rows)
