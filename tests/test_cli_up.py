"""`touchstone up` as people use it: started, killed in every part, stopped, started again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from config.backup import BackupError, run_restore
from config.embedded import Servers
from config.home import ROOT
from tests.installation import (
    TOUCHSTONE,
    Installation,
    find_processes,
    make_environment,
    wait_for_no_process,
)

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests here, so that only the first start has everything to do."""
    return tmp_path_factory.mktemp("installation")


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[], Installation]]:
    """Start `touchstone up` in the home; whatever a test leaves is ended."""
    started: list[Installation] = []

    def run() -> Installation:
        started.append(Installation(home))
        return started[-1]

    yield run
    for installation in started:
        installation.end()
    wait_for_no_process(home)


def stop(installation: Installation, number: int) -> None:
    """Send a signal to `touchstone up`; it must end in order, in time, and leave nothing."""
    stopped_at = time.monotonic()
    installation.process.send_signal(number)
    assert installation.process.wait(15) == 0
    assert time.monotonic() - stopped_at < 10
    assert find_processes(installation.home) == {}


def test_ctrl_c_stops_everything_and_the_next_start_is_quick(start: Callable[[], Installation], home: Path) -> None:
    first = start()
    first.wait_for_line("/setup/")
    assert re.search(rf"http://127\.0\.0\.1:{first.port}/setup/\S{{20,}}", first.output)
    first.wait_until_ready()
    assert len(find_processes(home)) >= 6
    stop(first, signal.SIGINT)
    again = start()
    again.wait_for_line("answers at")
    assert time.monotonic() - again.started_at < 10  # 2 to 3 s on an idle machine
    assert again.get("/healthz") == (200, '{"status": "ok"}')
    assert (home / "secrets" / "secret_key").stat().st_mode & 0o777 == 0o600
    servers = again.find("bin/postgres", "-D")
    answer = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--check"],
        env=make_environment(home, again.port),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert again.find("bin/postgres", "-D") == servers  # manage.py used them and left them alone


def test_every_killed_part_comes_back_and_sigterm_stops_all(start: Callable[[], Installation]) -> None:
    installation = start()
    installation.wait_until_ready()
    parts = [("pg18", "bin/postgres"), ("valkey",), ("celery", " worker "), ("celery", " beat "), ("granian",)]
    old = {words: installation.find(*words) for words in parts}
    assert all(old.values())
    for words in parts:
        os.kill(old[words][0], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not all(set(installation.find(*words)) - set(old[words]) for words in parts):
        assert time.monotonic() < deadline, installation.find()
        time.sleep(0.1)
    installation.wait_until_ready()
    left = {pid for pids in old.values() for pid in pids} & set(find_processes(installation.home))
    assert left == set()
    stop(installation, signal.SIGTERM)


def test_killed_supervisor_takes_everything_along_and_the_next_start_recovers(
    start: Callable[[], Installation], home: Path
) -> None:
    installation = start()
    installation.wait_until_ready()
    installation.process.kill()
    installation.process.wait()
    wait_for_no_process(home)
    again = start()
    again.wait_until_ready()


def test_used_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = subprocess.run(
            [*TOUCHSTONE, "up"], env=make_environment(tmp_path, port), cwd=ROOT, capture_output=True, text=True
        )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Port {port} on 127.0.0.1 cannot be used")
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def connect(servers: Servers) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the project's database."""
    return psycopg.connect(host=str(servers.socket_folder), user="touchstone", dbname="touchstone", autocommit=True)


def test_backup_comes_back_in_an_empty_home_and_is_refused_in_a_full_one(tmp_path: Path) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "backup.tar"

    def run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=make_environment(home, 8000), cwd=ROOT, capture_output=True, text=True)

    media = old / "media" / "ab" / "abcd"
    media.parent.mkdir(parents=True)
    media.write_bytes(b"\x00picture")
    with open_servers_of(old) as servers:
        assert run([sys.executable, "manage.py", "migrate"], old).returncode == 0
        with connect(servers) as connection:
            connection.execute("INSERT INTO django_session VALUES ('kept', 'data', now())")
        saved = run([*TOUCHSTONE, "backup", str(archive)], old)
    assert saved.returncode == 0, saved.stderr
    assert archive.stat().st_mode & 0o777 == 0o600
    with open_servers_of(new) as servers:
        restored = run([*TOUCHSTONE, "restore", str(archive)], new)
        assert restored.returncode == 0, restored.stderr
        with connect(servers) as connection:
            assert connection.execute("SELECT session_key FROM django_session").fetchall() == [("kept",)]
        refused = run([*TOUCHSTONE, "restore", str(archive)], new)
    assert (new / "media" / "ab" / "abcd").read_bytes() == b"\x00picture"
    assert refused.returncode == 1
    assert "--replace" in refused.stderr


@contextlib.contextmanager
def open_servers_of(home: Path) -> Iterator[Servers]:
    """Throw-away servers in `home`, for whatever commands run meanwhile."""
    servers = Servers(home, is_throwaway=True)
    try:
        servers.open()
        yield servers
    finally:
        servers.close()


def make_archive(path: Path, *members: tarfile.TarInfo) -> Path:
    """Write an archive of empty files."""
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member)
    return path


def make_link(name: str, target: str) -> tarfile.TarInfo:
    """Describe a symbolic link."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "member",
    [tarfile.TarInfo("media/../../escaped"), tarfile.TarInfo("/escaped"), make_link("media/escaped", "/etc"), None],
)
def test_archive_that_backup_did_not_write_changes_nothing(tmp_path: Path, member: tarfile.TarInfo | None) -> None:
    archive = make_archive(tmp_path / "backup.tar", *filter(None, [member]))
    home = tmp_path / "home"
    with pytest.raises(BackupError, match="not a whole backup"):
        run_restore(home, archive, is_replacing=True)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "home"]
