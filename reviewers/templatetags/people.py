"""A person's weeks as a small line, for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.templatetags.charts import format_number

register = template.Library()

WIDTH, HEIGHT, EDGE = 120, 28, 4


@register.simple_tag
def spark_line(weeks: Sequence[Mapping[str, Any]], dates: Sequence[str], low: float = 0.0) -> SafeString:
    """One person's share of right labels by week, between `low` and 1; a dash where no week has a figure.

    weeks : `{"week", "value"}`, values 0 to 1 or None.   dates : the project's weeks in order: the line of every person
    has the same time axis. A week without a figure breaks the line. The title says in words what is drawn.
    """
    place = {date: position for position, date in enumerate(dates)}
    drawn = [(place[week["week"]], week["value"]) for week in weeks if week["value"] is not None]
    if not drawn:
        return format_html('<span class="quiet" title="{}">–</span>', _("no week with enough labels"))
    across = max(len(dates) - 1, 1)
    room = max(1 - low, 0.01)

    def at(week: int, value: float) -> tuple[str, str]:
        x = EDGE + week / across * (WIDTH - 2 * EDGE)
        y = HEIGHT - EDGE - (max(value, low) - low) / room * (HEIGHT - 2 * EDGE)
        return f"{x:.1f}", f"{y:.1f}"

    pieces = [list(piece) for _key, piece in groupby(enumerate(drawn), lambda one: one[1][0] - one[0])]
    lines = format_html_join(
        "",
        '<polyline class="line s1" points="{}"/>',
        ((" ".join(",".join(at(*point)) for _n, point in piece),) for piece in pieces if len(piece) > 1),
    )
    alone = [piece[0][1] for piece in pieces if len(piece) == 1]
    marks = format_html_join(
        "", '<circle class="mark s1" cx="{}" cy="{}" r="2"/>', (at(*point) for point in [*alone, drawn[-1]])
    )
    told = ngettext(
        "%(n)d week: %(first)s", "%(n)d weeks: from %(first)s to %(last)s, lowest %(least)s", len(drawn)
    ) % {
        "n": len(drawn),
        "first": format_number(drawn[0][1]),
        "last": format_number(drawn[-1][1]),
        "least": format_number(min(value for _week, value in drawn)),
    }
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" role="img"><title>{}</title>'
        '<line class="spark-axis" x1="0" x2="{}" y1="{}" y2="{}"/>{}{}</svg>',
        WIDTH,
        HEIGHT,
        told,
        WIDTH,
        HEIGHT - 1,
        HEIGHT - 1,
        lines,
        marks,
    )
