"""Fitting with torch: on which device, with the same numbers each time, and what is said where torch is absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from learning.algorithms.estimators.model import UnsuitableError

if TYPE_CHECKING:
    import torch


def has_torch() -> bool:
    """Whether torch is installed, without importing it (which takes 2 s)."""
    return find_spec("torch") is not None


def require_torch(estimator: str) -> None:
    """Raises UnsuitableError with what to install."""
    if not has_torch():
        raise UnsuitableError(
            f"the estimator {estimator} needs torch, which is not installed here: pip install 'touchstone[torch]'"
        )


def choose_device() -> torch.device:
    """A CUDA device where there is one, else the processor."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def repeatable() -> Iterator[None]:
    """One thread and no algorithm whose sums come in a random order: the same labels give the same weights."""
    import torch

    n_threads = torch.get_num_threads()
    was_strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    # Only warned of: a sum on a CUDA device for which there is no other algorithm is better than no model.
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.use_deterministic_algorithms(was_strict)
        torch.set_num_threads(n_threads)


def deal(n: int, batch: int, n_steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Rows for so many steps: all in random order, then all again; fewer than `batch` where there are no more."""
    left = np.zeros(0, np.int64)
    for _step in range(n_steps):
        while len(left) < min(batch, n):
            left = np.concatenate([left, rng.permutation(n)])
        yield left[:batch]
        left = left[batch:]


def descend(
    loss_of: Callable[[NDArray[np.int64]], torch.Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    batches: Iterator[NDArray[np.int64]],
    n_steps: int,
) -> None:
    """Take the steps, each optimizer's rate falling in a straight line to 0."""
    import torch

    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: 1 - step / n_steps) for one in optimizers]
    for rows in batches:
        for one in optimizers:
            one.zero_grad()
        loss: Any = loss_of(rows)
        loss.backward()
        for one in optimizers:
            one.step()
        for schedule in schedules:
            schedule.step()
