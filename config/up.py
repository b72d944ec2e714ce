"""`touchstone up`: everything on one machine, in one terminal, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from config.embedded import EmbeddedError, Servers, open_servers
from config.embedded.processes import MAX_FAILED_STARTS, Child, ChildSpec, describe_failure, wrap_command
from config.freshness import are_migrations_applied, is_static_collected
from config.home import ROOT
from config.roles import BEAT, ROLES, WEB, WORKER, get_address, get_reachable_host, make_environment, make_spec

WEB_SECONDS = 60.0
DEMO_NAME = "demo"


def say(text: str) -> None:
    """Print a line for whoever started this, at once; a reader who has left changes nothing."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def find_port_fault(host: str, port: int) -> str | None:
    """Return a sentence where `host:port` cannot be listened on, else None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return (
                f"Port {port} on {host} cannot be used: {error.strerror or error}. Stop what listens there, or choose "
                f"another port, for example PORT={port + 1 if port < 65535 else 8000}."
            )
    return None


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C, SIGTERM or a closed terminal sets, for the duration of a `with` block."""
    stop = threading.Event()

    def set_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(stop: threading.Event) -> str | None:
    """Bring database and static files up to date; return the token of a link for the owner-to-be, or None.

    Returns early, with None, where `stop` is set meanwhile. Raises EmbeddedError with what was printed where it fails.
    """
    spec = ChildSpec(name="prepare", command=[sys.executable, "-m", "config.prepare"], death_signal=signal.SIGKILL)
    process = subprocess.Popen(
        wrap_command(spec),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=make_environment("prepare"),
        cwd=ROOT,
        start_new_session=True,
    )
    while True:
        try:
            output, faults = process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                process.kill()
                process.communicate()
                return None
        else:
            break
    if process.returncode != 0:
        raise EmbeddedError(f"The database could not be brought up to date.\n{faults.strip()}")
    token = json.loads(output.splitlines()[-1])["setup_token"]
    return token if token is None else str(token)


class DemoWatch:
    """The demo projects, made in the background; `/readyz` reads the state that is kept in `path`."""

    def __init__(self, servers: Servers, path: Path) -> None:
        self._servers = servers
        self._path = path
        self._child: Child | None = None

    def announce(self) -> None:
        """Say, before the web server answers, that the demo projects are outstanding; or that none are wanted."""
        if is_demo_wanted():
            self._write("pending", "The demo projects are being made.")
        else:
            self._path.unlink(missing_ok=True)

    def start(self) -> None:
        """Start making the demo projects, where they are wanted."""
        if is_demo_wanted():
            spec = ChildSpec(
                name=DEMO_NAME,
                command=[sys.executable, str(ROOT / "manage.py"), "seed_demo"],
                log=self._servers.home / "logs" / "demo.log",
                environment=make_environment(WORKER),
                stop_signals=((signal.SIGTERM, 0.5),),
                is_kept=False,
                stop_rank=4,
            )
            self._child = self._servers.supervisor.add(spec)

    def check(self) -> str | None:
        """Return a sentence once, when the demo projects are complete or have failed; else None."""
        child = self._child
        if child is None or not child.ended.is_set() or child.exit_status is None:
            return None
        self._child = None
        if child.exit_status == 0:
            self._path.unlink(missing_ok=True)
            return "The demo projects are ready."
        self._write("failed", "The demo projects could not be made; logs/demo.log says why.")
        return describe_failure(child, "could not make the demo projects; the rest works")

    def _write(self, state: str, detail: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"state": state, "detail": detail}))
        fresh.replace(self._path)


def is_demo_wanted() -> bool:
    """Say whether `TOUCHSTONE_DEMO` leaves the demo projects on."""
    return (os.environ.get("TOUCHSTONE_DEMO") or "1").lower() not in {"0", "false", "no", "off"}


def run_up(home: Path) -> int:
    """Run everything until a stop signal; return the exit status."""
    host, port = get_address()
    if fault := find_port_fault(host, port):
        print(fault, file=sys.stderr)
        return 1
    with catch_stop_signals() as stop:
        say(f"Starting; data in {home}")
        with open_servers(home, on_event=lambda text: say(f"[touchstone] {text}")) as servers:
            demo = DemoWatch(servers, home / "demo.json")
            demo.announce()
            # Where nothing is to be prepared, the web server starts beside the preparation and not after it.
            web = start_role(servers, WEB) if is_fresh(servers) else None
            token = prepare(stop)
            if stop.is_set():
                return 0
            web = web or start_role(servers, WEB)
            wait_for_web(web, stop)
            start_role(servers, WORKER)
            start_role(servers, BEAT)
            if not stop.is_set():
                address = f"http://{get_reachable_host(host)}:{port}"
                say(f"Touchstone answers at {address}/")
                if token is not None:
                    say(f"Set up the owner, once, at {address}/setup/{token}")
                say(f"Ctrl-C stops everything. What the parts report is in {home / 'logs'}")
                demo.start()
            while not stop.wait(0.2):
                if text := demo.check():
                    say(text)
            say("Stopping")
    return 0


def start_role(servers: Servers, role: str) -> Child:
    """Start one role, and keep it running; its output goes to a log file."""
    return servers.supervisor.add(make_spec(role, servers.home / "logs"))


def is_fresh(servers: Servers) -> bool:
    """Say whether database and static files are as this code wants them."""
    conninfo = os.environ.get("DATABASE_URL") or servers.get_conninfo()
    return is_static_collected(servers.home / "static") and are_migrations_applied(conninfo)


def wait_for_web(web: Child, stop: threading.Event) -> None:
    """Wait until the web server answers or a stop signal comes. Raises EmbeddedError where it does not come up."""
    deadline = time.monotonic() + WEB_SECONDS
    while not web.ready.is_set() and not stop.wait(0.05):
        if web.n_failures >= MAX_FAILED_STARTS or time.monotonic() > deadline:
            raise EmbeddedError(describe_failure(web, "does not come up"))


def run_role(role: str, home: Path) -> int:
    """Run one role until a stop signal; return the exit status.

    With outside servers the role takes this process's place. With embedded ones it runs under a supervisor that shares
    or owns them.
    """
    if role not in ROLES:
        raise ValueError(role)
    if role == WEB and (fault := find_port_fault(*get_address())):
        print(fault, file=sys.stderr)
        return 1
    if role == WEB:  # a host of its own has static files of its own; migrations are for `up` or manage.py
        subprocess.run([sys.executable, "-m", "config.prepare", "static"], cwd=ROOT, check=True)
    spec = make_spec(role, None)
    if os.environ.get("DATABASE_URL") and os.environ.get("BROKER_URL"):
        environment = {**(spec.environment or {})}
        environment.pop("TOUCHSTONE_SUPERVISED", None)
        os.chdir(ROOT)
        os.execve(spec.command[0], list(spec.command), environment)  # noqa: S606 - a list, no shell
    with catch_stop_signals() as stop, open_servers(home, on_event=lambda text: say(f"[touchstone] {text}")) as servers:
        servers.supervisor.add(spec)
        stop.wait()
    return 0
