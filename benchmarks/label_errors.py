"""How many planted errors are among the labels that are doubted first: real files, every twentieth label changed.

    .venv/bin/python -m benchmarks.label_errors [--data FOLDER] [--seeds 5]

Of the labels of a file 1,000, 3,000 or all are taken for accepted; of these 5 % get another class by chance. Real
labels hold errors of their own, which count as false finds here: what is found is a little more than what is said.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve_outlook import FILES

ROOT = Path(__file__).resolve().parents[1]
NOISE = 0.05
SIZES = (1000, 3000, 10**9)


def plant(y: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labels with 5 % of them changed, and which."""
    wrong = np.zeros(len(y), bool)
    wrong[rng.choice(len(y), round(NOISE * len(y)), replace=False)] = True
    n_classes = int(y.max()) + 1
    return np.where(wrong, (y + rng.integers(1, n_classes, len(y))) % n_classes, y), wrong


def main() -> None:
    """A line for each file and size."""
    from learning.algorithms.features import fit_features
    from learning.algorithms.label_errors import doubt_labels, foretell

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name, read in FILES.items():
        texts, y = read(options.data)
        for size in SIZES:
            found = []
            for seed in range(options.seeds):
                rng = np.random.default_rng([seed, 7])
                some = rng.permutation(len(y))[:size]
                given, wrong = plant(y[some], rng)
                part = [texts[item] for item in some]
                X = fit_features(part, [None] * len(part)).transform(part, [None] * len(part))
                proba = foretell(X, given, int(y.max()) + 1, seed)
                doubts = doubt_labels(given, proba)
                k, order = int(wrong.sum()), doubts.index
                shares = [wrong[order[: n * k]].sum() / k for n in (1, 2, 4)]
                found.append([*shares, doubts.is_sure.sum() / k, wrong[order[doubts.is_sure]].mean()])
            one, two, four, n_sure, right = np.mean(found, axis=0)
            print(
                f"{name:9} {len(given):6} labels, {k:5} errors planted, of them among the first {k}: {one:.2f},"
                f" {2 * k}: {two:.2f}, {4 * k}: {four:.2f}; {n_sure:.1f} times as many called sure, {right:.2f} planted"
            )


if __name__ == "__main__":
    main()
