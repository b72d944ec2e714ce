"""`manage.py simulate learning FILE` and `simulate consensus FILE`: offline comparisons on any labelled file.

What is compared lives in learning/offline/ (query strategies) and reviewers/consensus/offline.py (consensus
methods). Progress goes to stderr, the table (or JSON) to stdout. No database is needed.
"""

from __future__ import annotations

import argparse
import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from learning import offline as offline_learning
from reviewers.consensus import offline as offline_consensus


class Command(BaseCommand):
    """Offline simulations over labelled files."""

    help = "Compare query strategies, or consensus methods, on a labelled file. Nothing is stored."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`learning` and `consensus`, and what they take."""
        kinds = parser.add_subparsers(dest="what", required=True)
        consensus = kinds.add_parser("consensus", help="consensus methods, as a table: how often each is right")
        offline_consensus.add_arguments(consensus)
        learning = kinds.add_parser("learning", help="query strategies, as a table: how many labels each saves")
        offline_learning.add_arguments(learning)
        for kind in (consensus, learning):
            kind.add_argument("file", type=Path, help="CSV, TSV, JSON, JSONL or Parquet, each also .gz or .xz")
            kind.add_argument("--format", choices=offline_learning.FORMATS, help="where the file's name does not say")
            kind.add_argument("--encoding", help="of CSV, TSV and JSON; UTF-8 where left out")
            kind.add_argument(
                "--header", metavar="COL,...", help="the columns, where the first line does not name them"
            )
            kind.add_argument("--json", action="store_true", help="JSON instead of a table")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read the file, run what is compared one after the other, print what came of it."""
        try:
            if options["what"] == "consensus":
                self._compare_methods(options)
            else:
                self._compare_strategies(argparse.Namespace(**options))
        except (offline_consensus.FileError, offline_learning.FileError) as error:
            raise CommandError(error.detail) from error

    def _compare_methods(self, options: dict[str, Any]) -> None:
        names = {name: options[name] for name in ("item", "annotator", "label", "gold")}
        if options["seed"] < 0:
            raise CommandError(_("--seed begins at 0."))
        file = offline_consensus.read_labels(self._read_table(options), **names)
        self.stderr.write(f"{len(file.item)} rows, {file.n_passed} without item, annotator or label")
        comparison = offline_consensus.compare_file(file, seed=options["seed"], tell=self.stderr.write)
        shown = offline_consensus.as_json(comparison, file.values)
        self.stdout.write(json.dumps(shown) if options["json"] else offline_consensus.as_table(comparison))

    def _compare_strategies(self, options: argparse.Namespace) -> None:
        strategies = offline_learning.check_options(options)
        file = offline_learning.read_texts(self._read_table(vars(options)), offline_learning.columns_of(options))
        self.stderr.write(file.describe())
        report = offline_learning.compare_file(file, options, strategies, self.stderr.write)
        self.stdout.write(
            json.dumps(offline_learning.as_json(report)) if options.json else offline_learning.as_table(report)
        )

    def _read_table(self, options: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows of the file that the command line names, by line."""
        known = {name: options[name] for name in ("format", "encoding", "header")}
        return offline_learning.read_table(options["file"], self.stderr.write, **known)
