"""`manage.py simulate learning FILE --text COL --label COL`: query strategies compared offline, on any labelled file.

The same features, model, strategies and evaluation as in a real round, without a database: the file is asked for its
own labels. `simulate consensus FILE` does the like for consensus methods (reviewers/consensus/offline.py). Progress
goes to stderr, the table (or JSON) to stdout.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.importing.formats import RowProblem, detect_source, read_rows
from annotation.settings import STRATEGIES
from reviewers.consensus import offline as offline_consensus

if TYPE_CHECKING:
    from learning.algorithms.simulation import CurvePoint

HOLDOUT_SHARE = 0.2
FORMATS = ("jsonl", "csv", "tsv", "parquet")


class Command(BaseCommand):
    """Offline simulations over labelled files."""

    help = "Compare query strategies, or consensus methods, on a labelled file. Nothing is stored."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`learning` and `consensus`, and what they take."""
        kinds = parser.add_subparsers(dest="what", required=True)
        consensus = kinds.add_parser("consensus", help="consensus methods, as a table: how often each is right")
        offline_consensus.add_arguments(consensus)
        learning = kinds.add_parser("learning", help="learning curves of query strategies, as a table")
        learning.add_argument("--text", required=True, metavar="COL", help="the column with the text")
        learning.add_argument("--label", required=True, metavar="COL", help="the column with the label")
        learning.add_argument("--rounds", type=int, default=10)
        learning.add_argument("--batch", type=int, default=100, help="labels in each round")
        learning.add_argument(
            "--strategies", default="margin,random", help=f"some of {','.join(STRATEGIES)}, separated by commas"
        )
        learning.add_argument("--random-share", type=float, default=0.0, help="share of each batch drawn by chance")
        learning.add_argument("--seed", type=int, default=1)
        learning.add_argument(
            "--votes",
            metavar="LABEL=COL,...",
            help="columns that count the votes for each label: then simulated annotators answer by them",
        )
        learning.add_argument("--annotators", type=int, default=3, help="answers to each item; with --votes")
        for kind in (consensus, learning):
            kind.add_argument("file", type=Path, help="JSONL, CSV, TSV or Parquet, each also .gz or .xz")
            kind.add_argument("--format", choices=FORMATS, help="where the file's name does not say")
            kind.add_argument("--json", action="store_true", help="JSON instead of a table")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read the file, run what is compared one after the other, print what came of it."""
        if options["what"] == "consensus":
            self._compare_methods(options)
        else:
            self._compare_strategies(options)

    def _compare_methods(self, options: dict[str, Any]) -> None:
        names = {name: options[name] for name in ("item", "annotator", "label", "gold")}
        if options["seed"] < 0:
            raise CommandError(_("--seed begins at 0."))
        try:
            file = offline_consensus.read_labels(_read_table(options), **names)
        except offline_consensus.FileError as error:
            raise CommandError(error.detail) from error
        self.stderr.write(f"{len(file.item)} rows, {file.n_passed} without item, annotator or label")
        comparison = offline_consensus.compare_file(file, seed=options["seed"], tell=self.stderr.write)
        shown = offline_consensus.as_json(comparison, file.values)
        self.stdout.write(json.dumps(shown) if options["json"] else offline_consensus.as_table(comparison))

    def _compare_strategies(self, options: dict[str, Any]) -> None:
        strategies = [name.strip() for name in options["strategies"].split(",") if name.strip()]
        unknown = sorted(set(strategies) - set(STRATEGIES))
        if unknown or not strategies:
            raise CommandError(
                _("There is no strategy %(name)s. Known: %(known)s.")
                % {"name": ", ".join(unknown) or "-", "known": ", ".join(STRATEGIES)}
            )
        if options["rounds"] < 1 or options["batch"] < 1 or options["annotators"] < 1 or options["seed"] < 0:
            raise CommandError(_("--rounds, --batch and --annotators begin at 1, --seed at 0."))
        if not 0 <= options["random_share"] <= 1:
            raise CommandError(_("--random-share is a number from 0 to 1."))
        columns = _parse_votes(options["votes"])
        texts, labels, votes = self._read(options, columns)
        names = sorted(set(labels) | set(columns))
        if len(names) < 2:
            raise CommandError(_("The column %(name)s holds only one label.") % {"name": options["label"]})
        curves = self._simulate(options, strategies, texts, np.array([names.index(label) for label in labels]), votes)
        if options["json"]:
            shown = {strategy: [point.as_dict() for point in curve] for strategy, curve in curves.items()}
            self.stdout.write(json.dumps({"labels": names, "seed": options["seed"], "curves": shown}))
        else:
            self.stdout.write(format_table(curves))

    def _read(self, options: dict[str, Any], columns: dict[str, str]) -> tuple[list[str], list[str], Any]:
        texts, labels, counts, n_passed = [], [], [], 0
        for line, row in _read_table(options):
            text, label = row.get(options["text"]), row.get(options["label"])
            if text is None or label is None:
                n_passed += 1
                continue
            texts.append(str(text))
            labels.append(str(label))
            counts.append([_read_count(row.get(column), line, column) for column in columns.values()])
        if not texts:
            raise CommandError(
                _("No row has both columns %(text)s and %(label)s.")
                % {"text": options["text"], "label": options["label"]}
            )
        self.stderr.write(f"{len(texts)} rows, {n_passed} without text or label")
        if not columns:
            return texts, labels, None
        names = sorted(set(labels) | set(columns))
        votes = np.zeros((len(texts), len(names)), np.int64)
        for position, name in enumerate(columns):
            votes[:, names.index(name)] = np.array(counts)[:, position]
        return texts, labels, votes

    def _simulate(
        self, options: dict[str, Any], strategies: list[str], texts: list[str], y: Any, votes: Any
    ) -> dict[str, list[CurvePoint]]:
        from learning.algorithms.features import fit_features
        from learning.algorithms.simulation import simulate_learning

        rng = np.random.default_rng([options["seed"], 3])
        holdout = np.zeros(len(texts), bool)
        holdout[rng.permutation(len(texts))[: int(len(texts) * HOLDOUT_SHARE)]] = True
        pool = [text for text, is_held in zip(texts, holdout, strict=True) if not is_held]
        X = fit_features(pool, [None] * len(pool)).transform(texts, [None] * len(texts))
        curves: dict[str, list[CurvePoint]] = {}
        for strategy in strategies:

            def tell(point: CurvePoint, strategy: str = strategy) -> None:
                self.stderr.write(f"{strategy}: round {point.round} of {options['rounds']}, {point.n_labels} labels")

            curves[strategy] = simulate_learning(
                X,
                y,
                holdout,
                strategy,
                rounds=options["rounds"],
                batch=options["batch"],
                seed=options["seed"],
                n_classes=int(y.max()) + 1 if votes is None else votes.shape[1],
                random_share=options["random_share"],
                votes=votes,
                n_annotators=options["annotators"],
                on_round=tell,
            )
        return curves


def _read_table(options: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of the file that the command line names, by line. CommandError says what and where."""
    path: Path = options["file"]
    try:
        packed = path.suffix if path.suffix in (".gz", ".xz") else ""
        name = f"file.{options['format']}{packed}" if options["format"] else path.name
        for line, row in read_rows(path, detect_source(name)):
            if isinstance(row, RowProblem):
                raise CommandError(_("Line %(line)d: %(reason)s") % {"line": line, "reason": row.reason})
            yield line, row
    except (TouchstoneError, OSError) as error:
        raise CommandError(getattr(error, "detail", None) or str(error)) from error


