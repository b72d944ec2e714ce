"""How many labels of images the query strategies save: scikit-learn's 1,797 digits of 8 x 8 pixels.

    python -m benchmarks.digits [--estimators NAME,...] [--strategies NAME,...] [--start 20] [--batch 10]
    python -m benchmarks.digits --rare 1,8    # one digit among the others, thinned to 2 %: how many of it are found

Each seed has its own stratified fifth that judges: on one fifth for all of them a strategy looked best that forty show
to be behind. The first batch is random, and the same one under every strategy for the same seed, unless the strategy
begins by itself; a fifth of each later batch is drawn by chance, as in a project. The goal is 95 % of the accuracy that
all labels of the pool give with the same estimator, reached where the mean of the seeds crosses it; `random` is among
the strategies, to compare with. Progress goes to stderr, a table in Markdown to stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.estimators import load_images
from benchmarks.measuring import describe_machine
from learning.algorithms.cold_start import join_starts, start_cold, thin_out
from learning.algorithms.estimators import Model
from learning.algorithms.label_efficiency import GOAL_SHARE, split_holdout
from learning.algorithms.simulation import LabelledFile, run_rounds
from learning.features.counting import count_cores
from reviewers.algorithms.bootstrap import bootstrap_intervals


def accuracy(model: Model | None, file: LabelledFile) -> float:
    """Share of the judging items that are called what they are; 0 without a model."""
    if model is None:
        return 0.0
    said = model.predict_proba(file.X[file.judges]).argmax(axis=1)
    return float((said == file.y[file.judges]).mean())


def reach(numbers: NDArray[np.int64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The number of labels, on a straight line between two batches, at which each curve reaches its goal.

    `means`, (n_curves, n_batches): how far above the goal. (n_curves,), nan where it is not reached.
    """
    at = (means >= 0).argmax(axis=1)
    rows, before = np.arange(len(means)), np.maximum(at - 1, 0)
    low, high = means[rows, before], means[rows, at]
    rise = np.where(at > 0, high - low, 1)
    found = numbers[before] - low / rise * (numbers[at] - numbers[before])
    return np.where(high >= 0, found, np.nan)


def describe_reach(
    numbers: NDArray[np.int64],
    above: NDArray[np.float64],
    numbers_by_chance: NDArray[np.int64],
    by_chance: NDArray[np.float64],
) -> str:
    """Two cells: labels to the goal, where the mean of the seeds reaches it, and of those by chance; 95 % intervals.

    `above`, `by_chance`, (n_seeds, n_batches): how far above its goal each seed is. The intervals are of resampled
    seeds, of those in which both reach the goal.
    """

    def compute(weights: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        labels = reach(numbers, weights @ above / len(above))
        return [labels, labels / reach(numbers_by_chance, weights @ by_chance / len(above))]

    found = [float(values[0]) for values in compute(np.ones((1, len(above))))]
    ends = bootstrap_intervals(np.ones(len(above), np.int64), compute, 4000, np.random.default_rng(0))
    cells = []
    for value, interval, digits in zip(found, ends, (0, 2), strict=True):
        shown = "" if interval is None else f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"
        cells.append("not reached" if np.isnan(value) else f"{value:.{digits}f}{shown}")
    return " | ".join(cells)


def describe_rare(digit: int, estimator: str, strategies: list[str], n_seeds: int) -> Iterator[str]:
    """A row for each strategy: what it finds of a digit that is 2 % of the images, in batches of 20 from no label."""
    images = load_images()
    images = replace(images, recipe=replace(images.recipe, estimator=estimator))
    files = []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        files.append(thin_out(replace(images, holdout=split_holdout(images.y, rng)), digit, rng))
    for strategy in strategies:
        start = join_starts(strategy, [start_cold(file, strategy, seed) for seed, file in enumerate(files)])
        cells = " | ".join(f"{value:.1f}" for value in start.found.mean(axis=0))
        yield f"| {digit}, {estimator} | {strategy} | {cells} | {start.ap.mean():.3f} |"


def list_batches(options: argparse.Namespace) -> list[int]:
    """Labels asked for at once, in their order."""
    return [options.start] + [options.batch] * ((options.most - options.start) // options.batch)


def run_seed(options: argparse.Namespace, estimator: str, seed: int) -> tuple[float, dict[str, list[float]]]:
    """A seed's goal, and the accuracy after each batch under each strategy."""
    images = load_images()
    holdout = split_holdout(images.y, np.random.default_rng(seed))
    file = replace(images, holdout=holdout, recipe=replace(images.recipe, estimator=estimator))
    curves = {}
    with threadpool_limits(limits=1):
        goal = GOAL_SHARE * accuracy(file.fit(np.where(holdout, -1, file.y), ~holdout, 0), file)
        for strategy in options.strategies.split(","):
            steps = run_rounds(file, strategy, list_batches(options), seed=seed, random_share=options.random_share)
            curves[strategy] = [accuracy(step.model, file) for step in steps]
            print(f"{estimator}, {strategy}, seed {seed}", file=sys.stderr)
    return goal, curves


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimators", default="logistic,cnn")
    parser.add_argument("--strategies", default="adaptive,margin,random")
    parser.add_argument("--start", type=int, default=20)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--most", type=int, default=200, help="labels at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--random-share", type=float, default=0.2, help="as in a project; 0.2")
    parser.add_argument("--rare", help="digits that are to be rare, each in its turn; nothing else is measured then")
    options = parser.parse_args()
    print(describe_machine())
    if options.rare:
        print(f"\n{options.seeds} seeds\n\n| rare, estimator | strategy | found @40 | @100 | @200 | AP@200 |")
        print("|---|---|---|---|---|---|")
        for digit, estimator in product(options.rare.split(","), options.estimators.split(",")):
            with threadpool_limits(limits=1):
                for row in describe_rare(int(digit), estimator, options.strategies.split(","), options.seeds):
                    print(row, flush=True)
        return
    print(f"\nstart {options.start} random, batches of {options.batch}, {options.seeds} seeds, accuracy:\n")
    print("| estimator | all labels | goal | strategy | labels to it | of random's | at 50 | at 100 | at the end |")
    print("|---|---|---|---|---|---|---|---|---|")
    numbers = np.cumsum(list_batches(options))
    for estimator in options.estimators.split(","):
        with ProcessPoolExecutor(count_cores()) as processes:
            runs = list(processes.map(partial(run_seed, options, estimator), range(options.seeds)))
        curves = {
            strategy: np.array([curve[strategy] for _goal, curve in runs]) for strategy in options.strategies.split(",")
        }
        goal = np.array([[goal] for goal, _curve in runs])
        by_chance = curves["random"] - goal
        for strategy, curve in curves.items():
            shown = [np.interp(n, numbers, curve.mean(axis=0)) for n in (50, 100, numbers[-1])]
            print(
                f"| {estimator} | {goal.mean() / GOAL_SHARE:.3f} | {goal.mean():.3f} | {strategy} |"
                f" {describe_reach(numbers, curve - goal, numbers, by_chance)} |"
                f" {' | '.join(f'{value:.3f}' for value in shown)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
