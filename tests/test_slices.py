"""A model's figures on parts of the holdout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotation.models import Item
from learning.slices import slice_figures
from reviewers.algorithms.intervals import wilson
from tests.cast import Desk, MakeDesk, import_rows


def put(desk: Desk, metadata: list[dict[str, Any]]) -> np.ndarray:
    rows = [{"external_id": f"s-{n}", "text": "A text", "metadata": told} for n, told in enumerate(metadata)]
    import_rows(desk.project, rows)
    found = dict(Item.objects.filter(external_id__startswith="s-").values_list("external_id", "pk"))
    return np.array([found[f"s-{n}"] for n in range(len(rows))])


@pytest.mark.django_db
def test_each_part_has_its_share_its_interval_and_its_n(make_desk: MakeDesk) -> None:
    desk = make_desk()
    languages = ["en"] * 40 + ["sw"] * 30 + ["fi"] * 5
    about = [{"language": said, "id": f"x{n}", "paid": n % 2 == 0} for n, said in enumerate(languages)]
    items = put(desk, about)
    y = np.zeros(75, np.int64)
    wrong = np.r_[np.arange(4), np.arange(40, 55)]
    proba = np.tile([0.9, 0.1], (75, 1))
    proba[wrong] = [0.2, 0.8]
    order = np.random.default_rng(0).permutation(75)
    found = slice_figures(items[order], y, proba[order])
    assert [(one["key"], one["value"], one["figure"]["n_items"]) for one in found] == [
        ("language", "en", 40),
        ("language", "sw", 30),
        ("language", "fi", 5),
        ("paid", "true", 38),
        ("paid", "false", 37),
    ]  # not by id: each is of a single item
    assert [one["figure"]["value"] for one in found[:3]] == [0.9, 0.5, None]
    assert found[1]["figure"]["interval"] == pytest.approx(list(wilson(15, 30)))
    assert found[2]["figure"]["refusal"] == "5 items; 30 needed"


@pytest.mark.django_db
def test_no_items_and_no_metadata_make_no_parts(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert slice_figures(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2))) == []
    items = put(desk, [{}, {"tags": ["a"], "nested": {"a": 1}, "one": "same"}])
    assert slice_figures(items, np.zeros(2, np.int64), np.tile([0.9, 0.1], (2, 1))) == []
