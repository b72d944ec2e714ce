"""What every benchmark needs: CPU and memory of an installation's parts, percentiles, how noisy it was, results.

CPU is read from `/proc/PID/stat`, summed over a part's processes and their ended children, so it holds whatever else
the machine is doing; rates do not, and are compared only with rates of the same run.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
LOOP_STEPS = 200_000
BACKEND = "[local]"  # in the title of a PostgreSQL process that serves a client

# --- The machine -----------------------------------------------------------------------------------------------------


def time_loop() -> float:
    """Milliseconds that a fixed loop takes now, the median of five: grows where others use the cores."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        total = 0
        for n in range(LOOP_STEPS):
            total += n
        times.append(time.perf_counter() - started)
    return round(1000 * sorted(times)[2], 2)


def describe_machine() -> dict[str, Any]:
    """Return the processor's model, cores, memory in GiB, system, Python and the date."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def gauge_noise() -> dict[str, float]:
    """Return the load average over a minute, and how long a fixed loop takes in ms."""
    return {"load_1min": round(os.getloadavg()[0], 2), "loop_ms": time_loop()}


# --- Figures ---------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], q: float) -> float | None:
    """The nearest-rank percentile, `q` in (0, 100]: a value that occurred. None where there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -int(-len(ordered) * q // 100)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def in_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return n, mean, p50, p95, p99 and the longest of durations in seconds, as milliseconds; only n where empty."""
    if not seconds:
        return {"n": 0}
    found = {f"p{q}": percentile(seconds, q) for q in (50, 95, 99)}
    return {
        "n": len(seconds),
        "mean": round(1000 * sum(seconds) / len(seconds), 2),
        **{name: round(1000 * value, 2) for name, value in found.items() if value is not None},
        "max": round(1000 * max(seconds), 2),
    }


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones; `values` must not be empty."""
    ordered = sorted(values)
    half, is_odd = divmod(len(ordered), 2)
    return ordered[half] if is_odd else (ordered[half - 1] + ordered[half]) / 2


def time_calls(call: Callable[[], Any], n: int) -> list[float]:
    """Seconds of each of `n` calls."""
    seconds = []
    for _ in range(n):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


# --- Processes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    title: str
    own: float  # CPU seconds
    ended_children: float


def _read_stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    user, system, ended_user, ended_system = (int(field) / TICKS for field in fields[11:15])
    return _Stat(int(fields[1]), title, user + system, ended_user + ended_system)


def read_tree(root: int) -> dict[int, _Stat]:
    """Return what `/proc` says of a process and its descendants, by id; empty where it is gone."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        stat = _read_stat(int(folder.name))
        if stat is not None:
            stats[int(folder.name)] = stat
    tree: dict[int, _Stat] = {}
    fresh = [root] if root in stats else []
    while fresh:
        pid = fresh.pop()
        tree[pid] = stats[pid]
        fresh += [child for child, stat in stats.items() if stat.parent == pid and child not in tree]
    return tree


def read_memory(pids: Sequence[int]) -> dict[str, float]:
    """Return RSS, PSS and the private part of PSS (`anon`) of these processes together, in MiB."""
    sums = {"Rss": 0, "Pss": 0, "Pss_Anon": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return {
        "rss": round(sums["Rss"] / 1024, 1),
        "pss": round(sums["Pss"] / 1024, 1),
        "anon": round(sums["Pss_Anon"] / 1024, 1),
    }


def read_exact_cpu(pid: int) -> float:
    """CPU seconds of a process of one thread, to the nanosecond (`read_tree` counts in ticks of 10 ms)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds: of the web processes, of PostgreSQL's client processes, and of all else that PostgreSQL ran.

    What a process of PostgreSQL used that ended meanwhile is in the latter, whatever it was; `ended` counts the client
    processes among them.
    """

    web: float = 0.0
    backends: float = 0.0
    background: float = 0.0
    ended: int = 0

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(
            self.web + other.web,
            self.backends + other.backends,
            self.background + other.background,
            self.ended + other.ended,
        )

    def per(self, n: int) -> dict[str, float]:
        """Milliseconds for each of `n` requests; `total` is web and client processes."""
        parts = {"web": self.web, "postgres": self.backends, "postgres_background": self.background}
        shown = {name: round(1000 * seconds / max(1, n), 3) for name, seconds in parts.items()}
        return {
            "total": round(1000 * (self.web + self.backends) / max(1, n), 3),
            **shown,
            **({"ended_backends": self.ended} if self.ended else {}),
        }


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU seconds so far; the difference of two readings is a `Cpu`."""

    web: float
    postgres: float
    backends: dict[int, float]

    def __sub__(self, before: CpuReading) -> Cpu:
        own = sum(now - before.backends.get(pid, 0.0) for pid, now in self.backends.items())
        total = self.postgres - before.postgres
        return Cpu(self.web - before.web, own, total - own, len(before.backends.keys() - self.backends.keys()))


@dataclass(frozen=True, slots=True)
class Parts:
    """The processes of one installation: granian's first one, the postmaster, and the other roles' first ones."""

    web: int
    postgres: int
    worker: int
    beat: int

    def read_cpu(self) -> CpuReading:
        """CPU up to now."""
        web = read_tree(self.web)
        servers = read_tree(self.postgres)
        return CpuReading(
            sum(stat.own + stat.ended_children for stat in web.values()),
            sum(stat.own + stat.ended_children for stat in servers.values()),
            {pid: stat.own for pid, stat in servers.items() if BACKEND in stat.title},
        )

    def read_memory(self) -> dict[str, dict[str, float]]:
        """Memory in MiB by part; PostgreSQL's shared memory is in its `pss` once and not in its `anon`."""
        roots = {"web": self.web, "postgres": self.postgres, "worker": self.worker, "beat": self.beat}
        return {name: read_memory(list(read_tree(root))) for name, root in roots.items()}


# --- Results ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """A figure beside its target: `value` must be at most, or at least, `bound`."""

    what: str
    value: float | None
    sign: str  # "<=" or ">="
    bound: float

    @property
    def holds(self) -> bool:
        if self.value is None:
            return False
        return self.value <= self.bound if self.sign == "<=" else self.value >= self.bound

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "value": self.value,
            "target": f"{self.sign} {self.bound:g}",
            "holds": self.holds,
        }

    def __str__(self) -> str:
        return f"{'ok    ' if self.holds else 'MISSED'}  {self.what}: {self.value} ({self.sign} {self.bound:g})"


class Measurement:
    """One measurement from start to result: notes how noisy the machine was before and after.

    `finish` prints one JSON line to standard output, and to the file `out` where one is given, and a readable line for
    each check to standard error.
    """

    def __init__(self, name: str, out: Path | None = None) -> None:
        self.name = name
        self.out = out
        self.started = time.monotonic()
        self.before = gauge_noise()

    def finish(self, figures: Mapping[str, Any], checks: Sequence[Check] = ()) -> bool:
        """Write the result; returns whether every check holds."""
        record = {
            "measure": self.name,
            "figures": dict(figures),
            "checks": [check.as_json() for check in checks],
            "seconds": round(time.monotonic() - self.started, 1),
            "noise": {"before": self.before, "after": gauge_noise()},
            "machine": describe_machine(),
            "command": " ".join(["python -m", *_own_command()]),
        }
        line = json.dumps(record, default=str)
        print(line, flush=True)
        if self.out is not None:
            with self.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        for check in checks:
            say(f"{self.name}: {check}")
        return all(check.holds for check in checks)


def _own_command() -> list[str]:
    return [f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]


def say(text: str) -> None:
    """Tell whoever watches; standard output is for results alone."""
    print(text, file=sys.stderr, flush=True)
