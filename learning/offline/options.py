"""What may be asked of `manage.py simulate learning`."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser

from django.utils.translation import gettext as _

from annotation.settings import ESTIMATORS, LEARNING_DEFAULTS, TEXT_FEATURES
from learning.offline.labels import Columns
from learning.offline.tables import FileError

DEFAULT_STRATEGIES = "adaptive,margin,random"
DEFAULT_ROUNDS, DEFAULT_BATCH, DEFAULT_SEEDS = 30, 50, 5


def add_arguments(parser: ArgumentParser) -> None:
    """The columns, the rounds, and what is compared."""
    parser.add_argument("--text", required=True, metavar="COL", help="the column with the text")
    parser.add_argument("--label", required=True, metavar="COL", help="the column with the label, or a list of labels")
    parser.add_argument("--separator", metavar="TEXT", help="between the labels of a cell that holds several of them")
    parser.add_argument("--rating", action="store_true", help="labels are whole numbers, points of a scale")
    parser.add_argument(
        "--at-least", type=float, metavar="NUMBER", help="labels are numbers: yes from this one on, no below it"
    )
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument(
        "--batch", type=int, default=DEFAULT_BATCH, help="labels in each round; the first round's are random"
    )
    parser.add_argument(
        "--strategies", default=DEFAULT_STRATEGIES, help=f"separated by commas; {DEFAULT_STRATEGIES} where left out"
    )
    parser.add_argument(
        "--random-share",
        type=float,
        default=LEARNING_DEFAULTS["random_share"],
        help="share of each batch drawn by chance; as in a project where left out",
    )
    parser.add_argument(
        "--estimator", choices=ESTIMATORS, default="auto", help="by what models are made, as in a project's settings"
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed, which also decides what judges")
    parser.add_argument(
        "--seeds", type=int, default=DEFAULT_SEEDS, help="how many runs of each strategy, paired by seed"
    )
    parser.add_argument(
        "--text-features",
        choices=TEXT_FEATURES,
        default="auto",
        help="what is learned of a text: its words, runs of its characters, both, or sentence embeddings beside them;"
        " auto: as in a project",
    )
    parser.add_argument("--positive", metavar="LABEL", help="the label that is looked for; the rarest where left out")
    parser.add_argument(
        "--keywords",
        metavar="FILE|TEXT",
        help="the words of a policy: adds a start without any label, the label thinned to 2 %%",
    )
    parser.add_argument(
        "--votes",
        metavar="LABEL=COL,...",
        help="columns that count the votes for each label: then simulated annotators answer by them",
    )
    parser.add_argument("--annotators", type=int, default=3, help="answers to each item; with --votes")
    parser.add_argument("--processes", type=int, help="runs side by side; as many as there are cores where left out")


def check_options(options: argparse.Namespace) -> list[str]:
    """The strategies asked for. FileError with a sentence for what does not fit."""
    from learning.algorithms.strategies import REGISTRY

    strategies = list(dict.fromkeys(name.strip() for name in options.strategies.split(",") if name.strip()))
    unknown = sorted(set(strategies) - set(REGISTRY))
    if unknown or not strategies:
        raise FileError(
            _("There is no strategy %(name)s. Known: %(known)s.")
            % {"name": ", ".join(unknown) or "-", "known": ", ".join(REGISTRY)}
        )
    if min(options.rounds, options.batch, options.annotators, options.seeds) < 1 or options.seed < 0:
        raise FileError(_("--rounds, --batch, --annotators and --seeds begin at 1, --seed at 0."))
    if options.processes is not None and options.processes < 1:
        raise FileError(_("--processes begins at 1."))
    if not 0 <= options.random_share <= 1:
        raise FileError(_("--random-share is a number from 0 to 1."))
    meant = (options.separator is not None, options.rating, options.at_least is not None)
    if sum(meant) > 1:
        raise FileError(_("Only one of --separator, --rating and --at-least can hold."))
    return strategies


def columns_of(options: argparse.Namespace) -> Columns:
    """Where texts and labels are."""
    return Columns(
        options.text,
        options.label,
        votes=parse_votes(options.votes),
        separator=options.separator,
        at_least=options.at_least,
        is_rating=options.rating,
    )


def parse_votes(sent: str | None) -> dict[str, str]:
    """`LABEL=COL,...` as label -> column."""
    if not sent:
        return {}
    pairs = [pair.partition("=") for pair in sent.split(",")]
    if any(not label or not column for label, _equals, column in pairs):
        raise FileError(_("--votes is a list of LABEL=COLUMN, separated by commas."))
    return {label.strip(): column.strip() for label, _equals, column in pairs}
