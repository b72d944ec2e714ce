"""One-coin consensus: every annotator has one accuracy, whatever the truth, and errs evenly among the other values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray, IntArray
from reviewers.algorithms.latent_truth import consensus_from, fit_truth


def one_coin(
    labels: CrowdLabels,
    *,
    smoothing: float = 1.0,
    is_shared: bool = False,
    apart: Collection[int] = (),
    tolerance: float = 1e-6,
    max_iterations: int = 500,
) -> Consensus:
    """Posterior of each item and one accuracy of each annotator, by expectation-maximisation.

    Parameters
    ----------
    labels : CrowdLabels
    smoothing : float
        Right labels, and wrong ones, that each annotator counts as having given before any label; above 0. It is a
        Beta(1 + smoothing, 1 + smoothing) prior on each accuracy, and what rises is the likelihood times its density.
    is_shared : bool
        One accuracy for all together: a majority vote with probabilities, in which how common a value is breaks ties.
    apart : collection of int
        Ids of annotators who have an accuracy of their own even so.
    tolerance, max_iterations
        As for `dawid_skene`.

    Returns
    -------
    Consensus
        How common the values are is estimated too, without a prior. `confusion` is what the accuracy comes to.

    Raises
    ------
    UnfitLabelsError, ValueError
        As for `dawid_skene`.

    Notes
    -----
    Few labels suffice for one number, but where annotators lean to one value it is worse than a vote: then use
    `dawid_skene`.

    References
    ----------
    The homogeneous model of Dawid and Skene (1979), as in Zhang, Chen, Zhou and Jordan (2016), Spectral Methods Meet
    EM, Journal of Machine Learning Research 17(102):1-44.

    Examples
    --------
    >>> item, annotator = np.repeat(np.arange(6), 3), np.tile([1, 2, 3], 6)
    >>> labels = CrowdLabels.from_codes(item, annotator, [0, 0, 1, 1, 1, 1] * 3, n_values=2)
    >>> result = one_coin(labels)
    >>> result.value.tolist(), result.accuracy.round(2).tolist()
    ([0, 1, 0, 1, 0, 1], [0.85, 0.85, 0.5])
    """
    if smoothing <= 0:
        raise ValueError("smoothing must be above 0")
    coin = np.arange(labels.n_annotators)
    if is_shared:
        coin = np.unique(np.where(np.isin(labels.annotator_ids, list(apart)), coin, -1), return_inverse=True)[1].ravel()
    model = _CoinModel(labels.n_values, smoothing, coin)
    fit = fit_truth(labels, model, tolerance=tolerance, max_iterations=max_iterations)
    whose = "the shared accuracy" if is_shared else "each accuracy"
    name = "shared_coin" if is_shared else "one_coin"
    return consensus_from(fit, labels, name, f"Beta({1 + smoothing:g}, {1 + smoothing:g}) on {whose}")


@dataclass(frozen=True, eq=False)
class _CoinModel:
    n_values: int
    smoothing: float
    coin: IntArray  # (n_annotators,): which of the accuracies is whose

    def estimate(self, counts: FloatArray, before: FloatArray | None) -> FloatArray:
        """The accuracy of each annotator, (n_annotators,)."""
        n_right = np.bincount(self.coin, weights=np.einsum("jaj->a", counts))
        n_labels = np.bincount(self.coin, weights=counts.sum(axis=(0, 2)))
        accuracy: FloatArray = ((n_right + self.smoothing) / (n_labels + 2 * self.smoothing))[self.coin]
        return accuracy

    def chances(self, skill: FloatArray) -> FloatArray:
        wrong = ((1 - skill) / (self.n_values - 1))[np.newaxis, :, np.newaxis]
        chances = np.broadcast_to(wrong, (self.n_values, len(skill), self.n_values)).copy()
        each = np.arange(self.n_values)
        chances[each, :, each] = skill
        return chances

    def log_density(self, skill: FloatArray) -> float:
        one = skill[np.unique(self.coin, return_index=True)[1]]
        return float(self.smoothing * (np.log(one) + np.log1p(-one)).sum())
