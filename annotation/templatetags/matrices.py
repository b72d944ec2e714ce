"""A table of shaded cells as SVG, drawn on the server: who agrees with whom, which label meets which.

As in `charts.py`: no script, no style attribute, colours from classes in touchstone.css, all text escaped. Each cell
says its number in itself, so that its shade is never all that tells it; a cell with an address is a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _

from annotation.templatetags.charts import EMPTY, nothing_drawn, shorten

register = template.Library()

N_SHADES = 5
WIDTH, HEIGHT = 64, 34
LETTERS = 16


class Cell(TypedDict):
    """One cell: its `text`, how dark it is from 0 to 1 (None: it stands apart, as on a diagonal), and what it means."""

    text: str
    shade: float | None
    tip: str
    url: NotRequired[str]


@register.simple_tag
def matrix_chart(
    names: Sequence[str],
    cells: Sequence[Sequence[Cell | None]],
    *,
    title: str,
    corner: str = "",
    description: str = "",
    refusal: str = "",
) -> SafeString:
    """A square of cells with the same names down and across, and the same as a table below.

    cells : one row for each name; None draws nothing there. Wider than the page it scrolls by itself. Without names,
    `refusal` says why there is nothing.
    """
    if not names:
        return nothing_drawn(title, refusal)
    key = f"matrix-{slugify(title) or 'cells'}"
    n, longest = len(names), min(LETTERS, max(len(name) for name in names))
    left, top = 24 + 7 * longest, 24 + 5 * longest  # room for the names beside and, slanting, above
    width, height = left + WIDTH * n + 4 * longest, top + HEIGHT * n + 2
    across = format_html_join(
        "",
        '<text transform="translate({} {}) rotate(-40)">{}<title>{}</title></text>',
        ((left + WIDTH * x + WIDTH // 2, top - 8, shorten(name, LETTERS), name) for x, name in enumerate(names)),
    )
    down = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>',
        ((left - 8, top + HEIGHT * y + 21, shorten(name, LETTERS), name) for y, name in enumerate(names)),
    )
    drawn = format_html_join(
        "",
        "{}",
        (
            (_draw(cell, left + WIDTH * x, top + HEIGHT * y),)
            for y, row in enumerate(cells)
            for x, cell in enumerate(row)
            if cell is not None
        ),
    )
    return format_html(
        '<figure class="chart chart-matrix"><figcaption class="chart-title">{title}</figcaption>'
        '<div class="table-scroll" tabindex="0" role="region" aria-label="{title}">'
        '<svg class="matrix" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="group" aria-labelledby="{key}-t">'
        '<title id="{key}-t">{title}. {description}</title>{across}{down}{drawn}</svg></div>'
        "<details><summary>{show}</summary>{table}</details></figure>",
        title=title,
        description=description,
        key=key,
        w=width,
        h=height,
        across=across,
        down=down,
        drawn=drawn,
        show=_("Show the numbers"),
        table=_table(names, cells, corner),
    )


def _draw(cell: Cell, left: int, top: int) -> SafeString:
    shade = "apart" if cell["shade"] is None else str(round(min(max(cell["shade"], 0.0), 1.0) * N_SHADES))
    body = format_html(
        '<rect class="cell cell-{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>'
        '<text class="value" x="{}" y="{}" text-anchor="middle">{}</text><title>{}</title>',
        shade,
        left + 1,
        top + 1,
        WIDTH - 2,
        HEIGHT - 2,
        left + WIDTH // 2,
        top + 21,
        cell["text"],
        cell["tip"],
    )
    if url := cell.get("url"):
        return format_html('<a href="{}" aria-label="{}">{}</a>', url, cell["tip"], body)
    return format_html("<g>{}</g>", body)


def _table(names: Sequence[str], cells: Sequence[Sequence[Cell | None]], corner: str) -> SafeString:
    head = format_html_join("", '<th scope="col" class="right">{}</th>', ((name,) for name in names))
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th>{}</tr>',
        (
            (name, format_html_join("", '<td class="right">{}</td>', ((_in_table(cell),) for cell in row)))
            for name, row in zip(names, cells, strict=True)
        ),
    )
    return format_html(
        '<div class="table-scroll"><table><thead><tr><th scope="col">{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>",
        corner,
        head,
        rows,
    )


def _in_table(cell: Cell | None) -> SafeString:
    if cell is None:
        return EMPTY
    if url := cell.get("url"):
        return format_html('<a href="{}" title="{}">{}</a>', url, cell["tip"], cell["text"])
    return format_html("{}", cell["text"])
