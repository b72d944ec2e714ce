"""How fast Dawid and Skene's consensus is, how much memory it takes, and how it fares beside crowd-kit.

    python -m benchmarks.consensus_speed
    python -m benchmarks.consensus_speed --crowd-kit PYTHON   # an interpreter of an environment that has crowd-kit

Labels are made up: five values, three labels an item, each annotator right as often as a draw from Beta(8, 3) says and
else wrong at random; the same ones each time. Every run is a process of its own, so that its peak memory is its own.
Ours is timed from the arrays as they come from a query (shuffled rows, ids), sorting included; crowd-kit from its data
frame, which is made before the clock starts. They run in turns, each as it comes: crowd-kit with its own defaults, ours
with its own stopping rule. What may differ with the rule is held against the planted truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import describe_machine, gauge_noise, median
from config.home import ROOT

SHARES = [0.40, 0.25, 0.15, 0.12, 0.08]
SIZES = {300_000: 50, 3_000_000: 200}  # labels to annotators
LABELS_PER_ITEM = 3

LOAD = """
import json, resource, sys, time
import numpy as np
stored = np.load(sys.argv[1])
item, annotator, value, truth = (stored[name] for name in ("item", "annotator", "value", "truth"))
"""
TELL = """
print(json.dumps({"seconds": seconds, "right": float(right), "iterations": iterations,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""
# Each is the text of a program, because crowd-kit's interpreter knows nothing of this project.
OURS = """
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.dawid_skene import dawid_skene
started = time.perf_counter()
result = dawid_skene(CrowdLabels.from_codes(item, annotator, value, 5))
seconds = time.perf_counter() - started
right = (result.value == truth[result.item_ids]).mean()
iterations = len(result.log_likelihood)
"""
CROWD_KIT = """
import pandas as pd
from crowdkit.aggregation import DawidSkene
frame = pd.DataFrame({"task": item, "worker": annotator, "label": value})
started = time.perf_counter()
method = DawidSkene(n_iter=100)
answers = method.fit_predict(frame)
seconds = time.perf_counter() - started
right = (answers.to_numpy() == truth[answers.index.to_numpy()]).mean()
iterations = len(method.loss_history_)
"""


def write_labels(path: Path, n_labels: int, n_annotators: int) -> None:
    """Write items, annotators, labels and the planted truth; the same for the same numbers."""
    random = np.random.default_rng(5)
    n_items = n_labels // LABELS_PER_ITEM
    truth = random.choice(len(SHARES), n_items, p=SHARES)
    accuracy = random.beta(8, 3, n_annotators)
    # Three different people for each item: a first, and two at different distances from it.
    half = n_annotators // 2
    steps = np.stack([np.zeros(n_items, np.int64), random.integers(1, half, n_items),
                      random.integers(half, n_annotators, n_items)], axis=1)  # fmt: skip
    annotator = ((random.integers(0, n_annotators, (n_items, 1)) + steps) % n_annotators).ravel()
    item = np.repeat(np.arange(n_items), LABELS_PER_ITEM)
    wrong = (truth[item] + random.integers(1, len(SHARES), len(item))) % len(SHARES)
    value = np.where(random.random(len(item)) < accuracy[annotator], truth[item], wrong)
    order = random.permutation(len(item))
    np.savez(path, item=item[order], annotator=annotator[order], value=value[order], truth=truth)


def run(python: str, program: str, path: Path) -> dict[str, Any]:
    """Run one program over the labels in a process of its own; its figures."""
    command = [python, "-W", "ignore", "-c", LOAD + program + TELL, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(path: Path, n_labels: int, rounds: int, crowd_kit: str | None) -> None:
    """Run both in turns and print a row for each."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run(sys.executable, OURS, path))
        if crowd_kit:
            theirs.append(run(crowd_kit, CROWD_KIT, path))
    for name, runs in (("touchstone", ours), ("crowd-kit", theirs)):
        if runs:
            seconds = [figures["seconds"] for figures in runs]
            print(
                f"{n_labels:>9,} labels  {name:<10}  median {median(seconds):7.3f} s [min {min(seconds):.3f}]"
                f"  {runs[0]['iterations']:3d} iterations  right {runs[0]['right']:.4f}"
                f"  peak {max(figures['peak_mb'] for figures in runs):,.0f} MB"
            )
    if theirs:
        ratios = [other["seconds"] / own["seconds"] for own, other in zip(ours, theirs, strict=True)]
        print(f"{n_labels:>9,} labels  crowd-kit takes {median(ratios):.1f} x as long (median over {rounds} pairs)")


def main() -> None:
    """Make the labels, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd-kit", metavar="PYTHON", help="interpreter of an environment with crowd-kit")
    parser.add_argument("--labels", type=int, nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(describe_machine() | gauge_noise()))
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        for n_labels in arguments.labels:
            path = Path(folder) / f"{n_labels}.npz"
            write_labels(path, n_labels, SIZES[n_labels])
            compare(path, n_labels, arguments.rounds, arguments.crowd_kit)


if __name__ == "__main__":
    main()
