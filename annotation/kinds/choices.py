"""Any number of choices out of a list, possibly nested: the answer is a list of leaf values, order without meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import choice
from annotation.kinds.kind import AnswerError, LabelValue, Parts, Question
from annotation.plain_text import quote

NAME = "choices"
KEYS = frozenset({"choices"})
LEVEL = "nominal"
COLUMN = "choices"
PARTS: frozenset[str] = frozenset()
FORM = choice.FORM

compile_question = choice.compile_question
show_question = choice.show_question
find_breaks = choice.find_breaks
domain = choice.domain
tell = choice.tell


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a list of distinct leaf values. [] says "none of them"; a required question wants at least one."""
    name = question["name"]
    if not isinstance(value, list):
        raise AnswerError(name, _("The answer must be a list of choices."))
    known = domain(question)
    unknown = [one for one in value if not isinstance(one, str) or one not in known]
    if unknown:
        sentence = _("%(value)s is not one of the choices of this question.")
        raise AnswerError(name, sentence % {"value": quote(unknown[0])})
    ids = sorted({known[one] for one in value})
    if len(ids) < len(value):
        raise AnswerError(name, _("A choice stands there twice."))
    if not ids and question["required"]:
        raise AnswerError(name, _("Choose at least one."))
    return LabelValue(choices=ids)


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the values in schema order; KeyError where the schema lacks one of the ids."""
    if value.choices is None:
        raise KeyError(question["name"])
    wanted = set(value.choices)
    unknown = wanted - set(question["leaf_ids"])
    if unknown:
        raise KeyError(min(unknown))
    return [shown for shown, code in domain(question).items() if code in wanted]


def codes(question: Question, value: LabelValue) -> tuple[int, ...]:
    """Return the ids of all that were chosen, ascending; () for none."""
    return tuple(value.choices or ())


def from_codes(question: Question, codes: Sequence[int]) -> LabelValue | None:
    """Return the set of choices; None where an id is unknown, or where nothing is left of a required question."""
    distinct = sorted(set(codes))
    if not set(distinct) <= set(question["leaf_ids"]) or (question["required"] and not distinct):
        return None
    return LabelValue(choices=distinct)


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """The same set."""
    return set(a.choices or ()) == set(b.choices or ())


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """Jaccard distance, 1 - |both| / |either|; 0.0 for two empty answers."""
    left, right = set(a.choices or ()), set(b.choices or ())
    either = left | right
    return 1.0 - len(left & right) / len(either) if either else 0.0


def render(question: Question) -> dict[str, Any]:
    """As for `choice`, with its own template."""
    return choice.render(question) | {"template": "annotation/kinds/choices.html"}
