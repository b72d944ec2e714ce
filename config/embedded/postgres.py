"""An embedded PostgreSQL: its data folder, its settings, and how it is run.

The data folder is named for the major version (`pg18`), is made under another name and renamed when whole, and is read
by the same user that made it: root through a user namespace, root given up to `nobody` where namespaces are refused, or
an ordinary user as they are.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded import child as child_module
from config.embedded.binaries import PostgresBinaries, find_postgres
from config.embedded.errors import EmbeddedError
from config.embedded.processes import ChildSpec, wrap_command

DATABASE = "touchstone"
USER = "touchstone"
PORT = 5432
SURVIVOR_SECONDS = 30.0
FALLBACK_USER = "nobody"

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "jit": "off",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    # Who is stopped in the middle of a transaction holds up a job, and everybody's events, no longer than this.
    "idle_in_transaction_session_timeout": "1min",
    "cluster_name": "touchstone",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and the details of errors carry what people wrote; the log must not.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
# For servers that are thrown away: nothing waits for the disk.
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    # Unlike a vacuum, an ANALYZE that comes by itself holds back new events for a moment, at any moment.
    "autovacuum_analyze_threshold": str(2**31 - 1),
}


def find_data_majors(home: Path) -> set[int]:
    """Return the major versions whose data lies in `home`."""
    found = (re.fullmatch(r"pg(\d+)", path.name) for path in home.glob("pg*") if (path / "PG_VERSION").exists())
    return {int(match[1]) for match in found if match}


def make_environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: this one without PG* variables, which would redirect them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "LD_PRELOAD"}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def is_namespace_allowed() -> bool:
    """Say whether root may enter a user namespace here, by trying."""
    command = [sys.executable, "-I", "-S", child_module.__file__]
    options = ["--parent", str(os.getpid()), "--signal", "9", "--as", "namespace", "--", "true"]
    return subprocess.run([*command, *options], capture_output=True, timeout=20).returncode == 0


def choose_identity(data: Path) -> str | None:
    """Return who PostgreSQL runs as: None (as we are), "namespace" or "nobody"; the owner of existing data decides."""
    if os.getuid() != 0:
        return None
    if data.exists():
        return "namespace" if data.stat().st_uid == 0 else FALLBACK_USER
    if os.environ.get("TOUCHSTONE_NO_NAMESPACE") or not is_namespace_allowed():
        return FALLBACK_USER
    return "namespace"


def get_fallback_uid() -> int:
    """Return the user id of `nobody`."""
    return pwd.getpwnam(FALLBACK_USER).pw_uid


class Postgres:
    """The PostgreSQL server of one home: finds binaries and data, makes the data, and says how to run it."""

    def __init__(self, home: Path, socket_folder: Path, *, is_throwaway: bool = False) -> None:
        self.home = home
        self.socket_folder = socket_folder
        self.is_throwaway = is_throwaway
        self.binaries: PostgresBinaries = find_postgres(find_data_majors(home))
        self.data = home / f"pg{self.binaries.major}"
        self.run_as = choose_identity(self.data)

    def make_data(self) -> None:
        """Make the data folder unless it is there. Call only as the owner of the home."""
        if self.data.exists():
            return
        for leftover in self.home.glob(f"{self.data.name}.new-*"):
            shutil.rmtree(leftover)
        fresh = self.home / f"{self.data.name}.new-{os.getpid()}"
        fresh.mkdir(mode=0o700)
        if self.run_as == FALLBACK_USER:
            os.chown(fresh, get_fallback_uid(), -1)
        command = [self.binaries.get("initdb"), "-D", str(fresh), "-U", USER, "-E", "UTF8", "-A", "trust", "-k"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.binaries.major >= 17 else []
        command += ["--locale=C" if self.binaries.major >= 17 else "--locale=C.UTF-8"]
        command += ["--no-sync"] if self.is_throwaway else []
        spec = ChildSpec(name="initdb", command=command, run_as=self.run_as, death_signal=signal.SIGKILL)
        answer = subprocess.run(
            wrap_command(spec),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=make_environment(),
            cwd="/",
        )
        if answer.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedError(self._explain_initdb(answer.stderr or answer.stdout))
        fresh.rename(self.data)

    def _explain_initdb(self, text: str) -> str:
        advice = ""
        if self.run_as == FALLBACK_USER:
            advice = (
                f" PostgreSQL does not run as root, and this machine refuses user namespaces, so it runs as "
                f"`{FALLBACK_USER}`, who must be able to reach {self.binaries.folder} and {self.home}. Put both where "
                "others may enter, run this as an ordinary user, or set DATABASE_URL."
            )
        return f"The database could not be made in {self.home}.{advice}\n{text.strip()}"

    def make_spec(self) -> ChildSpec:
        """Return how the server is run."""
        settings = {**SETTINGS, **(THROWAWAY_SETTINGS if self.is_throwaway else {})}
        settings["unix_socket_directories"] = '"' + str(self.socket_folder).replace('"', '""') + '"'
        command = [self.binaries.get("postgres"), "-D", str(self.data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ChildSpec(
            name="postgres",
            command=command,
            log=self.home / "logs" / "postgres.log",
            environment=make_environment(),
            # Fast: end sessions and shut down. Immediate: as in a crash; the next start recovers.
            stop_signals=((signal.SIGINT, 2.0), (signal.SIGQUIT, 1.0)),
            death_signal=signal.SIGINT,
            run_as=self.run_as,
            before_start=self._clear_the_way,
            is_ready=self.is_ready,
        )

    def _clear_the_way(self) -> None:
        """Wait for a server that outlives its killed supervisor, and take away a lock file that names a stranger."""
        self.make_data()
        if self.run_as == FALLBACK_USER:
            os.chown(self.socket_folder, get_fallback_uid(), -1)
        lock = self.data / "postmaster.pid"
        deadline = time.monotonic() + SURVIVOR_SECONDS
        while (pid := read_postmaster_pid(lock)) is not None and is_postgres(pid):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"another PostgreSQL (process {pid}) still uses {self.data}. End it and try again.")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(0.05)
        if pid is not None and is_alive(pid):
            lock.unlink(missing_ok=True)  # the number was given to another program since, and PostgreSQL cannot tell

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a new connection in autocommit mode. Raises psycopg.OperationalError where nobody answers."""
        return psycopg.connect(
            host=str(self.socket_folder), port=PORT, user=USER, dbname=database, autocommit=True, connect_timeout=5
        )

    def is_ready(self) -> bool:
        """Say whether the server takes connections."""
        if not (self.socket_folder / f".s.PGSQL.{PORT}").exists():
            return False
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def make_database(self) -> None:
        """Create the project's database unless it is there; two callers at once are fine."""
        with self.connect() as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if row is None:
                with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def read_postmaster_pid(lock: Path) -> int | None:
    """Return the process id that PostgreSQL's lock file names, or None."""
    try:
        return abs(int(lock.read_text().splitlines()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None


def is_alive(pid: int) -> bool:
    """Say whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_postgres(pid: int) -> bool:
    """Say whether process `pid` is a PostgreSQL that still runs (a zombie does not)."""
    record = Path(f"/proc/{pid}/stat")
    if record.parent.parent.joinpath("self").exists():
        try:
            name, _, rest = record.read_text().partition("(")[2].rpartition(")")
        except OSError:
            return False
        state = rest.strip()
    else:  # no /proc, as on macOS
        answer = subprocess.run(["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True)
        state, _, name = answer.stdout.strip().partition(" ")
    return "postgres" in name and not state.startswith("Z")
