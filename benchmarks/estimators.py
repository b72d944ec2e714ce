"""Which estimator learns most of so many labels drawn by chance: texts and images, several seeds.

    python -m benchmarks.estimators [--only davidson3,convabuse2,digits] [--seeds 3]

Texts as in `benchmarks.label_efficiency`: the same split, features and basis. Images: scikit-learn's 1,797 digits of
8 x 8 pixels, of which a fifth judges. Labels are drawn by chance, the same ones for every estimator. Tables in Markdown
go to stdout.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.label_efficiency import FILES, ROOT, load
from benchmarks.measuring import describe_machine
from learning.algorithms.estimators.recipes import Recipe, cook, log_loss, settle
from learning.algorithms.features import PIXELS, TEXT
from learning.algorithms.label_efficiency import split_holdout
from learning.algorithms.simulation import LabelledFile

BUDGETS = {"davidson3": (500, 1500, 3000), "convabuse2": (500, 1500, 3000), "digits": (20, 50, 100, 200, 500)}
ESTIMATORS = {
    "davidson3": ("logistic", "embedding_bag", "auto"),
    "convabuse2": ("logistic", "embedding_bag", "auto"),
    "digits": ("logistic", "cnn", "auto"),
}


def load_images() -> LabelledFile:
    """Scikit-learn's digits as a pool of images would be, in random order."""
    X, y = load_digits(return_X_y=True)
    holdout = split_holdout(y, np.random.default_rng(0))
    pixels = (X / 16).astype(np.float32)
    return LabelledFile(
        pixels, y.astype(np.int64), holdout, n_classes=10, recipe=Recipe("auto", {PIXELS: slice(0, 64)}, (8, 8, 1))
    )


def load_texts(name: str, folder: Path) -> LabelledFile:
    """One of the files of `benchmarks.label_efficiency`."""
    file = load(next(file for file in FILES if file.name == name), folder)
    return replace(file, recipe=Recipe("auto", {TEXT: slice(0, file.X.shape[1])}))


def measure(name: str, file: LabelledFile, seeds: Sequence[int]) -> Iterator[str]:
    """A row for each number of labels, a column for each estimator."""
    names = ESTIMATORS[name]
    yield f"\n{name}: macro-F1 (log-loss; seconds) on {len(file.judges):,} items, mean of {len(seeds)} seeds\n"
    yield f"| labels | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for n_labels in (*BUDGETS[name], len(file.pool)):
        cells = []
        for estimator in names:
            found, chosen = [], []
            for seed in seeds:
                rows = np.random.default_rng([seed, 1]).permutation(file.pool)[:n_labels]
                started = time.perf_counter()
                asked, X, y = replace(file.recipe, estimator=estimator), file.X[rows], file.y[rows]
                recipe = settle(asked, X, y, file.n_classes, seed, basis=file.basis)
                model = cook(recipe, X, y, file.n_classes, seed, basis=file.basis)
                seconds = time.perf_counter() - started
                proba, truth = model.predict_proba(file.X[file.judges]), file.y[file.judges]
                score = float(f1_score(truth, proba.argmax(axis=1), average="macro"))
                found.append((score, log_loss(proba, truth), seconds))
                chosen.append(recipe.estimator)
            score, loss, seconds = np.mean(found, axis=0)
            took = f" {'/'.join(dict.fromkeys(chosen))}" if estimator == "auto" else ""
            cells.append(f"{score:.3f} ({loss:.2f}; {seconds:.1f} s){took}")
        yield f"| {n_labels:,} | {' | '.join(cells)} |"


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default=",".join(BUDGETS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(describe_machine())
    for name in options.only.split(","):
        file = load_images() if name == "digits" else load_texts(name, options.data)
        with threadpool_limits(limits=1):
            for line in measure(name, file, range(options.seeds)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
