"""Rectangles on an image: the answer is a list of `{"part", "x", "y", "w", "h", "label"}`.

`x` and `y` are the top left corner, all four shares of the image's width and height after EXIF orientation, 0 to 1.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import marks, uncoded
from annotation.kinds.kind import LabelValue, Part, Parts, Question

NAME = "boxes"
KEYS = marks.KEYS
FORM = marks.FORM
LEVEL = ""
COLUMN = "data"
PARTS = frozenset({"image"})
IOU = 0.5
EDGE = 1e-6  # x + w may come to a little more than 1: both were rounded
_PLACE = ("x", "y", "w", "h")

show_question = marks.show_marks
find_breaks = marks.find_mark_breaks
is_same = marks.is_same
distance = marks.distance
domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """See `marks.compile_marks`. Without `iou` two boxes are the same from an overlap of 0.5 on."""
    return marks.compile_marks(raw, previous, IOU)


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a list of boxes that lie inside their images; they may overlap."""
    data = marks.parse_marks(question, value, parts, noun=_("Box"), keys=_PLACE, kinds=PARTS, read_place=_read_place)
    return LabelValue(data=data)


def _read_place(raw: marks.Mark, part: Part | None) -> marks.Mark:
    place = {key: marks.read_number(raw, key, 0, 1) for key in _PLACE}
    if not place["w"] or not place["h"]:
        raise marks.PlaceError(_("its `w` and `h` must be more than 0"))
    if place["x"] + place["w"] > 1 + EDGE or place["y"] + place["h"] > 1 + EDGE:
        raise marks.PlaceError(_("it reaches beyond the image: `x` + `w` and `y` + `h` must be at most 1"))
    return place


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the boxes by part, from left to right."""
    return marks.show_mark_list(question, value, _PLACE)


def tell(question: Question, value: Any) -> str:
    """How many boxes of each label, or "nothing marked"."""
    counts = marks.count_labels(question, value)
    return ", ".join(f"{n} × {label}" for label, n in counts.items()) or _("nothing marked")


def render(question: Question) -> dict[str, Any]:
    """As `marks.render_marks`."""
    return marks.render_marks(question, NAME, PARTS)
