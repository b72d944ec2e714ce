"""What a model's vote saves: labels spent, and how often right, with an outside model as one more voter and without.

    .venv/bin/python -m benchmarks.model_voter --data ../shared/data

The texts are real. A logistic regression over their words stands for the model: on HateCheck it is taught by the gold
labels of other templates (tenfold), or, as a poor model from another field, by the tweets of Davidson; on those tweets
by tweets that are not among the items. HateCheck's annotators are real; the tweets' are made up, with accuracies drawn
from Beta(18, 2) or Beta(8, 3), as who said what is not published. Items are asked about as in `dynamic_overlap`: from
so many labels on one more while the posterior is below the threshold, up to five. From one label on, a fifth of the
items gets people's answers alone, two at least, and the fit is of those.
"""

from __future__ import annotations

import argparse
import csv
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from benchmarks.dynamic_overlap import FIXED, MOST, REFIT_SHARE, Ints, World, shuffled
from benchmarks.measuring import describe_machine
from config.home import ROOT
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.fitting import fit_skills
from reviewers.algorithms.majority import majority_vote
from reviewers.algorithms.posterior import weigh
from reviewers.algorithms.voter import CHECKED_ONE_IN, ModelAnswers, add_answers

N_TWEETS = 4000


@dataclass(frozen=True)
class Source:
    """Labels, what is right, and what a model says, item by item."""

    labels: CrowdLabels
    truth: Ints
    answers: ModelAnswers


@dataclass(frozen=True)
class Run:
    """How often right, labels spent, the share that was sure, how often right these were and were said to be."""

    right: float
    n_labels: int
    sure: float
    right_of_sure: float
    said_of_sure: float
    worth: str


