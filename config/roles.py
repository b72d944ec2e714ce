"""How the three roles are run: web, worker, beat. Each is a program of its own; here is its command line."""

from __future__ import annotations

import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

from config.embedded.processes import ChildSpec
from config.home import ROOT, HomeError

WEB, WORKER, BEAT = "web", "worker", "beat"
ROLES = (WEB, WORKER, BEAT)
WEB_THREADS = 4  # of each process: more of them wait for one another


def count_web_workers() -> int:
    """How many processes of the web server there are where nobody says: one a core, from 2 to 8."""
    return min(8, max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2))


def get_address() -> tuple[str, int]:
    """Return where the web server listens (`HOST`, `PORT`). Raises HomeError where PORT is no port number."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise HomeError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return os.environ.get("HOST") or "127.0.0.1", int(text)


def get_reachable_host(host: str) -> str:
    """Return a name under which a browser on this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{reachable}]" if ":" in reachable else reachable


def make_command(role: str) -> list[str]:
    """Return the command line of `role`."""
    if role == WEB:
        host, port = get_address()
        command = ["granian", "--interface", "wsgi", "--host", host, "--port", str(port)]
        command += ["--workers", os.environ.get("WEB_WORKERS") or str(count_web_workers())]
        command += ["--blocking-threads", os.environ.get("WEB_THREADS") or str(WEB_THREADS)]
        command += [
            "--blocking-threads-idle-timeout",
            "600",
            "--respawn-failed-workers",
            "--workers-kill-timeout",
            "1",
            "--no-ws",
            "--http",
            "1",
        ]
        command += ["--log-level", "warning", "--working-dir", str(ROOT), "config.wsgi:application"]
    elif role == WORKER:
        command = ["celery", "--app", "config.celery:app", "--workdir", str(ROOT), "worker"]
        command += ["--concurrency", os.environ.get("WORKER_PROCESSES") or "2", "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle"]
    else:
        command = ["celery", "--app", "config.celery:app", "--workdir", str(ROOT), "beat", "--loglevel", "WARNING"]
        command += ["--pidfile", "", "--scheduler", "config.beat:DoingScheduler"]
    return [sys.executable, "-m", *command]


def make_environment(role: str) -> dict[str, str]:
    """Return the environment of `role`: this one, and what the role must know."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE") or "config.settings",
        "PYTHONUNBUFFERED": "1",
        "TOUCHSTONE_SUPERVISED": "1",
    }
    if role != WEB:
        # One thread of arithmetic per child, or two children on four cores start eight.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return environment


def answers_health() -> bool:
    """Say whether the web server answers `/healthz` with 200."""
    host, port = get_address()
    url = f"http://{get_reachable_host(host)}:{port}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def make_spec(role: str, logs: Path | None) -> ChildSpec:
    """Return how `role` is run under a supervisor; its output goes to a file in `logs`, or where ours goes."""
    stop_signals: dict[str, list[tuple[int, float]]] = {
        WEB: [(signal.SIGTERM, 1.5)],
        # First no new task and let the running one end, then drop it: its message and its job row remain.
        WORKER: [(signal.SIGTERM, 2.5), (signal.SIGQUIT, 1.0)],
        BEAT: [(signal.SIGTERM, 0.5)],
    }
    return ChildSpec(
        name=role,
        command=make_command(role),
        log=logs / f"{role}.log" if logs else None,
        environment=make_environment(role),
        stop_signals=stop_signals[role],
        # A worker told to quit while its broker goes too waits for the broker for ever. Its pool children follow it
        # (see `config.celery`), and what they did not finish is still in the job table. Beat leaves by an exception,
        # which a transaction replaces by one of its own where the database goes at the same moment: it stayed for ever.
        death_signal=signal.SIGTERM if role == WEB else signal.SIGKILL,
        stop_rank={WEB: 3, BEAT: 2, WORKER: 1}[role],
        is_ready=answers_health if role == WEB else None,
    )
