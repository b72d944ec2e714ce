"""MACE: every annotator either knows the truth, with a chance of their own, or says what they say anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray
from reviewers.algorithms.latent_truth import consensus_from, fit_truth


def mace(
    labels: CrowdLabels, *, smoothing: float = 1.0, tolerance: float = 1e-6, max_iterations: int = 500
) -> Consensus:
    """Posterior of each item, and how often each annotator is right, by expectation-maximisation.

    Parameters
    ----------
    labels : CrowdLabels
    smoothing : float
        Labels that each annotator counts as having given with knowledge, and without, and without for each value,
        before any label; above 0. It is a Beta(1 + smoothing, 1 + smoothing) prior on each annotator's chance to know
        and a Dirichlet(1 + smoothing) prior on what they say otherwise; what rises is the likelihood times both.
    tolerance, max_iterations
        As for `dawid_skene`.

    Returns
    -------
    Consensus
        Every value is taken as equally common. `accuracy` is the chance to be right, by knowledge or by luck;
        `confusion` is what knowledge and habit come to together.

    Raises
    ------
    UnfitLabelsError, ValueError
        As for `dawid_skene`.

    Notes
    -----
    The published software starts many times at random and keeps the best; here the one start is the votes' shares, so
    that the same labels give the same answer.

    References
    ----------
    Hovy, Berg-Kirkpatrick, Vaswani and Hovy (2013), Learning Whom to Trust with MACE, NAACL-HLT 1120-1130.

    Examples
    --------
    Carol says 0 whatever she sees:

    >>> item, annotator = np.repeat(np.arange(6), 3), np.tile([1, 2, 3], 6)
    >>> result = mace(CrowdLabels.from_codes(item, annotator, [0, 0, 0, 1, 1, 0] * 3, n_values=2))
    >>> result.value.tolist(), bool(result.accuracy[0] > result.accuracy[2])
    ([0, 1, 0, 1, 0, 1], True)
    """
    if smoothing <= 0:
        raise ValueError("smoothing must be above 0")
    fit = fit_truth(
        labels, _HabitModel(smoothing), tolerance=tolerance, max_iterations=max_iterations, is_prior_uniform=True
    )
    prior = f"{1 + smoothing:g}"
    priors = f"every value alike; Beta({prior}, {prior}) on each chance to know; Dirichlet({prior}) on each habit"
    return consensus_from(fit, labels, "mace", priors)


@dataclass(frozen=True, eq=False)
class _Habits:
    knows: FloatArray  # (n_annotators, 1): the chance to know the truth
    says: FloatArray  # (n_annotators, n_values): what they say when they do not


@dataclass(frozen=True)
class _HabitModel:
    smoothing: float

    def estimate(self, counts: FloatArray, before: _Habits | None) -> _Habits:
        n_annotators, n_values = counts.shape[1:]
        old = before or _Habits(np.full((n_annotators, 1), 0.5), np.full((n_annotators, n_values), 1 / n_values))
        # A right label was known or lucky; which, is told by the habits under which the counts were taken.
        n_known = np.einsum("jaj->aj", counts) * old.knows / (old.knows + (1 - old.knows) * old.says)
        n_habit = counts.sum(axis=0) - n_known + self.smoothing
        known = n_known.sum(axis=1, keepdims=True) + self.smoothing
        n_labels = counts.sum(axis=(0, 2))[:, np.newaxis]
        return _Habits(known / (n_labels + 2 * self.smoothing), n_habit / n_habit.sum(axis=1, keepdims=True))

    def chances(self, skill: _Habits) -> FloatArray:
        n_annotators, n_values = skill.says.shape
        habit = (1 - skill.knows) * skill.says
        chances = np.broadcast_to(habit, (n_values, n_annotators, n_values)).copy()
        each = np.arange(n_values)
        chances[each, :, each] += skill.knows[:, 0]
        return chances

    def log_density(self, skill: _Habits) -> float:
        knows = np.log(skill.knows).sum() + np.log1p(-skill.knows).sum()
        return float(self.smoothing * (knows + np.log(skill.says).sum()))
