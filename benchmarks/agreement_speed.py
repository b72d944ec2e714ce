"""How fast alpha comes out of code arrays, beside the `krippendorff` package on its count form, in turns.

    python -m benchmarks.agreement_speed --items 1000000

Both sides read the same arrays from files: item, annotator and value of each of three labels an item, by 200 annotators
of different skill, 5 values, once in the order of the items and once shuffled. Ours goes from the arrays to alpha with
all its checks (gaps, repeats, ranges). The package goes from a table of votes per value and item, which is its quicker
form (the other is a matrix of annotators by items), and is timed without and with the counting of that table. Each side
is a process of its own. The package is installed into a virtual environment of its own in the temporary folder, once,
with the same version of numpy; it is never a dependency of the project.
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
from numpy.typing import NDArray

from benchmarks.measuring import Check, Measurement, median, say, time_calls

VERSION = "0.9.0"
N_ANNOTATORS, N_VALUES, OVERLAP = 200, 5, 3
DISTANCES = ("nominal", "ordinal")
ORDERS = ("by item", "shuffled")
ARRAYS = ("item", "annotator", "value")
TARGET = 1 / 3
ROOT = Path(__file__).resolve().parents[1]

# --- The labels ------------------------------------------------------------------------------------------------------


def write_labels(folder: Path, n_items: int) -> None:
    """Write the arrays of both orders; the same ones each time."""
    rng = np.random.default_rng(1)
    truth = rng.choice(N_VALUES, n_items, p=[0.4, 0.25, 0.15, 0.12, 0.08])
    skill = rng.beta(8, 3, N_ANNOTATORS)
    first = rng.integers(0, N_ANNOTATORS, n_items)
    # Steps that add up to less than a whole turn: no annotator meets an item twice.
    steps = np.cumsum(rng.integers(1, N_ANNOTATORS // OVERLAP, (n_items, OVERLAP)), axis=1)
    annotator = ((first[:, np.newaxis] + steps) % N_ANNOTATORS).ravel()
    item = np.repeat(np.arange(n_items), OVERLAP)
    is_right = rng.random(len(item)) < skill[annotator]
    value = np.where(is_right, np.repeat(truth, OVERLAP), rng.integers(0, N_VALUES, len(item)))
    shuffled = rng.permutation(len(item))
    for order, chosen in zip(ORDERS, (np.arange(len(item)), shuffled), strict=True):
        for name, array in zip(ARRAYS, (item, annotator, value), strict=True):
            np.save(folder / f"{order}-{name}.npy", array[chosen].astype(np.int64))


def read_labels(folder: Path, order: str) -> list[NDArray[np.int64]]:
    """Item, annotator and value of each label."""
    return [np.load(folder / f"{order}-{name}.npy") for name in ARRAYS]


# --- One side, in a process of its own -------------------------------------------------------------------------------


def run_ours(folder: Path, order: str, distance: Any, calls: int) -> dict[str, Any]:
    from reviewers.algorithms.agreement import LabelTable, krippendorff_alpha

    item, annotator, value = read_labels(folder, order)

    def alpha() -> float:
        return krippendorff_alpha(LabelTable.from_codes(item, annotator, value, N_VALUES), distance)

    return {"alpha": alpha(), "seconds": time_calls(alpha, calls)}


def run_package(folder: Path, order: str, distance: Any, calls: int) -> dict[str, Any]:
    import krippendorff

    item, _annotator, value = read_labels(folder, order)

    def count() -> NDArray[np.int64]:
        return np.bincount(item * N_VALUES + value, minlength=N_VALUES * (int(item.max()) + 1)).reshape(-1, N_VALUES)

    def alpha_of(counts: NDArray[np.int64]) -> float:
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement=distance))

    counts = count()
    return {
        "alpha": alpha_of(counts),
        "seconds": time_calls(lambda: alpha_of(counts), calls),
        "counting_too": time_calls(lambda: alpha_of(count()), calls),
    }


# --- Both, in turns --------------------------------------------------------------------------------------------------


def install(venv: Path) -> None:
    """Install the package into `venv`, unless it is there."""
    if any(venv.glob(f"lib/python3*/site-packages/krippendorff-{VERSION}.dist-info")):
        return
    say(f"installing krippendorff {VERSION} into {venv} ...")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    packages = (f"krippendorff=={VERSION}", f"numpy=={np.__version__}")
    subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *packages], check=True)


def run_side(python: str, side: str, folder: Path, order: str, distance: str, calls: int) -> dict[str, Any]:
    command = [python, "-m", "benchmarks.agreement_speed", "--side", side, "--folder", str(folder)]
    command += ["--order", order, "--distance", distance, "--calls", str(calls)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure(args: argparse.Namespace, folder: Path) -> bool:
    install(args.venv)
    say(f"writing {args.items * OVERLAP:,} labels ...")
    write_labels(folder, args.items)
    measurement = Measurement("alpha from code arrays", args.out)
    figures: dict[str, Any] = {"items": args.items, "labels": args.items * OVERLAP, "rounds": args.rounds}
    checks = []
    for order in ORDERS:
        for distance in DISTANCES:
            times: dict[str, list[float]] = {"ours": [], "package": [], "package with counting": []}
            alphas = set()
            for _ in range(args.rounds):
                ours = run_side(sys.executable, "ours", folder, order, distance, args.calls)
                package = run_side(str(args.venv / "bin" / "python"), "package", folder, order, distance, args.calls)
                times["ours"] += ours["seconds"]
                times["package"] += package["seconds"]
                times["package with counting"] += package["counting_too"]
                alphas |= {ours["alpha"], package["alpha"]}
            name = f"{distance}, {order}"
            figures[name] = {
                "alpha": min(alphas),
                "differ_by": max(alphas) - min(alphas),
                **{f"{who}, ms": [round(1000 * f(s), 1) for f in (min, median)] for who, s in times.items()},
            }
            share = median(times["ours"]) / median(times["package"])
            checks.append(Check(f"{name}: ours / package without its counting", round(share, 3), "<=", TARGET))
            checks.append(Check(f"{name}: alphas differ by", max(alphas) - min(alphas), "<=", 1e-9))
    return measurement.finish(figures, checks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--calls", type=int, default=5, help="timed calls in each turn")
    parser.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "krippendorff-venv")
    parser.add_argument("--out", type=Path, help="append the result to this file as well")
    parser.add_argument("--side", choices=("ours", "package"), help=argparse.SUPPRESS)
    for name in ("--folder", "--order", "--distance"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        run = run_ours if args.side == "ours" else run_package
        print(json.dumps(run(Path(args.folder), args.order, args.distance, args.calls)))
        return 0
    with tempfile.TemporaryDirectory(prefix="touchstone-agreement-") as folder:
        return 0 if measure(args, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
