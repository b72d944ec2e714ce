"""Expectation-maximisation over the true value of each item, shared by every model of how annotators err.

A model says how a skill becomes the chance of each label under each truth, and how a skill is estimated from expected
counts. What is here does the rest: items' posteriors, gold, log-likelihood, when to stop.

Needs scipy (the `ml` extra): the labels are a sparse matrix of items x (annotator, label), one 1 per label. Its product
with the log chances scores the items; its transpose's product with the posteriors gives the expected counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray

S = TypeVar("S")

# A block's scores stay in the processor's cache. Lanes are summed in a fixed order, so that the number of processors
# cannot change a result.
_BLOCK_LABELS = 50_000
_LANES = 4


class SkillModel(Protocol[S]):
    """How annotators err: `S` is what is estimated about them."""

    def estimate(self, counts: FloatArray, before: S | None) -> S:
        """The skill that explains the expected counts best, priors included (the M step).

        `counts` is (n_values, n_annotators, n_values): ``[j, a, k]`` how often a said k where j is expected true.
        `before` is the skill under which they were counted; None at the start, where the votes were counted.
        """

    def chances(self, skill: S) -> FloatArray:
        """Chance of each label, in the shape of the counts; sums to 1 over the last axis."""

    def log_density(self, skill: S) -> float:
        """Log of the priors' density at the skill, up to a constant; 0 where there are no priors."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """What came out, for a method to name: see `Consensus`."""

    posterior: FloatArray
    class_prior: FloatArray
    chances: FloatArray
    counts: FloatArray
    log_likelihood: tuple[float, ...]
    is_converged: bool


def fit_truth(
    labels: CrowdLabels,
    model: SkillModel[S],
    *,
    tolerance: float,
    max_iterations: int,
    is_prior_uniform: bool = False,
) -> Fit:
    """Alternate between what is true and who is good at it, from the votes' shares on, until nothing is gained.

    Parameters
    ----------
    labels : CrowdLabels
    model : SkillModel
    tolerance : float
        Stop once an iteration gains less log-likelihood per label than this; 0 or more.
    max_iterations : int
        At least 1. The fit says whether it stopped before.
    is_prior_uniform : bool
        Take every value as equally common, instead of estimating how common it is.

    Returns
    -------
    Fit
        The posterior is the one under the class prior and chances returned, and the counts are its counts.

    Raises
    ------
    UnfitLabelsError
        If there are no labels, only one class occurs, or no item has two labels or gold.
    ValueError
        If a number above is out of its range.
    """
    if tolerance < 0 or max_iterations < 1:
        raise ValueError("tolerance cannot be negative, and there is at least 1 iteration")
    labels.check_skill_can_be_told()
    posterior = np.ascontiguousarray(labels.share_votes().T)
    lanes = _make_lanes(labels, posterior)
    trace: list[float] = []
    is_converged = False
    shape = (labels.n_values, labels.n_annotators, labels.n_values)
    with _mapper(len(lanes)) as map_lanes, np.errstate(divide="ignore"):  # log 0 is what it should be: -inf
        counts = _total(map_lanes(_Lane.count, lanes)).reshape(shape)
        skill: S | None = None
        while not is_converged and len(trace) < max_iterations:
            skill = model.estimate(counts, skill)
            chances = model.chances(skill)
            class_prior = np.ones(len(posterior)) if is_prior_uniform else posterior.sum(axis=1)
            class_prior /= class_prior.sum()
            log_chances = np.ascontiguousarray(np.log(chances).reshape(len(chances), -1).T)
            weigh = partial(_Lane.weigh, log_chances=log_chances, log_prior=np.log(class_prior))
            trace.append(float(sum(map_lanes(weigh, lanes)) + model.log_density(skill)))
            counts = _total(map_lanes(_Lane.count, lanes)).reshape(shape)
            is_converged = len(trace) > 1 and trace[-1] - trace[-2] < tolerance * labels.n_labels
    return Fit(
        posterior=np.ascontiguousarray(posterior.T),
        class_prior=class_prior,
        chances=chances,
        counts=counts,
        log_likelihood=tuple(trace),
        is_converged=is_converged,
    )


