"""Template tags for what stands on every page: icons, chips for states and roles, figures with their interval and n.

A figure is a mapping in the shape of the API's metrics: `value`, `interval` (low, high) or None, `level`, `method`,
`n_items`, `n_labels`, `n_annotators`, `refusal`; a page may add `label`, `note`, `drawn` (how its items were drawn),
`guideline_version`, `is_simulated` (simulated people took part), `start` and `end` (of the axis; 0 and 1), `moved`
(`{"by": float, "is_noise": bool, "since": str}`) and `is_count` (a plain count, which has no interval). One of `value`
and `refusal` is always there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from annotation.templatetags.charts import format_number

register = template.Library()

# Drawn by this project on a 16 px grid, in strokes.
ICONS = {
    "check": "M3 8.5l3.2 3.2L13 4.8",
    "cross": "M4 4l8 8M12 4l-8 8",
    "circle": "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z",
    "split": "M8 14V9M8 9L3.5 4.5M8 9l4.5-4.5M3.5 8V4.5H7M12.5 8V4.5H9",
    "gavel": "M2.5 13.5h6M6 8.5l4 -4M8.5 2.5l4.5 4.5M4 7l4.5 4.5M10.2 8.8l-2 2M5.8 5.2l2.4-2.4",
    "lock": "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
    "archive": "M2.5 3.5h11v3h-11zM3.5 6.5v7h9v-7M6.5 9h3",
    "info": "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM8 7.3v3.7M8 5v.1",
    "warn": "M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.1",
    "clock": "M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM8 4.5V8l2.3 1.6",
    "play": "M4.5 3l8 5l-8 5z",
    "eye": "M1.5 8c3-5.3 10-5.3 13 0c-3 5.3-10 5.3-13 0zM8 6.2a1.8 1.8 0 1 0 0 3.6a1.8 1.8 0 1 0 0-3.6z",
    "person": "M8 2.5a2.7 2.7 0 1 0 0 5.4a2.7 2.7 0 1 0 0-5.4zM2.8 13.8c.6-5.4 9.8-5.4 10.4 0",
    "robot": "M3 6h10v7H3zM8 6V3M6 9v1M10 9v1M8 2.9v-.4",
    "down": "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10",
    "up": "M8 13V4M4.5 7L8 3.5L11.5 7",
    "pause": "M5.5 3v10M10.5 3v10",
    "actual": "M3.5 4.5v7M2.5 5.5l1-1M12.5 4.5v7M11.5 5.5l1-1M8 6.3v.1M8 9.7v.1",
    "minus": "M3.5 8h9",
    "turn-left": "M4 3v3.5h3.5M4.2 6.5a5 5 0 1 1 -.9 4",
    "turn-right": "M12 3v3.5h-3.5M11.8 6.5a5 5 0 1 0 .9 4",
    "sound": "M2.5 6h2.5l3.5 -3v10l-3.5 -3h-2.5zM11 5.5a3.5 3.5 0 0 1 0 5M12.8 3.700a6 6 0 0 1 0 8.600",
    "no-sound": "M2.5 6h2.5l3.5 -3v10l-3.5 -3h-2.5zM11 6l3.5 4M14.5 6l-3.5 4",
    "frame-back": "M11 3.5L5.5 8l5.5 4.5zM3.5 3.5v9",
    "frame-on": "M5 3.5L10.5 8L5 12.5zM12.5 3.5v9",
    "left": "M10 3.5L5.5 8l4.5 4.5",
    "right": "M6 3.5L10.5 8L6 12.5",
    "book": "M3 3c2 0 4 .3 5 1.5C9 3.3 11 3 13 3v9.500c-2 0-4 .3-5 1.500c-1-1.2-3-1.5-5-1.500zM8 4.500V14",
    "inbox": "M2.5 9l2-6h7l2 6v4.500h-11zM2.5 9h3l1 2h3l1-2h3",
    "moon": "M13 9.500A5.7 5.7 0 1 1 6.5 3A4.6 4.6 0 0 0 13 9.500z",
    "flag": "M4 14V2.500M4 3c3-1.5 5 1.5 8.5 0v6c-3.5 1.5-5.5-1.5-8.5 0",
    "undo": "M6 4L2.5 7.500L6 11M3 7.500h6.500a3.5 3.5 0 0 1 0 7H7",
    "unsure": "M5.5 6a2.5 2.5 0 1 1 3.6 2.300c-.8.4-1.1.900-1.1 1.900M8 12.600v.1",
    "plus": "M8 3v10M3 8h10",
    "snapshot": "M8 2l6 3l-6 3l-6-3zM2 8l6 3l6-3M2 11l6 3l6-3",
}

# state or role -> (chip class, icon, words)
CHIPS = {
    "open": ("", "circle", gettext_lazy("open")),
    "agreed": ("chip-good", "check", gettext_lazy("agreed")),
    "disputed": ("chip-warn", "split", gettext_lazy("disputed")),
    "adjudicated": ("chip-ruled", "gavel", gettext_lazy("decided")),
    "archived": ("", "archive", gettext_lazy("archived")),
    "quarantined": ("chip-bad", "lock", gettext_lazy("quarantined")),
    "erased": ("", "cross", gettext_lazy("erased")),
    "active": ("chip-good", "play", gettext_lazy("active")),
    "paused": ("chip-warn", "clock", gettext_lazy("paused")),
    "queued": ("", "clock", gettext_lazy("waiting")),
    "running": ("chip-accent", "play", gettext_lazy("running")),
    "done": ("chip-good", "check", gettext_lazy("done")),
    "failed": ("chip-bad", "cross", gettext_lazy("failed")),
    "dead": ("chip-bad", "cross", gettext_lazy("gave up")),
    "current": ("chip-accent", "play", gettext_lazy("current")),
    "kept": ("chip-good", "check", gettext_lazy("kept")),
    "rejected": ("chip-warn", "cross", gettext_lazy("not used")),
    "better": ("chip-good", "up", gettext_lazy("better")),
    "worse": ("chip-bad", "down", gettext_lazy("worse")),
    "even": ("", "circle", gettext_lazy("no more than chance")),
    "barred": ("chip-bad", "lock", gettext_lazy("not passed")),
    "passed": ("chip-good", "check", gettext_lazy("passed")),
    "simulated": ("chip-outline", "robot", gettext_lazy("simulated")),
    "model": ("chip-outline", "robot", gettext_lazy("model")),
    "imported": ("chip-outline", "down", gettext_lazy("imported")),
    "human": ("chip-outline", "person", gettext_lazy("person")),
    "unsure": ("chip-outline", "unsure", gettext_lazy("unsure")),
    "demo": ("chip-outline", "play", gettext_lazy("demo")),
    "annotator": ("chip-outline", "person", gettext_lazy("annotator")),
    "reviewer": ("chip-outline", "gavel", gettext_lazy("reviewer")),
    "engineer": ("chip-outline", "snapshot", gettext_lazy("engineer")),
    "owner": ("chip-outline", "lock", gettext_lazy("owner")),
    "train": ("chip-outline", "circle", gettext_lazy("pool")),
    "holdout": ("chip-outline", "lock", gettext_lazy("holdout")),
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon for the eye only: whatever it says stands beside it in words. Raises KeyError for an unknown name."""
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="{}"/></svg>', ICONS[name]
    )