def _parse_votes(sent: str | None) -> dict[str, str]:
    """`LABEL=COL,...` as label -> column."""
    if not sent:
        return {}
    pairs = [pair.partition("=") for pair in sent.split(",")]
    if any(not label or not column for label, _equals, column in pairs):
        raise CommandError(_("--votes is a list of LABEL=COLUMN, separated by commas."))
    return {label.strip(): column.strip() for label, _equals, column in pairs}


def _read_count(value: Any, line: int, column: str) -> int:
    try:
        count = int(value or 0)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise CommandError(_("Line %(line)d: %(column)s is no count.") % {"line": line, "column": column})
    return count


def format_table(curves: dict[str, list[CurvePoint]]) -> str:
    """Macro-F1 by number of labels, with its 95 % interval; one column for each strategy, n of the holdout above."""
    points = next(iter(curves.values()))
    n_holdout = points[-1].macro_f1.n_items if points else 0
    width = 22
    lines = [
        f"macro-F1 [95 % interval] on a holdout of {n_holdout}",
        "labels".rjust(8) + "".join(strategy.rjust(width) for strategy in curves),
    ]
    for row in zip(*curves.values(), strict=False):
        cells = "".join(_format_cell(point).rjust(width) for point in row)
        lines.append(f"{row[0].n_labels:8}{cells}")
    return "\n".join(lines)


def _format_cell(point: CurvePoint) -> str:
    figure = point.macro_f1
    if figure.value is None:
        return str(figure.refusal)
    low, high = figure.interval or (float("nan"), float("nan"))
    return f"{figure.value:.3f} [{low:.3f}, {high:.3f}]"
