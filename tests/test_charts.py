"""Charts and figures: safe markup, honest gaps, the same numbers for those who look and those who read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

from annotation.templatetags import charts, display

HOSTILE = "<script>alert(1)</script>\"'&"


def read_xml(markup: str) -> ET.Element:
    """The markup as a tree; raises where a tag is left open or a text is not escaped."""
    return ET.fromstring(f"<root>{markup}</root>")


def make_series(name: str = "margin", *, n: int = 3) -> charts.Series:
    return {
        "name": name,
        "points": [
            {"x": 100.0 * i, "y": 0.5 + 0.1 * i, "low": 0.4 + 0.1 * i, "high": 0.6 + 0.1 * i, "n": 312}
            for i in range(n)
        ],
    }


def texts(tree: ET.Element, tag: str) -> list[str]:
    return ["".join(one.itertext()) for one in tree.iter(tag)]


def test_line_chart_escapes_every_text() -> None:
    chart = charts.line_chart(
        [make_series(HOSTILE)], title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE, description=HOSTILE
    )
    assert "<script" not in chart
    assert HOSTILE in texts(read_xml(chart), "figcaption")


def test_line_chart_without_points_says_why() -> None:
    chart = charts.line_chart([make_series(n=0)], title="Curve", refusal="holdout has 12 labels, 100 needed")
    assert "holdout has 12 labels, 100 needed" in chart
    assert "<svg" not in chart


def test_line_chart_draws_a_band_and_a_direct_label_for_each_line() -> None:
    tree = read_xml(charts.line_chart([make_series("margin"), make_series("random")], title="Curve"))
    wide = next(one for one in tree.iter("svg") if one.get("class") == "chart-wide")
    assert [one.get("class") for one in wide.iter("polygon")] == ["band s1", "band s2"]
    assert [one.get("class") for one in wide.iter("polyline")] == ["line s1", "line s2"]
    assert [one.text for one in wide.iter("text") if (one.get("class") or "").startswith("label")] == [
        "margin",
        "random",
    ]


def test_labels_of_lines_that_end_together_do_not_overlap() -> None:
    tree = read_xml(charts.line_chart([make_series(name) for name in "abcd"], title="Curve"))
    wide = next(one for one in tree.iter("svg") if one.get("class") == "chart-wide")
    heights = sorted(int(one.get("y", "0")) for one in wide.iter("text") if "label" in (one.get("class") or ""))
    assert all(below - above >= 15 for above, below in pairwise(heights))


def test_line_chart_lists_a_refused_point_and_does_not_draw_it() -> None:
    series: charts.Series = {
        "name": "margin",
        "points": [{"x": 1, "y": None}, {"x": 2, "y": 0.5, "low": 0.4, "high": 0.6, "n": 312}],
    }
    tree = read_xml(charts.line_chart([series], title="Curve"))
    assert [texts(row, "td") for row in tree.iter("tr")][1:] == [
        ["margin", "1", "–", "–", "–"],
        ["margin", "2", "0.50", "0.40 to 0.60", "312"],
    ]
    wide = next(one for one in tree.iter("svg") if one.get("class") == "chart-wide")
    assert len([one for one in wide.iter("path") if "mark" in (one.get("class") or "")]) == 1


def test_a_chart_names_itself_to_screen_readers() -> None:
    tree = read_xml(charts.line_chart([make_series()], title="Curve", x_label="labels"))
    ids = {one.get("id") for one in tree.iter() if one.get("id")}
    drawings = [one for one in tree.iter("svg") if one.get("role") == "img"]
    assert len(drawings) == 2
    assert all(set((one.get("aria-labelledby") or "").split()) <= ids for one in drawings)
    assert "margin goes from 0.50 at 0 to 0.70 at 200 labels." in texts(tree, "desc")


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e9, 1e-9])
def test_a_single_point_of_any_size_can_be_drawn(value: float) -> None:
    chart = charts.line_chart([{"name": "m", "points": [{"x": value, "y": value}]}], title="Curve")
    assert "nan" not in chart.lower()
    assert "polyline" in chart


def test_points_that_are_not_numbers_are_left_out() -> None:
    chart = charts.line_chart([{"name": "m", "points": [{"x": 1, "y": float("nan")}]}], title="Curve")
    assert "<svg" not in chart


def test_bar_chart_draws_to_scale_with_whiskers() -> None:
    bars: list[charts.Bar] = [
        {"label": "none", "value": 0.5, "low": 0.4, "high": 0.6},
        {"label": "spam", "value": 1.0},
        {"label": "rare", "value": None, "note": "n=3"},
    ]
    tree = read_xml(charts.bar_chart(bars, title="F1", high=1.0))
    wide = next(one for one in tree.iter("svg") if one.get("class") == "chart-wide")
    assert [float(one.get("width", "0")) for one in wide.iter("rect")] == [250.0, 500.0]
    assert len([one for one in wide.iter("path") if one.get("class") == "whisker"]) == 1
    assert texts(list(tree.iter("tr"))[3], "td") == ["rare", "–", "–", "n=3"]


def test_bar_chart_escapes_labels() -> None:
    chart = charts.bar_chart([{"label": HOSTILE, "value": 1.0, "note": HOSTILE}], title=HOSTILE)
    assert "<script" not in chart
    assert HOSTILE in texts(read_xml(chart), "td")


def test_bar_chart_of_zeros_can_be_drawn() -> None:
    tree = read_xml(charts.bar_chart([{"label": "none", "value": 0.0}], title="Counts"))
    assert [one.get("width") for one in tree.iter("rect")] == ["0.0", "0.0"]


def test_progress_bar_fills_the_width_and_tells_the_counts() -> None:
    portions: list[charts.Portion] = [
        {"label": "agreed", "kind": "agreed", "n": 1499},
        {"label": "disputed", "kind": "disputed", "n": 1},
        {"label": "open", "kind": "open", "n": 0},
    ]
    tree = read_xml(charts.progress_bar(portions, title="Items by state"))
    bar = next(tree.iter("svg"))
    assert sum(float(one.get("width", "0")) for one in bar.iter("rect")) == pytest.approx(100, abs=0.01)
    assert texts(tree, "li") == ["agreed 1\u202f499 (>99%)", "disputed 1 (<1%)", "open 0 (0%)"]
    assert texts(bar, "title")[0] == "Items by state: agreed 1\u202f499, disputed 1, open 0"


def test_progress_bar_of_nothing_is_empty() -> None:
    tree = read_xml(charts.progress_bar([{"label": "open", "kind": "open", "n": 0}], title="Items"))
    assert list(next(tree.iter("svg")).iter("rect")) == []


def test_no_chart_carries_a_style_or_a_handler() -> None:
    """The content security policy would drop them."""
    markup = (
        charts.line_chart([make_series()], title="a")
        + charts.bar_chart([{"label": "b", "value": 1.0, "low": 0.5, "high": 1.5}], title="b")
        + charts.progress_bar([{"label": "c", "kind": "done", "n": 1}], title="c")
        + display.interval_bar(0.5, 0.4, 0.6)
    )
    names = {name for one in read_xml(markup).iter() for name in one.attrib}
    assert not {name for name in names if name == "style" or name.startswith("on")}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 1000, [0, 200, 400, 600, 800, 1000]),
        (0.51, 0.59, [0.5, 0.52, 0.54, 0.56, 0.58, 0.6]),
        (3, 3, [2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6]),
        (float("nan"), 1, [0.0, 1.0]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low: float, high: float, ticks: list[float]) -> None:
    assert charts.nice_ticks(low, high) == pytest.approx(ticks)


def test_measured_shows_value_interval_and_n() -> None:
    metric: dict[str, Any] = {"value": 0.71, "interval": [0.66, 0.76], "n_items": 312}
    assert texts(read_xml(display.measured(metric)), "span")[0] == "0.71 [0.66, 0.76] n=312"


def test_measured_shows_the_refusal_in_place_of_a_number() -> None:
    assert "only 1 class occurs" in display.measured({"value": None, "refusal": "only 1 class occurs"})
    assert "not measured" in display.measured(None)


def test_figure_tells_what_it_rests_on() -> None:
    told = display.figure(
        {"metric": "alpha", "value": 0.6, "interval": [0.5, 0.7], "level": 0.95, "n_items": 1, "n_labels": 1200}
    )
    assert (told["low"], told["high"], told["level"]) == (0.5, 0.7, 95)
    assert told["counts"] == "1 item, 1\u202f200 labels"


@pytest.mark.parametrize("state", display.CHIPS)
def test_chip_never_tells_a_state_by_colour_alone(state: str) -> None:
    tree = read_xml(display.chip(state))
    assert next(tree.iter("path")).get("d")
    assert texts(tree, "span")[0].strip()


def test_chip_of_an_unknown_state_is_escaped() -> None:
    assert "<script" not in display.chip(HOSTILE)


@pytest.mark.parametrize(
    ("remark", "told"),
    [
        ("no item has two labels", "No item has two labels."),
        ("Wilson", "Wilson."),
        ("Is it? Yes!", "Is it? Yes!"),
        ("  ", ""),
        (None, ""),
    ],
)
def test_a_remark_is_told_as_a_sentence(remark: str | None, told: str) -> None:
    assert display.sentence(remark) == told


def test_bar_chart_tells_n_beside_the_value() -> None:
    chart = charts.bar_chart([{"label": "Spam", "value": 0.76, "note": "n=14 <"}], title="F1")
    assert "0.76 n=14 <" in texts(read_xml(chart), "text")
