"""How many labels the posterior rule saves: it stops asking about an item once it knows. Held against three each.

    .venv/bin/python -m benchmarks.dynamic_overlap [--data FOLDER]

Files with a gold label of every item, and made-up labels. Each item's labels come in a random order, drawn five times.
Fixed: the first three of each, accepted by the majority, by Dawid and Skene, and by what the default rule chooses.
Dynamic: two of each first; then, as the project's rule does it, the skills are fitted to what has been said whenever a
tenth is new, and items that are less sure than the threshold get one label more, up to five. An item that stays unsure
keeps its likeliest value. Right means like the gold label; a tie of k counts 1/k.
"""

from __future__ import annotations

import argparse
import csv
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import describe_machine
from config.home import ROOT
from reviewers.algorithms.consensus_choice import consensus_by_evidence
from reviewers.algorithms.crowd import CrowdLabels, UnfitLabelsError
from reviewers.algorithms.dawid_skene import dawid_skene
from reviewers.algorithms.fitting import fit_skills
from reviewers.algorithms.majority import majority_vote
from reviewers.algorithms.posterior import weigh

FIXED, LEAST, MOST = 3, 2, 5
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
REFIT_SHARE = 0.1
COMPARED = ("majority", "chosen")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """Labels sorted by item, each item's in the order in which they would be asked for, and what is right."""

    item: Ints
    annotator: Ints
    value: Ints
    truth: Ints
    place: Ints

    @property
    def n_values(self) -> int:
        return int(max(self.value.max(), self.truth.max())) + 1

    def first(self, wanted: Ints) -> CrowdLabels:
        """The first `wanted` labels of each item."""
        is_asked = self.place < wanted[self.item]
        return CrowdLabels.from_codes(
            self.item[is_asked], self.annotator[is_asked], self.value[is_asked], self.n_values
        )

    def right(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each item came out right, a tie of k values as 1/k."""
        best = posterior >= posterior.max(axis=1, keepdims=True) - 1e-9
        share: NDArray[np.float64] = best[np.arange(len(best)), self.truth] / best.sum(axis=1)
        return share


def shuffled(labels: CrowdLabels, truth: Ints, rng: np.random.Generator) -> World:
    """The same labels, each item's in a random order."""
    order = np.lexsort((rng.random(labels.n_labels), labels.item))
    item = labels.item[order]
    place = np.arange(len(item)) - labels.start[item]
    return World(item, labels.annotator[order].astype(np.int64), labels.value[order].astype(np.int64), truth, place)


@dataclass(frozen=True)
class Asked:
    """How far each item came out right, whether it was accepted, and how many labels that took."""

    right: NDArray[np.float64]
    is_sure: NDArray[np.bool_]
    n_labels: int


def ask_until_sure(world: World, threshold: float) -> Asked:
    """Ask about each item until it is sure, or has five labels."""
    there = np.bincount(world.item)
    most = np.minimum(there, MOST)
    wanted = np.minimum(there, LEAST)
    while True:
        labels = world.first(wanted)
        found = fit_skills(labels)
        if found.skills is None:
            raise SystemExit(f"nothing can be told of the annotators: {found.reason}")
        posterior = weigh(labels, found.skills)
        is_sure = posterior.max(axis=1) >= threshold
        unsure = np.flatnonzero(~is_sure & (wanted < most))
        if len(unsure) == 0:
            return Asked(world.right(posterior), is_sure, int(wanted.sum()))
        wanted[unsure[: max(1, int(REFIT_SHARE * wanted.sum()))]] += 1


def accept_fixed(world: World) -> dict[str, NDArray[np.float64]]:
    """Which items come out right from three labels each, by method."""
    labels = world.first(np.full(len(world.truth), FIXED))
    by_choice, _choice = consensus_by_evidence(labels)
    found = {"majority": majority_vote(labels).posterior, "chosen": by_choice.posterior}
    try:
        found["dawid_skene"] = dawid_skene(labels).posterior
    except UnfitLabelsError:
        found["dawid_skene"] = found["majority"]
    return {name: world.right(posterior) for name, posterior in found.items()}


def compare(name: str, worlds: Sequence[World], thresholds: Sequence[float]) -> Iterator[str]:
    """Table rows of one source: labels spent and share right, beside three labels each; last, what equal costs."""
    fixed = [accept_fixed(world) for world in worlds]
    n_fixed = [int(np.minimum(np.bincount(world.item), FIXED).sum()) for world in worlds]
    base = {kind: float(np.mean([one[kind].mean() for one in fixed])) for kind in fixed[0]}
    shown = [f"{base[kind]:.4f}" for kind in ("majority", "dawid_skene", "chosen")]
    cheapest = dict.fromkeys(COMPARED, 0.0)
    for threshold in thresholds:
        runs = [ask_until_sure(world, threshold) for world in worlds]
        spent = float(np.mean([run.n_labels / all_of for run, all_of in zip(runs, n_fixed, strict=True)]))
        right = float(np.mean([run.right.mean() for run in runs]))
        accepted = float(np.mean([run.is_sure.mean() for run in runs]))
        right_of_these = float(np.mean([run.right[run.is_sure].mean() for run in runs]))
        cells = []
        for kind in COMPARED:
            # the items are the sample; over the draws each has a mean
            gain = np.mean([run.right - other[kind] for run, other in zip(runs, fixed, strict=True)], axis=0)
            reach = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
            cells.append(f"{gain.mean():+.4f} [{gain.mean() - reach:+.4f}, {gain.mean() + reach:+.4f}]")
            if not cheapest[kind] and right >= base[kind]:
                cheapest[kind] = spent
        cells = [f"{spent:.0%}", f"{right:.4f}", f"{accepted:.0%}", f"{right_of_these:.4f}", *cells]
        yield f"| {name} | {' | '.join(shown)} | {threshold:g} | {' | '.join(cells)} |"
    told = "; ".join(f"{kind} of three: {f'{spent:.0%}' if spent else 'never'}" for kind, spent in cheapest.items())
    yield f"{name}: labels spent where it is at least as often right as {told}"


def simulate(n_items: int, accuracy: tuple[float, float], n_values: int, seed: int) -> tuple[CrowdLabels, Ints]:
    """Six labels an item by forty people, each right as often as a draw from a beta distribution says."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(
        n_values, n_items, p=np.array([0.4, 0.3, 0.2, 0.1])[:n_values] / sum([0.4, 0.3, 0.2, 0.1][:n_values])
    )
    skill = rng.beta(*accuracy, 40)
    annotator = np.argsort(rng.random((n_items, 40)), axis=1)[:, :6].ravel()
    item = np.repeat(np.arange(n_items), 6)
    wrong = (truth[item] + rng.integers(1, n_values, len(item))) % n_values
    value = np.where(rng.random(len(item)) < skill[annotator], truth[item], wrong)
    return CrowdLabels.from_codes(item, annotator, value, n_values), truth


def read_table(path: Path, delimiter: str) -> list[list[str]]:
    with lzma.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def code_rows(rows: Sequence[tuple[str, str, str]], gold: dict[str, str]) -> tuple[CrowdLabels, Ints]:
    """Rows of item, annotator, label; everything coded by the order of the names."""
    items, people = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    values = sorted({row[2] for row in rows} | set(gold.values()))
    item_of, person_of, code_of = ({name: at for at, name in enumerate(names)} for names in (items, people, values))
    labels = CrowdLabels.from_codes(
        [item_of[row[0]] for row in rows],
        [person_of[row[1]] for row in rows],
        [code_of[row[2]] for row in rows],
        len(values),
    )
    return labels, np.array([code_of[gold[name]] for name in items])


def read_snow(path: Path) -> tuple[CrowdLabels, Ints]:
    rows = read_table(path, "\t")[1:]
    return code_rows([(row[1], row[0], row[2]) for row in rows], {row[1]: row[3] for row in rows})


def read_barzan(folder: Path) -> tuple[CrowdLabels, Ints]:
    rows = [(item, worker, label) for worker, item, label in read_table(folder / "gal_barzan_labels.tsv.xz", "\t")]
    return code_rows(rows, dict(read_table(folder / "gal_barzan_gold.tsv.xz", "\t")))


def read_hatecheck(path: Path) -> tuple[CrowdLabels, Ints]:
    head, *table = read_table(path, ",")
    voters = [head.index(f"label_{number}") for number in range(1, 11)]
    rows = [(row[2], str(voter), row[voter]) for row in table for voter in voters if row[voter]]
    return code_rows(rows, {row[2]: row[head.index("label_gold")] for row in table})


def main() -> None:
    """Read, draw, ask, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    folder: Path = arguments.data
    sources: dict[str, Callable[[], tuple[CrowdLabels, Ints]]] = {
        "good crowd": lambda: simulate(2000, (18, 2), 4, 1),
        "mixed crowd": lambda: simulate(2000, (8, 3), 4, 2),
        "two values, mixed crowd": lambda: simulate(2000, (8, 3), 2, 3),
        "HateCheck": lambda: read_hatecheck(folder / "hatecheck_all_annotations.csv.xz"),
        "Snow, temporal order": lambda: read_snow(folder / "snow_temp.tsv.xz"),
        "Snow, word sense": lambda: read_snow(folder / "snow_wsd.tsv.xz"),
        "Barzan": lambda: read_barzan(folder),
    }
    print(describe_machine())
    heads = ("", "majority of 3", "Dawid-Skene of 3", "chosen of 3", "threshold", "labels", "right", "accepted")
    print(f"| {' | '.join(heads)} | right of these | over majority | over chosen |")
    print("|---" * 11 + "|")
    for name, read in sources.items():
        if arguments.only and name not in arguments.only:
            continue
        labels, truth = read()
        worlds = [shuffled(labels, truth, np.random.default_rng(seed)) for seed in range(arguments.draws)]
        for row in compare(name, worlds, arguments.thresholds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
