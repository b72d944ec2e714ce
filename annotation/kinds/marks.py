"""What spans, boxes and segments share: labelled places in the parts of an item.

An answer is a list of marks, `{"part", ...the place..., "label"}`; [] says that there is nothing to mark. It is stored
with the labels' ids, sorted, so that equal answers are equal lists. A compiled question holds its labels as `choices`.

Two answers are the same where each mark of the one can be paired with a mark of the other: of the same part and label,
and in the same place, or, where the question has a `least_overlap`, in places that overlap at least so far
(intersection over union). `reviewers_same` in reviewers/sql/marks.sql says the same; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import choice_tree
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Part, Parts, Question, SchemaError
from annotation.kinds.number import shorten
from annotation.kinds.own_keys import take_wholes
from annotation.plain_text import find_line_fault, quote

KEYS = frozenset({"labels", "parts", "min", "max", "iou"})
FORM = (
    FormField("labels", _lazy("Labels"), "choices"),
    FormField("min", _lazy("Marks at least"), "number"),
    FormField("max", _lazy("Marks at most"), "number"),
    FormField("iou", _lazy("Same place from an overlap of"), "number", _lazy("Above 0, at most 1.")),
)
MAX_MARKS = 500
MAX_PARTS = 50
MAX_PART_NAME = 100
Mark = dict[str, Any]


class PlaceError(Exception):
    """A place that cannot be; the sentence goes on after the number of the mark."""


ReadPlace = Callable[[Mark, Part | None], Mark]  # a mark as sent, its part if known -> its place, or PlaceError


def compile_marks(raw: Question, previous: Question | None, iou: float | None) -> Question:
    """Keep `labels` (1 to 1,000 choices without children), `parts`, `min`, `max` and `iou`.

    `parts`: 1 to 50 names of parts, without it any part of the right kind. `min` and `max`: how many marks an answer
    has, 0 to 500. `iou`: above 0, at most 1, and `iou` the argument where it is left out (None: places must be equal).
    """
    own = choice_tree.compile_choices(raw, previous, key="labels", is_flat=True)
    where = _("Question %(name)s") % {"name": quote(raw["name"])}
    if raw.get("parts") is not None:
        own["parts"] = _check_parts(where, raw["parts"])
    own |= take_wholes(raw, ("min", "max"), 0, MAX_MARKS)
    if own.get("min", 0) > own.get("max", MAX_MARKS):
        raise SchemaError(_("%(where)s: `min` must not be more than `max`.") % {"where": where})
    if raw.get("iou") is not None:
        share = raw["iou"]
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise SchemaError(_("%(where)s: `iou` must be a number above 0 and at most 1.") % {"where": where})
        own["iou"] = shorten(share)
    own["least_overlap"] = own.get("iou", iou)
    return own


def _check_parts(where: str, parts: object) -> list[str]:
    if (
        not isinstance(parts, list)
        or not 1 <= len(parts) <= MAX_PARTS
        or any(find_line_fault(name, MAX_PART_NAME) for name in parts)
        or len(set(parts)) < len(parts)
    ):
        raise SchemaError(_("%(where)s: `parts` must be a list of different names of parts.") % {"where": where})
    return list(parts)


def show_marks(question: Question) -> Question:
    """Return `labels`, and those of `parts`, `min`, `max` and `iou` that were given."""
    shown: Question = {"labels": choice_tree.show_choices(question["choices"])}
    return shown | {key: question[key] for key in ("parts", "min", "max", "iou") if key in question}


def find_mark_breaks(old: Question, new: Question) -> list[str]:
    """A label that left, fewer parts, a higher `min` and a lower `max` break; another `iou` does not."""
    name, breaks = quote(old["name"]), choice_tree.find_choice_breaks(old, new)
    if "parts" in new and ("parts" not in old or not set(old["parts"]) <= set(new["parts"])):
        breaks.append(_("%(name)s is asked of fewer parts") % {"name": name})
    if new.get("min", 0) > old.get("min", 0):
        breaks.append(_("%(name)s needs more marks than before") % {"name": name})
    if new.get("max", MAX_MARKS) < old.get("max", MAX_MARKS):
        breaks.append(_("%(name)s allows fewer marks than before") % {"name": name})
    return breaks


def parse_marks(
    question: Question,
    value: object,
    parts: Parts | None,
    *,
    noun: str,
    keys: Sequence[str],
    kinds: Collection[str],
    read_place: ReadPlace,
) -> list[Mark]:
    """Return the marks of an answer as they are stored, or raise AnswerError with the number of the mark and its fault.

    `noun` is what one mark is called, `keys` name a place, `kinds` are the kinds of parts that can be marked.
    """
    name = question["name"]
    if not isinstance(value, list):
        raise AnswerError(name, _("The answer must be a list, [] where there is nothing to mark."))
    least, most = question.get("min", 0), question.get("max", MAX_MARKS)
    if not least <= len(value) <= most:
        raise AnswerError(
            name,
            _("The answer must have %(least)d to %(most)d marks, not %(found)d.")
            % {"found": len(value), "least": least, "most": most},
        )
    labels = {label["value"]: label["id"] for label in question["choices"]}
    found: list[Mark] = []
    for number, raw in enumerate(value, start=1):
        try:
            mark = _read_mark(question, raw, parts, keys, kinds, read_place, labels)
            if mark in found:
                raise PlaceError(_("it stands there twice"))
        except PlaceError as error:
            where = _("%(noun)s %(number)d") % {"noun": noun, "number": number}
            raise AnswerError(name, f"{where}: {error}.") from error
        found.append(mark)
    return sorted(found, key=lambda mark: (mark["part"], *(mark[key] for key in keys), mark["label"]))


def _read_mark(
    question: Question,
    raw: object,
    parts: Parts | None,
    keys: Sequence[str],
    kinds: Collection[str],
    read_place: ReadPlace,
    labels: dict[str, int],
) -> Mark:
    wanted = ("part", *keys, "label")
    if not isinstance(raw, dict) or raw.keys() != set(wanted):
        raise PlaceError(_("it must be an object with %(keys)s") % {"keys": ", ".join(f"`{key}`" for key in wanted)})
    label, name = raw["label"], raw["part"]
    if not isinstance(label, str) or label not in labels:
        raise PlaceError(_("%(label)s is not one of the labels of this question") % {"label": quote(label)})
    if "parts" in question and name not in question["parts"]:
        known = ", ".join(quote(one) for one in question["parts"])
        raise PlaceError(
            _("its `part` is %(part)s; this question is about %(known)s") % {"part": quote(name), "known": known}
        )
    if find_line_fault(name, MAX_PART_NAME) or (parts is not None and name not in parts):
        raise PlaceError(_("the item has no part %(part)s") % {"part": quote(name)})
    part = None if parts is None else parts[name]
    if part is not None and part.kind not in kinds:
        raise PlaceError(
            _("the part %(part)s is of the kind %(kind)s, and only %(kinds)s can be marked here")
            % {"part": quote(name), "kind": part.kind, "kinds": ", ".join(sorted(kinds))}
        )
    return {"part": name, **read_place(raw, part), "label": labels[label]}


def read_number(raw: Mark, key: str, least: float, most: float) -> int | float:
    """Return a number of a place within bounds, a whole one as an integer, or raise PlaceError."""
    number = raw[key]
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not least <= number <= most:
        raise PlaceError(
            _("its `%(key)s` must be a number from %(least)s to %(most)s") % {"key": key, "least": least, "most": most}
        )
    return shorten(number + 0.0)  # never -0


def show_mark_list(question: Question, value: LabelValue, keys: Sequence[str]) -> list[Mark]:
    """Return the marks as callers send them. A label that left the schema keeps its value; KeyError for no answer."""
    if value.data is None:
        raise KeyError(question["name"])
    names = choice_tree.name_choices(question)
    return [
        {"part": mark["part"], **{key: mark[key] for key in keys}, "label": names[mark["label"]]} for mark in value.data
    ]


def count_labels(question: Question, value: list[Mark]) -> dict[str, int]:
    """Return how many of the marks of a shown answer have which label, by its text, in schema order."""
    texts = choice_tree.choice_texts(question)
    given = [mark["label"] for mark in value]
    return {texts.get(label, label): given.count(label) for label in dict.fromkeys([*texts, *given]) if label in given}


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """Every mark of the one is paired with one of the other."""
    if a.data is None or b.data is None:
        return a.data == b.data
    return len(a.data) == len(b.data) == count_pairs(a.data, b.data, question["least_overlap"])


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """1 minus the share of all marks that are paired (1 - F1); 0.0 for two empty answers."""
    left, right = a.data or [], b.data or []
    n = len(left) + len(right)
    return 1.0 - 2 * count_pairs(left, right, question["least_overlap"]) / n if n else 0.0


def count_pairs(a: Sequence[Mark], b: Sequence[Mark], least_overlap: float | None) -> int:
    """Return how many marks of `a` can be paired with marks of `b`, each with one, as many as can be.

    A largest matching by augmenting paths: H. W. Kuhn (1955), The Hungarian method, doi:10.1002/nav.3800020109.
    """
    near = _compare(a, b, least_overlap)
    of_left: list[int | None] = [None] * len(a)  # the partner of each mark
    of_right: list[int | None] = [None] * len(b)
    for start in range(len(a)):
        came_from: list[int | None] = [None] * len(b)
        waiting, free = [start], None
        while waiting and free is None:
            left = waiting.pop(0)
            for right in range(len(b)):
                if came_from[right] is None and near[left][right]:
                    came_from[right] = left
                    partner = of_right[right]
                    if partner is None:
                        free = right
                        break
                    waiting.append(partner)
        while free is not None:  # along the path everybody takes the partner that they were reached by
            left = came_from[free]  # type: ignore[assignment]  # the path was walked from `start` to here
            of_right[free], of_left[left], free = left, free, of_left[left]
    return sum(partner is not None for partner in of_left)


def _compare(a: Sequence[Mark], b: Sequence[Mark], least_overlap: float | None) -> list[list[bool]]:
    """Say of each mark of `a` and each of `b` whether they are of one part and label, and in one place.

    With `least_overlap` in places that overlap so far: intersection over union, in decimals, as people wrote them.
    """
    if least_overlap is None:
        return [[one == other for other in b] for one in a]
    shapes = [
        ((mark["part"], mark["label"]), corners) for mark, corners in zip((*a, *b), find_corners((*a, *b)), strict=True)
    ]
    least = exact(least_overlap)
    return [[_is_near(one, other, least) for other in shapes[len(a) :]] for one in shapes[: len(a)]]


Corners = tuple[int, int, int, int]
_Shape = tuple[tuple[Any, Any], Corners]  # part and label, place


def exact(number: float) -> Fraction:
    """Return the decimal number that was written, not the double beside it."""
    return Fraction(str(number))


def find_corners(marks: Sequence[Mark]) -> list[Corners]:
    """Return where each mark lies as `(x, y, to_x, to_y)`; a stretch is one unit high.

    All numbers are made whole by one factor, because whole numbers are exact and quick.
    """
    places = []
    for mark in marks:
        x, y, w, h = (
            (exact(mark[key]) for key in ("x", "y", "w", "h"))
            if "w" in mark
            else (exact(mark["start"]), Fraction(0), exact(mark["end"]) - exact(mark["start"]), Fraction(1))
        )
        places.append((x, y, x + w, y + h))
    unit = lcm(*(number.denominator for place in places for number in place))
    return [(int(x * unit), int(y * unit), int(to_x * unit), int(to_y * unit)) for x, y, to_x, to_y in places]


def _is_near(one: _Shape, other: _Shape, least: Fraction) -> bool:
    (kin, (x, y, to_x, to_y)), (other_kin, (u, v, to_u, to_v)) = one, other
    width, height = min(to_x, to_u) - max(x, u), min(to_y, to_v) - max(y, v)
    if kin != other_kin or width <= 0 or height <= 0:
        return False
    common = width * height
    either = (to_x - x) * (to_y - y) + (to_u - u) * (to_v - v) - common
    return common * least.denominator >= least.numerator * either


def render_marks(question: Question, widget: str, kinds: Collection[str]) -> dict[str, Any]:
    """What the labelling page needs of marks: `options` are the labels with their keys."""
    return {
        "template": "annotation/kinds/given.html",
        "widget": widget,
        "options": choice_tree.render_options(question["choices"]),
        "parts": question.get("parts"),
        "part_kinds": sorted(kinds),
        "min": question.get("min", 0),
        "max": question.get("max", MAX_MARKS),
    }
