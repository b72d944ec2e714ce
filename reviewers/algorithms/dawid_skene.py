"""Dawid and Skene's consensus: every annotator has a confusion matrix of their own, found together with the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray
from reviewers.algorithms.latent_truth import consensus_from, fit_truth


def dawid_skene(
    labels: CrowdLabels, *, smoothing: float = 1.0, tolerance: float = 1e-6, max_iterations: int = 500
) -> Consensus:
    """Posterior of each item and confusion matrix of each annotator, by expectation-maximisation.

    Parameters
    ----------
    labels : CrowdLabels
    smoothing : float
        Labels that each cell of each confusion matrix counts as having before any label, 0 or more. Above 0 it is a
        symmetric Dirichlet(1 + smoothing) prior on each row, and what rises is the likelihood times its density. 0 is
        the method as published.
    tolerance : float
        Stop once an iteration gains less log-likelihood per label than this.
    max_iterations : int
        At least 1; `is_converged` says whether they were enough.

    Returns
    -------
    Consensus
        How common the values are is estimated too, without a prior. Gold items keep their gold, and tell of those who
        labelled them.

    Raises
    ------
    UnfitLabelsError
        If there are no labels, only one class occurs, or no item has two labels or gold: then any answer is explained
        as well by the annotators' errors as by the items.
    ValueError
        If a number above is out of its range.

    Notes
    -----
    It starts from the votes' shares, so it finds the maximum next to the vote: the likelihood has as many as the
    values can be renamed, and perhaps others.

    References
    ----------
    Dawid and Skene (1979), Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, Journal of the
    Royal Statistical Society C 28(1):20-28, doi:10.2307/2346806.

    Examples
    --------
    Carol always says the opposite, and so is as good a witness as the others:

    >>> item, annotator = np.repeat(np.arange(6), 3), np.tile([1, 2, 3], 6)
    >>> labels = CrowdLabels.from_codes(item, annotator, [0, 0, 1, 1, 1, 0] * 3, n_values=2)
    >>> result = dawid_skene(labels, smoothing=0)
    >>> result.value.tolist(), result.accuracy.round(6).tolist()
    ([0, 1, 0, 1, 0, 1], [1.0, 1.0, 0.0])
    """
    if smoothing < 0:
        raise ValueError("smoothing cannot be negative")
    fit = fit_truth(labels, _ConfusionModel(smoothing), tolerance=tolerance, max_iterations=max_iterations)
    priors = f"Dirichlet({1 + smoothing:g}) on each row of each confusion matrix" if smoothing else "none"
    return consensus_from(fit, labels, "dawid_skene", priors)


@dataclass(frozen=True)
class _ConfusionModel:
    smoothing: float

    def estimate(self, counts: FloatArray, before: FloatArray | None) -> FloatArray:
        smoothed = counts + self.smoothing
        total = smoothed.sum(axis=2, keepdims=True)
        # A row without evidence can be anything; all alike says nothing of any item.
        alike = np.full_like(smoothed, 1 / counts.shape[2])
        confusion: FloatArray = np.divide(smoothed, total, out=alike, where=total > 0)
        return confusion

    def chances(self, skill: FloatArray) -> FloatArray:
        return skill

    def log_density(self, skill: FloatArray) -> float:
        return float(self.smoothing * np.log(skill).sum()) if self.smoothing else 0.0
