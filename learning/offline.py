"""`manage.py simulate learning FILE`: query strategies compared on any labelled file. Nothing is stored.

The same features, model and strategies as in a real round, without a database: the file is asked for its own labels.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.errors import TouchstoneError
from annotation.settings import ESTIMATORS, LEARNING_DEFAULTS, TEXT_FEATURES

if TYPE_CHECKING:
    from learning.algorithms.cold_start import ColdStart
    from learning.algorithms.label_efficiency import StrategyComparison, StrategyCurve
    from learning.algorithms.simulation import LabelledFile

Tell = Callable[[str], object]
DEFAULT_STRATEGIES = "adaptive,margin,random"
COLD_STRATEGIES = ("adaptive", "keywords", "random")
# Below this a figure on the part that judges is noise.
MIN_HOLDOUT = 100
MAX_KEYWORDS_FILE = 1_000_000
TABLE_ROWS = 12


class FileError(TouchstoneError):
    """The file's rows, or what was asked of them, cannot be simulated."""

    code = "invalid_file"


@dataclass(frozen=True, eq=False)
class TextFile:
    """The labelled texts of a file. `names` names the codes in `y`; `votes` counts by code, where asked for."""

    texts: list[str]
    y: NDArray[np.int64]
    names: list[str]
    votes: NDArray[np.int64] | None
    n_passed: int


@dataclass(frozen=True, eq=False)
class Report:
    """What came of it."""

    names: list[str]
    seeds: list[int]
    random_share: float
    estimator: str
    comparison: StrategyComparison
    cold_starts: list[ColdStart]
    n_thinned: tuple[int, int]


