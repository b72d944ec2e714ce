"""Charts as SVG, drawn on the server: lines with interval bands, bars with whiskers, a stacked progress bar.

Pure functions from numbers to markup. No script, no style attribute (the content security policy allows neither):
colours and dashes come from classes in touchstone.css. A chart is drawn twice, for wide and for narrow screens, so
that its text keeps its size; CSS shows one. Every chart carries a title, a description and its numbers as a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NotRequired, TypedDict

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _

register = template.Library()

N_COLOURS = 6
EMPTY = SafeString("")


class Point(TypedDict):
    """One measured value: `y` is None where the figure was refused, `low` and `high` bound its interval."""

    x: float
    y: float | None
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    n: NotRequired[int | None]


class Series(TypedDict):
    """A named line. The order of the series decides colour and dash."""

    name: str
    points: Sequence[Point]


class Bar(TypedDict):
    """One bar; `low` and `high` draw a whisker, `note` (its n, say) stands beside the value and in the table."""

    label: str
    value: float | None
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    note: NotRequired[str]


class Portion(TypedDict):
    """One piece of a stacked bar: `kind` picks the colour (agreed, adjudicated, disputed, open, done)."""

    label: str
    kind: str
    n: int


@dataclass(frozen=True)
class Frame:
    """The plot's rectangle inside a drawing of `width` x `height` px, all in px from the top left."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def plot_width(self) -> int:
        return self.width - self.left - self.right

    @property
    def plot_height(self) -> int:
        return self.height - self.top - self.bottom


WIDE = Frame(width=760, height=320, left=48, right=150, top=20, bottom=44)
NARROW = Frame(width=350, height=280, left=40, right=22, top=44, bottom=44)


