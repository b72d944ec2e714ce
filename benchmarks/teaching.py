"""What models gain by votes in the place of labels, by calibration, and by thresholds of their own.

    python -m benchmarks.teaching [--data FOLDER] [--only votes,calibration] [--seeds N]

The split, the files and the rounds are those of `benchmarks.label_efficiency`, with a fifth of each batch drawn by
chance, which is the default of a project. Differences are paired by seed, with 95 % intervals (Student's t).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.label_efficiency import BATCH, FILES, ROOT, START, File, load, read_rows, read_turns, read_tweets
from benchmarks.measuring import describe_machine
from learning.algorithms.estimators import Model
from learning.algorithms.label_efficiency import score_at_threshold, score_model
from learning.algorithms.simulation import LabelledFile, Step, run_rounds

BUDGETS = (500, 1500)
RANDOM_SHARE = 0.2
N_BINS = 10
Votes = NDArray[np.int64]


def read_tweet_votes(folder: Path) -> Votes:
    """Votes on each tweet: hate speech, offensive, neither."""
    rows = read_rows(folder / "davidson_labeled_data.csv.xz")
    return np.array([[int(row[name]) for name in ("hate_speech", "offensive_language", "neither")] for row in rows])


def read_turn_votes(folder: Path) -> Votes:
    """Votes on each turn: no abuse, abuse."""
    found: dict[tuple[str, ...], list[int]] = {}
    for row in read_rows(folder / "convabuse_full.csv.xz"):
        key = tuple(row[name] for name in ("conv_id", "prev_agent", "prev_user", "agent", "user"))
        is_abuse = "1" in (row["is_abuse.-1"], row["is_abuse.-2"], row["is_abuse.-3"])
        found.setdefault(key, [0, 0])[is_abuse] += 1
    return np.array(list(found.values()))


def read_comment_votes(folder: Path) -> tuple[list[str], NDArray[np.int64], Votes]:
    """16,100 comments by most votes: all of it is toxic, nothing is, parts are; the text, the label, the votes."""
    texts = {row["comment_id"]: row["comment_text"] for row in read_rows(folder / "toxic_spans_comments.csv.xz")}
    said: dict[str, dict[str, int]] = {}
    for row in read_rows(folder / "toxic_spans_annotations.csv.xz"):
        verdict = 0 if row["all toxic"] == "True" else 1 if row["not toxic"] == "True" else 2
        said.setdefault(row["comment_id"], {})[row["worker"]] = verdict
    known = [name for name in texts if name in said]
    votes = np.array([np.bincount(list(said[name].values()), minlength=3) for name in known])
    return [texts[name] for name in known], votes.argmax(axis=1), votes


@dataclass(frozen=True, eq=False)
class ByLabel(LabelledFile):
    """Answers as above, models by the label alone."""

    def fit(
        self,
        labels: NDArray[np.int64],
        is_by_chance: NDArray[np.bool_],
        seed: int,
        beliefs: NDArray[np.float64] | None = None,
        *,
        is_last: bool = True,
    ) -> Model:
        return super().fit(labels, is_by_chance, seed, is_last=is_last)


@dataclass(frozen=True, eq=False)
class ByConfidence(LabelledFile):
    """An item weighs as much as the share of its votes that its label has."""

    def fit(
        self,
        labels: NDArray[np.int64],
        is_by_chance: NDArray[np.bool_],
        seed: int,
        beliefs: NDArray[np.float64] | None = None,
        *,
        is_last: bool = True,
    ) -> Model:
        if beliefs is None:
            raise ValueError("a file without votes has no confidence")
        label = np.eye(self.n_classes)[np.maximum(labels, 0)]
        # Half of a belief is the label's own.
        return super().fit(labels, is_by_chance, seed, label * (2 * beliefs - 1), is_last=is_last)


WAYS: dict[str, Callable[..., LabelledFile]] = {
    "the label": ByLabel,
    "weighed by confidence": ByConfidence,
    "votes (the default)": LabelledFile,
}


def load_voted(folder: Path) -> Iterator[tuple[File, LabelledFile]]:
    """The three files whose votes are known."""
    texts, y, votes = read_comment_votes(folder)
    for name, positive, read, known in (
        ("davidson3", 0, read_tweets, read_tweet_votes(folder)),
        ("convabuse2", 1, read_turns, read_turn_votes(folder)),
        ("toxic_spans, three ways", 0, lambda _folder: (texts, y), votes),
    ):
        file = File(name, read, positive, BUDGETS[-1])
        yield file, replace(load(file, folder, "auto"), votes=known, always_calibrated=True)


def play(file: LabelledFile, strategy: str, seed: int, most: int) -> Iterator[Step]:
    """The rounds of those budgets that are no more than `most`."""
    batches = [START] + [BATCH] * ((most - START) // BATCH)
    for step in run_rounds(file, strategy, batches, seed=seed, random_share=RANDOM_SHARE):
        if step.n_labels in BUDGETS and step.model is not None:
            yield step


def judge_certainty(model: Model, file: LabelledFile) -> tuple[float, float]:
    """Log-loss and calibration error on the holdout."""
    return measure_certainty(file.y[file.judges], model.predict_proba(file.X[file.judges]))


def measure_certainty(truth: NDArray[np.int64], proba: NDArray[np.float64]) -> tuple[float, float]:
    """Log-loss and calibration error."""
    of_truth, top = proba[np.arange(len(truth)), truth], proba.max(axis=1)
    in_bin = np.minimum((top * N_BINS).astype(np.int64), N_BINS - 1)
    off = np.bincount(in_bin, weights=top - (proba.argmax(axis=1) == truth), minlength=N_BINS)
    return float(-np.log(np.maximum(of_truth, 1e-15)).mean()), float(np.abs(off).sum() / len(truth))


def describe_change(values: NDArray[np.float64], base: NDArray[np.float64]) -> str:
    """A mean, and its difference to another with its interval."""
    gaps = values - base
    half = float(stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5)
    return f"{values.mean():.3f} ({gaps.mean():+.3f} [{gaps.mean() - half:+.3f}, {gaps.mean() + half:+.3f}])"


def compare_votes(folder: Path, n_seeds: int, strategies: Sequence[str], most: int) -> str:
    """A table: what is learned of each item, at each budget."""
    lines = [
        "| file | asked by | labels | learned of an item | macro-F1 | AP | log-loss, calibrated |",
        "|---|---|---|---|---|---|---|",
    ]
    for file, voted in load_voted(folder):
        for strategy in strategies:
            found: dict[tuple[int, str], list[tuple[float, ...]]] = {}
            for way, make in WAYS.items():
                taught = make(**vars(voted))
                for seed in range(n_seeds):
                    for step in play(taught, strategy, seed, most):
                        assert step.model is not None
                        scores = score_model(step.model, taught, file.positive)
                        row = (scores["macro_f1"], scores["ap"], judge_certainty(step.model, taught)[0])
                        found.setdefault((step.n_labels, way), []).append(row)
                print(f"{file.name}, {strategy}, {way}: done", file=sys.stderr)
            for budget in sorted({n_labels for n_labels, _way in found}):
                base = np.array(found[budget, "the label"])
                for way in WAYS:
                    values = np.array(found[budget, way])
                    cells = [
                        f"{values[:, at].mean():.3f}"
                        if way == "the label"
                        else describe_change(values[:, at], base[:, at])
                        for at in range(3)
                    ]
                    lines.append(f"| {file.name} | {strategy} | {budget:,} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def compare_calibration(folder: Path, n_seeds: int, strategies: Sequence[str], most: int) -> str:
    """A table: certainty before and after, and F1 of the label that is looked for by likeliest class and threshold."""
    lines = [
        "| file | labels | log-loss | calibrated | calibration error | calibrated | F1, likeliest | F1, threshold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for file in FILES:
        loaded = replace(load(file, folder, "auto"), always_calibrated=True)
        found: dict[int, list[tuple[float, ...]]] = {}
        for seed in range(n_seeds):
            for step in play(loaded, strategies[-1], seed, most):
                assert step.model is not None
                before = step.model.scaled(1 / step.model.settings["scale"])
                f1 = score_model(step.model, loaded, file.positive)["f1"]
                at_threshold = score_at_threshold(step.model, loaded, file.positive)
                row = (*judge_certainty(before, loaded), *judge_certainty(step.model, loaded), f1, at_threshold)
                found.setdefault(step.n_labels, []).append(row)
        print(f"{file.name}: done", file=sys.stderr)
        for budget, rows in found.items():
            loss, error, new_loss, new_error, f1s, f1s_at = np.array(rows).T
            cells = [
                f"{loss.mean():.3f}",
                describe_change(new_loss, loss),
                f"{error.mean():.3f}",
                describe_change(new_error, error),
                f"{f1s.mean():.3f}",
                describe_change(f1s_at, f1s),
            ]
            lines.append(f"| {file.name} | {budget:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default="votes,calibration")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--strategies", default="adaptive", help="of the votes' table; calibration is shown by the last"
    )
    parser.add_argument("--most", type=int, default=BUDGETS[-1], help="labels at most: 500 or 1,500")
    options = parser.parse_args()
    print(describe_machine())
    for name, compare in (("votes", compare_votes), ("calibration", compare_calibration)):
        if name in options.only.split(","):
            print(f"\n{compare(options.data, options.seeds, options.strategies.split(','), options.most)}", flush=True)


if __name__ == "__main__":
    main()
