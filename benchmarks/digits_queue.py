"""How many labels of images the default strategy saves through the real queue: scikit-learn's 1,797 digits.

    python -m benchmarks.digits_queue [--seeds 3] [--first 1] [--estimator logistic] [--random-share 0]

All come as an archive of images. The fifth that the project sets apart as its holdout, another one for each seed,
judges and is not served; a simulated annotator leases and answers the others through the queue, and rounds are jobs:
under `adaptive` the first one before any label. The goal is 95 % of the accuracy that all labels of the pool give with
the same estimator. A table in Markdown goes to stdout, and how far the mean of the seeds is above its goal after each
round: of several runs, each from another `--first` seed on, the means tell more together.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.digits import reach
from benchmarks.measuring import describe_machine
from benchmarks.queue_team import Team, run_alone
from learning.algorithms.label_efficiency import GOAL_SHARE

# Labels of the first batch, of the later ones, and at most.
PLANS = {"adaptive": (20, 5, 80), "random": (20, 10, 220)}


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


def curve_of(team: Readers, strategy: str) -> tuple[list[int], list[float]]:
    """Labels after each round, and the accuracy."""
    first, later, most = PLANS[strategy]
    if strategy != "random":
        team.play(first)
    numbers, figures = list(range(first, most + 1, later)), []
    for number in numbers:
        team.label(first if number == first else later)
        team.play(later)
        figures.append(team.judge())
    return numbers, figures


def run(options: argparse.Namespace) -> None:
    """All runs, and the table."""
    seeds = range(options.first, options.first + options.seeds)
    full = []
    for seed in seeds:
        whole = Readers(f"whole-{seed}", "random", options, seed)
        whole.label(whole.n_pool)
        whole.play()
        full.append(whole.judge())
        print(f"all labels, seed {seed}: {full[-1]:.3f}", file=sys.stderr)
    goals = GOAL_SHARE * np.array(full)
    curves, labels, above = {}, {}, {}
    for strategy in PLANS:
        rows = []
        for seed in seeds:
            numbers, figures = curve_of(Readers(f"{strategy}-{seed}", strategy, options, seed), strategy)
            rows.append(figures)
            print(f"{strategy}, seed {seed}: {figures[-1]:.3f}", file=sys.stderr)
        curves[strategy] = np.array(rows)
        beyond = curves[strategy] - goals[:, None]
        labels[strategy] = reach(np.array(numbers), beyond)
        above[strategy] = dict(zip(numbers, beyond.mean(axis=0).round(5).tolist(), strict=True))
    print(f"{describe_machine()}\n\n{options.estimator}, {options.seeds} seeds; all labels give {np.mean(full):.3f}\n")
    print(f"| strategy | labels to {goals.mean():.3f} | of random's | at the end |\n|---|---|---|---|")
    for name, curve in curves.items():
        reached, by_chance = labels[name], labels["random"]
        of_random = f"{reached / by_chance:.2f}" if reached is not None and by_chance is not None else ""
        shown = f">{PLANS[name][2]}" if reached is None else f"{reached:.0f}"
        print(f"| {name} | {shown} | {of_random} | {curve.mean(axis=0)[-1]:.3f} |")
    print(f"\nabove the goal, by labels: {above}")


def main() -> None:
    """Read what is asked for, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--estimator", default="logistic")
    parser.add_argument("--random-share", type=float, default=0.0)
    options = parser.parse_args()
    run_alone(lambda: run(options))


if __name__ == "__main__":
    main()
