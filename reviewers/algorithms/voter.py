"""An outside model as one more voter: its answers beside the annotators' labels, and what it was found to be worth.

CROWDLAB (Goh, Tkachenko and Mueller 2022, arXiv:2210.06812) likewise counts a classifier as one more annotator, weighed
by its agreement with people. It takes the classifier's probabilities as well; here only its likeliest value counts, as
a person's answer does: answers put into bins by how sure the model is were no better (`docs/consensus.md` has figures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reviewers.algorithms.crowd import Consensus, CrowdLabels, IntArray
from reviewers.algorithms.intervals import wilson

MODEL = -1  # the model's id among the annotators; people's are not negative
# Where one person's answer is enough beside the model's, one item in so many is people's alone: see `is_checked`.
CHECKED_ONE_IN = 5


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """What a model says: `item`, ids, each once, in any order; `value`, the code of its likeliest value. (n_items,)."""

    item: IntArray
    value: IntArray

    def only(self, is_kept: NDArray[np.bool_]) -> ModelAnswers:
        """Some of the answers, (n_items,)."""
        return ModelAnswers(self.item[is_kept], self.value[is_kept])

    def about(self, item_ids: IntArray) -> ModelAnswers:
        """The answers about these items."""
        return self.only(np.isin(self.item, item_ids))

    def values_on(self, item_ids: IntArray) -> IntArray:
        """The value that it says of each of these items, -1 where it says nothing."""
        order = np.argsort(self.item)
        at = np.searchsorted(self.item, item_ids, sorter=order)
        found = np.full(len(item_ids), -1)
        is_inside = at < len(order)
        places = order[at[is_inside]]
        found[is_inside] = np.where(self.item[places] == item_ids[is_inside], self.value[places], -1)
        return found


@dataclass(frozen=True, kw_only=True)
class VoterWorth:
    """What a fit found a model's vote to be worth.

    Attributes
    ----------
    accuracy : float
        How often it is right, 0 to 1, on the items it was compared on.
    interval : (float, float)
        95 %, with the doubt about the items' true values.
    n_items : int
        Items on which it was compared: those with its answer and two people's, and known ones.
    n_annotators, n_known : int
        The people who answered these items, and how many of the items are known.
    """

    accuracy: float
    interval: tuple[float, float]
    n_items: int
    n_annotators: int
    n_known: int


def is_checked(item_ids: IntArray) -> NDArray[np.bool_]:
    """The items by which people and model are judged where one answer beside the model's is enough elsewhere.

    Elsewhere a second person is asked where the model says something else, so that what people say of one another
    there speaks of hard items; and from one person and a model nobody can tell which of them is wrong: a fit of those
    takes the model for better than it is (`docs/consensus.md` has figures). These items are drawn by their ids, which
    are random; the model's answer on them is not counted, and so changes nothing of how many people are asked.
    """
    found: NDArray[np.bool_] = item_ids % CHECKED_ONE_IN == 0
    return found


def add_answers(labels: CrowdLabels, answers: ModelAnswers, gold: Mapping[int, int] | None = None) -> CrowdLabels:
    """The labels with the model's answers among them, on items with a label and on those of `gold`.

    Gold of the labels stays, whatever `gold` holds.

    Examples
    --------
    >>> labels = CrowdLabels.from_codes([7, 7, 8], [1, 2, 1], [0, 1, 1], 2)
    >>> both = add_answers(labels, ModelAnswers(np.array([8, 7, 9]), np.array([0, 1, 1])))
    >>> both.item_ids[both.item].tolist(), both.annotator_ids[both.annotator].tolist(), both.value.tolist()
    ([7, 7, 7, 8, 8], [-1, 1, 2, -1, 1], [1, 0, 1, 0, 1])
    """
    is_known = labels.gold >= 0
    own = zip(labels.item_ids[is_known].tolist(), labels.gold[is_known].tolist(), strict=True)
    known = {**(gold or {}), **dict(own)}
    wanted = answers.about(np.concatenate([labels.item_ids, np.array(list(known), np.int64)]))
    return CrowdLabels.from_codes(
        np.concatenate([labels.item_ids[labels.item], wanted.item]),
        np.concatenate([labels.annotator_ids[labels.annotator], np.full(len(wanted.item), MODEL)]),
        np.concatenate([labels.value, wanted.value]),
        labels.n_values,
        gold=known,
    )


def tell_worth(labels: CrowdLabels, consensus: Consensus) -> VoterWorth:
    """What the model's answers among these labels are worth, by the fit of them; there must be one.

    Notes
    -----
    The expected share of right answers has, beside chance, the doubt about the items' true values. The information
    that is missing by that (Louis 1982, JRSS B 44:226-233) leaves ``n * var(h) / (p * (1 - p))`` items' worth, where h
    is the probability that an answer is right and p its mean; Wilson's interval is of so many.
    """
    is_model = labels.annotator_ids[labels.annotator] == MODEL
    at = labels.item[is_model]
    right = consensus.posterior[at, labels.value[is_model]]
    n, share = len(right), float(right.mean())
    spread = share * (1 - share)
    told = n * min(1.0, float(right.var()) / spread) if spread > 1e-12 else float(n)
    is_beside = np.zeros(labels.n_items, bool)
    is_beside[at] = True
    return VoterWorth(
        accuracy=share,
        interval=wilson(share * told, told),
        n_items=n,
        n_annotators=len(np.unique(labels.annotator[is_beside[labels.item] & ~is_model])),
        n_known=int((labels.gold[at] >= 0).sum()),
    )
