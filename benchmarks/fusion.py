"""Items of several parts: one model over all columns side by side, or a model for each part, fused.

    python -m benchmarks.fusion [--only digits,dialogue] [--seeds 5]

Two files. Digits: the image, and a sentence that names a digit, in 30 % of them a wrong one; half of the items have no
sentence, a fifth of the others no image. Dialogue: the words of a turn (`convabuse2` of `benchmarks.label_efficiency`),
and an embedding (64 directions of a TF-IDF of the pool) of what was said before, which the first turn lacks. A fixed
fifth judges; labels are drawn by chance, the same ones for both ways. Tables in Markdown go to stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.label_efficiency import ROOT, read_rows, read_turns
from benchmarks.measuring import describe_machine
from learning.algorithms.basis import fit_basis
from learning.algorithms.estimators.recipes import Recipe, cook, log_loss, settle
from learning.algorithms.features import PIXELS, TEXT, count_words, fit_text
from learning.algorithms.label_efficiency import split_holdout
from learning.algorithms.simulation import LabelledFile

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FILLERS = ("looks like a", "perhaps a", "this is", "somebody wrote", "I see the number", "clearly")
BUDGETS = {"digits": (50, 100, 200, 500), "dialogue": (100, 300, 1000, 3000)}
WRONG, N_DIRECTIONS = 0.3, 64


def read_digits(folder: Path) -> LabelledFile:
    """Images, and sentences about half of them."""
    X, y = load_digits(return_X_y=True)
    rng, n = np.random.default_rng(0), len(y)
    named = np.where(rng.random(n) < WRONG, rng.integers(0, 10, n), y)
    texts = [f"{FILLERS[rng.integers(len(FILLERS))]} {NAMES[digit]}" for digit in named]
    has_text = rng.random(n) < 0.5
    has_image = ~has_text | (rng.random(n) < 0.8)
    texts = [text if there else "" for text, there in zip(texts, has_text, strict=True)]
    pixels = (X / 16 / 8 * has_image[:, np.newaxis]).astype(np.float32)
    return _join(texts, PIXELS, pixels, y.astype(np.int64), shape=(8, 8, 1))


def read_dialogue(folder: Path) -> LabelledFile:
    """Turns, and what was said before them."""
    texts, y = read_turns(folder)
    before: dict[tuple[str, ...], str] = {}
    for row in read_rows(folder / "convabuse_full.csv.xz"):
        key = tuple(row[name] for name in ("conv_id", "prev_agent", "prev_user", "agent", "user"))
        before[key] = " ".join(row[name] for name in ("prev_agent", "prev_user", "agent")).strip()
    counts = count_words(before.values())
    holdout = split_holdout(y, np.random.default_rng(0))
    X = fit_text(counts[~holdout]).weigh(counts)
    basis = fit_basis(X[~holdout], np.random.default_rng(0), N_DIRECTIONS)
    assert basis is not None
    return _join(texts, "emb:before", basis.embed(X).astype(np.float32), y)


def _join(
    texts: list[str],
    name: str,
    rows: NDArray[np.float32],
    y: NDArray[np.int64],
    shape: tuple[int, int, int] | None = None,
) -> LabelledFile:
    holdout = split_holdout(y, np.random.default_rng(0))
    counts = count_words(texts)
    words = fit_text(counts[~holdout]).weigh(counts)
    X = sparse.hstack([words, sparse.csr_matrix(rows)], format="csr", dtype=np.float32)
    n_words = words.shape[1]
    recipe = Recipe("auto", {TEXT: slice(0, n_words), name: slice(n_words, X.shape[1])}, shape)
    basis = fit_basis(X[~holdout], np.random.default_rng(0))
    return LabelledFile(X, y, holdout, n_classes=int(y.max()) + 1, basis=basis, recipe=recipe)


def measure(name: str, file: LabelledFile, seeds: Sequence[int]) -> str:
    """A row for each number of labels: both ways, and the difference with its interval."""
    ways = {"side by side": "logistic", "fused": "fusion", "auto": "auto"}
    lines = [
        f"{name}: macro-F1 (log-loss) on {len(file.judges):,} items, mean of {len(seeds)} seeds",
        "",
        f"| labels | {' | '.join(ways)} | fused minus side by side [95 %] |",
        f"|---|{'---|' * (len(ways) + 1)}",
    ]
    truth = file.y[file.judges]
    for n_labels in BUDGETS[name]:
        scores: dict[str, list[float]] = {way: [] for way in ways}
        losses: dict[str, list[float]] = {way: [] for way in ways}
        for seed in seeds:
            rows = np.random.default_rng([seed, 1]).permutation(file.pool)[:n_labels]
            for way, estimator in ways.items():
                asked, X, y = replace(file.recipe, estimator=estimator), file.X[rows], file.y[rows]
                recipe = settle(asked, X, y, file.n_classes, seed, basis=file.basis)
                model = cook(recipe, X, y, file.n_classes, seed, basis=file.basis)
                proba = model.predict_proba(file.X[file.judges])
                scores[way].append(float(f1_score(truth, proba.argmax(axis=1), average="macro")))
                losses[way].append(log_loss(proba, truth))
        gaps = np.array(scores["fused"]) - np.array(scores["side by side"])
        half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
        cells = [f"{np.mean(scores[way]):.3f} ({np.mean(losses[way]):.2f})" for way in ways]
        between = f"{gaps.mean():+.3f} [{gaps.mean() - half:+.3f}, {gaps.mean() + half:+.3f}]"
        lines.append(f"| {n_labels:,} | {' | '.join(cells)} | {between} |")
        print(f"{name}: {n_labels} labels", file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default=",".join(BUDGETS))
    parser.add_argument("--seeds", type=int, default=5, help="two or more")
    options = parser.parse_args()
    print(describe_machine())
    for name in options.only.split(","):
        file = (read_digits if name == "digits" else read_dialogue)(options.data)
        with threadpool_limits(limits=1):
            print(f"\n{measure(name, file, range(options.seeds))}", flush=True)


if __name__ == "__main__":
    main()
