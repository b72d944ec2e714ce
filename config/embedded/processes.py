"""Keep child processes running: start in order, restart what ends, stop in order, leave nothing behind.

Each child leads a session and process group of its own, so that a Ctrl-C in the terminal reaches only the supervisor,
and so that whatever a killed child leaves can be killed by group before it is started again. Each child also asks the
kernel for a signal when the supervisor's thread ends, so a supervisor killed outright takes everything with it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded import child as child_module
from config.embedded.errors import EmbeddedError

POLL_SECONDS = 0.03
TICK_SECONDS = 0.5
MAX_FAILED_STARTS = 4
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_SECONDS = 5.0  # who was ready and lived this long starts again at the first step of the back-off
LOG_LIMIT_BYTES = 20 * 2**20


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how it is treated.

    `stop_signals` are sent one after the other with the seconds that each gets; then the group is killed.
    `death_signal` is what the kernel sends when the supervisor dies. `run_as` is None, "namespace" (see `child`) or a
    user's name. `before_start` runs before every start and may raise EmbeddedError; `is_ready` is asked until it is
    true. A child with `is_kept` False runs once. Children with a higher `stop_rank` stop before others; among
    equals the last added stops first.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] | None = None
    stop_signals: Sequence[tuple[int, float]] = ((signal.SIGTERM, 2.0),)
    death_signal: int = signal.SIGTERM
    run_as: str | None = None
    before_start: Callable[[], None] | None = None
    is_ready: Callable[[], bool] | None = None
    is_kept: bool = True
    stop_rank: int = 0


@dataclass
class Child:
    """A spec with its process; touched only by the supervisor's thread, except for the two events."""

    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    n_failures: int = 0
    restart_at: float | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    exit_status: int | None = None


def open_log(path: Path) -> int:
    """Open `path` for appending and return the descriptor; a log past its limit is put aside once as `NAME.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def wrap_command(spec: ChildSpec) -> list[str]:
    """Return the command that prepares the child (see `child`) and then becomes `spec.command`."""
    options = ["--parent", str(os.getpid()), "--signal", str(int(spec.death_signal))]
    if spec.run_as:
        options += ["--as", spec.run_as]
    return [sys.executable, "-I", "-S", child_module.__file__, *options, "--", *spec.command]


def start_process(spec: ChildSpec) -> subprocess.Popen[bytes]:
    """Start `spec` in a session of its own. The calling thread must outlive the child (the death signal follows it)."""
    log = open_log(spec.log) if spec.log else None
    try:
        return subprocess.Popen(
            wrap_command(spec),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(spec.environment) if spec.environment is not None else None,
            start_new_session=True,
        )
    finally:
        if log is not None:
            os.close(log)


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the whole process group that `process` leads or led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def stop_process(process: subprocess.Popen[bytes], stop_signals: Sequence[tuple[int, float]]) -> None:
    """Stop `process` step by step, then kill what is left of its group, and reap it."""
    for number, seconds in stop_signals:
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    signal_group(process, signal.SIGKILL)
    process.wait()


class Supervisor:
    """A thread that owns children.

    `add`, `wait_ready` and `stop` may be called from any thread. `on_event` gets a sentence whenever a child ends by
    itself or cannot be started; `tick`, where given, is called on the thread about every half second.
    """

    def __init__(
        self, *, on_event: Callable[[str], None] = lambda _text: None, tick: Callable[[], None] | None = None
    ) -> None:
        self._children: list[Child] = []
        self._requests: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._on_event = on_event
        self._tick = tick
        self._next_tick_at = 0.0
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def add(self, spec: ChildSpec) -> Child:
        """Have `spec` started and kept running; returns at once."""
        child = Child(spec)
        self._requests.put(child)
        return child

    def wait_ready(self, child: Child, *, seconds: float) -> None:
        """Wait until `child` is ready. Raises EmbeddedError after `seconds`, or where it keeps ending at once."""
        deadline = time.monotonic() + seconds
        while not child.ready.wait(0.02):
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise EmbeddedError(describe_failure(child, f"did not become ready within {seconds:.0f} s"))
            if child.n_failures >= MAX_FAILED_STARTS:
                raise EmbeddedError(describe_failure(child, "ends as soon as it is started"))

    def list_pids(self) -> dict[str, int]:
        """Return the process id of every child that runs, by name."""
        return {
            child.spec.name: child.process.pid
            for child in list(self._children)
            if child.process is not None and child.process.poll() is None
        }

    def stop(self) -> None:
        """Stop all children in order (see `ChildSpec`), and the thread."""
        self._is_stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            # The children live as long as this thread: no surprise in one round may end it.
            try:
                self._take_requests()
                for child in self._children:
                    self._look_after(child)
                self._call_tick()
            except Exception as error:
                self._on_event(f"{type(error).__name__}: {error}")
                self._is_stopping.wait(TICK_SECONDS)
            self._is_stopping.wait(POLL_SECONDS)
        self._take_requests(starting=False)
        ranked = sorted(enumerate(self._children), key=lambda pair: (pair[1].spec.stop_rank, pair[0]), reverse=True)
        for _place, child in ranked:
            if child.process is not None:
                stop_process(child.process, child.spec.stop_signals)
            child.ended.set()

    def _call_tick(self) -> None:
        now = time.monotonic()
        if self._tick is not None and now >= self._next_tick_at:
            self._next_tick_at = now + TICK_SECONDS
            self._tick()

    def _take_requests(self, *, starting: bool = True) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                child = self._requests.get_nowait()
                self._children.append(child)
                if starting:
                    self._launch(child)

    def _launch(self, child: Child) -> None:
        child.restart_at = None
        child.started_at = time.monotonic()
        try:
            if child.spec.before_start is not None:
                child.spec.before_start()
            child.process = start_process(child.spec)
        except (OSError, EmbeddedError) as error:
            self._on_event(f"{child.spec.name} could not be started: {error}")
            self._plan_restart(child)

    def _plan_restart(self, child: Child) -> None:
        now = time.monotonic()
        was_steady = child.ready.is_set() and now - child.started_at > STEADY_SECONDS
        child.n_failures = 1 if was_steady else child.n_failures + 1
        child.restart_at = now + BACKOFF_SECONDS[min(child.n_failures, len(BACKOFF_SECONDS)) - 1]

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if child.restart_at is not None and time.monotonic() >= child.restart_at:
                self._launch(child)
            return
        status = child.process.poll()
        if status is None:
            if not child.ready.is_set() and (child.spec.is_ready is None or child.spec.is_ready()):
                child.ready.set()
            return
        signal_group(child.process, signal.SIGKILL)
        child.exit_status = status
        child.process = None
        if child.spec.is_kept:
            self._on_event(f"{child.spec.name} ended ({describe_status(status)}) and is started again")
            self._plan_restart(child)
        else:
            child.ended.set()
        child.ready.clear()


def describe_status(status: int) -> str:
    """Return an exit status in words: "exit 1", or the signal's name where it is negative."""
    if status >= 0:
        return f"exit {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def describe_failure(child: Child, what: str) -> str:
    """Return a sentence about a child that failed, with the last lines of its log."""
    text = f"{child.spec.name} {what}."
    log = child.spec.log
    if log is not None and log.exists():
        tail = log.read_text(errors="replace").splitlines()[-6:]
        text += f" The end of {log}:\n" + "\n".join(f"  {line}" for line in tail)
    return text
