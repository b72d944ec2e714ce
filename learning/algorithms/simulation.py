"""The learning loop without people: a labelled file is asked for its own labels, round by round.

This is how query strategies are compared before anybody labels (`label_efficiency`). It uses the same features,
estimator and strategies as a real round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from learning.algorithms.basis import Basis
from learning.algorithms.beliefs import believe
from learning.algorithms.estimators import Model, TooFewClassesError
from learning.algorithms.estimators.recipes import AUTO, PLAIN, Recipe
from learning.algorithms.several import doubt_of
from learning.algorithms.strategies import RANDOM, Candidates, draw_batch, find_strategy
from learning.algorithms.teaching import Lesson, calibrate, choose, teach, teach_committee

Matrix: TypeAlias = sparse.csr_matrix | NDArray[Any]
# Items of the pool on which a model's shares are taken.
MAX_SHARES = 4_000


@dataclass(frozen=True, eq=False)
class LabelledFile:
    """A file as the simulation sees it.

    Attributes
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : ndarray of int64, (n_items,) or (n_items, n_classes)
        Accepted codes from 0; -1 where there is none (such items are never asked). Where several classes may hold, 1
        for those that do, else 0; a row of -1 where nothing is known.
    holdout : ndarray of bool, (n_items,)
        Items that judge the model and never train it.
    n_classes : int
    basis : Basis or None
        Directions of the pool's texts, for the estimator.
    votes : ndarray of int64, (n_items, n_classes), or None
        Votes of the people who made the file. With them, `n_annotators` simulated annotators answer each item by
        drawing from its votes without replacement; a strict majority is the label, and `y` settles the others, as an
        adjudicator would. Without them every answer is `y`. For codes only.
    n_annotators : int
    similarity : ndarray of float, (n_items,), or None
        To the words of a policy. With it the first batch is the strategy's where the strategy can do with it.
    always_calibrated : bool
        Else models of two classes are calibrated after the last round only: the factor changes no order by doubt, and
        finding it takes as long as all the rest of a round.
    recipe : Recipe
        By which estimator models are made, chosen anew by each round's labels where that is `auto`.
    """

    X: Matrix
    y: NDArray[np.int64]
    holdout: NDArray[np.bool_]
    n_classes: int
    basis: Basis | None = None
    votes: NDArray[np.int64] | None = None
    n_annotators: int = 3
    similarity: NDArray[np.float64] | None = None
    always_calibrated: bool = False
    recipe: Recipe = PLAIN

    def __post_init__(self) -> None:
        if not self.X.shape[0] == len(self.y) == len(self.holdout):
            raise ValueError(
                f"{self.X.shape[0]} rows of X, {len(self.y)} labels and {len(self.holdout)} holdout marks:"
                " must be equal"
            )
        if self.votes is not None and self.is_several:
            raise ValueError("votes go with one label for each item")
        if self.votes is not None and self.votes.shape != (len(self.y), self.n_classes):
            raise ValueError(f"votes are {self.votes.shape}, expected {(len(self.y), self.n_classes)}")
        if not len(self.pool):
            raise ValueError("the holdout leaves nothing to learn from")

    @property
    def is_several(self) -> bool:
        """Whether several classes may hold of an item, or none."""
        return self.y.ndim == 2

    @property
    def pool(self) -> NDArray[np.int64]:
        """Positions of the items that may be asked."""
        return np.flatnonzero(~self.holdout & find_labelled(self.y))

    @property
    def judges(self) -> NDArray[np.int64]:
        """Positions of the items that judge."""
        return np.flatnonzero(self.holdout & find_labelled(self.y))

    def vectors(self, items: NDArray[np.int64]) -> Matrix:
        """By what items are compared with each other: in the basis where there is one."""
        rows = self.X[items]
        return rows if self.basis is None else self.basis.embed(sparse.csr_matrix(rows))

    def fit(
        self,
        labels: NDArray[np.int64],
        is_by_chance: NDArray[np.bool_],
        seed: int,
        beliefs: NDArray[np.float64] | None = None,
        *,
        is_last: bool = True,
    ) -> Model:
        """A model of what is labelled (not -1), as a round makes it. Raises TooFewClassesError."""
        is_labelled = find_labelled(labels)
        some = np.random.default_rng([seed, 6]).permutation(self.pool)[:MAX_SHARES]
        is_chosen = is_labelled & ~is_by_chance
        lesson = Lesson(self.X, labels, is_by_chance, beliefs).select(is_labelled)
        recipe = choose(self.recipe, lesson, self.n_classes, seed, basis=self.basis)
        n_left = len(self.pool) - int(is_chosen.sum())
        model = teach(lesson, self.n_classes, seed, recipe=recipe, some=self.X[some], n_left=n_left, basis=self.basis)
        if self.n_classes == 2 and not is_last and not self.always_calibrated:
            return model
        return calibrate(model, lesson, seed, recipe=recipe, n_left=n_left, basis=self.basis)

    def answer(self, item: int, seed: int) -> tuple[Any, NDArray[np.int64]]:
        """An item's label, as in `y`, and its answers by class; each item has its own stream: order does not matter."""
        if self.votes is None:
            code = 0 if self.is_several else int(self.y[item])  # one answer, of several classes at once perhaps
            return self.y[item], np.eye(self.n_classes, dtype=np.int64)[code]
        n_answers = min(self.n_annotators, int(self.votes[item].sum()))
        rng = np.random.default_rng([seed, 2, item])
        answers = rng.multivariate_hypergeometric(self.votes[item], n_answers)
        winner = int(answers.argmax())
        return (winner if 2 * answers[winner] > n_answers else int(self.y[item])), answers


