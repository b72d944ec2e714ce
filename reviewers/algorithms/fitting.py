"""One fit of the posterior rule: which method these labels deserve, and the annotators' skills under it.

Needs scipy (the `ml` extra), as the methods do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from reviewers.algorithms.consensus_choice import choose_method
from reviewers.algorithms.crowd import Consensus, CrowdLabels
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.mace import mace
from reviewers.algorithms.one_coin import one_coin
from reviewers.algorithms.posterior import Skills, skills_from

Asked = Literal["evidence", "one_coin", "mace", "dawid_skene"]

# Skills told from fewer items move with every answer, and so would what is accepted by them.
LEAST_ITEMS = 50


@dataclass(frozen=True, kw_only=True)
class SkillFit:
    """What came of a fit.

    Attributes
    ----------
    method : str
        Whose skills these are: ``"one_coin"``, ``"mace"``, ``"dawid_skene"``, ``"shared_coin"`` (one accuracy for all:
        a vote with probabilities), or ``"majority"`` where there are none.
    reason : str
        Why this method, for people.
    skills : Skills or None
        None where the vote is as much as can be had.
    consensus : Consensus or None
        The fit itself, of the items that teach.
    labels : CrowdLabels
        Those labels: of items with two or more, or with gold.
    held_out : mapping of str to float
        As in `Choice`; empty where nothing was compared.
    n_held_out : int
    """

    method: str
    reason: str
    labels: CrowdLabels
    skills: Skills | None = None
    consensus: Consensus | None = None
    held_out: Mapping[str, float] = field(default_factory=dict)
    n_held_out: int = 0


def fit_skills(labels: CrowdLabels, asked: Asked = "evidence", *, least_items: int = LEAST_ITEMS) -> SkillFit:
    """Fit the method that was asked for, or the one that the evidence is for.

    Parameters
    ----------
    labels : CrowdLabels
        Any, empty too. Items with one label and no gold tell nothing of anybody, and are left out: while people are
        still at work most items may be such.
    asked : {"evidence", "one_coin", "mace", "dawid_skene"}
        ``"evidence"``: as `choose_method` says. Where it is for the vote, all get one accuracy together.
    least_items : int
        With fewer items that teach there is no fit.

    Raises
    ------
    ValueError
        If no method has that name.
    """
    if asked != "evidence" and asked not in _METHODS:
        raise ValueError(f"no method is called {asked!r}; there are evidence, {', '.join(_METHODS)}")
    taught = _that_teach(labels)
    if taught.n_items < least_items:
        items = f"{taught.n_items} items have two answers or are known"
        return SkillFit(method="majority", reason=f"{items}, {least_items} are needed", labels=taught)
    unfit = taught.find_unfitness()
    if unfit is not None:
        return SkillFit(method="majority", reason=unfit, labels=taught)
    if asked != "evidence":
        consensus = _METHODS[asked](taught)
        return SkillFit(
            method=asked,
            reason="the project names it",
            labels=taught,
            skills=skills_from(consensus),
            consensus=consensus,
        )
    choice = choose_method(taught)
    if choice.method != "majority":
        consensus = _METHODS[choice.method](taught)
    elif choice.n_held_out:
        consensus = one_coin(taught, is_shared=True)
    else:
        return SkillFit(method="majority", reason=choice.reason, labels=taught)
    return SkillFit(
        method=consensus.method,
        reason=choice.reason,
        labels=taught,
        skills=skills_from(consensus),
        consensus=consensus,
        held_out=choice.held_out,
        n_held_out=choice.n_held_out,
    )


_METHODS: dict[str, Callable[[CrowdLabels], Consensus]] = {
    "one_coin": one_coin,
    "mace": mace,
    "dawid_skene": dawid_skene,
}


def _that_teach(labels: CrowdLabels) -> CrowdLabels:
    """Without the items that have one label and no gold, and without annotators who are left with none."""
    n_labels = np.diff(labels.start)
    teaches = (n_labels >= 2) | (labels.gold >= 0)
    if teaches.all():
        return labels
    is_kept = teaches[labels.item]
    annotators, annotator = np.unique(labels.annotator[is_kept], return_inverse=True)
    return replace(
        labels,
        item_ids=labels.item_ids[teaches],
        annotator_ids=labels.annotator_ids[annotators],
        start=np.concatenate([[0], np.cumsum(n_labels[teaches])]).astype(np.int64),
        annotator=annotator.astype(np.int32),
        value=labels.value[is_kept],
        gold=labels.gold[teaches],
    )
