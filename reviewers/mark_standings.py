"""How the marks of an item stand: which are agreed on, and how many people drew each. For pages; nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import Question
from annotation.kinds.marks import exact, find_corners
from annotation.schema import Compiled
from reviewers.algorithms.consensus import Rule
from reviewers.algorithms.mark_votes import Mark, group_marks, settle_groups

Row = dict[str, Any]


@dataclass(frozen=True)
class Standings:
    """What the vote makes of the marks of some answers.

    Attributes
    ----------
    answers : mapping of str to list of dict
        The marks of each answer, by its annotation, each with `standing`: "" where it is agreed on, else how many drew
        it, in words.
    agreed : list of dict
        The marks that are agreed on, as callers send them. They need not be an answer that the question takes.
    """

    answers: Mapping[str, list[Row]]
    agreed: list[Row]


def find_standings(compiled: Compiled, answers: Sequence[Row], rule: Mapping[str, Any]) -> dict[str, Standings]:
    """Put the marks of an item's answers to the vote: question name -> what comes of it, for questions about marks.

    `answers` are `{"annotation", "answers": {question name: as callers send it}}`; `rule` is the project's.
    """
    found = {}
    for question in compiled["questions"]:
        name = question["name"]
        said = {answer["annotation"]: answer["answers"][name] for answer in answers if name in answer["answers"]}
        if "least_overlap" in question and said:
            found[name] = _find_standing(question, said, "unanimous" if rule["kind"] == "unanimous" else "majority")
    return found


def _find_standing(question: Question, said: Mapping[str, Sequence[Row]], rule: Rule) -> Standings:
    sent = [mark for answer in said.values() for mark in answer]
    marks = [Mark(one["part"], *corners, one["label"]) for one, corners in zip(sent, find_corners(sent), strict=True)]
    rest = iter(marks)
    answers = {annotation: [next(rest) for _mark in answer] for annotation, answer in said.items()}
    least = question["least_overlap"]
    groups = group_marks(list(answers.values()), None if least is None else exact(least))
    verdicts = settle_groups(groups, len(said), rule)
    standings: dict[Mark, str] = {}
    for group, (is_in, _n_for) in zip(groups, verdicts, strict=True):
        told = "" if is_in else _("%(n)d of %(of)d") % {"n": len(group.voters), "of": len(said)}
        standings |= dict.fromkeys(group.drew, told)
    as_sent = dict(zip(marks, sent, strict=True))
    return Standings(
        {
            annotation: [as_sent[mark] | {"standing": standings[mark]} for mark in answer]
            for annotation, answer in answers.items()
        },
        [as_sent[group.mark] for group, (is_in, _n_for) in zip(groups, verdicts, strict=True) if is_in],
    )