def nice_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About `n` round steps (1, 2 or 5 times a power of ten) that cover low..high; one range wide where both are equal.

    >>> nice_ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        low, high = low - 0.5, low + 0.5
    raw = (high - low) / max(n, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def format_number(value: float | None, *, digits: int = 2) -> str:
    """A number for people: thin spaces between thousands, few decimals on large ones; an en dash for None or NaN.

    >>> format_number(0.5), format_number(1200.0), format_number(None)
    ('0.50', '1\\u202f200', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 10 or (value == int(value) and abs(value) > 1):
        text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.1f}"
        return text.replace(",", "\u202f").replace("-", "\u2212")
    return f"{value:.{digits}f}".replace("-", "\u2212")


def _format_x(value: float) -> str:
    """A place on the x axis: counts (labels, rounds) without decimals."""
    return format_number(value, digits=0 if value == int(value) else 2)


def tick_text(value: float, step: float) -> str:
    """A tick's text with just the decimals that its step needs."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "\u2212")


def _measured(points: Iterable[Point]) -> list[tuple[float, float, float, float]]:
    """(x, y, low, high) of the points that have a value, by x; a missing interval is a point."""
    rows = []
    for point in points:
        y = point["y"]
        if y is None or not math.isfinite(y):
            continue
        low, high = point.get("low"), point.get("high")
        rows.append((float(point["x"]), float(y), y if low is None else float(low), y if high is None else float(high)))
    return sorted(rows)


def _join(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _class_of(position: int) -> str:
    return f"s{position % N_COLOURS + 1}"


def _pairs(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def shorten(text: str, limit: int) -> str:
    """The beginning of a text of more than `limit` letters, with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves label positions apart until each is `gap` from the next and all lie in low..high; keeps their order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    floor = low
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _mark(position: int, x: float, y: float, tip: str) -> SafeString:
    """A point's mark: its shape differs by series, so that colour is never alone; `tip` shows on hovering."""
    name = _class_of(position)
    shapes = (
        "M{x:.1f} {y:.1f}m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
        "M{x:.1f} {y:.1f}m-3.2 -3.2h6.4v6.4h-6.4z",
        "M{x:.1f} {y:.1f}m0 -4.4l4.4 7.8h-8.8z",
        "M{x:.1f} {y:.1f}m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
    )
    path = shapes[position % len(shapes)].format(x=x, y=y)
    return format_html('<path class="mark {}" d="{}"><title>{}</title></path>', name, path, tip)


def _interval_text(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    return _("%(low)s to %(high)s") % {"low": format_number(low), "high": format_number(high)}


def _figure(*, title: str, wide: SafeString, narrow: SafeString, table: SafeString, name: str) -> SafeString:
    return format_html(
        '<figure class="chart {}"><figcaption class="chart-title">{}</figcaption>{}{}'
        "<details><summary>{}</summary>{}</details></figure>",
        name,
        title,
        wide,
        narrow,
        _("Show the numbers"),
        table,
    )


def _svg(frame: Frame, *, kind: str, key: str, title: str, description: str, body: SafeString) -> SafeString:
    return format_html(
        '<svg class="chart-{kind}" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{key}-{kind}-t {key}-{kind}-d">'
        '<title id="{key}-{kind}-t">{title}</title><desc id="{key}-{kind}-d">{description}</desc>{body}</svg>',
        kind=kind,
        key=key,
        w=frame.width,
        h=frame.height,
        title=title,
        description=description,
        body=body,
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> SafeString:
    head = format_html_join("", '<th scope="col">{}</th>', ((one,) for one in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html(
        '<div class="table-scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>', head, body
    )


def nothing_drawn(title: str, reason: str) -> SafeString:
    """What stands in the place of a chart that has nothing to draw."""
    return format_html(
        '<figure class="chart chart-empty"><figcaption class="chart-title">{}</figcaption>'
        '<p class="quiet">{}</p></figure>',
        title,
        reason or _("Nothing measured yet."),
    )


def _axes(
    frame: Frame,
    *,
    x_of: dict[float, float],
    y_of: dict[float, float],
    x_label: str,
    y_label: str,
    x_names: Mapping[float, str],
) -> SafeString:
    """Grid, tick texts and axis names; `x_of` and `y_of` map a tick's value to its px."""
    x_ticks, y_ticks = list(x_of), list(y_of)
    x_step = min((b - a for a, b in pairwise(x_ticks)), default=1.0)
    y_step = min((b - a for a, b in pairwise(y_ticks)), default=1.0)
    end, base = frame.width - frame.right, frame.height - frame.bottom
    grid = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (frame.left, end, f"{y:.1f}", f"{y:.1f}", frame.left - 8, f"{y + 4:.1f}", tick_text(value, y_step))
            for value, y in y_of.items()
        ),
    )
    below = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle">{}</text>',
        ((f"{x:.1f}", base + 18, x_names.get(value) or tick_text(value, x_step)) for value, x in x_of.items()),
    )
    return format_html(
        '{}{}<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="axis-name" x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text class="axis-name" x="0" y="11">{}</text>',
        grid,
        below,
        frame.left,
        end,
        base,
        base,
        frame.left + frame.plot_width // 2,
        frame.height - 6,
        x_label,
        y_label,
    )


def _draw_lines(
    frame: Frame,
    rows: Sequence[tuple[str, list[tuple[float, float, float, float]]]],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None,
    x_names: Mapping[float, str],
    is_narrow: bool,
) -> SafeString:
    drawn = [point for _name, points in rows for point in points]
    x_ticks = nice_ticks(min(p[0] for p in drawn), max(p[0] for p in drawn), 5 if is_narrow else 7)
    if x_names:  # as many as have room
        x_ticks = sorted(x_names)[:: math.ceil(len(x_names) / (3 if is_narrow else 7))]
    x_low, x_high = min(p[0] for p in drawn), max(p[0] for p in drawn)
    if x_low == x_high:
        x_low, x_high = (x_low - 0.5, x_low + 0.5) if x_names else (x_ticks[0], x_ticks[-1])
    lowest, highest = y_range or (min(p[2] for p in drawn), max(p[3] for p in drawn))
    y_ticks = nice_ticks(lowest, highest, 4 if is_narrow else 5)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def at_x(value: float) -> float:
        return frame.left + (value - x_low) / (x_high - x_low) * frame.plot_width

    def at_y(value: float) -> float:
        share = (min(max(value, y_low), y_high) - y_low) / (y_high - y_low)
        return frame.height - frame.bottom - share * frame.plot_height

    axes = _axes(
        frame,
        x_of={tick: at_x(tick) for tick in x_ticks if x_low <= tick <= x_high},
        y_of={tick: at_y(tick) for tick in y_ticks},
        x_label=x_label,
        y_label=y_label,
        x_names=x_names,
    )
    bands, lines, marks, labels = [], [], [], []
    present = [(position, name, points) for position, (name, points) in enumerate(rows) if points]
    ends = [at_y(points[-1][1]) for _position, _name, points in present]
    places = _spread(ends, 16, frame.top + 4, frame.height - frame.bottom - 4)
    for (position, name, points), place in zip(present, places, strict=True):
        colour = _class_of(position)
        around = [(at_x(x), at_y(high)) for x, _y, _low, high in points]
        around += [(at_x(x), at_y(low)) for x, _y, low, _high in reversed(points)]
        bands.append(format_html('<polygon class="band {}" points="{}"/>', colour, _pairs(around)))
        path = _pairs((at_x(x), at_y(y)) for x, y, _low, _high in points)
        lines.append(format_html('<polyline class="line {}" points="{}"/>', colour, path))
        for x, y, low, high in points:
            tip = f"{name}: {format_number(y)} [{format_number(low)}, {format_number(high)}]"
            marks.append(_mark(position, at_x(x), at_y(y), tip))
        if is_narrow:
            # No room beside the plot: the names stand in a row above it, each behind its own mark.
            spot = frame.left + 4 + (position % 3) * 104
            height = 24 + (position // 3) * 14
            labels.append(_mark(position, spot, height, name))
            where = (spot + 8, height + 4, shorten(name, 14))
        else:
            where = (round(at_x(points[-1][0])) + 9, round(place) + 4, shorten(name, 20))
        labels.append(format_html('<text class="label {}" x="{}" y="{}">{}</text>', colour, *where))
    return format_html("{}{}{}{}{}", axes, *(_join(part) for part in (bands, lines, marks, labels)))


@register.simple_tag
def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    description: str = "",
    refusal: str = "",
    y_low: float | None = None,
    y_high: float | None = None,
    x_names: Mapping[float, str] | None = None,
) -> SafeString:
    """Lines over x with a band for each interval, a direct label at each line's end, and the numbers as a table.

    series : at most 6 keep colours apart.   y_low, y_high : both or neither; without them the axis fits the intervals.
    x_names : what stands for each x where x is only a place in a row, as of weeks.
    Points whose `y` is None stand in the table and not in the drawing. Where nothing can be drawn, `refusal` says why.
    Everything that comes in as text is escaped.
    """
    rows = [(one["name"], _measured(one["points"])) for one in series]
    if not any(points for _name, points in rows):
        return nothing_drawn(title, refusal)
    y_range = None if y_low is None or y_high is None else (y_low, y_high)
    told = description or _describe_lines(rows, x_label)
    key = f"chart-{slugify(title) or 'line'}"

    def drawing(frame: Frame, kind: str) -> SafeString:
        body = _draw_lines(
            frame,
            rows,
            x_label=x_label,
            y_label=y_label,
            y_range=y_range,
            x_names=x_names or {},
            is_narrow=kind == "narrow",
        )
        return _svg(frame, kind=kind, key=key, title=title, description=told, body=body)

    table = _table(
        [_("Line"), x_label or "x", y_label or "y", _("95 % interval"), "n"],
        [
            (
                one["name"],
                (x_names or {}).get(point["x"]) or _format_x(point["x"]),
                format_number(point["y"]),
                _interval_text(point.get("low"), point.get("high")),
                format_number(point.get("n"), digits=0),
            )
            for one in series
            for point in one["points"]
        ],
    )
    return _figure(
        title=title, wide=drawing(WIDE, "wide"), narrow=drawing(NARROW, "narrow"), table=table, name="chart-line"
    )


def _describe_lines(rows: Sequence[tuple[str, list[tuple[float, float, float, float]]]], x_label: str) -> str:
    """One sentence a line: where it starts and where it ends."""
    told = []
    for name, points in rows:
        if points:
            first, last = points[0], points[-1]
            told.append(
                _("%(name)s goes from %(first)s at %(x1)s to %(last)s at %(x2)s %(x_label)s.")
                % {
                    "name": name,
                    "first": format_number(first[1]),
                    "x1": _format_x(first[0]),
                    "last": format_number(last[1]),
                    "x2": _format_x(last[0]),
                    "x_label": x_label,
                }
            )
    return " ".join(told)


@register.simple_tag
def bar_chart(
    bars: Sequence[Bar],
    *,
    title: str,
    value_label: str = "",
    description: str = "",
    refusal: str = "",
    high: float | None = None,
) -> SafeString:
    """Lying bars from zero, their label at the left, value and whisker at the end; the numbers as a table.

    bars : values >= 0 (a negative one is drawn as zero and told in full).   high : end of the axis; the largest value
    or whisker otherwise. Bars without a value keep their row and say so. All text is escaped.
    """
    known = [bar["value"] for bar in bars if bar["value"] is not None and math.isfinite(bar["value"])]
    if not known:
        return nothing_drawn(title, refusal)
    whiskers = [edge for bar in bars if (edge := bar.get("high")) is not None]
    end = high or max([*known, *whiskers]) or 1.0
    key = f"chart-{slugify(title) or 'bar'}"
    told = description or "; ".join(f"{bar['label']}: {format_number(bar['value'])}" for bar in bars)

    def drawing(kind: str, width: int, left: int, right: int, letters: int) -> SafeString:
        step, top = 30, 4
        frame = Frame(width, top * 2 + step * len(bars), left, right, top, top)
        rows = []
        for position, bar in enumerate(bars):
            y = top + position * step
            rows.append(_draw_bar(bar, frame, y=y, end=end, letters=letters))
        return _svg(frame, kind=kind, key=key, title=title, description=told, body=_join(rows))

    table = _table(
        [_("Name"), value_label or _("Value"), _("95 % interval"), _("Note")],
        [
            (
                bar["label"],
                format_number(bar["value"]),
                _interval_text(bar.get("low"), bar.get("high")),
                bar.get("note", ""),
            )
            for bar in bars
        ],
    )
    return _figure(
        title=title,
        wide=drawing("wide", 760, 190, 70, 26),
        narrow=drawing("narrow", 350, 104, 56, 14),
        table=table,
        name="chart-bar",
    )


def _draw_bar(bar: Bar, frame: Frame, *, y: int, end: float, letters: int) -> SafeString:
    value, low, high = bar["value"], bar.get("low"), bar.get("high")
    name = format_html(
        '<text class="value" x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>',
        frame.left - 10,
        y + 19,
        shorten(bar["label"], letters),
        bar["label"],
    )
    if value is None or not math.isfinite(value):
        missing = format_html('<text x="{}" y="{}">{}</text>', frame.left, y + 19, _("not measured"))
        return format_html("{}{}", name, missing)

    def length(of: float) -> float:
        return min(max(of, 0.0), end) / end * frame.plot_width

    reach = max(length(value), length(high) if high is not None else 0.0)
    whisker = EMPTY
    if low is not None and high is not None:
        whisker = format_html(
            '<path class="whisker" d="M{} {}H{}m0 -4v8M{} {}v8"/>',
            f"{frame.left + length(low):.1f}",
            y + 15,
            f"{frame.left + length(high):.1f}",
            f"{frame.left + length(low):.1f}",
            y + 11,
        )
    return format_html(
        '{}<rect class="bar s1" x="{}" y="{}" width="{}" height="18" rx="2"/>{}'
        '<text class="value" x="{}" y="{}">{}{}</text>',
        name,
        frame.left,
        y + 6,
        f"{length(value):.1f}",
        whisker,
        f"{frame.left + reach + 8:.1f}",
        y + 19,
        format_number(value),
        format_html(' <tspan class="note">{}</tspan>', note) if (note := bar.get("note")) else EMPTY,
    )


@register.simple_tag
def progress_bar(portions: Sequence[Portion], *, title: str, is_quiet: bool = False) -> SafeString:
    """One stacked bar for how far something is, with its key in words and numbers below (left out where `is_quiet`).

    portions : counts >= 0 in the order drawn; nothing at all draws an empty bar. All text is escaped.
    """
    total = sum(max(one["n"], 0) for one in portions)
    said = ", ".join(f"{one['label']} {format_number(one['n'], digits=0)}" for one in portions)
    rects: list[SafeString] = []
    start = 0.0
    for one in portions:
        if total == 0 or one["n"] <= 0:
            continue
        width = one["n"] / total * 100
        rects.append(
            format_html(
                '<rect class="progress-{}" x="{}" y="0" width="{}" height="10"><title>{}: {}</title></rect>',
                slugify(one["kind"]),
                f"{start:.3f}",
                f"{width:.3f}",
                one["label"],
                format_number(one["n"], digits=0),
            )
        )
        start += width
    bar = format_html(
        '<svg class="progress-bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">'
        "<title>{}</title>{}</svg>",
        f"{title}: {said}" if said else title,
        _join(rects),
    )
    if is_quiet:
        return format_html('<div class="progress">{}</div>', bar)
    key = format_html_join(
        "",
        '<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="progress-{}" width="10" height="10"/></svg>'
        "{} <b>{}</b>{}</li>",
        (
            (
                slugify(one["kind"]),
                one["label"],
                format_number(one["n"], digits=0),
                f" ({_share(one['n'], total)})" if total else "",
            )
            for one in portions
        ),
    )
    return format_html('<div class="progress">{}<ul class="progress-key">{}</ul></div>', bar, key)


def _share(n: int, total: int) -> str:
    """A share in whole per cent that never rounds something to nothing or almost all to all."""
    share = 100 * n / total
    if 0 < share < 1:
        return "<1%"
    if 99 < share < 100:
        return ">99%"
    return f"{share:.0f}%"
