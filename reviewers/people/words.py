"""Flags and trends in words. A flag is a reason to look at somebody's labels, and is worded as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from annotation.templatetags.charts import format_number

Row = dict[str, Any]


def flag_titles() -> dict[str, str]:
    """What each flag is called."""
    return {
        "too_fast": _("very fast"),
        "constant": _("one answer in a row"),
        "agrees_with_nobody": _("agrees little more than chance"),
        "agree_too_well": _("agrees unusually well"),
    }


def measure_titles() -> dict[str, str]:
    """What each measure of accuracy is called."""
    return {
        "gold": _("On known answers"),
        "decided": _("On decided items"),
        "agreed": _("Beside the others"),
    }


def tell_flag(flag: Mapping[str, Any]) -> Row:
    """One flag in words: `{"title", "text", "other_reasons"}`. The last says what else may be behind it."""
    figures = flag["figures"]
    other = flag["other"]["name"] if flag["other"] else ""
    match flag["kind"]:
        case "too_fast":
            text = _(
                "A quarter of %(n)s timed labels took %(took)s s or less. Somebody of middling pace would have needed"
                " %(usual)s s on the same items: %(times)s times as long."
            ) % {
                "n": format_number(figures["n"], digits=0),
                "took": format_number(figures["quarter_seconds"], digits=1),
                "usual": format_number(figures["usual_seconds"], digits=1),
                "times": format_number(figures["times"], digits=1),
            }
            reasons = _("Short or repeated items, great practice, or a program that sends other times.")
        case "constant":
            said = {"length": format_number(figures["length"], digits=0), "value": figures["value"]}
            said |= {"share": _percent(figures["others_share"])}
            text = (
                _("%(length)s labels in a row are “%(value)s”. On the same items %(share)s of the others' labels are.")
                if figures["value"] is not None
                else _(
                    "%(length)s labels in a row are equal. On the same items %(share)s of the others' labels are so."
                )
            ) % said
            reasons = _("A clause read in one's own way, or a stretch of items that are alike.")
        case "agrees_with_nobody":
            text = _(
                "%(agreement)s of the others' labels on the same %(n)s items are the same; answers that have nothing to"
                " do with the items would reach %(chance)s, and the middle person reaches %(usual)s."
            ) % {
                "agreement": _percent(figures["agreement"]),
                "n": format_number(figures["n"], digits=0),
                "chance": _percent(figures["by_chance"]),
                "usual": _percent(figures["usual"]),
            }
            reasons = _("A misread guideline, another language, answers mixed up on the keys, or being right alone.")
        case _kind:
            text = _(
                "Of %(n)s items that both labelled, %(name)s gave the same answer on %(agreement)s; how each of the two"
                " agrees with everybody else leads to expect %(expected)s."
            ) % {
                "n": format_number(figures["n"], digits=0),
                "name": other,
                "agreement": _percent(figures["agreement"]),
                "expected": _percent(figures["expected"]),
            }
            reasons = _("The same training, the same reading of a clause, working side by side, or one person twice.")
    return {"title": flag_titles()[flag["kind"]], "text": text, "other_reasons": reasons}


def tell_trend(trend: Mapping[str, Any] | None) -> str:
    """Which way somebody goes beside the others, in words; "" where it cannot be told."""
    if trend is None:
        return ""
    return {
        "up": _("better than before, beside the others"),
        "down": _("worse than before, beside the others"),
        "none": _("no change beyond chance"),
    }[trend["direction"]]


def _percent(share: float) -> str:
    return _("%(percent)s %%") % {"percent": format_number(round(100 * share), digits=0)}
