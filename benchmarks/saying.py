"""What a model should say of its probabilities, and how sure it should be: other rules than the product's.

    python -m benchmarks.saying [--data FOLDER] [--only labels,certainty] [--files NAME,...] [--seeds N]

Models, files and rounds are those of `benchmarks.label_efficiency`, with a fifth of each batch drawn by chance. Every
rule is found on the scores that the product calibrates on (three folds of the labels; those that chance drew stand for
what nobody chose) and judged on the fixed fifth of the file. Differences to the product's own rule are paired by seed,
with 95 % intervals (Student's t).

One label of each item, by

- the likeliest class (the product),
- the greatest probability for its threshold: each class has the threshold of its best F1 against the rest,
- the likeliest class after each log-probability is moved by what gives the best macro-F1 on those scores.

How sure the model is, by

- one factor for all logits (the product),
- a factor and an offset for each class's log-probability (Platt's, of all classes together),
- isotonic regression of each class against the rest, made to sum to 1,
- Platt's, but no class made likelier than the one that was likeliest: the two become alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from benchmarks.label_efficiency import BATCH, FILES, ROOT, File, load
from benchmarks.measuring import describe_machine
from benchmarks.teaching import RANDOM_SHARE, describe_change, measure_certainty
from learning.algorithms.calibration import find_scale, scale_logits
from learning.algorithms.estimators import Model
from learning.algorithms.evaluation import macro_f1_of
from learning.algorithms.simulation import MAX_SHARES, LabelledFile, run_rounds
from learning.algorithms.teaching import MIN_DRAWN, Lesson, choose, score_lesson, teach
from learning.algorithms.thresholds import best_threshold

BUDGETS = {"labels": (200, 500, 1000, 2000), "certainty": (500, 2000)}
NAMES = "davidson3,convabuse2,toxic_spans,hatecheck"
MOVES = np.linspace(-2, 2, 41)
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Watched(LabelledFile):
    """A file that remembers which labels of the newest model chance drew."""

    drawn: list[NDArray[np.bool_]] = field(default_factory=list)

    def fit(
        self,
        labels: Codes,
        is_by_chance: NDArray[np.bool_],
        seed: int,
        beliefs: Floats | None = None,
        *,
        is_last: bool = True,
    ) -> Model:
        self.drawn[:] = [is_by_chance.copy()]
        return super().fit(labels, is_by_chance, seed, beliefs, is_last=False)


@dataclass(frozen=True, eq=False)
class Case:
    """Labels with scores by models that had not seen them, and the items that judge with those of the whole model."""

    unseen: Floats
    y: Codes
    is_by_chance: NDArray[np.bool_]
    weights: Floats
    proba: Floats
    truth: Codes

    @property
    def n_classes(self) -> int:
        return int(self.proba.shape[1])


def make_cases(file: LabelledFile, seed: int) -> Iterator[tuple[int, Case]]:
    """The loop at each budget at which every class has a label."""
    watched = Watched(**vars(file))
    for step in run_rounds(watched, "adaptive", [BATCH] * (2000 // BATCH), seed=seed, random_share=RANDOM_SHARE):
        if step.n_labels not in BUDGETS["labels"] or step.model is None:
            continue
        is_labelled, (is_by_chance,) = step.labels >= 0, watched.drawn
        some = np.random.default_rng([seed, 6]).permutation(file.pool)[:MAX_SHARES]
        is_chosen = is_labelled & ~is_by_chance
        lesson = Lesson(file.X, step.labels, is_by_chance).select(is_labelled)
        recipe = choose(file.recipe, lesson, file.n_classes, seed, basis=file.basis)
        n_left = len(file.pool) - int(is_chosen.sum())
        model = teach(lesson, file.n_classes, seed, recipe=recipe, some=file.X[some], n_left=n_left, basis=file.basis)
        if len(model.classes) == file.n_classes:
            unseen = score_lesson(model, lesson, seed, recipe=recipe, basis=file.basis)
            weights = lesson.weigh(n_left)
            proba = model.predict_proba(file.X[file.judges])
            truth = file.y[file.judges]
            yield step.n_labels, Case(unseen, lesson.y, lesson.is_by_chance, weights, proba, truth)


# --- One label -------------------------------------------------------------------------------------------------------


def measure_labels(case: Case, positive: int) -> dict[str, tuple[float, ...]]:
    """Macro-F1, F1 of the class that is looked for, and accuracy, by each rule."""
    scale = find_scale(case.unseen, case.y, case.weights)
    sure, proba = scale_logits(case.unseen, scale), scale_logits(case.proba, scale)
    said = {
        "likeliest": proba.argmax(axis=1),
        "p / threshold": (proba / find_lines(sure, case)).argmax(axis=1),
        "best moves": (np.log(proba + 1e-12) + find_moves(sure, case)).argmax(axis=1),
    }
    return {name: judge_labels(case.truth, codes, positive, case.n_classes) for name, codes in said.items()}


def find_lines(sure: Floats, case: Case) -> Floats:
    """The threshold of each class, as the product chooses it."""
    lines = np.ones(case.n_classes)
    for code in range(case.n_classes):
        is_class = case.y == code
        by_pool = (is_class & case.is_by_chance).sum() >= MIN_DRAWN
        lines[code] = best_threshold(sure[:, code], is_class, case.weights if by_pool else None)
    return np.clip(lines, 1e-3, 1)


def find_moves(sure: Floats, case: Case) -> Floats:
    """By how much each log-probability is to be moved for the best macro-F1 of the labels: class by class."""
    logits, moves = np.log(sure + 1e-12), np.zeros(case.n_classes)
    best = macro_f1(case.y, logits.argmax(axis=1), case.n_classes, case.weights)
    for _turn in range(4):
        for code in range(case.n_classes if case.n_classes > 2 else 1):
            for move in MOVES:
                tried = moves.copy()
                tried[code] = move
                found = macro_f1(case.y, (logits + tried).argmax(axis=1), case.n_classes, case.weights)
                if found > best + 1e-9:
                    best, moves = found, tried
    return moves


def macro_f1(y: Codes, said: Codes, n_classes: int, weights: Floats | None = None) -> float:
    """Macro-F1 of codes."""
    return float(macro_f1_of(count(y, said, n_classes, weights)))


def count(y: Codes, said: Codes, n_classes: int, weights: Floats | None = None) -> Floats:
    """The confusion matrix."""
    table = np.bincount(y * n_classes + said, weights=weights, minlength=n_classes**2)
    return table.reshape(n_classes, n_classes).astype(np.float64)


def judge_labels(y: Codes, said: Codes, positive: int, n_classes: int) -> tuple[float, ...]:
    """Macro-F1, F1 of one class, accuracy."""
    table = count(y, said, n_classes)
    f1 = 2 * table[positive, positive] / max(1.0, table[positive].sum() + table[:, positive].sum())
    return float(macro_f1_of(table)), float(f1), float((y == said).mean())


# --- How sure --------------------------------------------------------------------------------------------------------


def measure_certainty_by(case: Case, _positive: int) -> dict[str, tuple[float, ...]]:
    """Log-loss, calibration error and macro-F1, by each way."""
    by_class = fit_platt(case)(case.proba)
    ways = {
        "one factor": scale_logits(case.proba, find_scale(case.unseen, case.y, case.weights)),
        "Platt by class": by_class,
        "isotonic by class": fit_isotonic(case)(case.proba),
        "Platt, likeliest kept": keep_likeliest(by_class, case.proba.argmax(axis=1)),
    }
    return {
        name: (
            *measure_certainty(case.truth, proba),
            macro_f1(case.truth, proba.argmax(axis=1), case.n_classes),
        )
        for name, proba in ways.items()
    }


def fit_platt(case: Case) -> Callable[[Floats], Floats]:
    """A factor and an offset for each class's log-probability, near the product's factor and 0 where labels are few."""
    logits, rows, n = np.log(case.unseen + 1e-12), np.arange(len(case.y)), case.n_classes
    start = np.r_[np.full(n, np.log(find_scale(case.unseen, case.y, case.weights))), np.zeros(n)]
    each = case.weights * case.weights.sum() / (case.weights**2).sum()  # what weighted labels are worth (Kish)

    def loss(found: Floats) -> float:
        moved = logits * np.exp(found[:n]) + found[n:]
        moved -= moved.max(axis=1, keepdims=True)
        surprise = np.log(np.exp(moved).sum(axis=1)) - moved[rows, case.y]
        return float((each * surprise).sum() + ((found - start) ** 2).sum() / 2)

    found = minimize(loss, start, method="L-BFGS-B").x
    return lambda proba: softmax(np.log(proba + 1e-12) * np.exp(found[:n]) + found[n:])


def softmax(logits: Floats) -> Floats:
    """Rows that sum to 1."""
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def fit_isotonic(case: Case) -> Callable[[Floats], Floats]:
    """Isotonic regression of each class against the rest; one label's worth of doubt, so that nothing is impossible."""
    n = case.n_classes
    steps = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
            case.unseen[:, code], case.y == code, sample_weight=case.weights
        )
        for code in range(n)
    ]
    n_worth = case.weights.sum() ** 2 / (case.weights**2).sum()

    def predict(proba: Floats) -> Floats:
        found = np.column_stack([steps[code].predict(proba[:, code]) for code in range(n)])
        found = (found * n_worth + 1 / n) / (n_worth + 1)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    return predict


