"""`manage.py simulate learning`: a table of strategies for any labelled file, without a database."""

from __future__ import annotations

import io
import json
import multiprocessing
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from learning.offline import Columns, read_texts


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """600 texts of two kinds, every tenth of them mislabelled, with the votes of three people."""
    path = tmp_path / "texts.csv"
    rows = ["text,label,n_ham,n_spam"]
    for i in range(600):
        is_spam = i % 2 == 0
        text = f"{'buy cheap pills' if is_spam else 'good morning friend'} {i}"
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
        ({"text": "no_such"}, "There is no column no_such. The file has: label, n_ham, n_spam, text."),
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
    with pytest.raises(CommandError, match=r"^2 different texts have a label: too few\."):
        simulate(path)


def test_a_broken_row_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "hello", "label": "ham"}\n{"text": \n')
    with pytest.raises(CommandError, match=r"^Line 2: "):
        simulate(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        simulate(tmp_path / "absent.csv")


def write_rows(path: Path, *rows: Any) -> Path:
    """JSONL of rows, or any other file of lines."""
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def kinds_of_text(n: int) -> list[tuple[str, bool]]:
    return [(f"{'buy cheap pills' if i % 2 else 'good morning friend'} {i}", i % 2 == 1) for i in range(n)]


def test_lists_are_labels_of_which_several_may_hold(tmp_path: Path) -> None:
    rows = [
        {"text": text, "labels": [*(["ad"] if is_ad else []), *(["rare"] if i % 5 == 0 else [])]}
        for i, (text, is_ad) in enumerate(kinds_of_text(300))
    ]
    path = write_rows(tmp_path / "several.jsonl", *rows)
    found = json.loads(simulate(path, json=True, label="labels", strategies="adaptive,random"))
    assert (found["kind"], found["labels"], found["positive"]) == ("several", ["ad", "rare"], "rare")
    assert found["full"]["macro_f1"] > 0.5
    assert found["n_judging"] == {"ad": 48, "rare": 20}
    table = simulate(path, label="labels", strategies="adaptive,random", positive="ad", keywords="buy pills")
    assert "ad thinned to" in table
    with pytest.raises(CommandError, match="vote_entropy: for labels that exclude each other only"):
        simulate(path, label="labels", strategies="vote_entropy,random")


@pytest.mark.parametrize("written", ['"[""ad"", ""x""]"', "\"['ad', 'x']\"", "ad|x"])
def test_cells_hold_lists_in_several_ways(tmp_path: Path, written: str) -> None:
    rows = [f"{text},{written if is_ad else written.replace('ad', 'ham')}" for text, is_ad in kinds_of_text(220)]
    path = write_rows(tmp_path / "several.csv", "text,label", *rows)
    more = {"separator": "|"} if "|" in written else {}
    found = json.loads(simulate(path, json=True, strategies="random", rounds=1, seeds=1, **more))
    assert found["labels"] == ["ad", "ham", "x"]


def test_ratings_are_judged_by_their_distance_too(tmp_path: Path) -> None:
    words = ["awful", "poor", "fair", "good"]
    rows = [f"{words[i % 4]} {words[i % 4]} {i},{i % 4 + 1}.0" for i in range(300)]
    path = write_rows(tmp_path / "stars.csv", "text,label", *rows)
    found = json.loads(simulate(path, json=True, rating=True, strategies="random"))
    assert (found["kind"], found["labels"]) == ("rating", ["1", "2", "3", "4"])
    assert found["full"]["mean_error"] == 0
    assert found["full"]["kappa"] == 1
    assert simulate(path, rating=True, strategies="random").splitlines()[-1].split() == [
        "all",
        "labels",
        "0.000",
        "1.000",
    ]
    with pytest.raises(CommandError, match=r"Line 3: label is not a whole number: 1\.5"):
        simulate(write_rows(tmp_path / "halves.csv", "text,label", "a,1", "b,1.5"), rating=True)


def test_numbers_become_two_labels_at_a_line(tmp_path: Path) -> None:
    rows = [f"{text},{0.5 * is_ad + i / 1000}" for i, (text, is_ad) in enumerate(kinds_of_text(300))]
    path = write_rows(tmp_path / "soft.csv", "text,label", *rows)
    with pytest.raises(CommandError, match=r"300 different numbers in 300 texts. Say .*--at-least 0.5"):
        simulate(path)
    found = json.loads(simulate(path, json=True, at_least=0.5, strategies="random", rounds=1, seeds=1))
    assert found["labels"] == ["below 0.5", "0.5 or more"]


def test_other_ways_of_writing_a_table_are_read(tmp_path: Path) -> None:
    """Messages in TSV with a quote that means nothing and no line of names; one list of JSON; another encoding."""
    texts = kinds_of_text(220)
    plain = [f"{'ad' if is_ad else 'ham'}\t{chr(34) * (i % 7 == 0)}{text}" for i, (text, is_ad) in enumerate(texts)]
    listed = [{"data": {"text": text, "is_ad": is_ad}} for text, is_ad in texts]
    latin = tmp_path / "latin.csv"
    latin.write_text("\n".join(["text;label", *(f"{text} café;{is_ad}" for text, is_ad in texts)]), "latin-1")
    asked = {"json": True, "strategies": "random", "rounds": 1, "seeds": 1}
    found = [
        simulate(write_rows(tmp_path / "plain.tsv", *plain), header="label,text", **asked),
        simulate(write_rows(tmp_path / "list.json", json.dumps(listed)), text="data.text", label="data.is_ad", **asked),
        simulate(latin, encoding="latin-1", **asked),
    ]
    assert [json.loads(one)["labels"] for one in found] == [["ad", "ham"], ["false", "true"], ["False", "True"]]
    assert [json.loads(one)["n_pool"] for one in found] == [120, 120, 120]
    with pytest.raises(CommandError, match=r"^Line 2: It is not UTF-8. .*--encoding"):
        simulate(latin)


def test_a_row_that_cannot_be_read_is_passed_over_and_told(labelled: Path) -> None:
    lines = labelled.read_text().splitlines()
    lines[10] = "one,two"
    labelled.write_text("\n".join(lines))
    err = io.StringIO()
    call_command(
        "simulate", "learning", str(labelled), "--text=text", "--label=label", "--rounds=1", "--seeds=1",
        "--strategies=random", stdout=io.StringIO(), stderr=err,
    )  # fmt: skip
    assert "Passed over. Line 11: The row has 2 cells" in err.getvalue()
    assert "599 rows have a text and a label" in err.getvalue()


def test_a_text_that_is_repeated_counts_once_by_its_most_frequent_label() -> None:
    """As where each annotator has a row: of five 3 say yes of the first 110 texts, and 2 of the others."""
    rows = [{"text": f"word{i}", "said": "yes" if n < 2 + (i < 110) else "no"} for n in range(5) for i in range(220)]
    file = read_texts(enumerate(rows), Columns("text", "said"))
    assert (file.names, file.y.tolist()) == (["no", "yes"], [1] * 110 + [0] * 110)
    assert (len(file.texts), file.repeated) == (220, 880)
    assert "1100 rows have a text and a label" in file.describe()
    lists = [{**row, "said": ["ad", row["said"]] if i % 2 else [row["said"]]} for i, row in enumerate(rows)]
    several = read_texts(enumerate(lists), Columns("text", "said"))
    assert several.names == ["ad", "no", "yes"]
    assert several.y[[0, 1, 218, 219]].tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0]]