def consensus_from(fit: Fit, labels: CrowdLabels, method: str, priors: str) -> Consensus:
    """A fit under its method's name."""
    right = np.einsum("jaj->aj", fit.chances)
    return Consensus(
        method=method,
        priors=priors,
        item_ids=labels.item_ids,
        annotator_ids=labels.annotator_ids,
        posterior=fit.posterior,
        class_prior=fit.class_prior,
        accuracy=right @ fit.class_prior,
        confusion=np.ascontiguousarray(fit.chances.transpose(1, 0, 2)),
        evidence=np.ascontiguousarray(fit.counts.sum(axis=2).T),
        log_likelihood=fit.log_likelihood,
        is_converged=fit.is_converged,
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """A run of items: who said what of them, the posteriors (a view into all), and those that are known."""

    votes: Any  # scipy's sparse arrays carry no types
    votes_by_cell: Any
    posterior: FloatArray
    gold_at: NDArray[np.int64]
    gold: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Lane:
    """The blocks that one thread takes in turn."""

    blocks: tuple[_Block, ...]
    n_cells: int

    def weigh(self, log_chances: FloatArray, log_prior: FloatArray) -> float:
        """Set the posteriors to what the chances, (n_cells, n_values), make of the labels (the E step).

        Returns the log-likelihood.
        """
        gained = 0.0
        for block in self.blocks:
            scores = block.posterior
            scores[...] = (block.votes @ log_chances).T  # all truths in one: a label is looked up once
            scores += log_prior[:, np.newaxis]
            if len(block.gold):
                kept = scores[block.gold, block.gold_at]
                scores[:, block.gold_at] = -np.inf
                scores[block.gold, block.gold_at] = kept
            top = scores.max(axis=0)
            scores -= top
            np.exp(scores, out=scores)
            total = scores.sum(axis=0)
            scores /= total
            gained += float(top.sum() + np.log(total).sum())
        return gained

    def count(self) -> FloatArray:
        """Expected labels of each cell (annotator, label) under each truth, (n_values, n_cells)."""
        counts = np.zeros((self.n_cells, len(self.blocks[0].posterior)))
        for block in self.blocks:
            counts += block.votes_by_cell @ np.ascontiguousarray(block.posterior.T)
        return np.ascontiguousarray(counts.T)


def _make_lanes(labels: CrowdLabels, posterior: FloatArray) -> list[_Lane]:
    n_cells = labels.n_annotators * labels.n_values
    cell = (labels.annotator.astype(np.int64) * labels.n_values + labels.value).astype(
        np.int32 if n_cells < 2**31 else np.int64
    )
    ones = np.ones(labels.n_labels)
    # With very many annotators a block's counts cost more than its labels, unless it grows with them.
    wanted = max(_BLOCK_LABELS, n_cells)
    n_lanes = _LANES if labels.n_labels >= _LANES * wanted else 1
    blocks_a_lane = max(1, round(labels.n_labels / (n_lanes * wanted)))
    marks = np.linspace(0, labels.n_labels, n_lanes * blocks_a_lane + 1)
    bounds = np.unique(np.searchsorted(labels.start, marks.astype(np.int64)))
    blocks = [
        _make_block(labels, posterior, cell, ones, n_cells, int(first), int(last)) for first, last in pairwise(bounds)
    ]
    step = -(-len(blocks) // n_lanes)
    return [_Lane(tuple(blocks[at : at + step]), n_cells) for at in range(0, len(blocks), step)]


def _make_block(
    labels: CrowdLabels,
    posterior: FloatArray,
    cell: NDArray[Any],
    ones: FloatArray,
    n_cells: int,
    first: int,
    last: int,
) -> _Block:
    begin, end = int(labels.start[first]), int(labels.start[last])
    start = (labels.start[first : last + 1] - begin).astype(cell.dtype)
    votes = sparse.csr_array((ones[begin:end], cell[begin:end], start), shape=(last - first, n_cells))
    gold = labels.gold[first:last]
    gold_at = np.flatnonzero(gold >= 0)
    return _Block(votes, votes.T, posterior[:, first:last], gold_at, gold[gold_at])


def _total(parts: list[FloatArray]) -> FloatArray:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


Mapper = Callable[[Callable[[_Lane], Any], list[_Lane]], list[Any]]


@contextmanager
def _mapper(n_lanes: int) -> Iterator[Mapper]:
    """A map over lanes, in threads where there is more than one; numpy and scipy let go of the interpreter's lock."""
    if n_lanes == 1:
        yield lambda work, lanes: [work(lane) for lane in lanes]
        return
    with ThreadPoolExecutor(min(n_lanes, os.cpu_count() or 1)) as pool:
        yield lambda work, lanes: list(pool.map(work, lanes))