def find_labelled(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which items have a label, (n_items,): codes, or rows of 0 and 1, that are not -1."""
    return np.asarray((labels if labels.ndim == 1 else labels[:, 0]) >= 0)


@dataclass(frozen=True, eq=False)
class Step:
    """The loop after one round.

    Attributes
    ----------
    labels : ndarray of int64, as the file's `y`
        -1 where an item was not asked.
    n_labels, n_random : int
        Items labelled so far, and how many of them were drawn by chance.
    n_votes : int
        Answers that the labels took, all annotators together.
    model : Model or None
        Fitted on the labels; None where that was not possible.
    refusal : str or None
        Why not.
    """

    labels: NDArray[np.int64]
    n_labels: int
    n_random: int
    n_votes: int
    model: Model | None
    refusal: str | None


def run_rounds(
    file: LabelledFile, strategy: str, batches: Sequence[int], *, seed: int, random_share: float = 0.0
) -> Iterator[Step]:
    """Ask, fit, score and choose, once for each of the batches; ends early where the pool is empty.

    Parameters
    ----------
    file : LabelledFile
    strategy : str
        One of `strategies.REGISTRY`.
    batches : sequence of int
        Items asked in each round. The first batch is random, and the same one for the same seed; so is each batch while
        only one class occurs. A strategy that uses a policy's words starts with them instead where the file has them,
        and one that covers the pool with its own where X is dense.
    seed : int
        All chance in a run: which items, which votes.
    random_share : float
        Share of each later batch that is drawn by chance.

    Yields
    ------
    Step
        One for each round.

    Raises
    ------
    ValueError
        If no strategy has this name.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> X = y[:, np.newaxis] + rng.normal(size=(400, 2))
    >>> file = LabelledFile(X, y, holdout=np.arange(400) < 200, n_classes=2)
    >>> [step.n_labels for step in run_rounds(file, "margin", [50, 20, 20], seed=1)]
    [50, 70, 90]
    """
    found = find_strategy(strategy)
    starts_by_words = file.similarity is not None and found.uses_similarity
    starts_by_coverage = found.starts_by_coverage and not sparse.issparse(file.X)
    # Separate streams: which items a strategy picks must not change how an annotator answers or a resample falls.
    picking = np.random.default_rng([seed, 0])
    pool, labels, is_by_chance = file.pool, np.full_like(file.y, -1), np.zeros(len(file.y), bool)
    answers = np.zeros((len(file.y), file.n_classes), np.int64)
    n_random = 0
    model: Model | None = None
    for number, batch in enumerate(batches, start=1):
        if not len(pool):
            return
        beliefs = _believe(file, labels, answers)
        candidates = _look_at(file, pool, labels, beliefs, model, seed, with_committee=found.needs_committee)
        by = strategy if model is not None or starts_by_words or starts_by_coverage else RANDOM
        picks = draw_batch(by, candidates, batch, random_share, picking)
        n_random += int(picks.is_random.sum())
        is_by_chance[pool[picks.index]] = picks.is_random
        for item in pool[picks.index]:
            labels[item], answers[item] = file.answer(int(item), seed)
        pool = np.delete(pool, picks.index)
        is_labelled, refusal = find_labelled(labels), None
        try:
            is_last = number == len(batches) or not len(pool)
            model = file.fit(labels, is_by_chance, seed, _believe(file, labels, answers), is_last=is_last)
        except TooFewClassesError as error:
            refusal = str(error)
        yield Step(labels.copy(), int(is_labelled.sum()), n_random, int(answers.sum()), model, refusal)


def _believe(file: LabelledFile, labels: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """What the answers say, as for the rounds of a project; None where the file has no votes."""
    if file.votes is None:
        return None
    is_agreed = 2 * answers.max(axis=1) > answers.sum(axis=1)
    return believe(np.maximum(labels, 0), answers * is_agreed[:, np.newaxis])


def _look_at(
    file: LabelledFile,
    pool: NDArray[np.int64],
    labels: NDArray[np.int64],
    beliefs: NDArray[np.float64] | None,
    model: Model | None,
    seed: int,
    *,
    with_committee: bool,
) -> Candidates:
    is_labelled = find_labelled(labels)
    committee = None
    if with_committee and model is not None:
        lesson = Lesson(file.X, labels, is_labelled, beliefs).select(is_labelled)
        rng = np.random.default_rng([seed, 4, len(lesson.y)])
        recipe = file.recipe
        if recipe.estimator == AUTO:  # the one that it came to
            recipe = replace(recipe, estimator=model.settings["estimator"])
        members = teach_committee(model, lesson, rng, seed, recipe=recipe, basis=file.basis)
        committee = np.stack([member.predict_proba(file.X[pool]) for member in members])
    proba, y = None if model is None else model.predict_proba(file.X[pool]), labels[is_labelled]
    if file.is_several:  # as in a round: no class is rare among others that it excludes
        proba, y = None if proba is None else doubt_of(proba), np.zeros(0, np.int64)
    return Candidates(
        n=len(pool),
        proba=proba,
        features=lambda positions: file.vectors(pool[positions]),
        labelled=lambda: file.vectors(np.flatnonzero(is_labelled)),
        y=y,
        committee=committee,
        similarity=None if file.similarity is None else file.similarity[pool],
        is_dense=not sparse.issparse(file.X),
        has_pixels_only=file.recipe.has_pixels_only,
    )
