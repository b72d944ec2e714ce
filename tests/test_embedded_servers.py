"""The embedded servers are killed, shared, inherited and put in awkward places, and lose nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from config.embedded import EmbeddedError, Servers, processes
from config.embedded.ownership import Ownership
from config.embedded.postgres import is_alive
from config.embedded.processes import ChildSpec, Supervisor
from config.embedded.valkey import answers_ping
from config.home import HomeError, get_secret_key, get_socket_folder, make_private_folder

pytestmark = pytest.mark.embedded

# Opens the home in its first argument, says who it is and which processes it runs, and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from config.embedded import Servers
servers = Servers(Path(sys.argv[1]))
servers.open()
print("owner" if servers.is_owner else "guest", *servers.supervisor.list_pids().values(), flush=True)
sys.stdin.read()
servers.close()
"""

Holder = tuple[subprocess.Popen[str], str, list[int]]


def connect(home: Path) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the project's database in `home`."""
    return psycopg.connect(
        host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone", autocommit=True, connect_timeout=5
    )


def count_rows(home: Path) -> int:
    """Return how many rows the table `kept` holds, or -1 while nobody answers."""
    try:
        with connect(home) as connection:
            row = connection.execute("SELECT count(*) FROM kept").fetchone()
    except psycopg.OperationalError:
        return -1
    assert row is not None
    return int(str(row[0]))


