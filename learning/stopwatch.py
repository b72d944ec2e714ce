"""What a round costs: how long each of its steps takes, the processor's time, the most memory that it held.

A round says which step begins (`RunningJob.on_step`); what ran until then ends there. The figures of earlier attempts
are passed in, so that a round that was cut off and resumed shows all that it took: what had been noted by then.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In the order in which they come; a round may pass over some of them.
STEPS = ("read", "count", "fit", "judge", "keep", "score", "write", "choose", "raise", "tidy")

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Clock:
    """Where the figures come from.

    `wall`, `processor`: seconds from any start. `peak`: bytes held at most since `restart_peak`; None: not known.
    """

    wall: Callable[[], float]
    processor: Callable[[], float]
    peak: Callable[[], int | None]
    restart_peak: Callable[[], object]


class Stopwatch:
    """One attempt's seconds by step, on top of what earlier attempts took (`before`: the figures that they noted)."""

    def __init__(self, clock: Clock, before: Mapping[str, Any]) -> None:
        self._clock = clock
        self._attempts = int(before.get("attempts", 0)) + 1
        self._seconds = dict(before.get("seconds", {}))
        self._processor = float(before.get("processor_seconds", 0.0))
        self._peak: int | None = before.get("peak_bytes")
        self._sizes = {name: before.get(name) for name in ("model_bytes", "score_bytes", "n_scores")}
        self._step: str | None = None
        self._since = (clock.wall(), clock.processor())
        clock.restart_peak()

    def enter(self, step: str | None) -> None:
        """End the step that runs, and begin another; None: none. Raises ValueError for a step that has no name."""
        if step is not None and step not in STEPS:
            raise ValueError(f"{step!r} is none of: {', '.join(STEPS)}")
        now = self._clock.wall(), self._clock.processor()
        if self._step is not None:
            self._seconds[self._step] = self._seconds.get(self._step, 0.0) + now[0] - self._since[0]
        self._processor += now[1] - self._since[1]
        self._since, self._step = now, step
        peak = self._clock.peak()
        self._peak = peak if self._peak is None else max(self._peak, peak or 0)

    def note_sizes(self, *, model_bytes: int | None, score_bytes: int | None, n_scores: int | None) -> None:
        """What lies on disk of the model and of its scores, and how many rows of scores there are."""
        self._sizes = {"model_bytes": model_bytes, "score_bytes": score_bytes, "n_scores": n_scores}

    def read(self) -> dict[str, Any]:
        """The figures up to the last change of step, ready for JSON.

        `{"attempts", "step": the one that runs or None, "seconds": {step: seconds}, "processor_seconds", "peak_bytes",
        "model_bytes", "score_bytes", "n_scores"}`; None for what is not known.
        """
        return {
            "attempts": self._attempts,
            "step": self._step,
            "seconds": {step: round(self._seconds[step], 3) for step in STEPS if step in self._seconds},
            "processor_seconds": round(self._processor, 3),
            "peak_bytes": self._peak,
            **self._sizes,
        }


def total_seconds(costs: Mapping[str, Any]) -> float:
    """All steps of figures that `Stopwatch.read` gave, in seconds."""
    return round(float(sum(costs["seconds"].values())), 3)


def order_steps(costs: Mapping[str, Any]) -> dict[str, float]:
    """The seconds of figures that a row kept (which keeps no order), in the order of STEPS."""
    return {step: costs["seconds"][step] for step in STEPS if step in costs["seconds"]}


def clock_of_process() -> Clock:
    """The clocks of this process: a worker's, which does one job at a time.

    Processor seconds are its own and those of the processes it started and waited for; the database's are its own.
    """
    return Clock(time.monotonic, _processor_seconds, _peak_bytes, _restart_peak)


def _processor_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _restart_peak() -> None:
    """Forget what the process held before. Where the system does not let it, the peak is not known."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")


def _peak_bytes() -> int | None:
    if not os.access(_CLEAR, os.W_OK):
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
