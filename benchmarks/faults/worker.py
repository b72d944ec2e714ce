"""A worker is stopped (SIGSTOP) in the middle of an import, past its heartbeat, and another one takes the job over.

Then the first is woken (SIGCONT), believes that it still has the job, and must be refused.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.chaos_kill import find_main, list_children
from benchmarks.faults.outcome import Outcome
from config.home import ROOT, get_socket_folder
from tests.annotators import Person, make_project
from tests.engineer import import_rows
from tests.installation import TOUCHSTONE, Installation, make_environment, wait_for_no_process

N_ROWS = 30_000
TAKE_OVER_SECONDS = 60.0  # a job is silent for thirty seconds, then the sweeper tells a worker of it every five
IDLE_SECONDS = 60.0  # a session that was left in the middle of a transaction is ended by the server after this long
REFUSED = "came too late"  # what the worker's log says of it


def run(options: argparse.Namespace) -> Outcome:
    """Do it `options.pauses` times, each at another moment of an import."""
    outcome = Outcome("worker")
    rng = Random(options.seed)
    home = Path(tempfile.mkdtemp(prefix="touchstone-worker-"))
    installation = Installation(home)
    conninfo = make_conninfo(host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone")
    try:
        installation.wait_until_ready(120)
        environment = make_environment(home, installation.port)
        tokens = make_project(environment, n_people=1, n_items=1)
        with contextlib.closing(psycopg.connect(conninfo, autocommit=True)) as connection:
            for number in range(options.pauses):
                facts = pause_once(installation, environment, tokens["olga"], connection, number, rng, outcome)
                outcome.note(**{f"pause_{number + 1}": facts})
    finally:
        installation.end()
        wait_for_no_process(home, 20)
        shutil.rmtree(home, ignore_errors=True)
    return outcome


def pause_once(
    installation: Installation,
    environment: dict[str, str],
    token: str,
    connection: psycopg.Connection[Any],
    number: int,
    rng: Random,
    outcome: Outcome,
) -> dict[str, object]:
    """Stop the worker in the middle of one import, and tell how it went."""
    main = find_main(installation, "celery", " worker ")[0]
    paused = [main, *list_children(main)]
    names = [f"row-{number}-{n}" for n in range(N_ROWS)]
    with contextlib.closing(Person(installation.port, token)) as olga:
        reply = import_rows(olga, "posts", names)
    outcome.expect(reply.status == 202, f"the import was not accepted: {reply}")
    job = int(reply.body["job"])
    wanted = rng.randrange(N_ROWS - 2000)
    ask = "select state, attempt, result ->> 'imported' from annotation_job where id = %s"
    begun = "select 1 from annotation_job where id = %s and state = 'running' and done >= %s"
    while connection.execute(begun, [job, wanted]).fetchone() is None:
        time.sleep(0.002)
    time.sleep(rng.random() * 0.1)
    moment = stop_between_statements(paused, connection)
    stopped_at = time.monotonic()
    limit = TAKE_OVER_SECONDS + (IDLE_SECONDS if moment == "a transaction" else 0)
    other = subprocess.Popen(
        [*TOUCHSTONE, "worker"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    taken_over: float | None = None
    done: float | None = None
    try:
        while done is None and time.monotonic() < stopped_at + limit + 30:
            state, attempt, _imported = connection.execute(ask, [job]).fetchone() or ("", 0, "")
            if taken_over is None and attempt == 2:
                taken_over = time.monotonic() - stopped_at
            if state == "done":
                done = time.monotonic() - stopped_at
            time.sleep(0.05)
    finally:
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
    log = installation.home / "logs" / "worker.log"
    deadline = time.monotonic() + 20
    while f"job {job}: attempt 1 {REFUSED}" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    is_refused = f"job {job}: attempt 1 {REFUSED}" in log.read_text()
    time.sleep(2)
    end = connection.execute(ask, [job]).fetchone()
    rows = connection.execute(
        "select count(*), count(distinct external_id) from annotation_item where external_id like %s",
        [f"row-{number}-%"],
    ).fetchone()
    stop(other)
    outcome.expect(taken_over is not None and taken_over < limit, f"nobody took over within {limit:.0f} s")
    outcome.expect(is_refused, "the worker that woke was not refused")
    outcome.expect(end == ("done", 2, str(N_ROWS)), f"the job is {end}")
    outcome.expect(rows == (N_ROWS, N_ROWS), f"{rows} rows instead of {N_ROWS}")
    return {
        "stopped in": moment,
        "taken over after": taken_over and round(taken_over, 1),
        "done after": done and round(done, 1),
        "the first was refused": is_refused,
        "rows": rows,
    }


def stop_between_statements(pids: list[int], connection: psycopg.Connection[Any]) -> str:
    """Stop the processes; say whether they are in a transaction.

    In the middle of a COPY the server waits for as long as its client is stopped, and the job with it: nothing is lost
    then, and nobody takes over. Such a moment is passed by.
    """
    while True:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        states = connection.execute(
            "select state from pg_stat_activity where backend_type = 'client backend' and xact_start is not null"
            " and pid <> pg_backend_pid() order by state"
        ).fetchall()
        if ("active",) not in states:
            return "a transaction" if states else "no transaction"
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.005)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a worker and its supervisor."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    process.kill()
    process.wait()
