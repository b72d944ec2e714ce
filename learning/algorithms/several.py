"""Choices of which several may hold: how a round's model of them is made, and how much an item would teach.

Everywhere 0.5 is the line: a choice of that probability or more is what a model says, be it made here or sent in.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.algorithms.basis import Basis
from learning.algorithms.calibration import find_scale
from learning.algorithms.estimators import Matrix, OneVsRestModel, TooFewClassesError, fit_one_vs_rest
from learning.algorithms.label_errors import foretell
from learning.algorithms.shares import with_known
from learning.algorithms.thresholds import DEFAULT_THRESHOLD, best_threshold
from reviewers.algorithms.intervals import wilson

FloatArray = NDArray[np.float64]
# Items with and without a choice from which a line other than 0.5 is drawn. With fewer, lines were worse than none.
MIN_EITHER = 20
N_FOLDS = 3


def teach_sets(
    X: Matrix,
    y: NDArray[np.int64],
    is_by_chance: NDArray[np.bool_],
    seed: int,
    *,
    some: Matrix,
    n_left: int,
    basis: Basis | None,
) -> OneVsRestModel:
    """Fit a model of sets of choices as a round does: one against the rest, lines drawn, shares held, calibrated.

    `y`: (n_items, n_classes), 1 where a choice holds. `some`: features of a fair sample of the pool. `n_left`: items of
    it that no strategy chose. `is_by_chance`: which labels were drawn by chance. Raises AllAlikeError.
    """
    model = fit_one_vs_rest(X, y, seed, basis=basis)
    unseen = foretell_sets(X, y[:, model.classes], seed, basis=basis)
    model = match_held(draw_lines(model, unseen, y), some, y[is_by_chance], y[~is_by_chance], n_left)
    return make_sure(model, unseen, y)


def foretell_sets(X: Matrix, y: NDArray[np.int64], seed: int, *, basis: Basis | None) -> FloatArray:
    """Probabilities of each choice by itself, (n_items, n_classes), by models that were not taught the item's labels.

    A column of nan for a choice of which too few labels would be left to learn from.
    """
    unseen = np.full(y.shape, np.nan)
    for code in range(y.shape[1]):
        with suppress(TooFewClassesError):
            unseen[:, code] = foretell(X, y[:, code], 2, seed, N_FOLDS, basis=basis)[:, 1]
    return unseen


def draw_lines(model: OneVsRestModel, unseen: FloatArray, y: NDArray[np.int64]) -> OneVsRestModel:
    """Move each choice's intercept so that 0.5 is where saying it has the best F1 on labels that were not seen.

    Parameters
    ----------
    model : OneVsRestModel
        Fitted on these labels.
    unseen : ndarray of float64, (n_items, n_seen)
        Probabilities of the choices that the model tells, by models that had not seen the labels; nan where unknown.
    y : ndarray of int64, (n_items, n_classes)

    Returns
    -------
    OneVsRestModel
        The same weights; ``settings["lines"]`` has where the lines were, a probability for each told choice: 0.5 where
        fewer than 20 items have the choice, or lack it. The order of items by a choice does not change.
    """
    lines = np.full(len(model.classes), DEFAULT_THRESHOLD)
    for place, code in enumerate(model.classes):
        held, scores = y[:, code], unseen[:, place]
        if min(held.sum(), len(held) - held.sum()) >= MIN_EITHER and not np.isnan(scores).any():
            lines[place] = np.clip(best_threshold(scores, held == 1), 0.001, 0.999)
    moved = model.shifted(-np.log(lines / (1 - lines)))
    return moved.noting(lines=[round(float(line), 4) for line in lines])


def make_sure(model: OneVsRestModel, unseen: FloatArray, y: NDArray[np.int64]) -> OneVsRestModel:
    """A model made as sure of itself as it may be: one factor for all logits, so that 0.5 stays the line.

    `unseen` as for `draw_lines`; the model's shifts are applied to it first. Unchanged where nothing is known.
    """
    is_known = ~np.isnan(unseen).any(axis=0)
    if not is_known.any():
        return model
    p = np.clip(unseen[:, is_known], 1e-12, 1 - 1e-12)
    logits = np.log(p / (1 - p)) + np.array(model.settings["shift"])[is_known]
    proba = 1 / (1 + np.exp(-logits.ravel()))
    held = y[:, model.classes[is_known]].ravel()
    return model.scaled(find_scale(np.column_stack([1 - proba, proba]), held, np.ones(len(held))))


def match_held(
    model: OneVsRestModel, X: Matrix, drawn: NDArray[np.int64], chosen: NDArray[np.int64], n_left: int
) -> OneVsRestModel:
    """Move each choice's intercept until the share of items that it is said of is one that chance labels allow.

    As `shares.match_shares`, choice by choice.

    Parameters
    ----------
    model : OneVsRestModel
    X : csr_matrix or ndarray, (n_items, n_features)
        A fair sample of the pool, labelled items among it.
    drawn : ndarray of int64, (n_drawn, n_classes)
        The labels that were drawn by chance, and no others.
    chosen : ndarray of int64, (n_chosen, n_classes)
        The labels of what a strategy chose: they are known.
    n_left : int
        Items of the pool that no strategy chose.

    Returns
    -------
    OneVsRestModel
        Intercepts stay where the share lies within the 95 % interval (Wilson) of the share among `drawn`, with the
        chosen ones added (`shares.with_known`); else it is brought to its nearest end. Unchanged where there are no
        chance labels.
    """
    shift = np.zeros(len(model.classes))
    n = X.shape[0]
    if len(drawn) and n > 1:
        proba = np.clip(model.predict_proba(X)[:, model.classes], 1e-12, 1 - 1e-12)
        logits = np.log(proba / (1 - proba))
        for place, code in enumerate(model.classes):
            share = float((logits[:, place] >= 0).mean())
            limits = np.array(wilson(int(drawn[:, code].sum()), len(drawn)))
            wanted = float(np.clip(share, *with_known(limits, int(chosen[:, code].sum()), len(chosen), n_left)))
            if wanted != share:
                ranked = np.sort(logits[:, place])[::-1]
                n_wanted = min(max(round(wanted * n), 1), n - 1)
                shift[place] = -(ranked[n_wanted - 1] + ranked[n_wanted]) / 2
    return model.shifted(shift)


def doubt_of(proba: ArrayLike) -> FloatArray:
    """What strategies see of sets of choices: of each item the choice that the model is least sure of.

    Parameters
    ----------
    proba : array-like of float, (n_items, n_classes)
        The probability of each choice by itself.

    Returns
    -------
    ndarray, (n_items, 2)
        Of the choice nearest to the line: the probability of what the model says of it, then of the contrary. So every
        strategy that goes by probabilities asks about an item as about its most doubtful choice: `margin` is 1 where
        some choice is at the line, 0 where all are certain.

    References
    ----------
    The minimum of the margins over the classifiers: Li, Wang and Sung (2004), Multi-label SVM active learning for image
    classification, ICIP. Against their mean: `benchmarks/several_choices.py`.

    Examples
    --------
    >>> doubt_of([[0.9, 0.4, 0.1], [0.0, 0.0, 0.0]]).round(1).tolist()
    [[0.6, 0.4], [1.0, 0.0]]
    """
    p = np.asarray(proba, np.float64)
    certainty = np.maximum(p, 1 - p).min(axis=1)
    return np.column_stack([certainty, 1 - certainty])