def ask(world: World, threshold: float, least: int, model: ModelAnswers | None) -> Run:
    """Ask about each item until it is sure, or has five labels. From one on, a fifth of the items is people's alone."""
    there = np.bincount(world.item)
    said = np.full(len(there), -1) if model is None else model.value
    most = np.minimum(there, MOST)
    wanted = np.minimum(there, least)
    is_checked = np.random.default_rng(0).random(len(wanted)) < 1 / CHECKED_ONE_IN
    if least == 1:
        wanted[is_checked] = 2
    while True:
        labels = world.first(wanted)
        taught = labels if least > 1 else labels.only(is_checked)
        found = fit_skills(taught, model=model)
        if found.skills is None:
            raise SystemExit(f"nothing can be told of the annotators: {found.reason}")
        seen = labels
        if model is not None and found.voter is not None:
            asked = model if least > 1 else model.only(~is_checked)
            seen = add_answers(labels, asked)
        posterior = weigh(seen, found.skills)
        top = posterior.max(axis=1)
        # One person's answer is enough only where the model says the same.
        is_sure = (top >= threshold) & ((np.diff(labels.start) >= 2) | (said == posterior.argmax(axis=1)))
        unsure = np.flatnonzero(~is_sure & (wanted < most))
        if len(unsure) == 0:
            break
        wanted[unsure[: max(1, int(REFIT_SHARE * wanted.sum()))]] += 1
    right = world.right(posterior)
    worth = ""
    if found.voter is not None:
        low, high = found.voter.interval
        worth = f"{found.voter.accuracy:.3f} [{low:.3f}, {high:.3f}]"
    return Run(
        right=float(right.mean()),
        n_labels=int(wanted.sum()),
        sure=float(is_sure.mean()),
        right_of_sure=float(right[is_sure].mean()),
        said_of_sure=float(top[is_sure].mean()),
        worth=worth,
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with lzma.open(path, "rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))


def make_model() -> Any:  # scikit-learn carries no types
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression(C=10.0, max_iter=2000)
    )


def read_hatecheck(folder: Path, *, is_poor: bool) -> Source:
    rows = read_csv(folder / "hatecheck_all_annotations.csv.xz")
    names = sorted({row["label_gold"] for row in rows})  # hateful, non-hateful
    texts, truth = [row["test_case"] for row in rows], np.array([names.index(row["label_gold"]) for row in rows])
    given = [
        (at, voter, names.index(row[f"label_{voter}"]))
        for at, row in enumerate(rows)
        for voter in range(1, 11)
        if row[f"label_{voter}"]
    ]
    item, annotator, value = np.array(given).T
    labels = CrowdLabels.from_codes(item, annotator, value, 2)
    if is_poor:
        tweets = read_csv(folder / "davidson_labeled_data.csv.xz")
        model = make_model().fit([row["tweet"] for row in tweets], [int(row["class"] != "0") for row in tweets])
        proba = model.predict_proba(texts)
    else:
        proba = np.zeros((len(rows), 2))
        groups = [row["templ_id"] for row in rows]
        for taught, asked in GroupKFold(10).split(texts, truth, groups):
            model = make_model().fit([texts[at] for at in taught], truth[taught])
            proba[asked] = model.predict_proba([texts[at] for at in asked])
    return Source(labels, truth, answers_of(proba))


def read_tweets(folder: Path, accuracy: tuple[float, float], seed: int) -> Source:
    rows = read_csv(folder / "davidson_labeled_data.csv.xz")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    texts, truth = [rows[at]["tweet"] for at in order], np.array([int(rows[at]["class"]) for at in order])
    model = make_model().fit(texts[N_TWEETS:], truth[N_TWEETS:])
    proba = model.predict_proba(texts[:N_TWEETS])
    truth = truth[:N_TWEETS]
    skill = rng.beta(*accuracy, 40)
    annotator = np.argsort(rng.random((N_TWEETS, 40)), axis=1)[:, :6].ravel()
    item = np.repeat(np.arange(N_TWEETS), 6)
    wrong = (truth[item] + rng.integers(1, 3, len(item))) % 3
    value = np.where(rng.random(len(item)) < skill[annotator], truth[item], wrong)
    return Source(CrowdLabels.from_codes(item, annotator, value, 3), truth, answers_of(proba))


def answers_of(proba: NDArray[np.float64]) -> ModelAnswers:
    """The likeliest value of each item."""
    return ModelAnswers(np.arange(len(proba)), proba.argmax(axis=1))


def compare(name: str, source: Source, thresholds: Sequence[float], n_draws: int) -> None:
    """Table rows: people alone from two labels on, then the model beside them from two and from one."""
    worlds = [shuffled(source.labels, source.truth, np.random.default_rng(seed)) for seed in range(n_draws)]
    fixed = [majority_vote(world.first(np.full(len(world.truth), FIXED))) for world in worlds]
    majority = float(np.mean([world.right(one.posterior).mean() for world, one in zip(worlds, fixed, strict=True)]))
    n_fixed = FIXED * len(source.truth)
    alone = float((source.answers.value == source.truth).mean())
    cases: list[tuple[str, int, ModelAnswers | None]] = [("people alone", 2, None)]
    cases += [(f"a model too, from {least} on", least, source.answers) for least in (2, 1)]
    for told, least, model in cases:
        for threshold in thresholds:
            runs = [ask(world, threshold, least, model) for world in worlds]
            figures = np.mean(
                [[run.right, run.n_labels / n_fixed, run.sure, run.right_of_sure, run.said_of_sure] for run in runs],
                axis=0,
            )
            right, spent, sure, right_of_sure, said = figures
            cells = [name, f"{majority:.4f}", f"{alone:.4f}", told, f"{threshold:g}", f"{spent:.0%}", f"{right:.4f}"]
            cells += [f"{sure:.0%}", f"{right_of_sure:.4f}", f"{said:.4f}", runs[0].worth]
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read, ask, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--thresholds", type=float, nargs="+", default=(0.95,))
    parser.add_argument("--only", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    folder: Path = arguments.data
    print(describe_machine())
    heads = ("", "majority of 3", "model alone", "who votes", "threshold", "labels", "right", "sure", "right of these")
    print(f"| {' | '.join(heads)} | said of these | worth found |")
    print("|---" * 11 + "|")
    sources: dict[str, Callable[[], Source]] = {
        "HateCheck, model of its field": lambda: read_hatecheck(folder, is_poor=False),
        "HateCheck, model of another field": lambda: read_hatecheck(folder, is_poor=True),
        "tweets, good crowd": lambda: read_tweets(folder, (18, 2), 1),
        "tweets, mixed crowd": lambda: read_tweets(folder, (8, 3), 2),
    }
    for name, read in sources.items():
        if arguments.only and name not in arguments.only:
            continue
        compare(name, read(), arguments.thresholds, arguments.draws)


if __name__ == "__main__":
    main()
