"""How many labels of images the default strategy saves through the real queue: scikit-learn's 1,797 digits.

    python -m benchmarks.digits_queue [--seeds 4] [--first 1] [--estimator logistic] [--random-share 0] [--processes 4]

All come as an archive of images. The fifth that the project sets apart as its holdout, another one for each seed,
judges and is not served; a simulated annotator leases and answers the others through the queue, and rounds are jobs:
under `adaptive` the first one before any label. The goal is 95 % of the accuracy that all labels of the pool give with
the same estimator. Each process plays its seeds on an installation of its own. A table in Markdown goes to stdout.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.digits import describe_reach
from benchmarks.measuring import describe_machine
from benchmarks.queue_team import Team, run_alone
from learning.algorithms.label_efficiency import GOAL_SHARE
from learning.features.counting import count_cores

# Labels of the first batch, of the later ones, and at most.
PLANS = {"adaptive": (20, 5, 80), "random": (20, 10, 240)}


def draw(pixels: NDArray[np.float64]) -> bytes:
    """A digit as a PNG file."""
    out = io.BytesIO()
    Image.fromarray((pixels.reshape(8, 8) * 255 / 16).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


class Readers(Team):
    """A project of digits and its annotator, who is always right."""

    def __init__(self, slug: str, strategy: str, options: argparse.Namespace, seed: int) -> None:
        X, y = load_digits(return_X_y=True)
        files = [draw(row) for row in X]
        known = {hashlib.sha256(data).hexdigest(): (data, digit) for data, digit in zip(files, y.tolist(), strict=True)}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for number, data in enumerate(files):
                archive.writestr(f"{number}.png", data)
        choices = [{"value": str(digit)} for digit in range(10)]
        learning = {
            "strategy": strategy,
            "random_share": options.random_share,
            "holdout_share": 0,
            "every": None,
            "estimator": options.estimator,
        }
        super().__init__(
            slug,
            [{"name": "digit", "kind": "choice", "required": True, "choices": choices}],
            {"overlap": 1, "learning": learning},
            name="digits.zip",
            data=packed.getvalue(),
            answer=lambda item, _number: {"digit": str(known[item.payload.parts[0]["media"]][1])},
            n_annotators=1,
            seed=seed,
        )

        from annotation.models import Item

        own = Item.objects.filter(project=self.project)
        self.n_pool = own.filter(split=Item.Split.POOL).count()
        held = own.filter(split=Item.Split.HOLDOUT).select_related("payload")
        judges = [known[item.payload.parts[0]["media"]] for item in held]
        self.judging, self.truth = [data for data, _digit in judges], np.array([digit for _data, digit in judges])

    def judge(self) -> float:
        """The share of the judging images that the current model calls what they are."""
        from learning.models import ModelVersion
        from learning.scoring import unpack_model

        features, model = unpack_model(ModelVersion.objects.get(project=self.project, is_current=True))
        X = features.transform([None] * len(self.judging), self.judging)
        return float((model.predict_proba(X).argmax(axis=1) == self.truth).mean())


def list_numbers(strategy: str) -> NDArray[np.int64]:
    """Labels after each round."""
    first, later, most = PLANS[strategy]
    return np.arange(first, most + 1, later)


def curve_of(team: Readers, strategy: str) -> list[float]:
    """The accuracy after each round."""
    first, later, _most = PLANS[strategy]
    if strategy != "random":
        team.play(first)
    figures = []
    for number in list_numbers(strategy):
        team.label(first if number == first else later)
        team.play(later)
        figures.append(team.judge())
    return figures


# A seed's accuracy with all labels, and after each round under each strategy.
Played = tuple[float, dict[str, list[float]]]


def play_seed(options: argparse.Namespace, seed: int) -> Played:
    """A project with all labels, and one for each strategy; progress to stderr."""
    whole = Readers(f"whole-{seed}", "random", options, seed)
    whole.label(whole.n_pool)
    whole.play()
    full, curves = whole.judge(), {}
    for strategy in PLANS:
        curves[strategy] = curve_of(Readers(f"{strategy}-{seed}", strategy, options, seed), strategy)
        print(f"{strategy}, seed {seed}: {curves[strategy][-1]:.3f} of {full:.3f}", file=sys.stderr)
    return full, curves


def play_seeds(options: argparse.Namespace, seeds: range) -> list[Played]:
    """Some seeds, on an installation that ends with them."""
    played: list[Played] = []
    run_alone(lambda: played.extend(play_seed(options, seed) for seed in seeds))
    return played


def run(options: argparse.Namespace) -> None:
    """All runs, and the table."""
    last = options.first + options.seeds
    n_processes = min(options.processes, options.seeds)
    shares = [range(options.first + number, last, n_processes) for number in range(n_processes)]
    # Forked processes would share what Django keeps open.
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as processes:
        played = [one for some in processes.map(partial(play_seeds, options), shares) for one in some]
    goals = GOAL_SHARE * np.array([[full] for full, _curves in played])
    curves = {name: np.array([curves[name] for _full, curves in played]) for name in PLANS}
    by_chance = list_numbers("random"), curves["random"] - goals
    full = goals.mean() / GOAL_SHARE
    print(f"{describe_machine()}\n\n{options.estimator}, {len(played)} seeds; all labels give {full:.3f}\n")
    print(f"| strategy | labels to {goals.mean():.3f} | of random's | at the end |\n|---|---|---|---|")
    for name, curve in curves.items():
        cells = describe_reach(list_numbers(name), curve - goals, *by_chance)
        print(f"| {name} | {cells} | {curve.mean(axis=0)[-1]:.3f} |")


def main() -> None:
    """Read what is asked for, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--estimator", default="logistic")
    parser.add_argument("--random-share", type=float, default=0.0)
    parser.add_argument("--processes", type=int, default=count_cores(), help="one for each core")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
