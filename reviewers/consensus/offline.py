"""`manage.py simulate consensus FILE`: consensus methods compared on any file of labels. Nothing is stored."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from reviewers.algorithms.consensus_choice import Choice, choose_method
from reviewers.algorithms.crowd import CrowdLabels, IntArray
from reviewers.algorithms.method_comparison import METHODS, MethodScore, compare_methods

Tell = Callable[[str], object]


class FileError(TouchstoneError):
    """The file's rows cannot be compared."""

    code = "invalid_file"


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file. `values` names the codes; `truth` is item code -> value code, from the gold column."""

    item: IntArray
    annotator: IntArray
    value: IntArray
    values: list[str]
    truth: dict[int, int]
    n_passed: int


@dataclass(frozen=True)
class Comparison:
    """What came of it. `seconds` has the time that each method took; the choice's is under "choice"."""

    labels: CrowdLabels
    scores: list[MethodScore]
    choice: Choice
    seconds: dict[str, float]


def add_arguments(parser: ArgumentParser) -> None:
    """The columns, which every file names in its own way."""
    parser.add_argument("--item", required=True, metavar="COL", help="the column that names the item")
    parser.add_argument("--annotator", required=True, metavar="COL", help="the column that names who said it")
    parser.add_argument("--label", required=True, metavar="COL", help="the column with what they said")
    parser.add_argument("--gold", metavar="COL", help="the column with what is right, where that is known")
    parser.add_argument("--seed", type=int, default=1, help="of the intervals")


def read_labels(
    rows: Iterable[tuple[int, dict[str, Any]]], *, item: str, annotator: str, label: str, gold: str | None
) -> LabelFile:
    """Code a file's rows. A row without item, annotator or label is passed over, and counted.

    Where somebody labelled an item twice, the last row counts. Raises FileError where no row has all columns, or two
    rows say something different of what is right for one item.
    """
    items: dict[str, int] = {}
    people: dict[str, int] = {}
    values: dict[str, int] = {}
    truth: dict[int, int] = {}
    found: list[tuple[int, int, int]] = []
    n_passed = 0
    for line, row in rows:
        cells = [row.get(column) for column in (item, annotator, label)]
        if any(cell is None for cell in cells):
            n_passed += 1
            continue
        of, by, said = (str(cell) for cell in cells)
        code = items.setdefault(of, len(items))
        found.append((code, people.setdefault(by, len(people)), values.setdefault(said, len(values))))
        right = row.get(gold) if gold else None
        if right is None:
            continue
        right_code = values.setdefault(str(right), len(values))
        if truth.setdefault(code, right_code) != right_code:
            raise FileError(
                _("Line %(line)d: column %(gold)s says something else of %(item)s than an earlier line.")
                % {"line": line, "gold": gold, "item": of}
            )
    if not found:
        raise FileError(
            _("No row has all of the columns %(item)s, %(annotator)s and %(label)s.")
            % {"item": item, "annotator": annotator, "label": label}
        )
    if gold and not truth:
        raise FileError(_("No row has the column %(gold)s. Leave --gold out.") % {"gold": gold})
    coded = np.array(found, np.int64)
    return LabelFile(coded[:, 0], coded[:, 1], coded[:, 2], list(values), truth, n_passed)


def compare_file(file: LabelFile, *, seed: int, tell: Tell) -> Comparison:
    """Run every method and the choice by evidence; `tell` hears of each when it is done."""
    labels = CrowdLabels.from_codes(file.item, file.annotator, file.value, len(file.values))
    scores: list[MethodScore] = []
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    for score in compare_methods(labels, file.truth, np.random.default_rng(seed)):
        scores.append(score)
        seconds[score.method] = time.perf_counter() - started
        tell(f"{len(scores)} of {len(METHODS)}: {score.method}, {seconds[score.method]:.2f} s")
        started = time.perf_counter()
    choice = choose_method(labels)
    seconds["choice"] = time.perf_counter() - started
    return Comparison(labels, scores, choice, seconds)


def as_json(comparison: Comparison, values: list[str]) -> dict[str, Any]:
    """The comparison with all its figures, for programs."""
    labels, choice = comparison.labels, comparison.choice
    return {
        "n_labels": labels.n_labels,
        "n_items": labels.n_items,
        "n_annotators": labels.n_annotators,
        "values": values,
        "methods": [
            asdict(score) | {"seconds": round(comparison.seconds[score.method], 3)} for score in comparison.scores
        ],
        "choice": asdict(choice) | {"held_out": dict(choice.held_out)},
    }


def as_table(comparison: Comparison) -> str:
    """A line for each method; what the default rule would choose, and why, below."""
    labels = comparison.labels
    head = _("%(labels)d labels by %(people)d annotators on %(items)d items, %(values)d values") % {
        "labels": labels.n_labels,
        "people": labels.n_annotators,
        "items": labels.n_items,
        "values": labels.n_values,
    }
    n_truth = comparison.scores[0].n_truth
    columns = ["", *([f"right of {n_truth} [95 %]", "over the majority [95 %]"] if n_truth else [])]
    table = [[*columns, "ties", "unlike majority", "seconds"]]
    for score in comparison.scores:
        if score.refusal:
            table.append([score.method, score.refusal])
            continue
        figures = [_told(score.right, score.interval), _told(score.gain, score.gain_interval, "+")] if n_truth else []
        seconds = f"{comparison.seconds[score.method]:.2f}"
        table.append([score.method, *figures, str(score.n_tied), str(score.n_unlike_majority), seconds])
    full = [row for row in table if len(row) == len(table[0])]
    widths = [max(len(row[i]) for row in full) for i in range(len(table[0]))]
    lines = [
        row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=False))
        for row in table
    ]
    return "\n".join([head, *lines, f"{comparison.choice.method}: {comparison.choice.reason}"])


def _told(value: float | None, interval: tuple[float, float] | None, sign: str = "-") -> str:
    if value is None:
        return ""
    low, high = interval or (float("nan"), float("nan"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
