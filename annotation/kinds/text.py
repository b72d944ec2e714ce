"""Free text: the answer is a text, kept as it was written (never normalised).

Text may have to be erased, so that it lies apart from the labels (`AnnotationText`), and nobody votes on it: it is
there or it is not.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import uncoded
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Parts, Question, SchemaError
from annotation.kinds.own_keys import take_wholes
from annotation.plain_text import find_text_fault, quote

NAME = "text"
KEYS = frozenset({"min_length", "max_length"})
FORM = (
    FormField("min_length", _lazy("Characters at least"), "number"),
    FormField("max_length", _lazy("Characters at most"), "number", _lazy("10,000 if empty.")),
)
LEVEL = ""
COLUMN = "text"
PARTS: frozenset[str] = frozenset()
LENGTH = 10_000
MAX_LENGTH = 100_000

domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """Keep `min_length` and `max_length` where they are given: code points, 1 to 100,000."""
    own = take_wholes(raw, ("min_length", "max_length"), 1, MAX_LENGTH)
    least, most = _bounds(own)
    if least > most:
        raise SchemaError(
            _("Question %(name)s: `min_length` must not be more than `max_length`.") % {"name": quote(raw["name"])}
        )
    return own


def _bounds(question: Question) -> tuple[int, int]:
    return question.get("min_length", 1), question.get("max_length", LENGTH)


def show_question(question: Question) -> Question:
    """Return those of `min_length` and `max_length` that were given."""
    return {key: question[key] for key in ("min_length", "max_length") if key in question}


def find_breaks(old: Question, new: Question) -> list[str]:
    """Longer texts may be asked for, and shorter ones no longer fit."""
    (least, most), (new_least, new_most) = _bounds(old), _bounds(new)
    if new_least <= least and new_most >= most:
        return []
    return [
        _("%(name)s takes texts of %(new)s characters, no longer of %(old)s")
        % {"name": quote(old["name"]), "old": f"{least}..{most}", "new": f"{new_least}..{new_most}"}
    ]


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a text of the right length that does not consist of spaces alone."""
    least, most = _bounds(question)
    fault = find_text_fault(value, most, least)
    if fault or not isinstance(value, str):
        raise AnswerError(question["name"], _("The answer %(fault)s.") % {"fault": fault})
    if not value.strip():
        raise AnswerError(question["name"], _("The answer is empty."))
    return LabelValue(text=value)


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the text; KeyError where it is not at hand."""
    if value.text is None:
        raise KeyError(question["name"])
    return value.text


def tell(question: Question, value: Any) -> str:
    """The text as it is."""
    return str(value)


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """The same code points."""
    return a.text == b.text


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """0.0 or 1.0: how near two texts are in meaning is not measured here."""
    return 0.0 if a.text == b.text else 1.0


def render(question: Question) -> dict[str, Any]:
    """A field for several lines; lengths in code points."""
    least, most = _bounds(question)
    return {
        "template": "annotation/kinds/text.html",
        "widget": NAME,
        "options": [],
        "min_length": least,
        "max_length": most,
    }