def test_figures_of_a_label_that_hardly_judges_are_refused(tmp_path: Path) -> None:
    rows = [{"text": text, "label": "rare" if i < 6 else is_ad} for i, (text, is_ad) in enumerate(kinds_of_text(300))]
    path = write_rows(tmp_path / "rare.jsonl", *rows)
    asked: dict[str, Any] = {"strategies": "random", "rounds": 1, "seeds": 1}
    assert json.loads(simulate(path, json=True, **asked))["positive"] == "true"
    found = json.loads(simulate(path, json=True, positive="rare", **asked))
    assert (found["goals"]["ap"], found["strategies"][0]["labels_to"]["f1"]) == (None, None)
    table = simulate(path, positive="rare", **asked)
    assert "Only 2 of the rows that judge have the label rare, 10 needed" in table
    assert "1 of 3 labels are judged by fewer than 10 rows each" in table


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"text": {"body": "hello"}, "label": 1}, "Line 1: text is an object; name one of its fields: text.body."),
        ({"text": "hello", "label": {"spam": 0.5}}, "Line 1: label is an object; name one of its fields: label.spam."),
        ({"text": " ", "label": "ham"}, "No row has both columns text and label: without a text 1, without a label 0."),
        ({"text": "same", "label": "ham"}, "1 different texts have a label: too few."),
    ],
)
def test_rows_without_a_text_or_a_label_are_said(tmp_path: Path, row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=re.escape(sentence)):
        simulate(write_rows(tmp_path / "odd.jsonl", row))


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("ham", "The column label holds only one label: ham."),
        ("{i}", "220 different labels in 220 texts, most of them once or twice"),
    ],
)
def test_labels_that_teach_nothing_are_said(tmp_path: Path, label: str, sentence: str) -> None:
    rows = [{"text": f"text {i}", "label": f"id {i}" if label == "{i}" else label} for i in range(220)]
    with pytest.raises(CommandError, match=sentence):
        simulate(write_rows(tmp_path / "odd.jsonl", *rows))


def test_few_different_texts_are_said(tmp_path: Path) -> None:
    rows = [{"text": f"text {i % 9}", "label": i % 2} for i in range(220)]
    with pytest.raises(CommandError, match="9 different texts have a label: too few"):
        simulate(write_rows(tmp_path / "odd.jsonl", *rows))


@pytest.mark.slow
def test_runs_in_processes_give_the_same_and_tell_how_far_they_are(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learning.offline.comparison.TELL_SECONDS", 0.0)
    err = io.StringIO()
    out = io.StringIO()
    call_command(
        "simulate", "learning", str(labelled), "--text=text", "--label=label", "--rounds=2", "--batch=20", "--seeds=2",
        "--strategies=margin,random", "--json", "--processes=2", stdout=out, stderr=err,
    )  # fmt: skip
    assert multiprocessing.active_children() == []
    assert out.getvalue() == simulate(labelled, strategies="margin,random", json=True)
    assert re.search(r"\d+%, \d of 5 runs done; about \d+ s left\.", err.getvalue())
