"""Places in a text: the answer is a list of `{"part", "start", "end", "label"}`.

Places are counted in Unicode code points of the text as stored (never normalised), from 0, the end exclusive: an emoji
made of five code points counts five.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import choice_tree, marks, uncoded
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Part, Parts, Question
from annotation.kinds.own_keys import take_flag
from annotation.plain_text import quote

NAME = "spans"
KEYS = marks.KEYS | {"overlapping"}
FORM = (*marks.FORM, FormField("overlapping", _lazy("Spans may overlap"), "check"))
LEVEL = ""
COLUMN = "data"
PARTS = frozenset({"text"})
MOST = 10**9
_PLACE = ("start", "end")

is_same = marks.is_same
distance = marks.distance
domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """See `marks.compile_marks`; `overlapping`: whether two spans may share characters. Without `iou` places must be
    equal."""
    return marks.compile_marks(raw, previous, None) | take_flag(raw, "overlapping")


def show_question(question: Question) -> Question:
    """Return what was given of the keys."""
    return marks.show_marks(question) | {key: question[key] for key in ("overlapping",) if key in question}


def find_breaks(old: Question, new: Question) -> list[str]:
    """As for all marks; and spans that may overlap no longer."""
    breaks = marks.find_mark_breaks(old, new)
    if old.get("overlapping") and not new.get("overlapping"):
        breaks.append(_("%(name)s no longer allows spans that overlap") % {"name": quote(old["name"])})
    return breaks


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a list of spans within their texts; they may touch, and overlap where the schema says so."""
    data = marks.parse_marks(question, value, parts, noun=_("Span"), keys=_PLACE, kinds=PARTS, read_place=_read_place)
    if not question.get("overlapping"):
        for one, following in pairwise(data):
            if one["part"] == following["part"] and following["start"] < one["end"]:
                raise AnswerError(
                    question["name"],
                    _("The spans %(one)s and %(other)s overlap; this question does not allow that.")
                    % {"one": f"{one['start']}-{one['end']}", "other": f"{following['start']}-{following['end']}"},
                )
    return LabelValue(data=data)


def _read_place(raw: marks.Mark, part: Part | None) -> marks.Mark:
    start, end = (marks.read_number(raw, key, 0, MOST) for key in _PLACE)
    if isinstance(start, float) or isinstance(end, float):
        raise marks.PlaceError(_("its `start` and `end` must be whole numbers"))
    if start >= end:
        raise marks.PlaceError(_("its `start` must be less than its `end`"))
    if part is not None and part.length is not None and end > part.length:
        raise marks.PlaceError(
            _("its `end` is %(end)d, past the end of the text, which has %(length)d characters")
            % {"end": end, "length": part.length}
        )
    return {"start": start, "end": end}


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the spans by part and place."""
    return marks.show_mark_list(question, value, _PLACE)


def tell(question: Question, value: Any) -> str:
    """Each span's label with its place, or "nothing marked"."""
    texts = choice_tree.choice_texts(question)
    told = [f"{texts.get(s['label'], s['label'])} {s['start']}\N{EN DASH}{s['end']}" for s in value]
    return ", ".join(told) or _("nothing marked")


def render(question: Question) -> dict[str, Any]:
    """As `marks.render_marks`, with `overlapping`."""
    return marks.render_marks(question, NAME, PARTS) | {"overlapping": bool(question.get("overlapping"))}