def keep_likeliest(proba: Floats, said: Codes) -> Floats:
    """Probabilities in which no class is likelier than the one that is said: those above it and it become alike."""
    found, rows = proba.copy(), np.arange(len(said))
    own = np.eye(proba.shape[1], dtype=bool)[said]
    for _turn in range(proba.shape[1]):
        is_above = found > np.sum(found * own, axis=1, keepdims=True) + 1e-12
        group = is_above | own
        mean = np.sum(found * group, axis=1, keepdims=True) / np.sum(group, axis=1, keepdims=True)
        found = np.where(group, mean, found)
    found[rows, said] += 1e-6
    return np.asarray(found / found.sum(axis=1, keepdims=True))


# --- Tables ----------------------------------------------------------------------------------------------------------

HEADS = {
    "labels": "| file | labels | said is | macro-F1 | F1 | accuracy |",
    "certainty": "| file | labels | calibrated by | log-loss | calibration error | macro-F1 |",
}
MEASURES = {"labels": measure_labels, "certainty": measure_certainty_by}
Found = Mapping[tuple[str, int], Mapping[str, list[tuple[float, ...]]]]


def measure(files: list[File], folder: Path, n_seeds: int, wanted: list[str]) -> dict[str, Found]:
    """By table, file and budget: the figures of each rule, seed by seed."""
    tables: dict[str, dict[tuple[str, int], dict[str, list[tuple[float, ...]]]]] = {name: {} for name in wanted}
    for file in files:
        loaded = load(file, folder)
        for seed in range(n_seeds):
            for budget, case in make_cases(loaded, seed):
                for name in wanted:
                    if budget in BUDGETS[name]:
                        rows = tables[name].setdefault((file.name, budget), {})
                        for rule, figures in MEASURES[name](case, file.positive).items():
                            rows.setdefault(rule, []).append(figures)
            print(f"{file.name}, seed {seed}: done", file=sys.stderr)
    return {name: dict(found) for name, found in tables.items()}


def describe(name: str, found: Found) -> str:
    """A table in Markdown; the first rule is the one that the others are compared with."""
    lines = [HEADS[name], "|---|---|---|---|---|---|"]
    for (file, budget), rules in found.items():
        base = np.array(next(iter(rules.values())))
        for rule, rows in rules.items():
            values = np.array(rows)
            is_base = values.shape == base.shape and (values == base).all()
            cells = [
                f"{values[:, at].mean():.3f}" if is_base else describe_change(values[:, at], base[:, at])
                for at in range(3)
            ]
            lines.append(f"| {file} | {budget:,} | {rule} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default="labels,certainty")
    parser.add_argument("--files", default=NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print(describe_machine())
    files = [file for file in FILES if file.name in options.files.split(",")]
    for name, found in measure(files, options.data, options.seeds, options.only.split(",")).items():
        print(f"\n{describe(name, found)}", flush=True)


if __name__ == "__main__":
    main()
