"""Consensus by counting: the majority vote, and the vote in which each annotator weighs as much as they are right.

Both are votes over arrays of labels and need numpy alone. When a vote settles an item is the rule in `consensus`.
"""

from __future__ import annotations

import numpy as np

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray


def majority_vote(labels: CrowdLabels) -> Consensus:
    """The value with the most votes; ties are named, not broken.

    Parameters
    ----------
    labels : CrowdLabels
        May be empty, and each item may have one label only.

    Returns
    -------
    Consensus
        The posterior is each value's share of the votes; an item with gold has its gold.

    Examples
    --------
    >>> labels = CrowdLabels.from_codes([1, 1, 1, 2, 2], [1, 2, 3, 1, 2], [0, 0, 1, 0, 1], n_values=2)
    >>> result = majority_vote(labels)
    >>> result.value.tolist(), result.is_tied.tolist()
    ([0, -1], [False, True])
    """
    return _voted("majority", "everybody counts alike", labels, labels.share_votes(), None)


def weighted_vote(labels: CrowdLabels) -> Consensus:
    """A vote weighed by how often each annotator is with the majority ("worker agreement with aggregate").

    Parameters
    ----------
    labels : CrowdLabels

    Returns
    -------
    Consensus
        `accuracy` is the share of an annotator's labels that are the majority's (a label within a tie of k counts
        1/k) or the gold label's, and is what the vote weighs; the posterior is each value's share of the weights.

    Raises
    ------
    UnfitLabelsError
        If there are no labels, only one class occurs, or no item has two labels or gold: everybody agrees with a
        vote of their own.

    Notes
    -----
    Accuracy against the majority is flattering: each annotator's own vote is in it, and where few vote it decides.

    References
    ----------
    The method `Wawa` of Appen, as in Ustalov, Pavlichenko and Tseitlin (2024), Learning from Crowds with Crowd-Kit,
    Journal of Open Source Software 9(96):6227, doi:10.21105/joss.06227.

    Examples
    --------
    >>> item, annotator = [1, 1, 1, 2, 2, 2, 3, 3], [1, 2, 3, 1, 2, 3, 1, 3]
    >>> labels = CrowdLabels.from_codes(item, annotator, [0, 0, 1, 1, 1, 0, 0, 1], n_values=2)
    >>> majority_vote(labels).value.tolist(), weighted_vote(labels).value.tolist()
    ([0, 1, -1], [0, 1, 0])
    """
    labels.check_skill_can_be_told()
    best = majority_vote(labels).is_best
    is_right = best[labels.item, labels.value] / best.sum(axis=1)[labels.item]
    size = labels.n_annotators
    n_right = np.bincount(labels.annotator, weights=is_right, minlength=size)
    accuracy: FloatArray = n_right / np.bincount(labels.annotator, minlength=size)
    return _voted("weighted_vote", "none", labels, labels.share_votes(accuracy), accuracy)


def _voted(method: str, priors: str, labels: CrowdLabels, shares: FloatArray, accuracy: FloatArray | None) -> Consensus:
    return Consensus(
        method=method,
        priors=priors,
        item_ids=labels.item_ids,
        annotator_ids=labels.annotator_ids,
        posterior=shares,
        accuracy=accuracy,
    )
