"""Connections cut where it hurts: between web server and database, and between a program and the web server.

`database`: a proxy breaks the connection in place of each answer of the database in turn, then at random bytes, while
one person works; then everywhere at once while twenty do. `client`: the sender of an answer is gone before it comes.
Each request is then repeated under its key, and all replies must name the one annotation that is stored.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psycopg

from benchmarks.faults.outcome import Outcome
from benchmarks.verdict import judge
from config.embedded import Servers
from config.embedded.postgres import DATABASE, PORT, USER
from config.home import ROOT
from tests.annotators import Annotators, Person, Reply, make_project
from tests.installation import make_environment, wait_for_no_process
from tests.proxy import Direction, Proxy
from tests.web_server import WebServer

STORM_SECONDS = 30.0
MAX_TRIES = 5


@dataclass
class Site:
    """A web server whose way to the database is a proxy, and a project in it."""

    web: WebServer
    proxy: Proxy
    tokens: dict[str, str]
    conninfo: str
    environment: dict[str, str]

    def read_annotations(self, key: str) -> set[int]:
        """The annotations that are stored under a key."""
        with contextlib.closing(psycopg.connect(self.conninfo)) as connection:
            return {
                int(row[0])
                for row in connection.execute("select id from annotation_annotation where key = %s", [key]).fetchall()
            }


@contextlib.contextmanager
def open_site(n_people: int) -> Iterator[Site]:
    """Start the servers, and end them."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-cuts-"))
    servers = Servers(home)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(servers.close)
        servers.open()
        proxy = Proxy(servers.socket_folder / f".s.PGSQL.{PORT}")
        stack.callback(proxy.close)
        broker_url = f"redis+socket://{servers.socket_folder / 'valkey.sock'}"
        environment = make_environment(home, 0)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment, cwd=ROOT, check=True
        )
        tokens = make_project(environment, n_people=n_people, n_items=20_000)
        web = WebServer(
            home / "web",
            database_url=proxy.get_url(USER, DATABASE),
            broker_url=broker_url,
            TOUCHSTONE_HOME=str(home),
            WEB_WORKERS="2",
            WEB_THREADS="8",
        )
        stack.callback(web.stop)
        web.wait_until_up()
        yield Site(web, proxy, tokens, servers.get_conninfo(), environment)
        web.stop()
        wait_for_no_process(home / "web", 20)


def run_database(options: argparse.Namespace) -> Outcome:
    """Cut between web server and database."""
    outcome = Outcome("database")
    rng = Random(options.seed)
    with open_site(options.clients) as site:
        with contextlib.closing(Person(site.web.port, site.tokens["annotator-0"])) as person:
            lengths = measure(site, person)
            answers = cut_each(site, person, options.cuts, lengths, rng, outcome)
        outcome.note(cuts_one_at_a_time=answers)
        annotators = Annotators(site.web.port, site.tokens, pause=options.pause)
        annotators.start()
        annotators.wait_for_more(100, 60)
        end, n_cuts = time.monotonic() + STORM_SECONDS, 0
        while time.monotonic() < end:
            way: Direction = rng.choice(["to server", "to client"])
            cut = site.proxy.cut_at_byte(way, rng.randrange(lengths[way]))
            n_cuts += cut.happened.wait(2)
        site.proxy.spare()
        since = time.monotonic()
        outcome.expect(annotators.wait_for_answer(since, 10) is not None, "no answer after the last cut")
        verdict = judge(annotators, None, conninfo=site.conninfo, environment=site.environment)
        outcome.note(cuts_among_all_at_once=n_cuts, in_the_end=str(verdict))
        outcome.blame(verdict.faults)
        outcome.expect(n_cuts >= options.cuts / 4, f"only {n_cuts} cuts")
    return outcome


def measure(site: Site, person: Person) -> dict[Direction, int]:
    """How many bytes one submit takes to the database and back."""
    for name in ("warm", "measured"):
        lease_id = lease_one(person)
        before = dict(site.proxy.n_bytes)
        person.submit(lease_id, name, lease_next=1)
    return {way: site.proxy.n_bytes[way] - before[way] for way in before}


def cut_each(
    site: Site, person: Person, n_cuts: int, lengths: dict[Direction, int], rng: Random, outcome: Outcome
) -> dict[str, int]:
    """Half of the cuts in place of the n-th answer of the database, half at a random byte; count what came of them."""
    found: Counter[str] = Counter()
    n_before = 0
    for number in range(n_cuts):
        key, lease_id = f"cut-{number}", lease_one(person)
        if number % 2:
            way: Direction = rng.choice(["to server", "to client"])
            cut = site.proxy.cut_at_byte(way, rng.randrange(lengths[way]))
        else:
            cut = site.proxy.cut_before_answer(n_before)
            n_before += 1
        first = person.submit(lease_id, key, lease_next=1)
        stored = site.read_annotations(key)
        site.proxy.spare()
        if not cut.happened.is_set():
            n_before = 0  # beyond the last answer of a submit
            found["came too late to cut"] += 1
        replies = [first, *(person.submit(lease_id, key, lease_next=1) for _repeat in range(2))]
        found["503" if first.status == 503 else f"{first.status}"] += 1
        found["503 and stored already"] += first.status == 503 and bool(stored)
        outcome.blame(check_replies(key, replies, site))
        outcome.expect(replies[1].status == 201, f"{key}: not told at the first repeat: {replies[1]}")
    outcome.expect(found["503 and stored already"] > 0, "no cut came between a commit and its answer")
    return dict(found)


def check_replies(key: str, replies: list[Reply], site: Site) -> list[str]:
    """What is wrong with the replies to one answer sent several times; nothing, where they name what is stored."""
    told = {int(reply.body["annotation"]) for reply in replies if reply.status == 201}
    stored = site.read_annotations(key)
    faults = [f"{key}: told {told}, stored {stored}"] if told != stored or len(stored) != 1 else []
    return faults + [
        f"{key}: {reply}" for reply in replies if reply.status not in (0, 201) and not reply.is_unavailable
    ]


def run_client(options: argparse.Namespace) -> Outcome:
    """Cut between the program and the web server."""
    outcome = Outcome("client")
    rng = Random(options.seed)
    n_stored = 0
    with open_site(1) as site, contextlib.closing(Person(site.web.port, site.tokens["annotator-0"])) as person:
        for number in range(options.cuts):
            key, lease_id = f"hung-up-{number}", lease_one(person)
            hang_up(site.web.port, site.tokens["annotator-0"], lease_id, key, rng)
            n_stored += bool(site.read_annotations(key))
            outcome.blame(check_replies(key, [person.submit(lease_id, key) for _repeat in range(2)], site))
        outcome.note(hung_up=options.cuts, stored_before_the_repeat=n_stored)
    return outcome


def hang_up(port: int, token: str, lease_id: str, key: str, rng: Random) -> None:
    """Send an answer, and be gone within 20 ms: with a reset, wherever the request is by then."""
    body = json.dumps({"answers": {"verdict": "none"}, "lease_next": 0})
    head = [
        f"POST /api/v1/leases/{lease_id}/annotation HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    sent = ("\r\n".join(head) + "\r\n\r\n" + body).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(sent[: rng.randrange(1, len(sent))] if rng.random() < 0.1 else sent)
        client.settimeout(rng.random() * 0.02 + 1e-4)
        with contextlib.suppress(TimeoutError):
            client.recv(1)


def lease_one(person: Person) -> str:
    """The id of a lease that the person holds."""
    for _try in range(MAX_TRIES):
        reply = person.lease()
        if reply.status == 200:
            return str(reply.body["leases"][0]["id"])
    raise AssertionError(reply)
