"""Which consensus method these labels deserve, chosen by evidence, with the reason.

A method that tells annotators apart needs labels to tell them by. Whether it has enough is asked of labels that it did
not see: whoever foretells them better knows more about the annotators.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
# Of few labels it matters which are hidden: they are drawn until about so many are foretold, eight times at most.
_FORETOLD, _MOST_DRAWINGS = 50_000, 8


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
        The vote where nobody's skill can be told or there are fewer than two labels per item; otherwise, of the methods
        that foretell hidden labels as well as the best one does, within one standard error, the one that supposes
        least: the vote, one accuracy each, knowledge and habit, a confusion matrix each, in this order.

    Notes
    -----
    A fifth of the items that have two labels or more hide one label each; with up to 100,000 labels that is done for
    each fifth in turn, and with few labels up to eight times. Which are hidden depends on the ids alone, so the order
    of the rows changes nothing. Other ids hide other labels; what that could turn is within the standard error, which
    is that of the mean difference over items.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees, section 3.4.3 (the rule of one
    standard error).

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
    scores, n = _foretell(labels, apart)
    if n == 0:
        return choice("majority", "no label can be hidden and foretold from the others")
    held_out: dict[str, float] = {name: float(score.mean()) for name, score in scores.items()}
    best = max(_METHODS, key=lambda name: held_out[name])
    simplest = next(name for name in _METHODS if _is_as_good(scores[name], scores[best]))
    told = ", ".join(f"{name} {value:.4f}" for name, value in held_out.items())
    reason = f"foretells {n} hidden labels best (mean log probability: {told})"
    if simplest != best:
        reason = f"foretells {n} hidden labels as well as {best}, and supposes less (mean log probability: {told})"
    return choice(simplest, reason, n, held_out)


def _is_as_good(score: FloatArray, best: FloatArray) -> bool:
    """Whether the mean loss is within its standard error. Items are counted, as the drawings of one hang together."""
    lost = best - score
    return bool(lost.mean() <= (lost.std(ddof=1) / len(lost) ** 0.5 if len(lost) > 1 else 0.0))


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


def _foretell(labels: CrowdLabels, apart: Collection[int]) -> tuple[dict[Method, FloatArray], int]:
    """Mean log probability of the hidden labels of each item that had any, by method, (n_items,); and their number."""
    n_drawings = min(_MOST_DRAWINGS, max(1, _FORETOLD // max(1, labels.n_labels)))
    sums = {name: np.zeros(labels.n_items) for name in _METHODS}
    n_hidden = np.zeros(labels.n_items, np.int64)
    for drawing in range(n_drawings):
        for at in _hide(labels, drawing):
            rest = _without(labels, at)
            # Of somebody with no other label nothing is known.
            at = at[np.bincount(rest.annotator, minlength=labels.n_annotators)[labels.annotator[at]] > 0]
            if len(at) == 0 or rest.find_unfitness() is not None:
                continue
            n_hidden[labels.item[at]] += 1
            for name, method in _METHODS.items():
                # A vote foretells nothing; one accuracy for all is a vote with probabilities.
                fit = one_coin(rest, is_shared=True, apart=apart) if name == "majority" else method(rest)
                assert fit.confusion is not None
                chance = fit.confusion[labels.annotator[at], :, labels.value[at]]
                sums[name][labels.item[at]] += np.log((fit.posterior[labels.item[at]] * chance).sum(axis=1))
    is_told = n_hidden > 0
    return {name: total[is_told] / n_hidden[is_told] for name, total in sums.items()}, int(n_hidden.sum())


def _hide(labels: CrowdLabels, drawing: int) -> Iterator[IntArray]:
    """Positions of labels to hide together, one of each item that has two: five parts, or of many labels the first."""
    draw = _mix(labels.item_ids ^ (drawing << 32))
    fold = (draw % np.uint64(_FOLDS)).astype(np.int64)
    fold[np.diff(labels.start) < 2] = -1
    hidden = _first_of_each(labels, draw)
    for number in range(_FOLDS if labels.n_labels <= _ALL_FOLDS_UP_TO else 1):
        yield hidden[fold == number]


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
