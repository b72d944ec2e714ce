"""How fast a batch is chosen: margins beside bare numpy, ranked batches beside modAL's, spread batches of a large pool.

    python -m benchmarks.selection_speed [--repeats 5]

Made-up probabilities and vectors, the same ones each time. What is compared runs in turns in one process with its
matrix libraries on one thread, as in a worker; the shortest of the repeats counts. modAL's ranked batch takes ten
seconds and more and runs once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import describe_machine
from learning.algorithms import modal_adapter
from learning.algorithms.strategies import Candidates, draw_batch
from learning.algorithms.strategies.distances import one_thread
from learning.algorithms.strategies.ranked import ranked_batch

N_PICKS = 100


def time_of(function: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def bare_margin(proba: NDArray[np.float64]) -> NDArray[np.int64]:
    """The least that must be done: the two highest of each row, their difference, the 100 smallest in order."""
    parted = np.partition(proba, proba.shape[1] - 2, axis=1)
    gaps = parted[:, -1] - parted[:, -2]
    chosen = np.argpartition(gaps, N_PICKS)[:N_PICKS]
    return np.asarray(chosen[np.argsort(gaps[chosen])], np.int64)


def measure_margin(repeats: int) -> dict[str, Any]:
    """A batch of 100 from 1,000,000 x 10 probabilities, by numpy and by the strategy."""
    proba = np.random.default_rng(0).dirichlet(np.ones(10), 1_000_000)
    bare, ours = [], []
    for _repeat in range(repeats):
        bare.append(time_of(lambda: bare_margin(proba)))
        ours.append(time_of(lambda: draw_batch("margin", proba, N_PICKS, 0.0, np.random.default_rng(1))))
    picks = draw_batch("margin", proba, N_PICKS, 0.0, np.random.default_rng(1)).index
    return {
        "what": "margin, 100 of 1,000,000 x 10",
        "bare_numpy_s": min(bare),
        "ours_s": min(ours),
        "ratio": min(ours) / min(bare),
        "same_picks": picks.tolist() == bare_margin(proba).tolist(),
    }


class Learner:
    """What modAL's ranked batch asks of a learner."""

    on_transformed = False

    def __init__(self, X_training: NDArray[np.float32]) -> None:
        self.X_training = X_training


def measure_ranked(repeats: int) -> dict[str, Any]:
    """A ranked batch of 100 from 10,000 x 128 with 1,000 labelled, by modAL and by ours."""
    source = np.random.default_rng(0)
    X, labelled = (source.normal(size=(n, 128)).astype(np.float32) for n in (10_000, 1_000))
    doubt = source.random(len(X))
    modal = modal_adapter.load_modal("modAL.batch")
    started = time.perf_counter()
    expected, _doubt = modal.ranked_batch(
        Learner(labelled), X, doubt, n_instances=N_PICKS, metric="euclidean", n_jobs=None
    )
    modal_seconds = time.perf_counter() - started
    ours = min(time_of(lambda: ranked_batch(X, labelled, doubt, N_PICKS)) for _repeat in range(repeats))
    return {
        "what": "ranked batch, 100 of 10,000 x 128, 1,000 labelled",
        "modal_s": modal_seconds,
        "ours_s": ours,
        "times_faster": modal_seconds / ours,
        "same_picks": ranked_batch(X, labelled, doubt, N_PICKS).tolist() == expected.tolist(),
    }


def measure_spread(strategy: str, repeats: int) -> dict[str, Any]:
    """A batch of 100 from 100,000 x 128 by a strategy that compares items."""
    source = np.random.default_rng(0)
    X, labelled = (source.normal(size=(n, 128)).astype(np.float32) for n in (100_000, 1_000))
    candidates = Candidates.of(
        source.dirichlet(np.ones(5), len(X)),
        features=lambda positions: X[positions],
        labelled=lambda: labelled,
        y=np.arange(1_000) % 5,
    )
    seconds = min(
        time_of(lambda: draw_batch(strategy, candidates, N_PICKS, 0.0, np.random.default_rng(1)))
        for _repeat in range(repeats)
    )
    return {"what": f"{strategy}, 100 of 100,000 x 128", "ours_s": seconds}


def measure_first(repeats: int) -> dict[str, Any]:
    """A batch of 100 from 100,000 x 3,072, as images of 32 x 32 pixels are, before there is a label."""
    X = np.random.default_rng(0).random((100_000, 3_072), np.float32)
    candidates = Candidates(n=len(X), features=lambda positions: X[positions], is_dense=True)
    seconds = min(
        time_of(lambda: draw_batch("adaptive", candidates, N_PICKS, 0.0, np.random.default_rng(1)))
        for _repeat in range(repeats)
    )
    return {"what": "adaptive before any label, 100 of 100,000 x 3,072", "ours_s": seconds}


def main() -> None:
    """Measure all and print one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(json.dumps(describe_machine()))
    with one_thread():
        print(json.dumps(measure_margin(repeats)))
        print(json.dumps(measure_ranked(repeats)))
        for strategy in ("kmeans", "adaptive", "ranked", "coreset"):
            print(json.dumps(measure_spread(strategy, repeats)))
        print(json.dumps(measure_first(repeats)))


if __name__ == "__main__":
    main()
