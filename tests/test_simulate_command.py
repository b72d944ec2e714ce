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
    given = {"text": "text", "label": "label", "rounds": 2, "batch": 20, "seeds": 2, **options}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not True]
    flags = [f"--{name}" for name, value in given.items() if value is True]
    call_command("simulate", "learning", str(path), *arguments, *flags, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_table_says_what_each_strategy_saves(labelled: Path) -> None:
    lines = simulate(labelled, strategies="adaptive,random").splitlines()
    assert lines[0] == "480 rows are asked, 120 judge; 2 seeds; the label looked for is spam."
    header = next(number for number, line in enumerate(lines) if line.startswith("strategy"))
    assert lines[header].split()[:3] == ["strategy", "macro-F1", f"{0.95 * full_of(labelled):.3f}"]
    assert [line.split()[0] for line in lines[header + 1 : header + 3]] == ["adaptive", "random"]
    assert "[" in lines[header + 1]
    assert "[" not in lines[header + 2]
    assert [line.split()[0] for line in lines[-2:]] == ["20", "40"]


def full_of(path: Path, **options: Any) -> float:
    return float(json.loads(simulate(path, json=True, strategies="random", **options))["full"]["macro_f1"])


def test_characters_tell_what_words_that_occur_once_do_not(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    rows = [f"see {'cheap' if i % 2 else 'friend'}{i},{'spam' if i % 2 else 'ham'}" for i in range(500)]
    path.write_text("\n".join(["text,label", *rows]))
    by_words, by_characters, by_default = (full_of(path, text_features=one) for one in ("words", "characters", "auto"))
    assert by_words < 0.6
    assert by_characters == by_default == 1


def test_json_carries_figures_and_the_same_seed_gives_the_same(labelled: Path) -> None:
    first, second = (simulate(labelled, json=True, seed=3, strategies="entropy,random") for _ in range(2))
    assert first == second
    found = json.loads(first)
    point = found["curves"]["entropy"][1]
    assert (point["n_labels"], len(point["of_seeds"]["ap"]), found["seeds"]) == (40, 2, [3, 4])
    assert point["macro_f1"] == pytest.approx(sum(point["of_seeds"]["macro_f1"]) / 2)
    low, high = found["strategies"][0]["minus_random"]["interval"]
    assert low <= found["strategies"][0]["minus_random"]["value"] <= high
    assert found["strategies"][1]["minus_random"] is None


def test_votes_answer_in_the_place_of_labels(labelled: Path) -> None:
    found = json.loads(simulate(labelled, json=True, votes="ham=n_ham,spam=n_spam"))
    assert [point["n_votes"] for point in found["curves"]["margin"]] == [60, 120]


def test_words_of_a_policy_add_a_start_from_nothing(labelled: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.txt"
    policy.write_text("It is spam to ask people to buy pills.")
    found = json.loads(simulate(labelled, json=True, strategies="random", positive="spam", keywords=policy))
    by_name = {start["strategy"]: start["found"]["200"] for start in found["cold_start"]}
    assert by_name["adaptive"] > by_name["random"]
    table = simulate(labelled, strategies="random", positive="spam", keywords="buy pills")
    assert "spam thinned to 6 of 294 rows" in table
    assert [line.split()[0] for line in table.splitlines()[-3:]] == ["adaptive", "keywords", "random"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strategies": "clairvoyance"}, "no strategy clairvoyance"),
        ({"text": "no_such"}, "No row has both columns"),
        ({"votes": "ham"}, "LABEL=COLUMN"),
        ({"votes": "ham=text"}, "is no count"),
        ({"rounds": 0}, "begin at 1"),
        ({"positive": "eggs"}, "No row has the label eggs. There are: ham, spam."),
        ({"keywords": "zzz"}, "None of the words in --keywords occurs"),
    ],
)
def test_what_does_not_fit_is_said(labelled: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        simulate(labelled, **options)


def test_a_file_of_too_few_rows_is_said(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text,label\nhello,ham\nbuy,spam\n")
    with pytest.raises(CommandError, match=r"^2 rows have a text and a label: too few\."):
        simulate(path)


def test_a_broken_row_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "hello", "label": "ham"}\n{"text": \n')
    with pytest.raises(CommandError, match=r"^Line 2: "):
        simulate(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        simulate(tmp_path / "absent.csv")
