"""Question kinds, by name: one module each, with its schema, its validation, its rendering and its comparison."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from annotation.kinds import boxes, choice, choices, number, ranking, rating, segments, spans, text
from annotation.kinds.kind import AnswerError, FormField, Kind, LabelValue, Part, Parts, Question, SchemaError
from annotation.plain_text import quote

__all__ = [
    "KINDS",
    "AnswerError",
    "FormField",
    "Kind",
    "LabelValue",
    "Part",
    "Parts",
    "Question",
    "SchemaError",
    "form_of",
    "get_kind",
]

KINDS: Final[dict[str, Kind]] = {
    module.NAME: module for module in (choice, choices, rating, number, text, spans, boxes, segments, ranking)
}


def form_of(kind: object) -> tuple[FormField, ...]:
    """The fields that a kind's questions have in the owner's form: its module's `FORM`; () for an unknown kind too."""
    return KINDS[kind].FORM if isinstance(kind, str) and kind in KINDS else ()


def get_kind(name: object) -> Kind:
    """Return the kind of that name; SchemaError names the known ones."""
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    raise SchemaError(
        _("%(kind)s is not a known kind of question. Known are: %(known)s.")
        % {"kind": quote(name), "known": ", ".join(KINDS)}
    )
