"""How many labels are saved where several choices may hold at once, and by which measure of doubt.

    python -m benchmarks.several_choices [--data FOLDER] [--seeds N] [--most N] [--only NAME,...]

4,185 turns of dialogue (ConvAbuse), of which several people said what sort of abuse is in them, at whom and how. A
choice holds of a turn where more than half of its annotators said so (`majority`), or at least a third (`third`:
commoner and noisier); choices that hold of fewer than 40 turns are left out. A fifth of the turns, drawn by chance,
judges; 50 random labels to start with, batches of 50, seeds paired. Models are made as a round makes them, without a
share by chance. Doubt is that of the choice that the model is least sure of (the product's), or the mean over choices.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from benchmarks.label_efficiency import ROOT, read_rows
from benchmarks.measuring import describe_machine, say
from learning.algorithms.basis import Basis, fit_basis
from learning.algorithms.estimators import Matrix
from learning.algorithms.evaluation_sets import evaluate_sets
from learning.algorithms.features import count_words, fit_text
from learning.algorithms.several import doubt_of, teach_sets
from learning.algorithms.strategies import RANDOM, Candidates, draw_batch

NAMES = (
    "type.ableism",
    "type.homophobic",
    "type.intellectual",
    "type.racist",
    "type.sexist",
    "type.sex_harassment",
    "type.transphobic",
    "target.generalised",
    "target.individual",
    "target.system",
    "direction.explicit",
    "direction.implicit",
)
BATCH, LEAST, GOAL = 50, 40, 0.95
POINTS = (100, 200, 300, 500, 750, 1000)
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Turns:
    """The file: features, what holds of each item, which items judge."""

    X: Matrix
    y: NDArray[np.int64]
    names: list[str]
    judges: NDArray[np.bool_]
    basis: Basis | None


def mean_doubt(proba: FloatArray) -> FloatArray:
    """The certainty of what is said of a choice, on average over the choices, and its contrary."""
    certainty = np.maximum(proba, 1 - proba).mean(axis=1)
    return np.column_stack([certainty, 1 - certainty])


def load(folder: Path, *, is_majority: bool) -> Turns:
    """Features know the pool only."""
    found: dict[tuple[str, ...], list[list[bool]]] = {}
    for row in read_rows(folder / "convabuse_full.csv.xz"):
        key = tuple(row[name] for name in ("conv_id", "prev_agent", "prev_user", "agent", "user"))
        found.setdefault(key, []).append([row[name] == "1" for name in NAMES])
    shares = np.array([np.mean(said, axis=0) for said in found.values()])
    y = (shares > 0.5 if is_majority else shares >= 0.3).astype(np.int64)
    is_kept = y.sum(axis=0) >= LEAST
    judges = np.zeros(len(y), bool)
    judges[np.random.default_rng(0).permutation(len(y))[: len(y) // 5]] = True
    counts = count_words([key[-1] for key in found])
    X = fit_text(counts[~judges]).weigh(counts)
    names = [name for name, kept in zip(NAMES, is_kept, strict=True) if kept]
    return Turns(X, y[:, is_kept], names, judges, fit_basis(X[~judges], np.random.default_rng(5)))


def macro_f1(turns: Turns, items: NDArray[np.int64], seed: int) -> tuple[float, Callable[[Matrix], FloatArray]]:
    """What labels of these items give, none drawn by chance; and the model."""
    some = turns.X[np.flatnonzero(~turns.judges)[:4000]]
    by_chance, n_left = np.zeros(len(items), bool), int((~turns.judges).sum()) - len(items)
    model = teach_sets(turns.X[items], turns.y[items], by_chance, seed, some=some, n_left=n_left, basis=turns.basis)
    proba = model.predict_proba(turns.X[turns.judges])
    found = evaluate_sets(turns.y[turns.judges], proba, rng=np.random.default_rng(0)).macro_f1.value
    assert found is not None
    return found, model.predict_proba


def run(turns: Turns, strategy: str, doubt: Callable[[FloatArray], FloatArray], seed: int, most: int) -> list[float]:
    """Macro-F1 after each batch."""
    rng = np.random.default_rng([seed, 0])
    pool, labelled = np.flatnonzero(~turns.judges), np.zeros(0, np.int64)
    predict: Callable[[Matrix], FloatArray] | None = None
    curve: list[float] = []
    while len(labelled) < most:
        if predict is None:
            picks = draw_batch(RANDOM, Candidates(n=len(pool)), BATCH, 0.0, rng)
        else:
            rows = pool

            def vectors(places: NDArray[np.int64], rows: NDArray[np.int64] = rows) -> Matrix:
                X = turns.X[rows[places]]
                return X if turns.basis is None else turns.basis.embed(sparse.csr_matrix(X))

            seen = doubt(predict(turns.X[pool]))
            picks = draw_batch(strategy, Candidates(n=len(pool), proba=seen, features=vectors), BATCH, 0.0, rng)
        labelled = np.concatenate([labelled, pool[picks.index]])
        pool = np.delete(pool, picks.index)
        value, predict = macro_f1(turns, labelled, seed)
        curve.append(value)
    return curve


def describe(turns: Turns, name: str, seeds: int, most: int) -> str:
    """One table."""
    whole, _predict = macro_f1(turns, np.flatnonzero(~turns.judges), 0)
    held = turns.y[turns.judges].sum(axis=0)
    lines = [
        f"{name}: {(~turns.judges).sum():,} are asked, {turns.judges.sum()} judge; "
        + ", ".join(f"{one} {n}" for one, n in zip(turns.names, held, strict=True))
        + f"; all labels of the pool give macro-F1 {whole:.3f}",
        "",
        f"| strategy | labels to {GOAL * whole:.3f} | "
        + " | ".join(f"@{point:,}" for point in POINTS if point <= most)
        + " | mean | minus random [95 %] |",
        "|---|" + "---|" * (3 + sum(point <= most for point in POINTS)),
    ]
    chance: FloatArray | None = None
    for strategy, doubt, told in (
        (RANDOM, doubt_of, "random"),
        ("margin", doubt_of, "margin, least sure choice"),
        ("margin", mean_doubt, "margin, mean over choices"),
        ("adaptive", doubt_of, "adaptive, least sure choice"),
        ("adaptive", mean_doubt, "adaptive, mean over choices"),
    ):
        curves = np.array([run(turns, strategy, doubt, seed, most) for seed in range(1, seeds + 1)])
        say(f"{name}: {told} done")
        mean = curves.mean(axis=0)
        reached = np.flatnonzero(mean >= GOAL * whole)
        cells = [f"{BATCH * (1 + reached[0]):,}" if len(reached) else f">{most:,}"]
        cells += [f"{mean[point // BATCH - 1]:.3f}" for point in POINTS if point <= most]
        areas = curves.mean(axis=1)
        beside = ""
        if chance is not None and seeds > 1:
            gaps = areas - chance
            half = stats.t.ppf(0.975, seeds - 1) * gaps.std(ddof=1) / seeds**0.5
            beside = f"{gaps.mean():+.3f} [{gaps.mean() - half:+.3f}, {gaps.mean() + half:+.3f}]"
        chance = areas if chance is None else chance
        lines.append(f"| {told} | {' | '.join(cells)} | {areas.mean():.3f} | {beside} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--only", default="majority,third")
    options = parser.parse_args()
    print(describe_machine())
    for name in options.only.split(","):
        turns = load(options.data, is_majority=name == "majority")
        print(f"\n{describe(turns, name, options.seeds, options.most)}", flush=True)


if __name__ == "__main__":
    main()