@register.simple_tag
def chip(state: str) -> SafeString:
    """A chip for a state, a source or a role: icon and word, never colour alone. An unknown one shows its own name."""
    kind, picture, words = CHIPS.get(state, ("chip-outline", "info", state))
    return format_html('<span class="chip {}">{}{}</span>', kind, icon(picture), words)


@register.filter
def number(value: float | None, digits: int = 2) -> str:
    """A number for people: thin spaces between thousands, an en dash where there is none."""
    return format_number(value, digits=digits)


@register.filter
def count(value: int | None) -> str:
    """A whole number for people; an en dash where there is none."""
    return format_number(value, digits=0)


@register.filter
def sentence(text: str | None) -> str:
    """A remark as a sentence: a capital first and a full stop last, where it has neither; "" for nothing."""
    told = (text or "").strip()
    if not told:
        return ""
    return f"{told[0].upper()}{told[1:]}{'' if told[-1] in '.!?…' else '.'}"


@register.filter
def get(mapping: Mapping[str, Any] | None, key: str) -> Any:
    """mapping[key], None where either is missing. For answers and resolutions, whose keys are the questions' names."""
    return None if mapping is None else mapping.get(key)


@register.filter
def answer_text(value: Any) -> str:
    """An answer for people: lists with commas, nothing as an en dash."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)


@register.filter
def ago(at: datetime | None) -> str:
    """How long ago in its largest unit: "3 hours ago", "just now" within the minute; an en dash for None."""
    if at is None:
        return "–"
    if timezone.now() - at < timedelta(minutes=1):
        return _("just now")
    return _("%(since)s ago") % {"since": timesince(at, depth=1)}


@register.filter
def clock(seconds: float | None) -> str:
    """How long a recording lasts, as players show it: 0:07, 12:30, 1:02:03."""
    whole = round(seconds or 0)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


@register.simple_tag
def interval_bar(
    value: float | None, low: float | None, high: float | None, start: float = 0.0, end: float = 1.0
) -> SafeString:
    """A small line: where a value and its interval lie between `start` and `end`; nothing where one is missing.

    Decoration for the eye: the same numbers stand beside it as text, so it is hidden from screen readers.
    """
    if value is None or low is None or high is None or end <= start:
        return SafeString("")

    def at(place: float) -> str:
        return f"{2 + (min(max(place, start), end) - start) / (end - start) * 96:.2f}%"

    return format_html(
        '<svg class="interval" aria-hidden="true"><line class="interval-axis" x1="2%" x2="98%" y1="6" y2="6"/>'
        '<line class="interval-range" x1="{}" x2="{}" y1="6" y2="6"/>'
        '<circle class="interval-value" cx="{}" cy="6" r="5"/></svg>',
        at(low),
        at(high),
        at(value),
    )


def told_counts(metric: Mapping[str, Any]) -> str:
    """How much a figure rests on, in words: "412 items, 1 236 labels, 3 annotators"; only what is known."""
    said = []
    if (n := metric.get("n_items")) is not None:
        said.append(ngettext("%(n)s item", "%(n)s items", n) % {"n": format_number(n, digits=0)})
    if (n := metric.get("n_labels")) is not None:
        said.append(ngettext("%(n)s label", "%(n)s labels", n) % {"n": format_number(n, digits=0)})
    if (n := metric.get("n_annotators")) is not None:
        said.append(ngettext("%(n)s annotator", "%(n)s annotators", n) % {"n": format_number(n, digits=0)})
    return ", ".join(said)


@register.inclusion_tag("annotation/_figure.html")
def figure(metric: Mapping[str, Any], label: str = "") -> dict[str, Any]:
    """A tile with a figure, its interval, level, n and method; or the sentence that says why there is none."""
    interval: Sequence[float] | None = metric.get("interval")
    low, high = interval if interval else (None, None)
    return {
        "label": label or metric.get("label") or metric.get("metric", ""),
        "value": metric.get("value"),
        "low": low,
        "high": high,
        "level": round(100 * (metric.get("level") or 0.95)),
        "counts": told_counts(metric),
        "method": metric.get("method", ""),
        "drawn": metric.get("drawn", ""),
        "guideline_version": metric.get("guideline_version"),
        "note": metric.get("note", ""),
        "is_simulated": metric.get("is_simulated", False),
        "moved": metric.get("moved"),
        "refusal": metric.get("refusal"),
        "start": metric.get("start", 0.0),
        "end": metric.get("end", 1.0),
        "is_count": metric.get("is_count", False),
    }


@register.simple_tag
def measured(metric: Mapping[str, Any] | None) -> SafeString:
    """A figure inside a table: value, interval and n on one line; or its refusal."""
    if metric is None:
        return format_html('<span class="quiet">{}</span>', _("not measured"))
    value, refusal = metric.get("value"), metric.get("refusal")
    if value is None:
        return format_html('<span class="quiet">{}</span>', refusal or _("not measured"))
    interval, n = metric.get("interval"), metric.get("n_items")
    parts = [format_number(value)]
    if interval:
        parts.append(f"[{format_number(interval[0])}, {format_number(interval[1])}]")
    if n is not None:
        parts.append(f"n={format_number(n, digits=0)}")
    rest = format_html_join("", " {}", ((part,) for part in parts[1:]))
    return format_html('<span class="measured">{}<span class="quiet">{}</span></span>', parts[0], rest)
