"""How many labels the query strategies save, on real labelled files; and how they start where there is no label.

    python -m benchmarks.label_efficiency [--data FOLDER] [--only NAME,...] [--strategies NAME,...]
    python -m benchmarks.label_efficiency --text-features characters   # or words, or both
    SENTENCE_MODEL=FOLDER python -m benchmarks.label_efficiency --text-features sentences   # alone: only-sentences

The protocol is fixed: a stratified 20 % of the file judges (scikit-learn's split with seed 0), 50 random labels to
start with, batches of 50, every strategy with the same seeds. All settings are the product's defaults, the same for
every file; the start without any label alone has no share by chance, as where its goals were measured. Progress goes to
stderr, tables in Markdown to stdout. The data lie in `shared/data` beside the checkout.

The words of POLICY were written from what such a policy forbids, before the file was looked at; some are slurs.
"""

from __future__ import annotations

import argparse
import csv
import lzma
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from annotation.sentence_models import SentenceModel
from benchmarks.measuring import describe_machine
from learning.algorithms.basis import fit_basis
from learning.algorithms.cold_start import compare_cold_starts, thin_out
from learning.algorithms.features import (
    SENTENCES,
    Block,
    Features,
    FloatArray,
    Matrix,
    SentenceFeatures,
    choose_text_blocks,
    count_texts,
    fit_texts,
)
from learning.algorithms.features.texts import TEXT_BLOCKS
from learning.algorithms.label_efficiency import FIGURES, StrategyComparison, area_difference, compare_strategies
from learning.algorithms.simulation import LabelledFile
from learning.algorithms.strategies.keywords import similarity_to
from learning.features.encoding import open_encoder

ROOT = Path(__file__).resolve().parents[1]
START, BATCH = 50, 50
ALONE = "only-sentences"
POLICY = (
    "hate racist racism race slur nigger nigga faggot fag dyke queer jew muslim immigrant white trash chink spic kill"
)
# A guideline as a policy team writes it, and its examples: likewise before the file was looked at.
GUIDELINE = """
We remove hate speech: content that attacks a person or a group of people because of what they are, that is their race,
ethnicity, national origin, religion, caste, sexual orientation, sex, gender identity, disability, serious disease or
immigration status. Slurs for such a group are hate speech where they are used to insult somebody. A word that members
of a group use of themselves, or that is quoted to condemn it, is not. Dehumanising statements compare a group with
animals, insects, filth or disease, or say that its members are inferior, criminals or less than human. Calls to harm,
to kill, to deport or to exclude members of a group are hate speech, also where they are meant as a joke, and so is
praise for those who attacked them. Swearing and insults that do not refer to a group are not hate speech, however rude
they are. Criticism of governments, institutions or beliefs is allowed.
"""
EXAMPLES = """
Go back to your own country, you filthy immigrants. Muslims are terrorists, all of them. Shut up, faggot. That nigger
should be hanged. Jews run everything, gas them. They breed like rats. Fags are a disease. Keep this country white.
"""


@dataclass(frozen=True)
class File:
    """A file to learn from: how it is read, the class that is looked for, and how many labels are asked at most.

    `goals` are 95 % of what a fitted TF-IDF of words and pairs with logistic regression reaches on all labels of the
    pool, as it was measured elsewhere before this code was written; None where it was not.
    """

    name: str
    read: Callable[[Path], tuple[list[str], NDArray[np.int64]]]
    positive: int
    most: int
    goals: dict[str, float] | None = None


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a packed CSV file."""
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read_tweets(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """24,783 tweets: hate speech 0 (5.8 %), offensive 1, neither 2."""
    rows = list(read_rows(folder / "davidson_labeled_data.csv.xz"))
    return [row["tweet"] for row in rows], np.array([int(row["class"]) for row in rows])


def read_turns(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """4,185 turns of dialogue: 1 (13.8 %) where more than half of the annotators found abuse in the user's words."""
    found: dict[tuple[str, ...], list[bool]] = {}
    for row in read_rows(folder / "convabuse_full.csv.xz"):
        key = tuple(row[name] for name in ("conv_id", "prev_agent", "prev_user", "agent", "user"))
        found.setdefault(key, []).append("1" in (row["is_abuse.-1"], row["is_abuse.-2"], row["is_abuse.-3"]))
    return [key[-1] for key in found], np.array([int(2 * sum(said) > len(said)) for said in found.values()])


