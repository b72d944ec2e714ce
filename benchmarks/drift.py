"""How often the comparison of imports raises an alarm: without any drift, and with a stated one; and what it costs.

    python -m benchmarks.drift [--data FOLDER] [--runs 1000] [--power-runs 20]

Tweets (24,783 in three classes) as in `benchmarks.label_efficiency`. Half of them are the pool: 1,000 of these, drawn
by chance, teach a model, and 10,000 make the space. The other half are never seen by either: from them come the
reference (2,000) and the batches of each run, as the job compares them: what the model says, how sure it is, the
contents; all comparisons of a run hold one rate together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_efficiency import ROOT, read_turns, read_tweets
from benchmarks.measuring import describe_machine
from learning.algorithms.basis import fit_basis
from learning.algorithms.drift import ALPHA, adjust, compare_shares, compare_values, compare_vectors
from learning.algorithms.estimators import fit_logistic
from learning.algorithms.features import count_words, fit_text
from reviewers.algorithms.intervals import wilson

REFERENCE = 2_000
SIZES = (2_000, 500, 100)
TAUGHT, SPACE = 1_000, 10_000
MEASURES = ("choices", "certainty", "contents")

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts as the job sees them: probabilities and places; `tweets` and `turns` (of dialogue) are drawn from."""

    proba: NDArray[np.float64]
    places: NDArray[np.float64]
    y: NDArray[np.int64]
    tweets: Ids
    turns: Ids


def read(folder: Path) -> Texts:
    """Texts, a model and a space that know nothing of the half that is drawn from."""
    tweets, y = read_tweets(folder)
    turns = [text for text in read_turns(folder)[0] if text]
    rng = np.random.default_rng(0)
    order, strangers = rng.permutation(len(tweets)), len(tweets) + rng.permutation(len(turns))
    pool, free = order[: len(tweets) // 2], order[len(tweets) // 2 :]
    counts = count_words([*tweets, *turns])
    # Some turns are in the pool too, as of an import of which a part is new.
    space = np.concatenate([pool[: SPACE - 500], strangers[:500]])
    text = fit_text(counts[space])
    basis = fit_basis(text.weigh(counts[space]), rng)
    own = fit_text(counts[pool])
    X = own.weigh(counts)
    taught = pool[:TAUGHT]
    model = fit_logistic(X[taught], y[taught], 3, 0, basis=fit_basis(own.weigh(counts[pool]), rng))
    assert basis is not None
    return Texts(model.predict_proba(X), basis.embed(text.weigh(counts)), y, free, strangers[500:])


def compare(texts: Texts, reference: Ids, batch: Ids, rng: np.random.Generator) -> list[float]:
    """The p-values of one batch, as the job finds them."""
    before, after = texts.proba[reference], texts.proba[batch]
    return [
        compare_shares(_count(before), _count(after), rng).p,
        compare_values(before.max(axis=1), after.max(axis=1), rng).p,
        compare_vectors(texts.places[reference], texts.places[batch], rng).comparison.p,
    ]


def _count(proba: NDArray[np.float64]) -> Ids:
    return np.asarray(np.bincount(proba.argmax(axis=1), minlength=proba.shape[1]), np.int64)


def count_false_alarms(texts: Texts, n_runs: int) -> None:
    """Runs without drift: a reference and three batches, all dealt from the same tweets."""
    n_alarms, of_measure = 0, np.zeros(3)
    for run in range(n_runs):
        rng = np.random.default_rng([run, 1])
        order = rng.permutation(texts.tweets)
        starts = np.cumsum([REFERENCE, *SIZES])
        batches = [order[start : start + size] for start, size in zip(starts, SIZES, strict=False)]
        p = np.array([compare(texts, order[:REFERENCE], batch, rng) for batch in batches])
        n_alarms += min(adjust(p.ravel().tolist())) <= ALPHA
        of_measure += (p <= 0.05).mean(axis=0)
    low, high = wilson(n_alarms, n_runs)
    print(
        f"no drift, batches of {', '.join(map(str, SIZES))}: {n_alarms} of {n_runs} runs with any alarm,"
        f" {100 * n_alarms / n_runs:.2f} % [{100 * low:.2f}, {100 * high:.2f}], at most {100 * ALPHA:.0f} % promised"
    )
    told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(MEASURES, of_measure / n_runs, strict=True))
    print(f"  single p-values of 0.05 and less: {told}")


def measure_power(texts: Texts, n_runs: int) -> None:
    """Runs with one batch that differs in a stated way, among two that do not."""
    is_hate = texts.y[texts.tweets] == 0
    hate, rest = texts.tweets[is_hate], texts.tweets[~is_hate]

    def mixed(strangers: Ids, share: float) -> Callable[[int, Ids, np.random.Generator], Ids]:
        def draw(size: int, left: Ids, rng: np.random.Generator) -> Ids:
            n = round(share * size)
            return np.concatenate([rng.choice(strangers, n, replace=False), left[: size - n]])

        return draw

    print(f"| drift | n | any alarm | {' | '.join(MEASURES)} |")
    print("|---|---|---|---|---|---|")
    for name, source, among, shares in (
        ("turns of dialogue", texts.turns, texts.tweets, (0.05, 0.1, 0.2)),
        ("hate speech, of 5.8 %,", hate, rest, (0.1, 0.15, 0.25)),
    ):
        for share in shares:
            for size in SIZES:
                if round(share * size) > len(source) // 2:
                    continue
                found = np.zeros(4)
                for run in range(n_runs):
                    rng = np.random.default_rng([run, 2])
                    reference, *others = np.split(rng.permutation(texts.tweets), [REFERENCE, REFERENCE + 500])
                    left = rng.permutation(np.setdiff1d(among, np.concatenate([reference, others[0]])))
                    fresh = np.setdiff1d(source, reference)
                    batch = mixed(fresh, share)(size, left, rng)
                    p = [compare(texts, reference, others[0], rng), compare(texts, reference, batch, rng)]
                    adjusted = np.array(adjust(np.ravel(p).tolist())).reshape(2, 3)[1] <= ALPHA
                    found += [adjusted.any(), *adjusted]
                told = " | ".join(f"{100 * one / n_runs:.0f} %" for one in found)
                print(f"| {name} {100 * share:.0f} % | {size} | {told} |", flush=True)


def measure_time(texts: Texts) -> None:
    """Seconds for one batch of 2,000 beside 2,000, without drift and with one that takes all orders."""
    for name, source in (("without drift", texts.tweets), ("with drift", texts.turns)):
        rng = np.random.default_rng(3)
        order = rng.permutation(texts.tweets)
        batch = order[REFERENCE : 2 * REFERENCE] if source is texts.tweets else source[:2000]
        started = time.perf_counter()
        compare(texts, order[:REFERENCE], batch, rng)
        print(f"{name}: {time.perf_counter() - started:.2f} s for a batch of {len(batch)}")


def main() -> None:
    """All three, to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--power-runs", type=int, default=20)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    texts = read(options.data)
    measure_time(texts)
    count_false_alarms(texts, options.runs)
    measure_power(texts, options.power_runs)


if __name__ == "__main__":
    main()
