"""The broker goes with all its data, for a minute: people label on, and every job started meanwhile is done later."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.faults.outcome import Outcome
from benchmarks.verdict import judge
from config.embedded.binaries import find_valkey
from config.embedded.valkey import answers_ping
from config.home import get_socket_folder
from tests.annotators import Annotators, Person, make_project
from tests.engineer import Engineer, import_rows
from tests.installation import Installation, make_environment, wait_for_no_process

QUIET_SECONDS = 20.0  # with the broker, to compare with
BACKLOG_SECONDS = 60.0  # the promise: by then all jobs are done
LONG_ROWS = 40_000  # of the import that is running when the broker goes
GAP_SECONDS = 5.0  # nobody may wait that long for an answer while the broker is gone


class Broker:
    """A Valkey that nobody starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"redis+socket://{quote(str(self.socket))}"
        self.start()

    def start(self) -> None:
        """Start it, on what is in its folder."""
        self.folder.mkdir(exist_ok=True)
        command = [find_valkey(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self._process = subprocess.Popen([*command, "--appendonly", "yes", "--save", ""], stdout=subprocess.DEVNULL)
        while not answers_ping(self.socket):
            time.sleep(0.02)

    def destroy(self) -> None:
        """Kill it, and remove all that it has stored."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)


def run(options: argparse.Namespace) -> Outcome:
    """Do it, for `options.seconds`."""
    outcome = Outcome("broker")
    home = Path(tempfile.mkdtemp(prefix="touchstone-broker-"))
    broker = Broker(home / "outside")
    installation = Installation(home, BROKER_URL=broker.url, WEB_WORKERS="2", WORKER_PROCESSES="2")
    try:
        installation.wait_until_ready(120)
        environment = make_environment(home, installation.port, BROKER_URL=broker.url)
        conninfo = make_conninfo(host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone")
        tokens = make_project(environment, n_people=options.clients, n_items=40_000)
        annotators = Annotators(installation.port, tokens, pause=options.pause)
        engineer = Engineer(installation.port, tokens["olga"], every=1.0, n_rows=20)
        annotators.start()
        annotators.wait_for_more(100, 60)
        began = time.monotonic()
        time.sleep(QUIET_SECONDS)
        long_job = start_long_job(installation.port, tokens["olga"], conninfo)
        gone_at = time.monotonic()
        broker.destroy()
        engineer.start()
        time.sleep(options.seconds)
        engineer.stop()
        back_at = time.monotonic()
        broker.start()
        jobs_done_after = wait_for_jobs(conninfo, engineer, back_at)
        long_end = read_job(conninfo, long_job)
        verdict = judge(annotators, engineer, conninfo=conninfo, environment=environment)
        times = annotators.get_times()
        with_broker = sum(began <= at < gone_at for at in times) / (gone_at - began)
        without = [gone_at, *(at for at in times if gone_at <= at < back_at), back_at]
        gap = max(later - earlier for earlier, later in itertools.pairwise(without))
        rate = (len(without) - 2) / (back_at - gone_at)
        outcome.note(
            answers_a_second_with_the_broker=round(with_broker, 1),
            answers_a_second_without=round(rate, 1),
            longest_time_without_an_answer=round(gap, 2),
            jobs_started_without_the_broker=len(engineer.promises),
            slowest_start_of_a_job=round(engineer.slowest, 2),
            jobs_done_after=jobs_done_after,
            job_that_ran_when_it_went=long_end,
            in_the_end=str(verdict),
        )
        outcome.blame(verdict.faults)
        outcome.expect(long_end == ("done", 1), f"the job that ran when the broker went is {long_end}")
        outcome.expect(gap < GAP_SECONDS, f"no answer for {gap:.1f} s")
        outcome.expect(rate > 0.5 * with_broker, "people labelled at less than half the rate")
        outcome.expect(len(engineer.promises) >= 0.5 * options.seconds / 2, "jobs were not accepted without the broker")
        outcome.expect(jobs_done_after is not None, f"jobs not done {BACKLOG_SECONDS:.0f} s after")
    finally:
        installation.end()
        wait_for_no_process(broker.folder.parent / "run", 20)
        broker.destroy()
        shutil.rmtree(home, ignore_errors=True)
    return outcome


def start_long_job(port: int, token: str, conninfo: str) -> int:
    """Start an import of some seconds, and return when a worker has begun with it."""
    with contextlib.closing(Person(port, token)) as person:
        job = int(import_rows(person, "ping", [f"long-{n}" for n in range(LONG_ROWS)]).body["job"])
    while read_job(conninfo, job)[0] != "running":
        time.sleep(0.02)
    return job


def read_job(conninfo: str, job: int) -> tuple[str, int]:
    """State and attempts of a job."""
    with contextlib.closing(psycopg.connect(conninfo)) as connection:
        row = connection.execute("select state, attempt from annotation_job where id = %s", [job]).fetchone()
    assert row is not None
    return str(row[0]), int(row[1])


def wait_for_jobs(conninfo: str, engineer: Engineer, since: float) -> float | None:
    """Seconds from `since` until every accepted job is done; None where that takes longer than promised."""
    jobs = [promise.job for promise in engineer.promises]
    with contextlib.closing(psycopg.connect(conninfo, autocommit=True)) as connection:
        while (taken := time.monotonic() - since) < BACKLOG_SECONDS:
            done = connection.execute(
                "select count(*) from annotation_job where id = any(%s) and state = 'done'", [jobs]
            ).fetchone()
            if done == (len(jobs),):
                return round(taken, 2)
            time.sleep(0.1)
    return None
