"""GLAD: how likely a label is right depends on the annotator's ability and on the item's difficulty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray

_HALVINGS = 20

Height = Callable[[FloatArray], FloatArray]


def glad(labels: CrowdLabels, *, tolerance: float = 1e-6, max_iterations: int = 500) -> Consensus:
    """Posterior of each item, its difficulty, and each annotator's ability, by generalised expectation-maximisation.

    Parameters
    ----------
    labels : CrowdLabels
    tolerance : float
        Stop once an iteration gains less log-likelihood per label than this; 0 or more.
    max_iterations : int
        At least 1; `is_converged` says whether they were enough.

    Returns
    -------
    Consensus
        Every value is taken as equally common. `difficulty` is above 0, and 1/e where nothing is known of the item;
        `accuracy` is how often the annotator is expected to be right on the items that they labelled.

    Raises
    ------
    UnfitLabelsError
        If there are no labels, only one class occurs, or no item has two labels or gold.
    ValueError
        If a number above is out of its range.

    Notes
    -----
    A label is right with probability ``1 / (1 + exp(-a b))`` with ability a and ease b = 1 / difficulty, and else any
    other value, all alike. a and log b have normal priors of mean 1 and variance 1, as published; it starts there. An
    iteration takes one Newton step for each ability, then for each ease, halved until it climbs, so that the likelihood
    times the priors' density never falls. Few labels per item tell little of its difficulty.

    References
    ----------
    Whitehill, Ruvolo, Wu, Bergsma and Movellan (2009), Whose Vote Should Count More, NeurIPS 22:2035-2043.

    Examples
    --------
    Only the third item divides them:

    >>> item, annotator = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    >>> result = glad(CrowdLabels.from_codes(item, annotator, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1], n_values=2))
    >>> result.value.tolist(), int(result.difficulty.argmax())
    ([0, 1, 0], 2)
    """
    if tolerance < 0 or max_iterations < 1:
        raise ValueError("tolerance cannot be negative, and there is at least 1 iteration")
    labels.check_skill_can_be_told()
    ability, log_ease = np.ones(labels.n_annotators), np.ones(labels.n_items)
    trace: list[float] = []
    is_converged = False
    while True:
        posterior, gained = _weigh(labels, ability, log_ease)
        trace.append(gained - float(((ability - 1) ** 2).sum() + ((log_ease - 1) ** 2).sum()) / 2)
        is_converged = len(trace) > 1 and trace[-1] - trace[-2] < tolerance * labels.n_labels
        if is_converged or len(trace) == max_iterations:
            break
        is_right = posterior[labels.item, labels.value]
        ability = _improve_ability(labels, is_right, ability, log_ease)
        log_ease = _improve_ease(labels, is_right, ability, log_ease)
    chance = np.exp(_log_right(ability[labels.annotator] * np.exp(log_ease)[labels.item]))
    return Consensus(
        method="glad",
        priors="every value alike; Normal(1, 1) on each ability and on the log of each ease",
        item_ids=labels.item_ids,
        annotator_ids=labels.annotator_ids,
        posterior=posterior,
        class_prior=np.full(labels.n_values, 1 / labels.n_values),
        accuracy=_sums(labels.annotator, chance, labels.n_annotators) / np.bincount(labels.annotator),
        difficulty=np.exp(-log_ease),
        log_likelihood=tuple(trace),
        is_converged=is_converged,
    )


def _weigh(labels: CrowdLabels, ability: FloatArray, log_ease: FloatArray) -> tuple[FloatArray, float]:
    """Posteriors, and the log-likelihood of the labels (the E step)."""
    odds = ability[labels.annotator] * np.exp(log_ease)[labels.item]
    wrong = _log_right(-odds) - np.log(labels.n_values - 1)
    size = labels.n_items * labels.n_values
    scores = _sums(labels.item * labels.n_values + labels.value, _log_right(odds) - wrong, size)
    scores = scores.reshape(labels.n_items, labels.n_values) + _sums(labels.item, wrong, labels.n_items)[:, np.newaxis]
    scores -= np.log(labels.n_values)
    is_gold = labels.gold >= 0
    scores[is_gold] = np.where(np.eye(labels.n_values, dtype=bool)[labels.gold[is_gold]], scores[is_gold], -np.inf)
    top = scores.max(axis=1, keepdims=True)
    posterior = np.exp(scores - top)
    total = posterior.sum(axis=1, keepdims=True)
    return posterior / total, float((top + np.log(total)).sum())


def _improve_ability(
    labels: CrowdLabels, is_right: FloatArray, ability: FloatArray, log_ease: FloatArray
) -> FloatArray:
    ease = np.exp(log_ease)[labels.item]
    whose, n = labels.annotator, len(ability)

    def height(at: FloatArray) -> FloatArray:
        return _sums(whose, _expected(at[whose] * ease, is_right), n) - (at - 1) ** 2 / 2

    chance = np.exp(_log_right(ability[whose] * ease))
    slope = _sums(whose, (is_right - chance) * ease, n) - (ability - 1)
    bend = _sums(whose, chance * (1 - chance) * ease**2, n) + 1
    return _climb(ability, slope / bend, height)


def _improve_ease(labels: CrowdLabels, is_right: FloatArray, ability: FloatArray, log_ease: FloatArray) -> FloatArray:
    skill = ability[labels.annotator]
    which, n = labels.item, len(log_ease)

    def height(at: FloatArray) -> FloatArray:
        return _sums(which, _expected(skill * np.exp(at)[which], is_right), n) - (at - 1) ** 2 / 2

    odds = skill * np.exp(log_ease)[which]
    chance = np.exp(_log_right(odds))
    slope = _sums(which, (is_right - chance) * odds, n) - (log_ease - 1)
    # Without the term that may bend upwards: the step then always points uphill.
    bend = _sums(which, chance * (1 - chance) * odds**2, n) + 1
    return _climb(log_ease, slope / bend, height)


def _climb(at: FloatArray, step: FloatArray, height: Height) -> FloatArray:
    """Each number one step on, halved until it is no lower there; where it never is, it stays."""
    before = height(at)
    is_lower = np.ones(len(at), bool)
    for _ in range(_HALVINGS):
        is_lower = ~(height(at + step) >= before)
        if not is_lower.any():
            break
        step = np.where(is_lower, step / 2, step)
    return at + np.where(is_lower, 0.0, step)


def _expected(odds: FloatArray, is_right: FloatArray) -> FloatArray:
    """Log chance of each label, expected over whether it is right, up to a constant."""
    # log(1 - s(x)) = log s(x) - x
    expected: FloatArray = _log_right(odds) - (1 - is_right) * odds
    return expected


def _log_right(odds: FloatArray) -> FloatArray:
    """Log of the logistic function."""
    return -np.logaddexp(0.0, -odds)


def _sums(of: NDArray[np.signedinteger[Any]], weights: FloatArray, size: int) -> FloatArray:
    sums: FloatArray = np.bincount(of, weights=weights, minlength=size).astype(np.float64, copy=False)
    return sums