def add_arguments(parser: ArgumentParser) -> None:
    """The columns, the rounds, and what is compared."""
    parser.add_argument("--text", required=True, metavar="COL", help="the column with the text")
    parser.add_argument("--label", required=True, metavar="COL", help="the column with the label")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batch", type=int, default=50, help="labels in each round; the first round's are random")
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
    parser.add_argument("--seeds", type=int, default=5, help="how many runs of each strategy, paired by seed")
    parser.add_argument(
        "--text-features",
        choices=TEXT_FEATURES,
        default="auto",
        help="what is learned of a text: its words, runs of its characters, or both; auto: as in a project",
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
    if not 0 <= options.random_share <= 1:
        raise FileError(_("--random-share is a number from 0 to 1."))
    return strategies


def parse_votes(sent: str | None) -> dict[str, str]:
    """`LABEL=COL,...` as label -> column."""
    if not sent:
        return {}
    pairs = [pair.partition("=") for pair in sent.split(",")]
    if any(not label or not column for label, _equals, column in pairs):
        raise FileError(_("--votes is a list of LABEL=COLUMN, separated by commas."))
    return {label.strip(): column.strip() for label, _equals, column in pairs}


def read_texts(
    rows: Iterable[tuple[int, dict[str, Any]]], *, text: str, label: str, columns: dict[str, str]
) -> TextFile:
    """The rows that have both a text and a label. FileError says what does not fit, and where."""
    texts, labels, counts, n_passed = [], [], [], 0
    for line, row in rows:
        content, said = row.get(text), row.get(label)
        if content in (None, "") or said in (None, ""):
            n_passed += 1
            continue
        texts.append(str(content))
        labels.append(str(said))
        counts.append([_read_count(row.get(column), line, column) for column in columns.values()])
    if not texts:
        raise FileError(_("No row has both columns %(text)s and %(label)s.") % {"text": text, "label": label})
    names = sorted(set(labels) | set(columns))
    if len(set(labels)) < 2:
        raise FileError(_("The column %(name)s holds only one label.") % {"name": label})
    if len(texts) / 5 < MIN_HOLDOUT:
        raise FileError(
            _("%(n)d rows have a text and a label: too few. A fifth of them judges, and that takes %(least)d rows.")
            % {"n": len(texts), "least": 5 * MIN_HOLDOUT}
        )
    votes = None
    if columns:
        votes = np.zeros((len(texts), len(names)), np.int64)
        for position, name in enumerate(columns):
            votes[:, names.index(name)] = np.array(counts)[:, position]
    code_of = {name: code for code, name in enumerate(names)}
    return TextFile(texts, np.array([code_of[name] for name in labels]), names, votes, n_passed)


def read_keywords(sent: str) -> str:
    """A policy's words: the content of a file where there is one of this name, else what was sent."""
    try:
        path = Path(sent)
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                return file.read(MAX_KEYWORDS_FILE)
    except UnicodeDecodeError as error:
        raise FileError(_("%(name)s is not a text file in UTF-8.") % {"name": sent}) from error
    except OSError:  # too long for a name: it is the text itself
        pass
    return sent


def find_positive(file: TextFile, wanted: str | None) -> int:
    """The code of the label that is looked for."""
    from learning.algorithms.label_efficiency import rarest_class

    if wanted is None:
        return rarest_class(file.y)
    if wanted not in file.names:
        raise FileError(
            _("No row has the label %(name)s. There are: %(known)s.")
            % {"name": wanted, "known": ", ".join(file.names[:20])}
        )
    return file.names.index(wanted)


def prepare(
    file: TextFile,
    seed: int,
    n_annotators: int,
    keywords: str | None,
    estimator: str = "auto",
    text_features: str = "auto",
) -> LabelledFile:
    """Features and a fixed split: a fifth of each class judges. The features know the pool only."""
    from scipy import sparse

    from learning.algorithms.basis import fit_basis
    from learning.algorithms.estimators.recipes import Recipe
    from learning.algorithms.features import Features, choose_text_blocks, count_texts, fit_texts
    from learning.algorithms.label_efficiency import split_holdout
    from learning.algorithms.simulation import LabelledFile
    from learning.algorithms.strategies.keywords import similarity_to

    holdout = split_holdout(file.y, np.random.default_rng([seed, 3]))
    blocks = choose_text_blocks(text_features, file.texts, len(file.texts))
    counts = count_texts(file.texts, blocks)
    features = Features(fit_texts({name: found[~holdout] for name, found in counts.items()}))
    X = sparse.csr_matrix(features.join(counts, len(file.texts)))
    similarity = None
    if keywords is not None:
        policy = sparse.csr_matrix(features.join(count_texts([keywords], blocks), 1))
        if not policy.nnz:
            raise FileError(_("None of the words in --keywords occurs in the texts."))
        similarity = similarity_to(X, policy)
    return LabelledFile(
        X,
        file.y,
        holdout,
        n_classes=len(file.names),
        basis=fit_basis(X[~holdout], np.random.default_rng([seed, 5])),
        votes=file.votes,
        n_annotators=n_annotators,
        similarity=similarity,
        recipe=Recipe(estimator, features.parts),
    )


def compare_file(file: TextFile, options: argparse.Namespace, strategies: Sequence[str], tell: Tell) -> Report:
    """Everything that the command prints. FileError where the options do not fit the file."""
    from dataclasses import replace

    from learning.algorithms.cold_start import compare_cold_starts, thin_out
    from learning.algorithms.estimators import UnsuitableError
    from learning.algorithms.label_efficiency import compare_strategies
    from learning.algorithms.simulation import Step

    positive = find_positive(file, options.positive)
    keywords = None if options.keywords is None else read_keywords(options.keywords)
    labelled = prepare(file, options.seed, options.annotators, keywords, options.estimator, options.text_features)
    seeds = list(range(options.seed, options.seed + options.seeds))

    def tell_step(strategy: str, seed: int, step: Step) -> None:
        tell(_("%(strategy)s, seed %(seed)d: %(n)d labels") % {"strategy": strategy, "seed": seed, "n": step.n_labels})

    try:
        comparison = compare_strategies(
            # Without the words: these curves all start from the same random batch.
            replace(labelled, similarity=None),
            strategies,
            [options.batch] * options.rounds,
            positive=positive,
            seeds=seeds,
            random_share=options.random_share,
            tell=tell_step,
        )
    except UnsuitableError as error:
        raise FileError(str(error)) from error
    cold: list[ColdStart] = []
    n_thinned = (0, 0)
    if keywords is not None:
        thin = thin_out(labelled, positive, np.random.default_rng([options.seed, 6]))
        n_thinned = (int(thin.y[thin.pool].sum()), len(thin.pool))
        cold = compare_cold_starts(
            thin,
            COLD_STRATEGIES,
            seeds,
            lambda strategy, seed: tell(
                _("cold start: %(strategy)s, seed %(seed)d") % {"strategy": strategy, "seed": seed}
            ),
        )
    return Report(file.names, seeds, options.random_share, options.estimator, comparison, cold, n_thinned)


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain types: figures are means over the seeds, with each seed's own beside them."""
    from learning.algorithms.label_efficiency import FIGURES

    found = report.comparison
    return {
        "labels": report.names,
        "positive": report.names[found.positive],
        "seeds": report.seeds,
        "random_share": report.random_share,
        "estimator": report.estimator,
        "n_pool": found.n_pool,
        "n_holdout": found.n_holdout,
        "full": found.full,
        "goals": {name: found.goal(name) for name in FIGURES},
        "strategies": [
            {
                "strategy": curve.strategy,
                "labels_to": {name: curve.labels_to(name, found.goal(name)) for name in FIGURES},
                "f1_at_chosen_threshold": float(curve.f1_chosen.mean()),
                "area": float(curve.areas().mean()),
                "minus_random": _difference(found, curve),
            }
            for curve in found.curves
        ],
        "curves": {
            curve.strategy: [
                {
                    "n_labels": int(n_labels),
                    "n_random": int(curve.n_random[row]),
                    "n_votes": int(curve.n_votes[row]),
                    "n_positive": float(curve.n_positive[:, row].mean()),
                    **{name: float(curve.figures[name][:, row].mean()) for name in FIGURES},
                    "of_seeds": {name: curve.figures[name][:, row].tolist() for name in FIGURES},
                }
                for row, n_labels in enumerate(curve.n_labels)
            ]
            for curve in found.curves
        },
        "cold_start": [
            {
                "strategy": start.strategy,
                "found": dict(zip(("40", "100", "200"), start.found.mean(axis=0).tolist(), strict=True)),
                "ap": float(start.ap.mean()),
            }
            for start in report.cold_starts
        ],
    }


def as_table(report: Report) -> str:
    """The report for people."""
    from learning.algorithms.label_efficiency import AREA_LABELS

    shown, found = as_json(report), report.comparison
    goals, positive = shown["goals"], shown["positive"]
    lines = [
        _("%(pool)d rows are asked, %(holdout)d judge; %(seeds)d seeds; the label looked for is %(label)s.")
        % {"pool": found.n_pool, "holdout": found.n_holdout, "seeds": len(report.seeds), "label": positive},
        _("All labels of the pool give macro-F1 %(macro_f1).3f, F1 %(f1).3f and average precision %(ap).3f.")
        % found.full,
        "",
        _("Labels to 95 %% of that (first number at which the mean of the seeds reaches it):") % (),
        "strategy".ljust(18)
        + f"macro-F1 {goals['macro_f1']:.3f}".rjust(16)
        + f"F1 {goals['f1']:.3f}".rjust(12)
        + f"AP {goals['ap']:.3f}".rjust(12)
        + "F1 chosen".rjust(11)
        + "area".rjust(8)
        + "  minus random [95 %]",
    ]
    for row in shown["strategies"]:
        curve = shown["curves"][row["strategy"]]
        reached = [
            f">{curve[-1]['n_labels']}" if row["labels_to"][name] is None else str(row["labels_to"][name])
            for name in goals
        ]
        gap = row["minus_random"]
        beside = ""
        if gap is not None and gap["interval"]:
            beside = f"  {gap['value']:+.4f} [{gap['interval'][0]:+.4f}, {gap['interval'][1]:+.4f}]"
        lines.append(
            row["strategy"].ljust(18)
            + reached[0].rjust(16)
            + reached[1].rjust(12)
            + reached[2].rjust(12)
            + f"{row['f1_at_chosen_threshold']:.3f}".rjust(11)
            + f"{row['area']:.4f}".rjust(8)
            + beside
        )
    lines += [
        "",
        _("F1 chosen: after the last round, at a threshold chosen on out-of-fold scores of the labels. Area: mean")
        + "\n"
        + _("macro-F1 over the first %(most)d labels; its difference to random's is seed by seed.")
        % {"most": AREA_LABELS},
    ]
    lines += ["", *_curve_lines(shown)]
    if report.cold_starts:
        lines += ["", *_cold_lines(report, shown)]
    return "\n".join(lines)


def _difference(found: StrategyComparison, curve: StrategyCurve) -> dict[str, Any] | None:
    """The area's difference to random, where random was run too."""
    from learning.algorithms.label_efficiency import area_difference

    chance = next((other for other in found.curves if other.strategy == "random"), None)
    if chance is None or chance is curve:
        return None
    return area_difference(curve, chance).as_dict()


def _curve_lines(shown: dict[str, Any]) -> list[str]:
    curves = shown["curves"]
    n_points = min(len(curve) for curve in curves.values())
    rows = sorted({round(row) for row in np.linspace(0, n_points - 1, min(TABLE_ROWS, n_points))})
    lines = [
        _("macro-F1 / average precision of %(label)s by number of labels:") % {"label": shown["positive"]},
        "labels".rjust(8) + "".join(name.rjust(20) for name in curves),
    ]
    for row in rows:
        cells = [f"{curve[row]['macro_f1']:.3f} / {curve[row]['ap']:.3f}".rjust(20) for curve in curves.values()]
        lines.append(f"{next(iter(curves.values()))[row]['n_labels']:8}" + "".join(cells))
    return lines


def _cold_lines(report: Report, shown: dict[str, Any]) -> list[str]:
    n_positive, n_pool = report.n_thinned
    lines = [
        _("From no label, batches of 20; %(label)s thinned to %(n)d of %(pool)d rows. Found, of the labels so far:")
        % {"label": shown["positive"], "n": n_positive, "pool": n_pool},
        "strategy".ljust(18) + "@40".rjust(8) + "@100".rjust(8) + "@200".rjust(8) + "AP@200".rjust(10),
    ]
    for start in shown["cold_start"]:
        cells = "".join(f"{start['found'][budget]:.1f}".rjust(8) for budget in ("40", "100", "200"))
        lines.append(start["strategy"].ljust(18) + cells + f"{start['ap']:.3f}".rjust(10))
    return lines


def _read_count(value: Any, line: int, column: str) -> int:
    try:
        count = int(value or 0)
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise FileError(_("Line %(line)d: %(column)s is no count.") % {"line": line, "column": column})
    return count
