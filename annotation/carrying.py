"""What answers given under one version of a label schema become under the next, breaking one.

A breaking version comes with a map. Question by question, a label of an answer is *kept* (the same value), *mapped* (to
another one), *dropped* (its question left, or is no longer asked of this item) or *asked* again; a question that became
required and has no answer is asked too. One label asked again asks the whole answer again: an answer is valid as a
whole or not at all. Nothing here reads the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from annotation.kinds import KINDS, LabelValue, Question
from annotation.schema import Compiled, asked, carry_value, validate_map


class Fate(StrEnum):
    """What becomes of one label."""

    KEPT = "kept"
    MAPPED = "mapped"
    DROPPED = "dropped"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Step:
    """One question on its way. `new` is None where it left; an untouched one keeps every value, listed or not."""

    old: Question
    new: Question | None
    codes: Mapping[int, int | None]
    is_untouched: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """The way from one version to the next: a step for each question of the old one, by its id."""

    new: Compiled
    steps: Mapping[int, Step]


@dataclass(frozen=True, slots=True)
class Carried:
    """One answer after the passage: its values by question id, and what became of each label.

    `fates` also holds the questions that have no label and need one (asked).
    """

    values: dict[int, LabelValue]
    fates: dict[int, Fate]

    @property
    def is_asked_again(self) -> bool:
        """Whether the answer does not stand under the new version."""
        return Fate.ASKED in self.fates.values()

    @property
    def is_changed(self) -> bool:
        """Whether anything is not as it was given."""
        return any(fate != Fate.KEPT for fate in self.fates.values())


def make_passage(old: Compiled, new: Compiled, raw_map: object) -> Passage:
    """The passage that a map describes. Raises MapError where it is not complete or not valid."""
    codes = validate_map(old, new, raw_map)
    after = {question["id"]: question for question in new["questions"]}
    return Passage(
        new,
        {
            question["id"]: _make_step(question, after.get(question["id"]), codes[question["id"]])
            for question in old["questions"]
        },
    )


def _make_step(old: Question, new: Question | None, codes: Mapping[int, int | None]) -> Step:
    # Ids last: a value that maps to its own code is the same value.
    is_untouched = (
        new is not None
        and new["kind"] == old["kind"]
        and not KINDS[old["kind"]].find_breaks(old, new)
        and all(code == target for code, target in codes.items())
    )
    return Step(old, new, codes, is_untouched)


def carry(passage: Passage, values: Mapping[int, LabelValue]) -> Carried:
    """Take one answer through a passage.

    `values` are by question id. Of an untouched question a value may be an empty LabelValue that only says that there
    is one; labels of questions that the old version does not have are dropped.
    """
    kept: dict[int, LabelValue] = {}
    fates: dict[int, Fate] = {}
    for question_id, value in values.items():
        step = passage.steps.get(question_id)
        if step is None or step.new is None:
            fates[question_id] = Fate.DROPPED
            continue
        carried = value if step.is_untouched else carry_value(step.old, step.new, step.codes, value)
        if carried is None:
            fates[question_id] = Fate.ASKED
        else:
            kept[question_id] = carried
            fates[question_id] = Fate.KEPT if carried == value else Fate.MAPPED
    _look_at_asked(passage.new, kept, fates)
    return Carried(kept, fates)


def _look_at_asked(new: Compiled, kept: dict[int, LabelValue], fates: dict[int, Fate]) -> None:
    """Drop what is no longer asked, and note what is asked, required and has no value."""
    open_ids = asked(new, kept)
    unsure = {question_id for question_id, fate in fates.items() if fate == Fate.ASKED}
    for question in new["questions"]:
        question_id, when = question["id"], question["when"]
        if when is not None and when["question_id"] in unsure:
            unsure.add(question_id)  # whether it is asked is said by the new answer
        elif question_id not in open_ids:
            if kept.pop(question_id, None) is not None:
                fates[question_id] = Fate.DROPPED
        elif question["required"] and question_id not in fates:
            fates[question_id] = Fate.ASKED


def carry_decision(passage: Passage, values: Mapping[int, LabelValue]) -> Carried:
    """As `carry`, for what a reviewer decided: of a decision no text is required, as nobody votes on texts."""
    result = carry(passage, values)
    texts = {question["id"] for question in passage.new["questions"] if KINDS[question["kind"]].COLUMN == "text"}
    asked_again = {number for number, fate in result.fates.items() if fate == Fate.ASKED}
    return Carried(
        result.values,
        {number: fate for number, fate in result.fates.items() if number not in texts & asked_again},
    )


def carry_through(passages: Iterable[Passage], values: Mapping[int, LabelValue]) -> Carried:
    """Take one answer through several passages, oldest first; through none it stays as it is."""
    result = Carried(dict(values), dict.fromkeys(values, Fate.KEPT))
    for passage in passages:
        step = carry(passage, result.values)
        fates = result.fates | {
            question_id: fate
            for question_id, fate in step.fates.items()
            if fate != Fate.KEPT or question_id not in result.fates
        }
        result = Carried(step.values, fates)
        if result.is_asked_again:
            break
    return result
