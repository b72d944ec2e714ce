"""The web server alone, on a database behind any address: for tests and benchmarks that stand in between."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from config.home import ROOT
from tests.installation import TOUCHSTONE, find_free_port, make_environment


class WebServer:
    """`touchstone web` on outside servers: one process of four threads unless `settings` (variables) say otherwise."""

    def __init__(self, home: Path, *, database_url: str, broker_url: str, **settings: str) -> None:
        self.port = find_free_port()
        addresses = {"DATABASE_URL": database_url, "BROKER_URL": broker_url, "WEB_THREADS": "4"}
        environment = {**make_environment(home, self.port), "LOG_LEVEL": "WARNING", **addresses, **settings}
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "web.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*TOUCHSTONE, "web"], env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_up(self, seconds: float = 60.0) -> None:
        """Wait until it answers at all."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return int(answer.status) == 200
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> None:
        """End it and its processes."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
