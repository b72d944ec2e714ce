"""How well a learning curve foretells what the next labels bring: real files, and curves as a project would have them.

    .venv/bin/python -m benchmarks.curve_outlook [--data FOLDER] [--seeds 4]

Rounds of 100 up to 2,400 labels (margin with a fifth by chance, and by chance alone), each model judged on 300 items,
as a project's holdout has them. After every round from the fifth on the gain of the next 300, 500 and 1,000 labels is
foretold from these figures, and compared with what the same models gain on a fifth of the file: a curve through all of
their points, as a single model is as lucky as the next. Prints one line for each length of the curve.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_efficiency import read_turns, read_tweets
from benchmarks.measuring import say

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, BATCH, RANDOM_SHARE, N_HOLDOUT = 24, 100, 0.2, 300
FILES = {"davidson": read_tweets, "convabuse": read_turns}
AHEAD = (300, 500, 1000)
LENGTHS = ((5, 7), (8, 11), (12, 23))


def play(texts: list[str], y: NDArray[np.int64], strategy: str, seed: int) -> NDArray[np.float64]:
    """(n_rounds, 3): labels, macro-F1 on a holdout of 300, macro-F1 on all that is set apart."""
    from learning.algorithms.basis import fit_basis
    from learning.algorithms.estimators import fit_logistic
    from learning.algorithms.evaluation import macro_f1_of
    from learning.algorithms.features import fit_features
    from learning.algorithms.strategies import draw_batch

    rng = np.random.default_rng(seed)
    order, n_test, n_classes = rng.permutation(len(y)), len(y) // 5, int(y.max()) + 1
    test, pool = order[:n_test], order[n_test:]
    X = fit_features([texts[item] for item in pool], [None] * len(pool)).transform(texts, [None] * len(texts))
    basis = fit_basis(X[pool], rng)
    labelled = pool[:BATCH]
    pool = pool[BATCH:]
    points = []
    for _round in range(ROUNDS):
        model = fit_logistic(X[labelled], y[labelled], n_classes, seed, basis=basis)
        said = model.predict_proba(X[test]).argmax(axis=1)
        pairs = y[test] * n_classes + said
        tables = [np.bincount(part, minlength=n_classes**2) for part in (pairs[:N_HOLDOUT], pairs)]
        points.append([len(labelled), *(macro_f1_of(table.reshape(n_classes, n_classes)) for table in tables)])
        batch = draw_batch(strategy, model.predict_proba(X[pool]), BATCH, RANDOM_SHARE, rng)
        labelled = np.concatenate([labelled, pool[batch.index]])
        pool = np.delete(pool, batch.index)
    return np.array(points, np.float64)


def foretell(points: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Every forecast of one run beside what came."""
    from learning.algorithms.outlook import look_ahead

    n, held_out, of_all = points.T
    whole = look_ahead(n, of_all, rng=np.random.default_rng(0), n_resamples=100)
    found = []
    for length in range(LENGTHS[0][0], ROUNDS):
        outlook = look_ahead(n[:length], held_out[:length], rng=np.random.default_rng(0))
        for more in AHEAD:
            if outlook.n_labels + more <= n[-1]:
                gain = outlook.gain_of(more)
                came = whole.value_at(outlook.n_labels + more).value - whole.value_at(outlook.n_labels).value
                low, high = gain.interval
                found.append(
                    {
                        "length": length,
                        "more": more,
                        "off": gain.value - came,
                        "came": came,
                        "held": low <= came <= high,
                    }
                )
    return found


def main() -> None:
    """The figures, by how many models had been judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    found = []
    for name, read in FILES.items():
        texts, y = read(options.data)
        for seed in range(options.seeds):
            for strategy in ("margin", "random"):
                found += foretell(play(texts, y, strategy, seed))
                say(f"{name}, seed {seed}, {strategy}: done")
    for more in AHEAD:
        for low, high in LENGTHS:
            some = [one for one in found if one["more"] == more and low <= one["length"] <= high]
            off = np.array([one["off"] for one in some])
            print(
                f"{more:5} labels ahead of {low:2} to {high:2} models, {len(some):3} forecasts: they brought"
                f" {np.mean([one['came'] for one in some]):.3f}; off by {abs(off).mean():.4f} (bias {off.mean():+.4f});"
                f" the 95 % interval held it in {100 * np.mean([one['held'] for one in some]):.0f} %"
            )


if __name__ == "__main__":
    main()
