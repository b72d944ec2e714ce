"""A real Celery worker on the test's database and broker, in processes of its own, for tests that kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlencode

import pytest
import redis
from django.conf import settings
from django.db import connection

from config.celery import app
from config.home import ROOT


def wait_until(is_so: Callable[[], object], *, seconds: float = 30) -> None:
    """Return as soon as `is_so()` is true; fail the test where that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.02)


def get_database_url() -> str:
    """Return the address of the database that this test uses: pytest-django gives it a name of its own."""
    parameters = connection.get_connection_params()
    where = {name: parameters[name] for name in ("host", "port") if parameters.get(name)}
    who = quote(parameters["user"]) + (f":{quote(parameters['password'])}" if parameters.get("password") else "")
    return f"postgres://{who}@/{parameters['dbname']}?{urlencode(where)}"


class Worker:
    """A worker with two children that knows the kinds of `tests/job_kinds.py`."""

    def __init__(self, database_url: str) -> None:
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url,
            "BROKER_URL": settings.BROKER_URL,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs, and return when it takes tasks."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [sys.executable, "-m", "celery", "--app", "config.celery:app", "worker", "--concurrency", "2"]
        command += ["--include", "tests.job_kinds", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT, start_new_session=True)
        wait_until(_answers_ping, seconds=60)

    def kill(self) -> None:
        """End it as a power cut would, the parent alone: its children must notice by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it and whatever it left."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _answers_ping() -> bool:
    try:
        return bool(app.control.broadcast("ping", reply=True, timeout=0.3, limit=1))
    except redis.ConnectionError:  # kept since before an earlier test killed the broker; the next call opens another
        return False


@pytest.fixture(scope="module")
def shared_worker(django_db_setup: None, django_db_blocker: object) -> Iterator[Worker]:
    """One worker for a module, since a start takes seconds; no longer, or it would take other tests' jobs."""
    worker = Worker(get_database_url())
    yield worker
    worker.stop()


@pytest.fixture
def worker(transactional_db: None, shared_worker: Worker) -> Worker:
    """The worker, running; a test may kill it."""
    shared_worker.start()
    return shared_worker
