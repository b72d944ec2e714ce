"""label-studio as its documentation sets it up for many people: PostgreSQL, gunicorn with several processes.

It is installed into a virtual environment of its own in the temporary folder, once; never a dependency of the project.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.measuring import say
from config.embedded import Servers
from config.home import get_socket_folder
from tests.installation import find_free_port

VERSION = "1.23.2"
PACKAGES = (f"label-studio=={VERSION}", "psycopg2-binary", "gunicorn", "httpx", "psutil")
DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")
ADMINISTRATOR = "admin@example.com"
START_SECONDS = 300.0


def get_default_venv() -> Path:
    """Where label-studio is installed unless the command line says otherwise."""
    return Path(tempfile.gettempdir()) / "label-studio-venv"


def install(venv: Path) -> None:
    """Install label-studio and what the workload harness needs into `venv`, unless it is there."""
    if (venv / "bin" / "label-studio").exists():
        return
    say(f"installing label-studio {VERSION} into {venv}: some minutes, a gigabyte ...")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)


class Studio:
    """A running label-studio with a PostgreSQL of its own, in `folder`."""

    def __init__(self, folder: Path, venv: Path, processes: int = 8) -> None:
        self.folder, self.venv, self.processes = folder, venv, processes
        self.token = secrets.token_hex(20)
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "label-studio.log").open("ab")
        self._servers = self._open_database()
        self._environment = self._make_environment()
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self._make_tables()
            self.process = self._start_gunicorn()
        except BaseException:
            self.end()
            raise

    def _open_database(self) -> Servers:
        chosen = os.environ.get("TOUCHSTONE_POSTGRES_BIN")
        if not chosen and DEBIAN_POSTGRES.exists():
            os.environ["TOUCHSTONE_POSTGRES_BIN"] = str(DEBIAN_POSTGRES)
        try:
            servers = Servers(self.folder / "database", with_valkey=False)
            servers.open()
        finally:
            if not chosen:
                os.environ.pop("TOUCHSTONE_POSTGRES_BIN", None)
        return servers

    def _make_environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO", "TOUCHSTONE", "PG", "PYTHON"))
        }
        return {
            **kept,
            "DJANGO_DB": "default",  # its name for PostgreSQL
            "POSTGRE_HOST": str(get_socket_folder(self.folder / "database")),
            "POSTGRE_PORT": "5432",
            "POSTGRE_USER": "touchstone",
            "POSTGRE_NAME": "touchstone",
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder / "data"),
            "SECRET_KEY": secrets.token_hex(32),
            # nothing is sent anywhere, which would only slow it down
            "COLLECT_ANALYTICS": "False",
            "LATEST_VERSION_CHECK": "False",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        }

    def _make_tables(self) -> None:
        """Let it start once by its own command, which makes the tables, the administrator and the token."""
        say("label-studio makes its tables ...")
        command = [str(self.venv / "bin" / "label-studio"), "start", "--no-browser", "--internal-host", "127.0.0.1"]
        command += ["-p", str(self.port), "--username", ADMINISTRATOR, "--password", secrets.token_hex(12)]
        command += ["--user-token", self.token, "--enable-legacy-api-token"]
        process = self._start(command)
        try:
            self._wait(process)
        finally:
            process.terminate()
            process.wait(30)

    def _start_gunicorn(self) -> subprocess.Popen[bytes]:
        package = next((self.venv / "lib").glob("python3*/site-packages/label_studio"))
        command = [str(self.venv / "bin" / "gunicorn"), "--workers", str(self.processes), "--timeout", "300"]
        command += ["--chdir", str(package), "--bind", f"127.0.0.1:{self.port}", "--log-level", "warning"]
        self._environment["DJANGO_SETTINGS_MODULE"] = "core.settings.label_studio"
        process = self._start([*command, "core.wsgi:application"])
        self._wait(process)
        return process

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers; fail with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / "label-studio.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"label-studio did not start:\n{tail}")
            time.sleep(0.5)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def end(self) -> None:
        """Stop it and its database, and take its files away."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._servers.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
