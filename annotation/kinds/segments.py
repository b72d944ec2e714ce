"""Stretches of a recording: the answer is a list of `{"part", "start", "end", "label"}`, in seconds."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import choice_tree, marks, uncoded
from annotation.kinds.kind import LabelValue, Part, Parts, Question

NAME = "segments"
KEYS = marks.KEYS
FORM = marks.FORM
LEVEL = ""
COLUMN = "data"
PARTS = frozenset({"audio", "video"})
IOU = 0.5
MAX_SECONDS = 1_000_000
SLACK_SECONDS = 0.5  # by which a browser and what measured the recording may differ about its end
_PLACE = ("start", "end")

show_question = marks.show_marks
find_breaks = marks.find_mark_breaks
is_same = marks.is_same
distance = marks.distance
domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """See `marks.compile_marks`. Without `iou` two segments are the same from an overlap of 0.5 on."""
    return marks.compile_marks(raw, previous, IOU)


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a list of segments within their recordings, where these were measured; they may overlap."""
    data = marks.parse_marks(
        question, value, parts, noun=_("Segment"), keys=_PLACE, kinds=PARTS, read_place=_read_place
    )
    return LabelValue(data=data)


def _read_place(raw: marks.Mark, part: Part | None) -> marks.Mark:
    place = {key: marks.read_number(raw, key, 0, MAX_SECONDS) for key in _PLACE}
    if place["start"] >= place["end"]:
        raise marks.PlaceError(_("its `start` must be less than its `end`"))
    if part is not None and part.seconds is not None and place["end"] > part.seconds + SLACK_SECONDS:
        raise marks.PlaceError(
            _("its `end` is at %(end)s s, past the end of the recording, which lasts %(seconds)s s")
            % {"end": place["end"], "seconds": part.seconds}
        )
    return place


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the segments by part and time."""
    return marks.show_mark_list(question, value, _PLACE)


def tell(question: Question, value: Any) -> str:
    """Each segment's label with its seconds, or "nothing marked"."""
    texts = choice_tree.choice_texts(question)
    told = [
        _("%(label)s %(start)s to %(end)s s")
        % {"label": texts.get(one["label"], one["label"]), "start": one["start"], "end": one["end"]}
        for one in value
    ]
    return ", ".join(told) or _("nothing marked")


def render(question: Question) -> dict[str, Any]:
    """As `marks.render_marks`."""
    return marks.render_marks(question, NAME, PARTS)
