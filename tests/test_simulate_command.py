"""`manage.py simulate learning`: a table of strategies for any labelled file, without a database."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """600 texts of two kinds, every tenth of them mislabelled, with the votes of three people."""
    path = tmp_path / "texts.csv"
    rows = ["text,label,n_ham,n_spam"]
    for i in range(600):
        is_spam = i % 2 == 0
        text = f"{'buy cheap pills' if is_spam else 'good morning friend'} {i % 37}"
        rows.append(f"{text},{'spam' if is_spam != (i % 10 == 0) else 'ham'},{0 if is_spam else 3},{3 * is_spam}")
    path.write_text("\n".join(rows))
    return path


def simulate(path: Path, **options: Any) -> str:
    out = io.StringIO()
    given = {"text": "text", "label": "label", "rounds": 2, "batch": 20, **options}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not True]
    flags = [f"--{name}" for name, value in given.items() if value is True]
    call_command("simulate", "learning", str(path), *arguments, *flags, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_table_has_a_row_for_each_round_and_a_column_for_each_strategy(labelled: Path) -> None:
    lines = simulate(labelled, strategies="margin,random").splitlines()
    assert lines[0] == "macro-F1 [95 % interval] on a holdout of 120"
    assert lines[1].split() == ["labels", "margin", "random"]
    assert [line.split()[0] for line in lines[2:]] == ["20", "40"]


def test_json_carries_figures_and_the_same_seed_gives_the_same(labelled: Path) -> None:
    first, second = (simulate(labelled, json=True, seed=3, strategies="entropy") for _ in range(2))
    assert first == second
    point = json.loads(first)["curves"]["entropy"][1]
    assert (point["n_labels"], point["macro_f1"]["n_items"]) == (40, 120)


def test_votes_answer_in_the_place_of_labels(labelled: Path) -> None:
    found = json.loads(simulate(labelled, json=True, votes="ham=n_ham,spam=n_spam"))
    assert [point["n_votes"] for point in found["curves"]["margin"]] == [60, 120]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strategies": "clairvoyance"}, "no strategy clairvoyance"),
        ({"text": "no_such"}, "No row has both columns"),
        ({"votes": "ham"}, "LABEL=COLUMN"),
        ({"votes": "ham=text"}, "is no count"),
        ({"rounds": 0}, "begin at 1"),
    ],
)
def test_what_does_not_fit_is_said(labelled: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        simulate(labelled, **options)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        simulate(tmp_path / "absent.csv")
