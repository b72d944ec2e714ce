"""One fit of the posterior rule: which method these labels deserve, and the annotators' skills under it.

Needs scipy (the `ml` extra), as the methods do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reviewers.algorithms.consensus_choice import Choice, choose_method
from reviewers.algorithms.crowd import LEAST_ITEMS, Consensus, CrowdLabels
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.mace import mace
from reviewers.algorithms.one_coin import one_coin
from reviewers.algorithms.posterior import Skills, skills_from
from reviewers.algorithms.voter import MODEL, ModelAnswers, VoterWorth, add_answers, tell_worth

Asked = Literal["evidence", "one_coin", "mace", "dawid_skene"]


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
        Of the model too, where it counts. None where the vote is as much as can be had.
    consensus : Consensus or None
        The fit itself, of the items that teach.
    labels : CrowdLabels
        Those labels: of items with two or more, or with gold; a model's answers among them, where it counts.
    held_out : mapping of str to float
        As in `Choice`; empty where nothing was compared.
    n_held_out : int
    voter : VoterWorth or None
        What the model is worth, where one was asked and counts.
    voter_refusal : str
        Why the model that was asked does not count, for people; empty where it does, or none was asked.
    """

    method: str
    reason: str
    labels: CrowdLabels
    skills: Skills | None = None
    consensus: Consensus | None = None
    held_out: Mapping[str, float] = field(default_factory=dict)
    n_held_out: int = 0
    voter: VoterWorth | None = None
    voter_refusal: str = ""


def fit_skills(
    labels: CrowdLabels,
    asked: Asked = "evidence",
    *,
    least_items: int = LEAST_ITEMS,
    model: ModelAnswers | None = None,
    gold: Mapping[int, int] | None = None,
) -> SkillFit:
    """Fit the method that was asked for, or the one that the evidence is for.

    Parameters
    ----------
    labels : CrowdLabels
        People's; any, empty too. Items with one label and no gold tell nothing of anybody, and are left out: while
        people are still at work most items may be such.
    asked : {"evidence", "one_coin", "mace", "dawid_skene"}
        ``"evidence"``: as `choose_method` says. Where it is for the vote, all people get one accuracy together.
    least_items : int
        With fewer items of people's that teach there is no fit, and with fewer that a model can be compared on the
        model does not count.
    model : ModelAnswers, optional
        One more voter. Its answers teach on the same items as people's, and on those of `gold`: one person's answer
        beside the model's does not tell which of them is wrong.
    gold : mapping of int to int, optional
        Known values by item id, of items too that nobody has labelled: they show what the model is worth.

    Raises
    ------
    ValueError
        If no method has that name.
    """
    if asked != "evidence" and asked not in _METHODS:
        raise ValueError(f"no method is called {asked!r}; there are evidence, {', '.join(_METHODS)}")
    taught = labels.that_teach()
    if taught.n_items < least_items:
        items = f"{taught.n_items} items have two answers or are known"
        return SkillFit(method="majority", reason=f"{items}, {least_items} are needed", labels=taught)
    refusal = ""
    if model is not None:
        model = model.about(np.concatenate([taught.item_ids, np.array(list(gold or {}), np.int64)]))
        if len(model.item) < least_items:
            refusal = (
                f"it has answered {len(model.item)} of the items that have two answers or are known,"
                f" {least_items} are needed"
            )
            model = None
        else:
            taught = add_answers(taught, model, gold)
    unfit = taught.find_unfitness()
    if unfit is not None:
        return SkillFit(method="majority", reason=unfit, labels=taught, voter_refusal=refusal)
    apart = () if model is None else (MODEL,)
    choice: Choice | None = None
    if asked != "evidence":
        consensus = _METHODS[asked](taught)
    else:
        choice = choose_method(taught, apart)
        if choice.method != "majority":
            consensus = _METHODS[choice.method](taught)
        elif choice.n_held_out:
            consensus = one_coin(taught, is_shared=True, apart=apart)
        else:
            return SkillFit(method="majority", reason=choice.reason, labels=taught, voter_refusal=refusal)
    return SkillFit(
        method=consensus.method,
        reason=choice.reason if choice else "the project names it",
        labels=taught,
        skills=skills_from(consensus),
        consensus=consensus,
        held_out=choice.held_out if choice else {},
        n_held_out=choice.n_held_out if choice else 0,
        voter=None if model is None else tell_worth(taught, consensus),
        voter_refusal=refusal,
    )


_METHODS: dict[str, Callable[[CrowdLabels], Consensus]] = {
    "one_coin": one_coin,
    "mace": mace,
    "dawid_skene": dawid_skene,
}
