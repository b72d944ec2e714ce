"""A number, whole or not, within bounds and in steps where the schema names them: the answer is a number.

Two numbers no further apart than `tolerance` (0 where it is left out) count as the same answer.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.kinds import uncoded
from annotation.kinds.kind import AnswerError, FormField, LabelValue, Parts, Question, SchemaError
from annotation.plain_text import find_line_fault, quote

NAME = "number"
KEYS = frozenset({"min", "max", "step", "unit", "tolerance"})
LEVEL = "interval"
COLUMN = "number"
PARTS: frozenset[str] = frozenset()
FORM = (
    FormField("min", _lazy("Lowest"), "number", _lazy("Leave empty for no bound.")),
    FormField("max", _lazy("Highest"), "number", _lazy("Leave empty for no bound.")),
    FormField("step", _lazy("Step"), "number", _lazy("1 for whole numbers; empty for any.")),
    FormField("unit", _lazy("Unit"), "line", _lazy("Shown beside the number, such as cm.")),
    FormField("tolerance", _lazy("Tolerance"), "number", _lazy("Answers no further apart count as the same.")),
)
BOUND = 10**12
LEAST_STEP = 1e-6
MAX_UNIT = 20

domain = uncoded.domain
codes = uncoded.codes
from_codes = uncoded.from_codes


def compile_question(raw: Question, previous: Question | None) -> Question:
    """Keep `min`, `max`, `step`, `tolerance` (numbers) and `unit` (1 to 20 characters), each where it is given.

    Bounds lie within +-10^12 and min < max; a step is at least 10^-6 and fits between the bounds; a tolerance is from 0
    to less than max - min. Steps are counted from `min`, or from 0 where there is none.
    """
    where = _("Question %(name)s") % {"name": quote(raw["name"])}
    own: Question = {key: _check(where, key, raw[key]) for key in _LEAST if raw.get(key) is not None}
    if "min" in own and "max" in own:
        if own["min"] >= own["max"]:
            raise SchemaError(_("%(where)s: `min` must be less than `max`.") % {"where": where})
        width = _exact(own["max"]) - _exact(own["min"])
        for key in ("step", "tolerance"):
            if key in own and (_exact(own[key]) > width or (key == "tolerance" and _exact(own[key]) == width)):
                raise SchemaError(
                    _("%(where)s: `%(key)s` is too large for the range from `min` to `max`.")
                    % {"where": where, "key": key}
                )
    if raw.get("unit") is not None:
        fault = find_line_fault(raw["unit"], MAX_UNIT)
        if fault:
            raise SchemaError(_("%(where)s: its `unit` %(fault)s.") % {"where": where, "fault": fault})
        own["unit"] = raw["unit"]
    return own


_LEAST: dict[str, float] = {"min": -BOUND, "max": -BOUND, "step": LEAST_STEP, "tolerance": 0}


def _check(where: str, key: str, number: object) -> int | float:
    if isinstance(number, (int, float)) and not isinstance(number, bool) and _LEAST[key] <= number <= BOUND:
        return shorten(number)
    raise SchemaError(
        _("%(where)s: `%(key)s` must be a number from %(least)s to %(most)s.")
        % {"where": where, "key": key, "least": f"{_LEAST[key]:.6f}".rstrip("0").rstrip("."), "most": BOUND}
    )


def shorten(number: float) -> int | float:
    """Return a whole number as an integer, any other as it is: 12.0 is 12, as JSON makes no difference."""
    return int(number) if number == int(number) else number


def _exact(number: float) -> Fraction:
    """The decimal number that was written, not the double beside it: three steps of 0.1 are 0.3."""
    return Fraction(str(number))


def show_question(question: Question) -> Question:
    """Return those of `min`, `max`, `step`, `unit` and `tolerance` that were given."""
    return {key: question[key] for key in ("min", "max", "step", "unit", "tolerance") if key in question}


def find_breaks(old: Question, new: Question) -> list[str]:
    """A narrower range, coarser steps and another unit break; a wider range, finer steps, another tolerance do not."""
    name, breaks = quote(old["name"]), []
    low, high = _bounds(old)
    new_low, new_high = _bounds(new)
    if new_low > low or new_high < high:
        breaks.append(
            _("%(name)s narrows its range from %(old)s to %(new)s")
            % {"name": name, "old": f"{low}..{high}", "new": f"{new_low}..{new_high}"}
        )
    if "step" in new and not _has_all_steps(new, old):
        breaks.append(_("%(name)s has other steps, on which earlier answers need not lie") % {"name": name})
    if old.get("unit") != new.get("unit"):
        breaks.append(
            _("%(name)s changes its unit from %(old)s to %(new)s")
            % {"name": name, "old": quote(old.get("unit", "")), "new": quote(new.get("unit", ""))}
        )
    return breaks


def parse_answer(question: Question, value: object, parts: Parts | None = None) -> LabelValue:
    """Accept a number within the bounds and on a step; 4.0 is 4. True is no number."""
    low, high = _bounds(question)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
        number = float(value) + 0.0  # never -0
        if _is_on_step(question, number):
            return LabelValue(number=number)
    told = tell_range(question) or _("from %(min)s to %(max)s") % {"min": low, "max": high}
    raise AnswerError(question["name"], _("The answer must be a number: %(range)s.") % {"range": told})


def _bounds(question: Question) -> tuple[float, float]:
    return question.get("min", -BOUND), question.get("max", BOUND)


def _start(question: Question) -> float:
    start: float = question.get("min", 0)
    return start


def _is_on_step(question: Question, number: float) -> bool:
    return "step" not in question or (_exact(number) - _exact(_start(question))) % _exact(question["step"]) == 0


def _has_all_steps(new: Question, old: Question) -> bool:
    """Whether every number on the steps of `old` lies on those of `new`, which has some."""
    if "step" not in old:
        return False
    apart, step = _exact(_start(old)) - _exact(_start(new)), _exact(new["step"])
    return _exact(old["step"]) % step == 0 and apart % step == 0


def tell_range(question: Question) -> str:
    """Say in words which numbers may be answers; "" where any may."""
    told = []
    if "min" in question and "max" in question:
        told.append(_("from %(min)s to %(max)s") % {"min": question["min"], "max": question["max"]})
    elif "min" in question:
        told.append(_("%(min)s or more") % {"min": question["min"]})
    elif "max" in question:
        told.append(_("%(max)s or less") % {"max": question["max"]})
    if question.get("step") == 1 and _start(question) == int(_start(question)):
        told.append(_("whole numbers"))
    elif "step" in question:
        told.append(_("in steps of %(step)s") % {"step": question["step"]})
    return ", ".join(told)


def show_value(question: Question, value: LabelValue) -> Any:
    """Return the number, an integer where it is whole."""
    if value.number is None:
        raise KeyError(question["name"])
    return shorten(value.number)


def tell(question: Question, value: Any) -> str:
    """The number with its unit."""
    unit = f"\N{NO-BREAK SPACE}{question['unit']}" if question.get("unit") else ""
    return f"{value}{unit}"


def is_same(question: Question, a: LabelValue, b: LabelValue) -> bool:
    """No further apart than the tolerance, counted in decimals: 0.3 and 0.4 lie 0.1 apart."""
    if a.number is None or b.number is None:
        return a.number == b.number
    return abs(_exact(a.number) - _exact(b.number)) <= _exact(question.get("tolerance", 0))


def distance(question: Question, a: LabelValue, b: LabelValue) -> float:
    """Return |a - b| as a share of the range; without two bounds 0.0 for the same number, else 1.0."""
    if a.number is None or b.number is None or "min" not in question or "max" not in question:
        return 0.0 if a.number == b.number else 1.0
    return abs(a.number - b.number) / float(question["max"] - question["min"])


def render(question: Question) -> dict[str, Any]:
    """A number field: `min` and `max` (None where open), `step` ("any" without one), `unit` and `hint` (may be "")."""
    return {
        "template": "annotation/kinds/number.html",
        "min": question.get("min"),
        "max": question.get("max"),
        "step": question.get("step", "any"),
        "unit": question.get("unit", ""),
        "hint": tell_range(question),
        "widget": "number",
        "options": [],
    }
