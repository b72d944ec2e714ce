"""What a round took, in words: its time by step, processor, memory, what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from annotation.templatetags.charts import format_number
from learning.stopwatch import order_steps, total_seconds


def step_words() -> dict[str, str]:
    """The steps' names for people, in their order."""
    return {
        "read": _("reading labels and the pool"),
        "count": _("counting words"),
        "fit": _("fitting the model"),
        "judge": _("judging it"),
        "keep": _("keeping it"),
        "score": _("scoring the pool"),
        "write": _("writing scores"),
        "choose": _("choosing a batch"),
        "raise": _("putting it first"),
        "tidy": _("removing old scores"),
    }


def tell_seconds(seconds: float) -> str:
    """A stretch of time for people: "0.3 s", "14 s", "2 min 5 s", "1 h 3 min"."""
    if seconds < 9.95:
        return _("%(n)s s") % {"n": format_number(seconds, digits=1)}
    whole = round(seconds)
    if whole < 60:
        return _("%(n)d s") % {"n": whole}
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    return _("%(hours)d h %(minutes)d min") % {"hours": minutes // 60, "minutes": minutes % 60}


def show_costs(costs: Mapping[str, Any], n_selected: int | None) -> dict[str, Any] | None:
    """`{"total", "step": the one it is at or "", "rows": [(what, how much)]}` in words; None before it begins."""
    if not costs:
        return None
    words = step_words()
    rows = [(words[step], tell_seconds(seconds)) for step, seconds in order_steps(costs).items()]
    rows.append((_("processor, of the worker"), tell_seconds(costs["processor_seconds"])))
    for name, what in (
        ("peak_bytes", _("memory at most")),
        ("model_bytes", _("the model's file")),
        ("score_bytes", _("probabilities on disk")),
    ):
        if costs[name] is not None:
            rows.append((what, filesizeformat(costs[name])))
    for n, what in ((costs["n_scores"], _("rows of scores")), (n_selected, _("items drawn"))):
        if n is not None:
            rows.append((what, format_number(n, digits=0)))
    if costs["attempts"] > 1:
        rows.append((_("attempts, added up"), format_number(costs["attempts"], digits=0)))
    step = costs["step"]
    return {"total": tell_seconds(total_seconds(costs)), "step": words[step] if step else "", "rows": rows}
