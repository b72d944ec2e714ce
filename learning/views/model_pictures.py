"""A model's mistakes as pictures: what it takes for what, and how often it is right when it says it is sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.templatetags.charts import format_number
from reviewers.algorithms.intervals import wilson

MOST_IN_MATRIX = 16


def show_mistakes(evaluation: Mapping[str, Any] | None, texts: Mapping[str, str]) -> dict[str, Any] | None:
    """Accepted against predicted choices on the holdout, for `matrix_chart`; None where figures are refused.

    None as well where several choices may hold: then none is taken for another.

    `{"names", "cells", "n_hidden"}`: the sixteen commonest choices; shaded by the share of the row's items.
    """
    if evaluation is None or not evaluation.get("reliability") or not evaluation["confusion"]:
        return None
    counts = evaluation["confusion"]
    order = sorted(range(len(counts)), key=lambda code: -sum(counts[code]))[:MOST_IN_MATRIX]
    order.sort()
    names = [texts.get(evaluation["choices"][code], evaluation["choices"][code]) for code in order]

    def cell(row: int, column: int) -> dict[str, Any] | None:
        n, n_row = counts[row][column], sum(counts[row])
        if not n:
            return {"text": "0", "shade": 0.0 if row != column else None, "tip": ""}
        words = {"n": format_number(n, digits=0), "of": format_number(n_row, digits=0)}
        words |= {"a": names[order.index(row)], "b": names[order.index(column)]}
        if row == column:
            tip = ngettext("%(n)s of %(of)s “%(a)s” found", "%(n)s of %(of)s “%(a)s” found", n) % words
            return {"text": words["n"], "shade": None, "tip": tip}
        tip = ngettext("%(n)s of %(of)s “%(a)s” taken for “%(b)s”", "%(n)s of %(of)s “%(a)s” taken for “%(b)s”", n)
        return {"text": words["n"], "shade": n / n_row, "tip": tip % words}

    cells = [[cell(row, column) for column in order] for row in order]
    return {"names": names, "cells": cells, "n_hidden": len(counts) - len(order)}


def show_reliability(evaluation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """How often the likeliest choice is right, by how probable the model calls it: series for `line_chart`, or [].

    The second line is a model that is right as often as it says.
    """
    bins = (evaluation or {}).get("reliability") or []
    if not bins:
        return []
    points = []
    for said, is_right, n in bins:
        low, high = wilson(round(is_right * n), n)
        points.append({"x": round(said, 3), "y": is_right, "low": low, "high": high, "n": n})
    ends = [points[0]["x"], points[-1]["x"]]
    return [
        {"name": _("this model"), "points": points},
        {"name": _("as it says"), "points": [{"x": x, "y": x, "low": None, "high": None, "n": None} for x in ends]},
    ]
