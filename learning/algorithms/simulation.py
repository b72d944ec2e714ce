"""The learning loop without people: a labelled file is asked for its own labels, round by round.

This is how query strategies are compared before anybody labels, and how the learning curve in the documentation is
made. It uses the same features, estimator, strategies and evaluation as a real round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from learning.algorithms.estimators import TooFewClassesError, fit_logistic
from learning.algorithms.evaluation import MIN_HOLDOUT, Evaluation, evaluate
from learning.algorithms.strategies import RANDOM, draw_batch
from reviewers.algorithms.figures import Figure

Matrix: TypeAlias = sparse.csr_matrix | NDArray[Any]


@dataclass(frozen=True)
class CurvePoint:
    """One round on a learning curve.

    Attributes
    ----------
    round : int
        From 1.
    n_labels : int
        Items labelled so far.
    n_random : int
        How many of them were drawn by chance.
    n_votes : int
        Answers that the labels took, all annotators together.
    evaluation : Evaluation or None
        On the holdout; None where no model could be fitted yet.
    refusal : str or None
        Why not: ``"only 1 class occurs"``.
    """

    round: int
    n_labels: int
    n_random: int
    n_votes: int
    evaluation: Evaluation | None
    refusal: str | None = None

    @property
    def macro_f1(self) -> Figure:
        """The figure of the curve; refused where there is no model."""
        if self.evaluation is None:
            return Figure.refused("macro_f1", self.refusal or "no model", n_items=0, n_labels=0)
        return self.evaluation.macro_f1

    def as_dict(self) -> dict[str, Any]:
        """Plain Python types, ready for JSON."""
        return {
            "round": self.round,
            "n_labels": self.n_labels,
            "n_random": self.n_random,
            "n_votes": self.n_votes,
            "macro_f1": self.macro_f1.as_dict(),
            "evaluation": None if self.evaluation is None else self.evaluation.as_dict(),
        }


def simulate_learning(
    X: Matrix,
    y: ArrayLike,
    holdout: ArrayLike,
    strategy: str,
    *,
    rounds: int,
    batch: int,
    seed: int,
    n_classes: int | None = None,
    random_share: float = 0.0,
    votes: ArrayLike | None = None,
    n_annotators: int = 3,
    minimum: int = MIN_HOLDOUT,
    on_round: Callable[[CurvePoint], None] | None = None,
) -> list[CurvePoint]:
    """Run rounds of training, scoring and selection on a file whose labels are known.

    Parameters
    ----------
    X : csr_matrix or ndarray, (n_items, n_features)
    y : array-like of int, (n_items,)
        Accepted codes from 0; -1 where there is none (such items are never asked).
    holdout : array-like of bool, (n_items,)
        Items that judge the model and never train it.
    strategy : {"margin", "entropy", "least_confident", "random"}
    rounds, batch : int
        Rounds from 1; items asked in each. The first batch is random under every strategy, and the same one for the
        same seed; so is each batch while only one class occurs.
    seed : int
        All chance in a run: which items, which votes, which resamples.
    n_classes : int, optional
        One more than the highest code where left out.
    random_share : float
        Share of each later batch that is drawn by chance.
    votes : array-like of int, (n_items, n_classes), optional
        Votes of the people who made the file. With them, `n_annotators` simulated annotators answer each item by
        drawing from its votes without replacement; a strict majority is the label, and `y` settles the others, as an
        adjudicator would. Without them every answer is `y`.
    n_annotators : int
        Annotators per item; fewer where an item has fewer votes.
    minimum : int
        Fewest labels in the holdout.
    on_round : callable, optional
        Called with each point as soon as it is there.

    Returns
    -------
    list of CurvePoint
        At most one for each round: it ends when the pool is empty. The holdout's n stands in every figure.

    Raises
    ------
    ValueError
        If shapes do not fit, or the holdout leaves nothing to learn from.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> X = y[:, np.newaxis] + rng.normal(size=(400, 2))
    >>> curve = simulate_learning(X, y, np.arange(400) < 200, "margin", rounds=3, batch=20, seed=1)
    >>> [point.n_labels for point in curve], curve[-1].macro_f1.n_items
    ([20, 40, 60], 200)
    """
    truth, is_holdout = np.asarray(y, np.int64), np.asarray(holdout, bool)
    if not X.shape[0] == len(truth) == len(is_holdout):
        raise ValueError(
            f"{X.shape[0]} rows of X, {len(truth)} labels and {len(is_holdout)} holdout marks: must be equal"
        )
    n_values = int(truth.max(initial=0)) + 1 if n_classes is None else n_classes
    counts = None if votes is None else np.asarray(votes, np.int64)
    if counts is not None and counts.shape != (len(truth), n_values):
        raise ValueError(f"votes are {counts.shape}, expected {(len(truth), n_values)}")
    pool = np.flatnonzero(~is_holdout & (truth >= 0))
    judges = np.flatnonzero(is_holdout & (truth >= 0))
    if len(pool) == 0:
        raise ValueError("the holdout leaves nothing to learn from")

    # Separate streams: which items a strategy picks must not change how an annotator answers or a resample falls.
    picking = np.random.default_rng([seed, 0])
    labels = np.full(len(truth), -1)
    n_random = n_votes = 0
    proba = np.full((len(pool), n_values), 1 / n_values)
    is_fitted = False
    points: list[CurvePoint] = []
    for number in range(1, rounds + 1):
        if len(pool) == 0:
            break
        picks = draw_batch(strategy if is_fitted else RANDOM, proba, batch, random_share, picking)
        asked = pool[picks.index]
        n_random += int(picks.is_random.sum())
        for item in asked:
            labels[item], n_answers = _answer(item, truth, counts, n_annotators, seed)
            n_votes += n_answers
        pool = np.delete(pool, picks.index)

        evaluation, refusal = None, None
        is_labelled = labels >= 0
        try:
            model = fit_logistic(X[is_labelled], labels[is_labelled], n_values, seed)
        except TooFewClassesError as error:
            refusal, proba = str(error), np.full((len(pool), n_values), 1 / n_values)
        else:
            is_fitted = True
            proba = model.predict_proba(X[pool])
            resampling = np.random.default_rng([seed, 1])
            evaluation = evaluate(truth[judges], model.predict_proba(X[judges]), rng=resampling, minimum=minimum)
        point = CurvePoint(number, int(is_labelled.sum()), n_random, n_votes, evaluation, refusal)
        points.append(point)
        if on_round is not None:
            on_round(point)
    return points


def _answer(
    item: int, truth: NDArray[np.int64], votes: NDArray[np.int64] | None, n_annotators: int, seed: int
) -> tuple[int, int]:
    """An item's label and how many answers it took; each item has its own stream, so that order does not matter."""
    if votes is None:
        return int(truth[item]), 1
    n_answers = min(n_annotators, int(votes[item].sum()))
    if n_answers == 0:
        return int(truth[item]), 0
    answers = np.random.default_rng([seed, 2, int(item)]).multivariate_hypergeometric(votes[item], n_answers)
    winner = int(answers.argmax())
    return (winner if 2 * answers[winner] > n_answers else int(truth[item])), n_answers
