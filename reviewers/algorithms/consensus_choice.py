"""Which consensus method these labels deserve, chosen by evidence, with the reason.

A method that tells annotators apart needs labels to tell them by. Whether it has enough is asked of labels that it did
not see: whoever foretells them better knows more about the annotators.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.crowd import Consensus, CrowdLabels, FloatArray, IntArray
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.mace import mace
from reviewers.algorithms.majority import majority_vote
from reviewers.algorithms.one_coin import one_coin

Method = Literal["majority", "one_coin", "mace", "dawid_skene"]

# With fewer labels per item most items have nobody to be compared with, and a skill makes more errors than it mends.
LABELS_PER_ITEM = 2.0
_FOLDS = 5
_ALL_FOLDS_UP_TO = 100_000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen and why.

    Attributes
    ----------
    method : {"majority", "one_coin", "mace", "dawid_skene"}
    reason : str
        For people.
    labels_per_item : float
        Mean over items with a label; 0 without labels.
    shared_per_annotator : float
        Median over annotators of how many items they share with somebody; 0 without labels.
    n_held_out : int
        Labels that were hidden and foretold; 0 where no comparison was made.
    held_out : mapping of str to float
        Mean natural log of the probability given to a hidden label, at most 0, higher is better; by method, with
        ``"majority"`` for one accuracy shared by all. Empty where no comparison was made.
    """

    method: Method
    reason: str
    labels_per_item: float
    shared_per_annotator: float
    n_held_out: int = 0
    held_out: Mapping[str, float] = field(default_factory=dict)


def choose_method(labels: CrowdLabels, apart: Collection[int] = ()) -> Choice:
    """Choose between the vote and, per annotator, one accuracy, knowledge and habit, or a confusion matrix.

    Parameters
    ----------
    labels : CrowdLabels
        Any, empty too.
    apart : collection of int
        Ids of annotators who have an accuracy of their own where all others share one, as an outside model has.

    Returns
    -------
    Choice
        The vote where nobody's skill can be told or there are fewer than two labels per item; otherwise the method
        that foretells hidden labels best.

    Notes
    -----
    A fifth of the items that have two labels or more hide one label each; with up to 100,000 labels that is done for
    each fifth in turn. Which are hidden depends on the ids alone, so the order of the rows changes nothing; other ids
    hide other labels, and may turn a close choice.

    Examples
    --------
    >>> labels = CrowdLabels.from_codes([1, 2, 3], [1, 1, 2], [0, 1, 0], n_values=2)
    >>> choice = choose_method(labels)
    >>> choice.method, choice.reason
    ('majority', 'no item has two labels or a gold label')
    """
    votes = np.diff(labels.start)
    per_item = float(votes.mean()) if len(votes) else 0.0
    is_shared = (votes >= 2)[labels.item]
    shared = np.bincount(labels.annotator[is_shared], minlength=labels.n_annotators)
    per_annotator = float(np.median(shared)) if len(shared) else 0.0

    def choice(method: Method, reason: str, n: int = 0, held_out: Mapping[str, float] | None = None) -> Choice:
        return Choice(
            method=method,
            reason=reason,
            labels_per_item=per_item,
            shared_per_annotator=per_annotator,
            n_held_out=n,
            held_out=held_out or {},
        )

    unfit = labels.find_unfitness()
    if unfit is not None:
        return choice("majority", unfit)
    if per_item < LABELS_PER_ITEM:
        return choice("majority", f"{per_item:.2f} labels per item, {LABELS_PER_ITEM:g} are needed to tell skill")
    scores = _foretell(labels, apart)
    n = len(scores["majority"])
    if n == 0:
        return choice("majority", "no label can be hidden and foretold from the others")
    held_out = {name: float(score.mean()) for name, score in scores.items()}
    best = max(_METHODS, key=lambda name: held_out[name])
    told = ", ".join(f"{name} {value:.4f}" for name, value in held_out.items())
    return choice(best, f"foretells {n} hidden labels best (mean log probability: {told})", n, held_out)


def consensus_by_evidence(labels: CrowdLabels) -> tuple[Consensus, Choice]:
    """The consensus by the method that `choose_method` chooses, and the choice."""
    choice = choose_method(labels)
    return _METHODS[choice.method](labels), choice


_METHODS: dict[Method, Callable[[CrowdLabels], Consensus]] = {
    "majority": majority_vote,
    "one_coin": one_coin,
    "mace": mace,
    "dawid_skene": dawid_skene,
}


def _foretell(labels: CrowdLabels, apart: Collection[int]) -> dict[str, FloatArray]:
    """Log probability of each hidden label under each method, (n_hidden,)."""
    draw = _mix(labels.item_ids)
    fold = (draw % np.uint64(_FOLDS)).astype(np.int64)
    fold[np.diff(labels.start) < 2] = -1
    hidden = _first_of_each(labels, draw)
    scores: dict[str, list[FloatArray]] = {name: [] for name in _METHODS}
    for number in range(_FOLDS if labels.n_labels <= _ALL_FOLDS_UP_TO else 1):
        at = hidden[fold == number]
        rest = _without(labels, at)
        # Of somebody with no other label nothing is known.
        at = at[np.bincount(rest.annotator, minlength=labels.n_annotators)[labels.annotator[at]] > 0]
        if len(at) == 0 or rest.find_unfitness() is not None:
            continue
        for name, method in _METHODS.items():
            # A vote foretells nothing; one accuracy for all is a vote with probabilities.
            fit = one_coin(rest, is_shared=True, apart=apart) if name == "majority" else method(rest)
            assert fit.confusion is not None
            chance = fit.confusion[labels.annotator[at], :, labels.value[at]]
            scores[name].append(np.log((fit.posterior[labels.item[at]] * chance).sum(axis=1)))
    return {name: np.concatenate([np.zeros(0), *parts]) for name, parts in scores.items()}


def _first_of_each(labels: CrowdLabels, draw: NDArray[np.uint64]) -> IntArray:
    """Position of one label of each item, chosen by the ids of item and annotator."""
    rank = _mix((draw[labels.item] ^ _mix(labels.annotator_ids)[labels.annotator]).view(np.int64))
    order = np.lexsort((rank, labels.item))
    return order[labels.start[:-1]]


def _without(labels: CrowdLabels, at: IntArray) -> CrowdLabels:
    """The labels but those at these positions, of the same items and annotators; every item must keep one."""
    is_kept = np.ones(labels.n_labels, bool)
    is_kept[at] = False
    n_labels = np.bincount(labels.item[is_kept], minlength=labels.n_items)
    return replace(
        labels,
        start=np.concatenate([[0], np.cumsum(n_labels)]).astype(np.int64),
        annotator=labels.annotator[is_kept],
        value=labels.value[is_kept],
    )


def _mix(ids: IntArray) -> NDArray[np.uint64]:
    """Ids scattered evenly over 64 bits (Steele, Lea and Flood 2014, SplitMix64, doi:10.1145/2714064.2660195)."""
    x = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
