"""The runs of a comparison of strategies, one after the other, or side by side in processes where they are many.

Runs know nothing of each other, so what comes of them does not hang on how many processes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.algorithms.cold_start import start_cold
from learning.algorithms.label_efficiency import run_strategy, score_whole
from learning.algorithms.simulation import LabelledFile, Step
from learning.algorithms.strategies.distances import one_thread

WHOLE, CURVE, COLD = "whole", "curve", "cold"


@dataclass(frozen=True)
class Task:
    """One part of a comparison: a model of the whole pool, or a run of a strategy with a seed, from chance or cold."""

    kind: str
    strategy: str = ""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Comparing:
    """What all tasks share: the file, the file for a cold start (where there is one), and how it is asked."""

    file: LabelledFile
    batches: Sequence[int]
    positive: int
    random_share: float
    scale: NDArray[np.float64] | None = None
    thin: LabelledFile | None = None


Told = Callable[[Task, int], object]


def play(comparing: Comparing, task: Task, told: Told) -> Any:
    """What `score_whole`, `run_strategy` or `start_cold` gives. `told`: the task, and the labels after each round."""

    def tell(step: Step) -> None:
        told(task, step.n_labels)

    if task.kind == WHOLE:
        return score_whole(comparing.file, comparing.positive, comparing.scale)
    if task.kind == COLD:
        if comparing.thin is None:
            raise ValueError("there is no file for a cold start")
        return start_cold(comparing.thin, task.strategy, task.seed)
    return run_strategy(
        comparing.file,
        task.strategy,
        comparing.batches,
        positive=comparing.positive,
        seed=task.seed,
        share=comparing.random_share,
        scale=comparing.scale,
        tell=tell,
    )


def play_all(comparing: Comparing, tasks: Sequence[Task], n_processes: int, told: Told) -> dict[Task, Any]:
    """What comes of each task.

    Parameters
    ----------
    comparing : Comparing
    tasks : sequence of Task
        All different.
    n_processes : int
        1: in this process.
    told : callable
        Told the task and its labels after each round of a curve, and the task and -1 when it is done.

    Raises
    ------
    TooFewClassesError, UnsuitableError
        As a task does.
    concurrent.futures.process.BrokenProcessPool
        If a process was ended from outside, as where memory runs out.
    """
    found: dict[Task, Any] = {}
    if n_processes <= 1:
        with one_thread():
            for task in tasks:
                found[task] = play(comparing, task, told)
                told(task, -1)
        return found
    context = get_context("spawn")
    news: SimpleQueue[tuple[Task, int]] = context.SimpleQueue()
    with ProcessPoolExecutor(n_processes, mp_context=context, initializer=_begin, initargs=(comparing, news)) as pool:
        task_of = {pool.submit(_play, task): task for task in tasks}
        waiting = set(task_of)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                while not news.empty():
                    told(*news.get())
                for future in done:
                    found[task_of[future]] = future.result()
                    told(task_of[future], -1)
        except BaseException:
            # Not for what is still played. Otherwise the processes are waited for: left to themselves they are being
            # ended while the interpreter is, which may then find their pipes closed.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


# What a process of the pool was begun with.
_begun: list[Any] = []


def _begin(comparing: Comparing, news: SimpleQueue[tuple[Task, int]]) -> None:
    _begun[:] = [comparing, news]


def _play(task: Task) -> Any:
    comparing, news = _begun
    with one_thread():
        return play(comparing, task, lambda task, n_labels: news.put((task, n_labels)))
