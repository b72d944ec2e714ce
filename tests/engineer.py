"""Somebody who starts jobs over HTTP and keeps what was promised: each accepted job must be done, once, in the end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass

import psycopg

from tests.annotators import Person, Reply

ENDED = ("done", "failed", "dead")


def import_rows(person: Person, slug: str, names: list[str]) -> Reply:
    """Send rows with these external ids to be imported."""
    rows = [json.dumps({"external_id": name, "text": f"the text of {name}"}) for name in names]
    return person.send(f"projects/{slug}/items", "\n".join(rows).encode())


def run_ping(port: int, token: str, name: str, seconds: float) -> float | None:
    """Have one row imported, started anew until one job is done; return the seconds that took, None: too long."""
    began = time.monotonic()
    with contextlib.closing(Person(port, token)) as person:
        number = 0
        while time.monotonic() < began + seconds:
            number += 1
            started = import_rows(person, "ping", [f"{name}-{number}"])
            if started.status != 202:
                time.sleep(0.1)
                continue
            patience = time.monotonic() + 30
            while time.monotonic() < min(patience, began + seconds):
                if (person.send(f"jobs/{started.body['job']}", method="GET").body or {}).get("state") == "done":
                    return time.monotonic() - began
                time.sleep(0.05)
    return None


@dataclass(frozen=True)
class Promise:
    """A job that was accepted (202), and the rows that it is to bring."""

    job: int
    names: tuple[str, ...]
    at: float


class Engineer:
    """Starts an import into the project `posts` every few seconds, until told to stop."""

    def __init__(self, port: int, token: str, *, every: float, n_rows: int) -> None:
        self.promises: list[Promise] = []
        self.slowest = 0.0  # seconds that a request took at most
        self._every = every
        self._n_rows = n_rows
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, token), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more jobs."""
        self._is_over.set()
        self._thread.join(30)

    def _run(self, port: int, token: str) -> None:
        number = 0
        with contextlib.closing(Person(port, token)) as person:
            while not self._is_over.wait(self._every):
                number += 1
                names = [f"post-{number}-{n}" for n in range(self._n_rows)]
                began = time.monotonic()
                reply = import_rows(person, "posts", names)
                self.slowest = max(self.slowest, time.monotonic() - began)
                if reply.status == 202:
                    self.promises.append(Promise(int(reply.body["job"]), tuple(names), time.monotonic()))

    def find_broken(self, conninfo: str, seconds: float) -> list[str]:
        """Wait until every accepted job has ended; say which are not done, and which rows not there once."""
        jobs = [promise.job for promise in self.promises]
        deadline = time.monotonic() + seconds
        states: dict[int, str] = {}
        with contextlib.closing(psycopg.connect(conninfo, autocommit=True)) as connection:
            while time.monotonic() < deadline and not (
                len(states) == len(jobs) and all(state in ENDED for state in states.values())
            ):
                found = connection.execute("select id, state from annotation_job where id = any(%s)", [jobs])
                states = {int(job): str(state) for job, state in found}
                time.sleep(0.1)
            ends = connection.execute(
                "select id, state, attempt, error from annotation_job where id = any(%s) and state <> 'done'", [jobs]
            ).fetchall()
            rows = connection.execute(
                "select i.external_id, count(*) from annotation_item i"
                " join annotation_project p on p.id = i.project_id and p.slug = 'posts'"
                " join annotation_import m on m.id = i.imported_by_id and m.is_visible group by 1"
            ).fetchall()
        stored = {str(name): int(n) for name, n in rows}
        broken = [f"job {job}: {state} after {attempt} attempts: {error}" for job, state, attempt, error in ends]
        broken += [f"job {job}: absent" for job in jobs if job not in states]
        broken += [
            f"{name}: {stored.get(name, 0)} times"
            for promise in self.promises
            for name in promise.names
            if states.get(promise.job) == "done" and stored.get(name) != 1
        ]
        return broken
