"""What answers come to under skills that were found before: the posterior rule, over arrays.

A submit weighs one item the same way in SQL (`reviewers/sql/posterior.sql`); the tests hold the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray, IntArray

_BLOCK_CELLS = 4_000_000  # log chances looked at at a time: 32 MB


@dataclass(frozen=True, eq=False)
class Skills:
    """How annotators answer.

    Attributes
    ----------
    annotator_ids : ndarray of int64, (n_annotators,)
        Ascending; -1 is an outside model (`reviewers/algorithms/voter.py`).
    log_prior : ndarray, (n_values,)
        Natural log of how common each value is; finite, so that a value nobody has seen yet can still be true.
    log_chances : ndarray, (n_annotators, n_values, n_values)
        ``[a, k, j]``: log chance that a says k where j is true.
    stranger : ndarray, (n_values, n_values)
        The same for somebody who is not among them: all annotators together.
    """

    annotator_ids: IntArray
    log_prior: FloatArray
    log_chances: FloatArray
    stranger: FloatArray


def skills_from(consensus: Consensus) -> Skills:
    """What a fit found about the annotators, ready to weigh further answers by.

    Each value counts as having been seen on one item before any, so that no value is impossible. A stranger is what all
    people are together, each by the evidence that there is; where there is none, their mean. A model is no person.

    Raises
    ------
    ValueError
        If the consensus tells nobody's skill (a vote).
    """
    if consensus.confusion is None or consensus.class_prior is None or consensus.evidence is None:
        raise ValueError(f"{consensus.method} says nothing of the annotators")
    n_items, n_values = consensus.posterior.shape
    prior = (consensus.class_prior * n_items + 1) / (n_items + n_values)
    is_person = consensus.annotator_ids >= 0
    evidence, confusion = consensus.evidence[is_person], consensus.confusion[is_person]
    weight = evidence.sum(axis=0)
    mean = confusion.mean(axis=0)
    pooled = np.einsum("aj,ajk->jk", evidence, confusion) + mean
    stranger = pooled / (weight + 1)[:, np.newaxis]
    with np.errstate(divide="ignore"):
        log_chances = np.log(consensus.confusion).transpose(0, 2, 1)
        log_stranger = np.log(stranger).T
    return Skills(consensus.annotator_ids, np.log(prior), np.ascontiguousarray(log_chances), log_stranger.copy())


def weigh(labels: CrowdLabels, skills: Skills) -> FloatArray:
    """Posterior of each item, (n_items, n_values), rows summing to 1.

    Gold in the labels is not looked at. Annotators who are not in the skills count as strangers.

    Raises
    ------
    ValueError
        If labels and skills know different numbers of values.

    Examples
    --------
    >>> sure, odd = np.log([[0.9, 0.1], [0.1, 0.9]]), np.log([[0.5, 0.5], [0.5, 0.5]])
    >>> skills = Skills(np.array([1, 2]), np.log([0.5, 0.5]), np.array([sure, odd]), odd)
    >>> weigh(CrowdLabels.from_codes([7, 7, 8], [1, 2, 3], [0, 1, 1], 2), skills).round(6).tolist()
    [[0.9, 0.1], [0.5, 0.5]]
    """
    n_values = labels.n_values
    if skills.log_prior.shape != (n_values,):
        raise ValueError(f"skills for {len(skills.log_prior)} values cannot weigh labels of {n_values}")
    tables = np.concatenate([skills.log_chances, skills.stranger[np.newaxis]])
    at = np.searchsorted(skills.annotator_ids, labels.annotator_ids)
    at_known = np.minimum(at, max(0, len(skills.annotator_ids) - 1))
    is_known = np.zeros(len(at), bool)
    if len(skills.annotator_ids):
        is_known = skills.annotator_ids[at_known] == labels.annotator_ids
    table_of = np.where(is_known, at_known, len(tables) - 1)
    posterior = np.empty((labels.n_items, n_values))
    step = max(1, _BLOCK_CELLS // n_values)
    first = 0
    while first < labels.n_items:
        begin = int(labels.start[first])
        last = max(first + 1, int(np.searchsorted(labels.start, begin + step, side="right")) - 1)
        end = int(labels.start[last])
        said = tables[table_of[labels.annotator[begin:end]], labels.value[begin:end]]
        scores = skills.log_prior + np.add.reduceat(said, labels.start[first:last] - begin, axis=0)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        posterior[first:last] = scores / scores.sum(axis=1, keepdims=True)
        first = last
    return posterior
