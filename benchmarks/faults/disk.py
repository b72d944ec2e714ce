"""The database's disk is full: 503 and no false 2xx while it is, and work goes on by itself once there is room.

The disk is a small tmpfs, filled by a file. `data`: only the tables are on it, so that PostgreSQL refuses what needs
room. `disk`: everything is, and PostgreSQL stops where it cannot write its log; the supervisor starts it again and
again. Only root may mount.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.faults.outcome import Outcome
from benchmarks.verdict import judge
from config.embedded import Servers
from config.home import get_socket_folder
from tests.annotators import Annotators, make_project
from tests.engineer import run_ping
from tests.installation import Installation, make_environment, wait_for_no_process

HEAL_SECONDS = 30.0  # the promise
DISK_MEGABYTES = 300


def run_data(options: argparse.Namespace) -> Outcome:
    """The tables alone are on the full disk."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-disk-"))
    servers = Servers(home, with_valkey=False)
    servers.open()
    servers.close()
    (data,) = home.glob("pg*")
    tables = data / "base"
    tables.rename(data / "base.before")
    tables.mkdir(mode=0o700)
    try:
        with mount(tables):
            shutil.copytree(data / "base.before", tables, dirs_exist_ok=True)
            shutil.rmtree(data / "base.before")
            return fill_up("data", home, tables, options)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run_all(options: argparse.Namespace) -> Outcome:
    """The whole home is on the full disk."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-disk-"))
    try:
        with mount(home):
            return fill_up("disk", home, home, options)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def mount(folder: Path) -> Iterator[None]:
    """Have a small file system in `folder` for the duration of a `with` block."""
    size = f"size={DISK_MEGABYTES}m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(name: str, home: Path, disk: Path, options: argparse.Namespace) -> Outcome:
    """Label, fill the disk, go on trying, make room, and see how soon answers are taken again."""
    outcome = Outcome(name)
    installation = Installation(home, WEB_WORKERS="2")
    try:
        installation.wait_until_ready(120)
        environment = make_environment(home, installation.port)
        conninfo = make_conninfo(host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone")
        tokens = make_project(environment, n_people=options.clients, n_items=20_000)
        annotators = Annotators(installation.port, tokens, pause=options.pause)
        annotators.start()
        annotators.wait_for_more(100, 60)
        time.sleep(3)
        fill(disk / "fill")
        full_at = time.monotonic()
        if name == "disk":  # the next piece of the log is needed now, and not only when this one is full
            with contextlib.suppress(psycopg.Error), psycopg.connect(conninfo, autocommit=True) as connection:
                for _piece in range(20):
                    connection.execute("select pg_switch_wal()")
                    connection.execute("create table if not exists room (filler text)")
                    connection.execute("insert into room values (repeat('x', 8000))")
        time.sleep(options.full_seconds)
        before = dict(annotators.statuses)
        time.sleep(3)  # only what nobody could store any more
        late = {status: n - before.get(status, 0) for status, n in annotators.statuses.items()}
        (disk / "fill").unlink()
        freed_at = time.monotonic()
        answer_after = annotators.wait_for_answer(freed_at, HEAL_SECONDS)
        job_after = run_ping(installation.port, tokens["olga"], "ping", 2 * HEAL_SECONDS)
        time.sleep(3)
        verdict = judge(annotators, None, conninfo=conninfo, environment=environment)
        accepted = sum(full_at + 1 < at < freed_at for at in annotators.get_times())
        outcome.note(
            seconds_full=round(freed_at - full_at),
            answers_taken_meanwhile=accepted,
            replies_in_the_last_three_seconds_by_status=late,
            first_answer_after_room_was_made=answer_after and round(answer_after, 2),
            job_done_after=job_after and round(job_after, 2),
            starts_of_PostgreSQL=count_starts(home),
            in_the_end=str(verdict),
        )
        outcome.blame(verdict.faults)
        outcome.expect(answer_after is not None, f"no answer within {HEAL_SECONDS:.0f} s of room being made")
        outcome.expect(job_after is not None and job_after < HEAL_SECONDS, "no job was done in time after")
        outcome.expect(late.get(503, 0) > 0, "nobody was told 503: the disk was not full")
        outcome.expect(late.get(201, 0) == 0, "answers were still taken at the end: the disk was not full")
    finally:
        installation.end()
        wait_for_no_process(home, 20)
    return outcome


def fill(path: Path) -> None:
    """Write a file until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass


def count_starts(home: Path) -> int:
    """How often PostgreSQL became ready to take connections, by its log."""
    return (home / "logs" / "postgres.log").read_text(errors="replace").count("ready to accept connections")