def read_test_cases(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """3,901 test sentences: hateful 1 (68 %) or not 0."""
    rows = list(read_rows(folder / "hatecheck_all_annotations.csv.xz"))
    return [row["test_case"] for row in rows], np.array([int(row["label_gold"] == "hateful") for row in rows])


def read_comments(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """16,100 comments: 1 where more than half of the workers said that nothing in it is toxic."""
    texts = {row["comment_id"]: row["comment_text"] for row in read_rows(folder / "toxic_spans_comments.csv.xz")}
    said: dict[str, dict[str, bool]] = {}
    for row in read_rows(folder / "toxic_spans_annotations.csv.xz"):
        said.setdefault(row["comment_id"], {})[row["worker"]] = row["not toxic"] == "True"
    known = [name for name in texts if name in said]
    y = [int(2 * sum(said[name].values()) > len(said[name])) for name in known]
    return [texts[name] for name in known], np.array(y)


def read_rare_tweets(folder: Path) -> tuple[list[str], NDArray[np.int64]]:
    """The tweets in two classes, hate speech 1 thinned to 2 % of them."""
    texts, y = read_tweets(folder)
    is_hate = np.flatnonzero(y == 0)
    kept = np.random.default_rng(0).permutation(is_hate)[: round((y != 0).sum() * 0.02 / 0.98)]
    rows = np.sort(np.concatenate([np.flatnonzero(y != 0), kept]))
    return [texts[row] for row in rows], (y[rows] == 0).astype(np.int64)


FILES = (
    File("davidson3", read_tweets, 0, 3500, {"macro_f1": 0.687, "ap": 0.286}),
    File("convabuse2", read_turns, 1, 1500, {"macro_f1": 0.765, "f1": 0.636, "ap": 0.696}),
    File("hate2", read_rare_tweets, 1, 1500),
    File("hatecheck", read_test_cases, 0, 1500),
    File("toxic_spans", read_comments, 1, 1500),
)


def encode(texts: list[str]) -> tuple[SentenceFeatures, FloatArray]:
    """Vectors of the sentence model in the folder SENTENCE_MODEL; how quick it is goes to stderr."""
    with open_encoder(SentenceModel(Path(os.environ["SENTENCE_MODEL"]), "")) as encoder:
        started = time.monotonic()
        vectors = encoder.encode(texts)
        print(f"{len(texts)} texts, {len(texts) / (time.monotonic() - started):,.0f}/s", file=sys.stderr)
    return SentenceFeatures(encoder.n_dimensions, ""), vectors


def load(file: File, folder: Path, text_features: str = "auto", *, words: str | None = None) -> LabelledFile:
    """Features and split; the features know the pool only. `words`: of a policy, for a start without a label."""
    texts, y = file.read(folder)
    _pool, judges = train_test_split(np.arange(len(y)), test_size=0.2, stratify=y, random_state=0)
    holdout = np.zeros(len(y), bool)
    holdout[judges] = True
    blocks = (SENTENCES,) if text_features == ALONE else choose_text_blocks(text_features, texts, len(texts))
    counts = count_texts(texts, blocks)
    fitted: dict[str, Block] = dict(fit_texts({name: found[~holdout] for name, found in counts.items()}))
    counted, rows = Features(dict(fitted)), dict[str, Any](counts)
    if SENTENCES in blocks:
        fitted[SENTENCES], rows[SENTENCES] = encode(texts)
    features = Features(fitted)
    X: Matrix = features.join(rows, len(texts))
    return LabelledFile(
        X,
        y,
        holdout,
        n_classes=int(y.max()) + 1,
        basis=fit_basis(X[~holdout], np.random.default_rng(0)),
        similarity=(
            None
            if words is None
            else similarity_to(counted.join(counts, len(texts)), counted.join(count_texts([words], blocks), 1))
        ),
    )


def compare(
    file: File, folder: Path, text_features: str, strategies: list[str], n_seeds: int, random_share: float
) -> StrategyComparison:
    """All strategies on one file; how far it is goes to stderr."""
    started = time.monotonic()
    found = compare_strategies(
        load(file, folder, text_features),
        strategies,
        [START] + [BATCH] * ((file.most - START) // BATCH),
        positive=file.positive,
        seeds=range(n_seeds),
        random_share=random_share,
        tell=lambda strategy, seed, step: (
            print(f"{file.name}: {strategy}, seed {seed}, {step.n_labels} labels", file=sys.stderr)
            if step.n_labels % 500 == 0
            else None
        ),
    )
    print(f"{file.name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return found


def describe(file: File, found: StrategyComparison) -> str:
    """One file's table."""
    own = {name: found.goal(name) for name in FIGURES}
    goals = file.goals or {}
    heads = [f"{name} {goal:.3f}" for name, goal in goals.items()]
    heads += [f"{name} {goal:.3f} (own)" for name, goal in own.items()]
    lines = [
        f"{file.name}: {found.n_pool:,} are asked, {found.n_holdout:,} judge; with all labels macro-F1"
        f" {found.full['macro_f1']:.3f}, F1 {found.full['f1']:.3f}, AP {found.full['ap']:.3f}",
        "",
        f"| strategy | {' | '.join(heads)} | F1 at a chosen threshold | area to 1,500 | minus random [95 %] |",
        f"|---|{'---|' * (len(heads) + 3)}",
    ]
    chance = next((curve for curve in found.curves if curve.strategy == "random"), None)
    for curve in found.curves:
        reached = [curve.labels_to(name, goal) for name, goal in [*goals.items(), *own.items()]]
        cells = [f">{curve.n_labels[-1]:,}" if labels is None else f"{labels:,}" for labels in reached]
        beside = ""
        if chance is not None and chance is not curve:
            gap = area_difference(curve, chance)
            if gap.value is not None and gap.interval is not None:
                beside = f"{gap.value:+.4f} [{gap.interval[0]:+.4f}, {gap.interval[1]:+.4f}]"
        lines.append(
            f"| {curve.strategy} | {' | '.join(cells)} | {curve.f1_chosen.mean():.3f} |"
            f" {curve.areas().mean():.4f} | {beside} |"
        )
    return "\n".join(lines)


def describe_cold_starts(folder: Path, text_features: str, n_seeds: int) -> str:
    """From no label: hate speech thinned to 2 % of the tweets."""

    def thin_by(words: str) -> LabelledFile:
        return thin_out(load(FILES[0], folder, text_features, words=words), 0, np.random.default_rng(0))

    thin = thin_by(POLICY)
    lines = [
        f"hate thinned to {int(thin.y[thin.pool].sum())} of {len(thin.pool):,}; batches of 20 from no label",
        "",
        "| strategy | found @40 | @100 | @200 | AP@200 | least to greatest |",
        "|---|---|---|---|---|---|",
    ]
    without_words = replace(thin, similarity=None)
    for name, file, strategy in (
        ("adaptive", thin, "adaptive"),
        ("keywords", thin, "keywords"),
        ("keywords: a guideline", thin_by(GUIDELINE), "keywords"),
        ("keywords: a guideline and its examples", thin_by(GUIDELINE + EXAMPLES), "keywords"),
        ("keywords: its examples", thin_by(EXAMPLES), "keywords"),
        ("adaptive, no words", without_words, "adaptive"),
        ("margin", without_words, "margin"),
        ("random", without_words, "random"),
    ):
        (start,) = compare_cold_starts(file, [strategy], range(n_seeds))
        cells = " | ".join(f"{value:.1f}" for value in start.found.mean(axis=0))
        lines.append(f"| {name} | {cells} | {start.ap.mean():.3f} | {start.ap.min():.3f} to {start.ap.max():.3f} |")
        print(f"cold start: {name} done", file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default=",".join([*(file.name for file in FILES), "cold"]))
    parser.add_argument("--strategies", default="adaptive,margin,random")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, help="labels at most; by file where left out (3,500 or 1,500)")
    parser.add_argument("--random-share", type=float, default=0.2, help="share of each batch drawn by chance")
    parser.add_argument("--text-features", choices=["auto", *TEXT_BLOCKS, SENTENCES, ALONE], default="auto")
    options = parser.parse_args()
    print(describe_machine())
    wanted = options.only.split(",")
    for file in FILES:
        if file.name in wanted:
            file = replace(file, most=options.most or file.most)
            strategies = options.strategies.split(",")
            found = compare(file, options.data, options.text_features, strategies, options.seeds, options.random_share)
            print(f"\n{describe(file, found)}", flush=True)
    if "cold" in wanted:
        print(f"\n{describe_cold_starts(options.data, options.text_features, options.seeds)}", flush=True)


if __name__ == "__main__":
    main()
