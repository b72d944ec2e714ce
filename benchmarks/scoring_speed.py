"""Scoring stored shards: how many texts a second, and what a second core brings.

    python -m benchmarks.scoring_speed

Shards of made-up texts in a temporary folder are scored by the function that rounds use: by one process that may use
one core, by two that may use one core each and share the shards, and by one that may use two cores, in turns. No
database. The best of the turns counts: other work on the machine only ever takes away.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.measuring import Check, Measurement
from benchmarks.million import make_texts

N_CLASSES = 3


def prepare(folder: Path, n_shards: int) -> None:
    """Shards, as a round would find them, and a model fitted on 2,000 of their texts."""
    start(folder)
    from learning.algorithms import weights
    from learning.algorithms.estimators import fit_logistic
    from learning.algorithms.features import fit_text
    from learning.features.counting import count_payloads
    from learning.features.shards import SHARD, Rows, write_shard

    texts = list(make_texts(SHARD, seed=5))
    part = {"name": "text", "kind": "text", "role": "target"}
    counted = count_payloads([json.dumps([{**part, "text": text}]).encode() for text in texts])
    space = fit_text(counted.words)
    y = [("lantern" in text) + ("harbour" in text) for text in texts[:2000]]
    model = fit_logistic(space.weigh(counted.words[:2000]), y, N_CLASSES, seed=0)
    digests = []
    for number in range(n_shards):
        rows = Rows(np.arange(SHARD) + number * SHARD, counted.kinds, counted.words)
        digests.append(write_shard(folder, rows).sha256)
    arrays, card = model.to_arrays()
    (folder / "model").write_bytes(weights.pack({**arrays, "idf": space.idf}, {**card, "shards": digests}))


def start(folder: Path) -> None:
    """Django, without a database: the functions of rounds need its settings."""
    os.environ["TOUCHSTONE_HOME"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()


def score(folder: Path, cores: set[int], turn: int, n_turns: int, begin: float) -> tuple[float, float]:
    """Score every `n_turns`-th shard on these cores, from the moment `begin` on: when that began, and ended."""
    os.sched_setaffinity(0, cores)
    start(folder)
    from annotation.models import Project
    from learning.algorithms import weights
    from learning.algorithms.estimators import LogisticModel
    from learning.algorithms.features import Features, TextFeatures
    from learning.features.shards import ShardList, open_shard
    from learning.features.stored import Shards
    from learning.features.stores import Listed, WordStore
    from learning.scoring import predict

    data = (folder / "model").read_bytes()
    arrays, card = weights.unpack(data, weights.sha256(data))
    features = Features({"words": TextFeatures(arrays["idf"])})
    model = LogisticModel.from_arrays(arrays, card)
    found = [open_shard(folder, digest) for digest in card["shards"][turn::n_turns]]
    stored = ShardList(found, found[0].rows.matrix.shape[1], is_sparse=True)
    items = stored.items
    project = Project(pk=1)
    store = WordStore(Listed(project, items, np.zeros(len(items), np.uint8)))
    shards = Shards(store.listed, lambda: None, [(store, stored)])
    predict(features, shards, model, items[:10], lambda _n: None)
    time.sleep(max(0.0, begin - time.time()))
    began = time.time()
    predict(features, shards, model, items, lambda _n: None)
    return began, time.time()


def run(folder: Path, cores: list[set[int]]) -> float:
    """Seconds that so many processes need for all shards together."""
    with ProcessPoolExecutor(len(cores), mp_context=get_context("spawn")) as processes:
        begin = time.time() + 8.0  # by then each has started
        jobs = [processes.submit(score, folder, own, turn, len(cores), begin) for turn, own in enumerate(cores)]
        times = [job.result() for job in jobs]
    return max(ended for _began, ended in times) - min(began for began, _ended in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=40, help="of 50,000 texts each")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
            processes.submit(prepare, folder, args.shards).result()
        measurement = Measurement("scoring_speed", args.out)
        first, second = sorted(os.sched_getaffinity(0))[:2]
        ways = {"one": [{first}], "two": [{first}, {second}], "threads": [{first, second}]}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _turn in range(args.turns):
            for way, cores in ways.items():
                seconds[way].append(round(run(folder, cores), 3))
        best = {way: min(values) for way, values in seconds.items()}
        figures = {
            "texts": args.shards * 50_000,
            "seconds": seconds,
            "texts_per_second_on_one_core": round(args.shards * 50_000 / best["one"]),
            "one_process_on_two_cores": round(best["one"] / best["threads"], 2),
        }
        ratio = round(best["one"] / best["two"], 2)
        fine = measurement.finish(figures, [Check("two processes beside one", ratio, ">=", 1.7)])
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
