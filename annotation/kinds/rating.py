"""A whole number between two bounds, both included: the answer is an integer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import number
from annotation.kinds.hotkeys import assign_keys
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Parts, Question, SchemaError
from annotation.plain_text import quote

NAME = "rating"
KEYS = frozenset({"min", "max"})
LEVEL = "ordinal"
COLUMN = "number"
PARTS: frozenset[str] = frozenset()
FORM = (
    FormField("min", _lazy("Lowest"), "number"),
    FormField("max", _lazy("Highest"), "number"),
)
BOUND = 1000
MAX_BUTTONS = 21


def compile_question(raw: Question, previous: Question | None) -> Question:
    """Keep `min` and `max`: integers within +-1000, min < max."""
    low, high = (_check_bound(raw["name"], raw.get(bound)) for bound in ("min", "max"))
    if low >= high:
        raise SchemaError(_("Question %(name)s: `min` must be less than `max`.") % {"name": quote(raw["name"])})
    return {"min": low, "max": high}


def _check_bound(name: str, bound: object) -> int:
    if isinstance(bound, int) and not isinstance(bound, bool) and abs(bound) <= BOUND:
        return bound
    raise SchemaError(
        _("Question %(name)s: `min` and `max` must be whole numbers from -%(bound)d to %(bound)d.")
        % {"name": quote(name), "bound": BOUND}
    )


def show_question(question: Question) -> Question:
    """Return `min` and `max`."""
    return {"min": question["min"], "max": question["max"]}


def find_breaks(old: Question, new: Question) -> list[str]:
    """A narrower range breaks, a wider one does not."""
    if new["min"] <= old["min"] and new["max"] >= old["max"]:
        return []
    return [
        _("%(name)s narrows its range from %(old)s to %(new)s")
        % {
            "name": quote(old["name"]),
            "old": f"{old['min']}..{old['max']}",
            "new": f"{new['min']}..{new['max']}",
        }
    ]


def domain(question: Question) -> dict[str, int]:
    """Return each number as text -> the number."""
    return {str(one): one for one in range(question["min"], question["max"] + 1)}


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a whole number within the bounds; 4.0 is 4, as JSON makes no difference. True is no number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and question["min"] <= value <= question["max"]:
        whole = int(value)
        if whole == value:
            return LabelValue(number=float(whole))
    raise AnswerError(
        question["name"],
        _("The answer must be a whole number from %(min)d to %(max)d.")
        % {"min": question["min"], "max": question["max"]},
    )


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the integer."""
    if value.number is None:
        raise KeyError(question["name"])
    return int(value.number)


def tell(question: Question, value: Any) -> str:
    """The number as it is."""
    return str(value)


def codes(question: Question, value: LabelValue) -> tuple[int, ...]:
    """Return the number itself."""
    return () if value.number is None else (int(value.number),)


def from_codes(question: Question, codes: Sequence[int]) -> LabelValue | None:
    """Return the rating for exactly one number within the bounds, else None."""
    distinct = set(codes)
    if len(distinct) == 1 and question["min"] <= min(distinct) <= question["max"]:
        return LabelValue(number=float(distinct.pop()))
    return None


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """The same number."""
    return a.number == b.number


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """Return |a - b| as a share of the range."""
    if a.number is None or b.number is None:
        return 0.0 if a.number == b.number else 1.0
    return abs(a.number - b.number) / float(question["max"] - question["min"])


def render(question: Question) -> dict[str, Any]:
    """Buttons with keys for a short range (at most 21 numbers), a number field (`options` empty) for a long one.

    Where every number is one digit, its key is that digit; else keys are given by place.
    """
    low, high = question["min"], question["max"]
    numbers = list(range(low, high + 1)) if high - low < MAX_BUTTONS else []
    keys = assign_keys(str(n) if low >= 0 and high <= 9 else None for n in numbers)
    return {
        "template": "annotation/kinds/rating.html",
        "min": low,
        "max": high,
        "widget": "buttons" if numbers else "number",
        "hint": "" if numbers else number.tell_range({"min": low, "max": high, "step": 1}),
        "options": [
            {"id": one, "value": one, "text": str(one), "key": key, "depth": 0, "is_leaf": True}
            for one, key in zip(numbers, keys, strict=True)
        ],
    }