def write_rows(home: Path, n: int) -> None:
    """Make the table `kept` anew and commit `n` rows to it."""
    with connect(home) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, %s) AS id", [n])


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return when `condition` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Say whether the process still runs; a zombie, whose new parent has not looked yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Durable servers in a home of their own, owned by this process, for all tests here that leave them running."""
    servers = Servers(tmp_path_factory.mktemp("servers") / "home")
    servers.open()
    yield servers
    servers.close()


@pytest.fixture
def hold() -> Iterator[Callable[[Path], Holder]]:
    """Start a process that opens a home: the process, "owner" or "guest", and the ids of the servers that it runs."""
    processes: list[subprocess.Popen[str]] = []

    def start(home: Path) -> Holder:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        role, *pids = process.stdout.readline().split()
        return process, role, [int(pid) for pid in pids]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_killed_postgres_comes_back_with_all_committed_rows(servers: Servers) -> None:
    write_rows(servers.home, 50_000)
    pid = servers.supervisor.list_pids()["postgres"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: count_rows(servers.home) == 50_000)
    assert servers.supervisor.list_pids()["postgres"] != pid


def test_killed_valkey_comes_back_with_its_queue(servers: Servers) -> None:
    redis = pytest.importorskip("redis")
    path = servers.socket_folder / "valkey.sock"
    with redis.Redis(unix_socket_path=str(path)) as client:
        client.rpush("queue", *range(100))
        time.sleep(1.2)  # the log reaches the disk every second
    os.kill(servers.supervisor.list_pids()["valkey"], signal.SIGKILL)
    wait_until(lambda: not answers_ping(path))
    wait_until(lambda: answers_ping(path))
    with redis.Redis(unix_socket_path=str(path)) as client:
        assert client.llen("queue") == 100


def test_killed_supervisor_takes_its_servers_along_and_leaves_no_lock(
    tmp_path: Path, hold: Callable[[Path], Holder]
) -> None:
    process, role, pids = hold(tmp_path)
    assert role == "owner"
    assert len(pids) == 2
    write_rows(tmp_path, 1_000)
    process.kill()
    wait_until(lambda: not any(is_running(pid) for pid in pids))
    _, role, _ = hold(tmp_path)
    assert role == "owner"
    assert count_rows(tmp_path) == 1_000


def test_second_process_shares_the_servers_of_the_first(servers: Servers, hold: Callable[[Path], Holder]) -> None:
    write_rows(servers.home, 10)
    process, role, pids = hold(servers.home)
    assert role == "guest"
    assert pids == []
    process.communicate("")
    assert process.returncode == 0
    assert count_rows(servers.home) == 10


def test_guest_takes_over_when_the_owner_is_killed(tmp_path: Path, hold: Callable[[Path], Holder]) -> None:
    owner, _, pids = hold(tmp_path)
    write_rows(tmp_path, 10)
    _, role, _ = hold(tmp_path)
    assert role == "guest"
    owner.kill()
    wait_until(lambda: not any(is_running(pid) for pid in pids))
    wait_until(lambda: count_rows(tmp_path) == 10)


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    servers = Servers(tmp_path, is_throwaway=True)
    servers.open()
    pids = servers.supervisor.list_pids()
    servers.close()
    assert sorted(pids) == ["postgres", "valkey"]
    assert not any(is_alive(pid) for pid in pids.values())


@pytest.mark.parametrize("name", ["a folder with spaces, 'quotes' and ünïcode", "deep/" * 30 + "home"])
def test_servers_run_in_awkward_places(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    servers = Servers(home, is_throwaway=True)
    servers.open()
    try:
        write_rows(home, 3)
        assert count_rows(home) == 3
        assert answers_ping(get_socket_folder(home) / "valkey.sock")
    finally:
        servers.close()
        for path in get_socket_folder(home).iterdir():
            path.unlink()
        get_socket_folder(home).rmdir()


def test_nobody_else_may_enter_data_or_sockets(servers: Servers) -> None:
    (data,) = servers.home.glob("pg*")
    assert data.stat().st_mode & 0o077 == 0
    assert servers.socket_folder.stat().st_mode & 0o077 == 0


def test_server_listens_on_no_network_and_commits_to_disk(servers: Servers) -> None:
    with connect(servers.home) as connection:
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN"
            " ('listen_addresses', 'synchronous_commit', 'fsync', 'full_page_writes', 'server_encoding')"
        ).fetchall()
    settings = {str(name): setting for name, setting in rows}
    assert settings == {
        "listen_addresses": "",
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
    }


def test_postgres_log_holds_nothing_that_people_wrote(servers: Servers) -> None:
    with connect(servers.home) as connection:
        connection.execute("CREATE TABLE texts (body text UNIQUE)")
        connection.execute("INSERT INTO texts VALUES ('very private words')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO texts VALUES ('very private words')")
    log = (servers.home / "logs" / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "private" not in log


@pytest.mark.skipif(os.getuid() != 0, reason="only root has something to give up")
def test_root_gives_up_root_where_namespaces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_NO_NAMESPACE", "1")
    home = Path(tempfile.mkdtemp(prefix="touchstone-"))
    home.chmod(0o755)  # pytest's own folders are closed to everybody else
    try:
        for _start in range(2):
            servers = Servers(home, is_throwaway=True)
            servers.open()
            pid = servers.supervisor.list_pids()["postgres"]
            assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
            servers.close()
    finally:
        shutil.rmtree(home)


def test_half_made_data_folder_is_made_again(tmp_path: Path) -> None:
    leftover = tmp_path / "pg18.new-12345"
    leftover.mkdir()
    (leftover / "PG_VERSION").write_text("18\n")
    servers = Servers(tmp_path, with_valkey=False, is_throwaway=True)
    servers.open()
    servers.close()
    assert [path.name for path in tmp_path.glob("pg*")] == ["pg18"]


def test_lock_file_that_names_a_stranger_does_not_stop_the_start(tmp_path: Path) -> None:
    servers = Servers(tmp_path, with_valkey=False, is_throwaway=True)
    servers.open()
    servers.close()
    stranger = subprocess.Popen(["sleep", "60"])
    (tmp_path / "pg18" / "postmaster.pid").write_text(f"{stranger.pid}\n{tmp_path / 'pg18'}\n0\n5432\n\n\n")
    servers = Servers(tmp_path, with_valkey=False, is_throwaway=True)
    try:
        servers.open()
        assert stranger.poll() is None
    finally:
        servers.close()
        stranger.kill()
        stranger.wait()


def test_data_of_an_unknown_major_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pg99").mkdir()
    (tmp_path / "pg99" / "PG_VERSION").write_text("99\n")
    servers = Servers(tmp_path, with_valkey=False)
    try:
        with pytest.raises(EmbeddedError, match="written by PostgreSQL 99"):
            servers.open()
    finally:
        servers.close()


def test_server_that_cannot_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    servers = Servers(tmp_path, with_valkey=False, is_throwaway=True)
    servers.open()
    servers.close()
    (tmp_path / "pg18" / "postgresql.conf").write_text("no_such_setting = on\n")
    servers = Servers(tmp_path, with_valkey=False, is_throwaway=True)
    try:
        with pytest.raises(EmbeddedError, match="no_such_setting"):
            servers.open()
    finally:
        servers.close()


def test_lock_is_held_once_and_goes_with_its_holder(tmp_path: Path) -> None:
    first, second = Ownership(tmp_path / "lock"), Ownership(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(HomeError, match="is not a folder of this user"):
        make_private_folder(tmp_path / "link")


def test_secret_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    key = get_secret_key(tmp_path)
    assert len(key) > 60
    assert get_secret_key(tmp_path) == key
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["secret_key"]


def test_children_stop_by_rank_and_then_the_last_added_first(tmp_path: Path) -> None:
    program = "import signal, sys, time; signal.signal(15, lambda *_: (print(sys.argv[1], flush=True), sys.exit())); "
    program += "print('up', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    supervisor = Supervisor()
    for name, rank in [("server 1", 0), ("server 2", 0), ("web", 3), ("worker", 1)]:
        spec = ChildSpec(name=name, command=[sys.executable, "-c", program, name], log=log, stop_rank=rank)
        supervisor.add(spec)
    wait_until(lambda: log.exists() and log.read_text().count("up") == 4)
    supervisor.stop()
    assert log.read_text().splitlines()[4:] == ["web", "worker", "server 2", "server 1"]


def test_program_that_ends_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    log, events = tmp_path / "log", list[str]()
    supervisor = Supervisor(on_event=events.append)
    supervisor.add(ChildSpec(name="brief", command=["sh", "-c", "echo run; exit 3"], log=log))
    wait_until(lambda: len(events) >= 3)
    supervisor.stop()
    assert events[0] == "brief ended (exit 3) and is started again"
    assert 3 <= log.read_text().count("run") <= 4


def test_program_that_worked_for_a_while_is_started_again_at_once_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STEADY_SECONDS", 0.2)
    log = tmp_path / "log"
    supervisor = Supervisor()
    supervisor.add(ChildSpec(name="brief", command=["sh", "-c", "echo run; sleep 0.3"], log=log))
    wait_until(lambda: log.exists() and log.read_text().count("run") >= 6, 10)
    supervisor.stop()
