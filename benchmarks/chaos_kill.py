"""`kill -9` of every part of an installation, in random order, while people label over HTTP and jobs run.

Every acknowledged answer is kept with the id that was told, and compared with what is stored in the end. After each
kill two times are taken: until an answer is acknowledged that was sent after the kill, and until the part that was
killed does its work again (all its processes are there and, where that is its work, a job is done or events are
delivered). The next kill comes two to four seconds after the last one, or as soon as the part is back. Every fifth kill
is of two parts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.verdict import judge
from config.home import get_socket_folder
from tests.annotators import Annotators, make_project
from tests.engineer import Engineer, run_ping
from tests.installation import Installation, make_environment, wait_for_no_process

LIMIT_SECONDS = 10.0  # the promise
PATIENCE_SECONDS = 60.0
PAIR_EVERY = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `chaos kill`."""
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--items", type=int, default=60_000, help="three people answer each")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between a person's requests")
    parser.add_argument("--job-every", type=float, default=2.0, help="seconds between imports of 500 rows")
    parser.add_argument("--only", help="kill this part alone: one of " + ", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="append the result to this file as a line of JSON")


def list_children(pid: int) -> list[int]:
    """The ids of a process's children, the oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return sorted(found)


def find_main(installation: Installation, *words: str) -> list[int]:
    """The process that the supervisor started for a part; empty while there is none."""
    started = set(list_children(installation.process.pid))
    return [pid for pid in installation.find(*words) if pid in started]


def find_below(installation: Installation, *words: str, name: str = "") -> list[int]:
    """The children of a part's main process; `name`: what their command line begins with and holds."""
    below = [pid for main in find_main(installation, *words) for pid in list_children(main)]
    return [pid for pid in below if name in read_command(pid)]


def read_command(pid: int) -> str:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class Part:
    """Something to kill: how to find its processes, and what shows that it works again beside an answer."""

    find: Callable[[Installation], list[int]]
    proof: str = ""  # "job": a job that was started since is done; "events": what was written since is delivered


PARTS = {
    "web": Part(lambda it: find_main(it, "granian")),
    "web process": Part(lambda it: find_below(it, "granian")),
    "worker": Part(lambda it: find_main(it, "celery", " worker "), "job"),
    "worker process": Part(lambda it: find_below(it, "celery", " worker "), "job"),
    "postgres": Part(lambda it: find_main(it, "bin/postgres", "-D")),
    "postgres backend": Part(lambda it: find_below(it, "bin/postgres", "-D", name="[local]")),
    "valkey": Part(lambda it: find_main(it, "valkey"), "job"),
    "beat": Part(lambda it: find_main(it, "celery", " beat "), "events"),
}


@dataclass(frozen=True)
class Kill:
    """What was killed, and the seconds until it was back (None: not in `PATIENCE_SECONDS`)."""

    part: str
    answer_after: float | None
    part_after: float | None

    @property
    def back_after(self) -> float:
        """Until answers are acknowledged and the part works."""
        times = (self.answer_after, self.part_after)
        return PATIENCE_SECONDS if None in times else max(time for time in times if time is not None)


class Range:
    """An installation to shoot at, with the people in it."""

    def __init__(self, home: Path, options: argparse.Namespace) -> None:
        self.home = home
        self.rng = Random(options.seed)
        self.conninfo = make_conninfo(host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone")
        self.installation = Installation(home, WEB_WORKERS="2", WEB_THREADS="8", WORKER_PROCESSES="2")
        self.installation.wait_until_ready(120)
        self.environment = make_environment(home, self.installation.port)
        self.tokens = make_project(self.environment, n_people=options.clients, n_items=options.items)
        self.annotators = Annotators(self.installation.port, self.tokens, pause=options.pause)
        self.engineer = Engineer(self.installation.port, self.tokens["olga"], every=options.job_every, n_rows=500)
        self.n_pings = 0

    def kill(self, names: list[str]) -> Kill:
        """Kill one process of each of these parts at the same moment, and wait until all is well again."""
        before = {name: len(self._wait_for(name)) for name in names}
        victims = [self.rng.choice(self._wait_for(name)) for name in names]
        killed_at = time.monotonic()
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        answer_after = self.annotators.wait_for_answer(killed_at, PATIENCE_SECONDS)
        proofs = {PARTS[name].proof for name in names}
        is_back = all(self._is_whole(name, n, victims, killed_at) for name, n in before.items())
        if is_back and proofs - {""}:
            self.n_pings += 1
            patience = killed_at + PATIENCE_SECONDS - time.monotonic()
            is_back = (
                run_ping(self.installation.port, self.tokens["olga"], f"ping-{self.n_pings}", patience) is not None
            )
        if is_back and "events" in proofs:
            is_back = self._are_events_delivered(killed_at)
        # A web server's orphans answer for a moment: what counts is an answer that was asked for when all was back.
        asked_at = time.monotonic()
        is_back = is_back and self.annotators.wait_for_answer(asked_at, PATIENCE_SECONDS) is not None
        part_after = time.monotonic() - killed_at if is_back else None
        return Kill(" + ".join(names), answer_after, part_after)

    def _wait_for(self, name: str) -> list[int]:
        """The processes of a part, when it has some."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := PARTS[name].find(self.installation)):
            assert time.monotonic() < deadline, f"there is no {name}"
            time.sleep(0.05)
        return found

    def _is_whole(self, name: str, n_wanted: int, victims: list[int], since: float) -> bool:
        """Wait until a part has as many processes as it had, without those that were killed; PostgreSQL's sessions come
        as they are needed."""
        n_wanted = 1 if name == "postgres backend" else n_wanted
        while time.monotonic() < since + PATIENCE_SECONDS:
            if len(set(PARTS[name].find(self.installation)) - set(victims)) >= n_wanted:
                return True
            time.sleep(0.05)
        return False

    def _are_events_delivered(self, since: float) -> bool:
        """Wait until every consumer has read what is written by now (the job that was just done wrote some)."""
        with contextlib.closing(psycopg.connect(self.conninfo, autocommit=True)) as connection:
            newest = connection.execute("select max(id) from annotation_event").fetchone()
            while time.monotonic() < since + PATIENCE_SECONDS:
                behind = connection.execute(
                    "select count(*) from annotation_eventposition p, annotation_event e"
                    " where e.id = %s and e.xid >= p.xid",
                    newest,
                ).fetchone()
                if behind == (0,):
                    return True
                time.sleep(0.05)
        return False

    def end(self) -> None:
        """Stop everything that runs."""
        self.annotators.stop()
        self.engineer.stop()
        self.installation.end()
        wait_for_no_process(self.home, 20)


def choose(rng: Random, number: int, only: str | None) -> list[str]:
    """The parts to kill next: a random one, now and then two."""
    if only:
        return [only]
    if number % PAIR_EVERY == PAIR_EVERY - 1:
        return rng.sample(list(PARTS), 2)
    return [rng.choice(list(PARTS))]


def print_table(kills: list[Kill]) -> None:
    """Times by part."""
    by_part: dict[str, list[Kill]] = defaultdict(list)
    for kill in kills:
        by_part["two at once" if " + " in kill.part else kill.part].append(kill)
    print(f"\n{'killed':18} {'kills':>5}   {'first answer after':>22}   {'part works after':>22}")
    print(f"{'':18} {'':>5}   {'median':>10} {'longest':>11}   {'median':>10} {'longest':>11}")
    for part, found in sorted(by_part.items()):
        answers = [PATIENCE_SECONDS if kill.answer_after is None else kill.answer_after for kill in found]
        backs = [kill.back_after for kill in found]
        print(
            f"{part:18} {len(found):5}   {statistics.median(answers):8.2f} s {max(answers):9.2f} s"
            f"   {statistics.median(backs):8.2f} s {max(backs):9.2f} s"
        )


def run(options: argparse.Namespace) -> int:
    """Kill as often as wanted; 0 where nothing was lost or doubled and everything was back in time."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-kill-"))
    began = time.monotonic()
    field = Range(home, options)
    kills: list[Kill] = []
    try:
        field.annotators.start()
        field.engineer.start()
        field.annotators.wait_for_more(100, 60)
        for number in range(options.kills):
            next_at = time.monotonic() + field.rng.uniform(2, 4)
            kills.append(field.kill(choose(field.rng, number, options.only)))
            latest = kills[-1]
            mark = "" if latest.back_after <= LIMIT_SECONDS else "  TOO SLOW"
            print(
                f"{number + 1:4} {latest.part:34} answer {latest.answer_after or -1:6.2f} s"
                f"   part {latest.part_after or -1:6.2f} s   {len(field.annotators.acknowledged):7} acknowledged{mark}",
                flush=True,
            )
            time.sleep(max(0.0, next_at - time.monotonic()))
        field.installation.wait_until_ready(60)
        verdict = judge(field.annotators, field.engineer, conninfo=field.conninfo, environment=field.environment)
        if not verdict.faults:
            field.end()
            shutil.rmtree(home, ignore_errors=True)
    finally:
        field.end()
    print_table(kills)
    slow = [kill for kill in kills if kill.back_after > LIMIT_SECONDS]
    print(f"\n{len(kills)} kills in {time.monotonic() - began:.0f} s, {options.clients} people: {verdict}")
    print(f"{len(slow)} of {len(kills)} took longer than {LIMIT_SECONDS:.0f} s; load average {os.getloadavg()[2]:.1f}")
    if verdict.faults:
        print(f"the installation's files and logs are left in {home}")
    if options.out:
        with options.out.open("a") as out:
            record = {"chaos": "kill", **asdict(verdict), "kills": [asdict(kill) for kill in kills]}
            out.write(json.dumps(record) + "\n")
    return 1 if verdict.faults or slow else 0
