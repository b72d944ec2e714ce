"""A whole installation: `touchstone up` in a home of its own, for tests and benchmarks that kill or measure it."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from config.home import ROOT

TOUCHSTONE = [sys.executable, "-m", "config.cli"]


def find_free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_environment(home: Path, port: int, **settings: str) -> dict[str, str]:
    """Return the environment of an installation of its own, without the demo projects; `settings` win."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "BROKER_URL"}}
    return {
        **kept,
        "TOUCHSTONE_HOME": str(home),
        "TOUCHSTONE_DEMO": "0",
        "PORT": str(port),
        "WEB_WORKERS": "1",
        "WORKER_PROCESSES": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **settings,
    }


def find_processes(home: Path) -> dict[int, str]:
    """Return the command line of every live process that knows of `home`, by id, this one left out."""
    needle = os.fsencode(home)
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if command and int(folder.name) != os.getpid() and needle in command + environment:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


class Installation:
    """A running `touchstone up` and what it has printed. `settings` are environment variables of its own."""

    def __init__(self, home: Path, port: int | None = None, **settings: str) -> None:
        self.home = home
        self.port = port or find_free_port()
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [*TOUCHSTONE, "up"],
            env=make_environment(home, self.port, **settings),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.put(line)

    def wait_for_line(self, text: str, seconds: float = 60.0) -> None:
        """Wait until a line with `text` was printed."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            assert self.process.poll() is None or not self._lines.empty(), f"touchstone up has ended: {self.output}"
            with contextlib.suppress(queue.Empty):
                self.output += self._lines.get(timeout=0.2)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a GET; status 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self, seconds: float = 40.0) -> None:
        """Wait until `/readyz` answers 200."""
        deadline = time.monotonic() + seconds
        answer = self.get("/readyz")
        while answer[0] != 200:
            assert time.monotonic() < deadline, answer
            assert self.process.poll() is None, "touchstone up has ended"
            time.sleep(0.1)
            answer = self.get("/readyz")

    def find(self, *words: str) -> list[int]:
        """Return the ids of this installation's processes whose command line has all `words`, the oldest first."""
        return sorted(
            pid for pid, command in find_processes(self.home).items() if all(word in command for word in words)
        )

    def end(self) -> None:
        """Kill what is left, and forget it."""
        self.process.kill()
        self.process.wait()
        self._reader.join(10)


def wait_for_no_process(home: Path, seconds: float = 10.0) -> None:
    """Wait until no process knows of `home`; fail with their command lines after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := find_processes(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
