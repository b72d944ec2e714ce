"""`manage.py simulate consensus`: every method on a file of labels, without a database."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.method_comparison import METHODS, compare_methods

DATA = Path(__file__).parents[2] / "shared" / "data"


def compare(path: Path, *flags: str, **columns: str) -> str:
    out = io.StringIO()
    given = {"item": "item", "annotator": "who", "label": "said"} | columns
    arguments = [f"--{name}={column}" for name, column in given.items()]
    call_command("simulate", "consensus", str(path), *arguments, *flags, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """300 items that two careful people and three who often say "b" label; what is right stands beside."""
    chance = Random(5)
    lines = ["item,who,said,right"]
    for i in range(300):
        right = "ab"[i % 2]
        for who in ("ann", "ben"):
            lines.append(f"{i},{who},{right if chance.random() < 0.97 else 'b'},{right}")
        for who in ("cat", "dan", "eve"):
            lines.append(f"{i},{who},{'b' if chance.random() < 0.7 else right},{right}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_line_for_each_method_with_its_interval_and_what_would_be_chosen(labelled: Path) -> None:
    lines = compare(labelled, gold="right").splitlines()
    assert lines[0] == "1500 labels by 5 annotators on 300 items, 2 values"
    assert [line.split()[0] for line in lines[2:-1]] == list(METHODS)
    assert "right of 300 [95 %]" in lines[1]
    assert lines[-1].startswith(("mace: ", "dawid_skene: "))


def test_methods_that_know_people_beat_the_vote_where_most_are_careless(labelled: Path) -> None:
    found = json.loads(compare(labelled, "--json", gold="right"))
    by_name = {one["method"]: one for one in found["methods"]}
    assert by_name["dawid_skene"]["gain_interval"][0] > 0.1
    assert by_name["majority"]["gain"] is None
    assert found["values"] == ["a", "b"]
    assert (
        json.loads(compare(labelled, "--json", gold="right"))["methods"][0]["interval"]
        == (by_name["majority"]["interval"])
    )


def test_without_gold_nothing_is_said_to_be_right(labelled: Path) -> None:
    assert "right of" not in compare(labelled)
    assert {one["right"] for one in json.loads(compare(labelled, "--json"))["methods"]} == {None}


def test_labels_that_tell_nothing_of_anyone_are_refused_by_all_but_the_votes() -> None:
    labels = CrowdLabels.from_codes([1, 2, 3], [1, 2, 3], [0, 1, 0], 2)
    scores = list(compare_methods(labels, {1: 0}, np.random.default_rng(1)))
    assert scores[0].right == 1.0
    assert {score.method for score in scores if score.refusal} >= {"dawid_skene", "one_coin", "mace", "glad"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"label": "no_such"}, "No row has all of the columns item, who and no_such."),
        ({"gold": "no_such"}, "No row has the column no_such. Leave --gold out."),
        ({"gold": "who"}, "Line 3: column who says something else of 0 than an earlier line."),
    ],
)
def test_a_wrong_column_is_told(labelled: Path, columns: dict[str, str], sentence: str) -> None:
    with pytest.raises(CommandError) as error:
        compare(labelled, **columns)
    assert str(error.value) == sentence


def test_a_published_file_gives_the_votes_accuracy(tmp_path: Path) -> None:
    path = DATA / "snow_temp.tsv.xz"
    if not path.exists():
        pytest.skip("the labelled files are not here")
    columns: dict[str, Any] = {"item": "orig_id", "annotator": "!amt_worker_ids", "label": "response", "gold": "gold"}
    found = json.loads(compare(path, "--json", **columns))
    assert (found["n_labels"], found["n_items"], found["n_annotators"]) == (4620, 462, 76)
    right = {one["method"]: round(one["right"], 4) for one in found["methods"]}
    assert (right["majority"], right["weighted_vote"], right["dawid_skene"]) == (0.9361, 0.9437, 0.9416)
