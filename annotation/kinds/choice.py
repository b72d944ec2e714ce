"""One choice out of a list, possibly nested: the answer is the value of a leaf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import choice_tree
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Parts, Question
from annotation.plain_text import quote

NAME = "choice"
KEYS = frozenset({"choices"})
LEVEL = "nominal"
COLUMN = "choice"
PARTS: frozenset[str] = frozenset()
FORM = (FormField("choices", _lazy("Choices"), "choices"),)
MANY_LEAVES = 30  # more than can be overlooked


def compile_question(raw: Question, previous: Question | None) -> Question:
    """See `choice_tree.compile_choices`."""
    return choice_tree.compile_choices(raw, previous)


def show_question(question: Question) -> Question:
    """Return `{"choices": [...]}` as sent."""
    return {"choices": choice_tree.show_choices(question["choices"])}


def find_breaks(old: Question, new: Question) -> list[str]:
    """A choice that left, or became a branch, breaks; a new one, a new text, key or place does not."""
    return choice_tree.find_choice_breaks(old, new)


def domain(question: Question) -> dict[str, int]:
    """Return leaf value -> choice id."""
    return {leaf["value"]: leaf["id"] for leaf in choice_tree.leaves(question["choices"])}


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept the value of a leaf, as text."""
    code = domain(question).get(value) if isinstance(value, str) else None
    if code is None:
        raise AnswerError(
            question["name"],
            _("%(value)s is not one of the choices of this question.") % {"value": quote(value)},
        )
    return LabelValue(choice=code)


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the leaf's value; KeyError where the schema has no such id."""
    if value.choice is None:
        raise KeyError(question["name"])
    return {code: shown for shown, code in domain(question).items()}[value.choice]


def tell(question: Question, value: Any) -> str:
    """The text of the choice; of several with commas. A value that the schema does not have stays as it is."""
    texts = choice_tree.choice_texts(question)
    return ", ".join(texts.get(str(one), str(one)) for one in (value if isinstance(value, list) else [value]))


def codes(question: Question, value: LabelValue) -> tuple[int, ...]:
    """Return the choice id."""
    return () if value.choice is None else (value.choice,)


def from_codes(question: Question, codes: Sequence[int]) -> LabelValue | None:
    """Return the choice for exactly one known id, else None."""
    distinct = set(codes)
    if len(distinct) == 1 and distinct <= set(question["leaf_ids"]):
        return LabelValue(choice=distinct.pop())
    return None


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """Same id."""
    return a.choice == b.choice


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """0.0 or 1.0: choices have no order."""
    return 0.0 if a.choice == b.choice else 1.0


def render(question: Question) -> dict[str, Any]:
    """Options as `choice_tree.render_options` gives them; with many leaves the page has a field to search them."""
    return {
        "template": "annotation/kinds/choice.html",
        "widget": "search" if len(question["leaf_ids"]) > MANY_LEAVES else "buttons",
        "options": choice_tree.render_options(question["choices"]),
    }
