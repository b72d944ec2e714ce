"""People who label over HTTP without rest, and whatever happens to the server repeat each answer until it is told.

For tests and benchmarks that kill, cut and fill up: what was acknowledged is compared with what is stored afterwards.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from config.home import ROOT

# Makes a project with annotators and prints their tokens. Arguments: people, items, overlap.
SETUP = """
import json, sys
import django
django.setup()
from annotation.actions.people import create_token, create_user
from annotation.actions.projects import create_project, set_member
from tests.cast import CHOICE_SCHEMA, import_rows
n_people, n_items, overlap = map(int, sys.argv[1:])
settings = {"overlap": overlap, "learning": {"holdout_share": 0, "every": None}}
olga = create_user(username="olga")
tokens = {"olga": create_token(user=olga, scopes=None, actor=olga)[1]}
for slug in ("forum", "posts", "ping"):
    project = create_project(slug=slug, name=slug.title(), schema=CHOICE_SCHEMA, settings=settings, owner=olga)
    if slug == "forum":
        import_rows(project, [{"external_id": f"t-{i}", "text": f"text {i}"} for i in range(n_items)])
        for n in range(n_people):
            user = create_user(username=f"annotator-{n}")
            set_member(project=project, user=user, role="annotator", actor=olga)
            tokens[user.username] = create_token(user=user, scopes=None, actor=user)[1]
print(json.dumps(tokens))
"""
PAUSE = 0.02  # seconds
RETRY_SECONDS = 0.1
ANSWER_SECONDS = 15.0
VERDICTS = ("none", "spam", "insult")


def make_project(environment: Mapping[str, str], *, n_people: int, n_items: int, overlap: int = 3) -> dict[str, str]:
    """Make the project `forum` and two empty ones, `posts` and `ping`; return olga's and the annotators' tokens."""
    made = subprocess.run(
        [sys.executable, "-c", SETUP, str(n_people), str(n_items), str(overlap)],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


@dataclass(frozen=True)
class Reply:
    """What came back: status 0 where nothing did, or not all of it."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_unavailable(self) -> bool:
        """Whether this is the one way in which a server may say that it cannot just now."""
        return (
            self.status == 503
            and isinstance(self.body, dict)
            and set(self.body) == {"code", "detail", "fields"}
            and self.body["code"] == "unavailable"
            and bool(self.body["detail"])
            and self.headers.get("retry-after", "").isdigit()
        )


class Person:
    """One person's program: a token, and a connection that is kept while it holds."""

    def __init__(self, port: int, token: str) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)

    def send(
        self, path: str, body: Mapping[str, Any] | bytes | None = None, key: str = "", method: str = "POST"
    ) -> Reply:
        """Send one request below `/api/v1/`; `body` as JSON, or rows as they are. Raises nothing."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/x-ndjson"
        if key:
            headers["Idempotency-Key"] = key
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self._connection.request(method, f"/api/v1/{path}", sent, headers)
            answer = self._connection.getresponse()
            raw = answer.read()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, json.loads(raw) if raw else None)
        except (OSError, ValueError, http.client.HTTPException):
            self._connection.close()  # nobody there, or cut off in the middle of an answer
            return Reply(0, {}, None)

    def lease(self, slug: str = "forum") -> Reply:
        """Ask for one lease."""
        return self.send(f"projects/{slug}/leases", {"n": 1})

    def submit(self, lease_id: str, key: str, verdict: str = "none", lease_next: int = 0) -> Reply:
        """Answer a lease."""
        body = {"answers": {"verdict": verdict}, "lease_next": lease_next}
        return self.send(f"leases/{lease_id}/annotation", body, key)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Told:
    """An answer that was acknowledged: its annotation, when the request that was answered was sent, and when it was."""

    annotation: int
    sent_at: float
    at: float


class Annotators:
    """People who label the project `forum`; every second lease comes with an answer. Times are of `time.monotonic`."""

    def __init__(self, port: int, tokens: Mapping[str, str], *, pause: float = PAUSE) -> None:
        self.port = port
        self.acknowledged: dict[str, Told] = {}  # by key
        self.statuses: Counter[int] = Counter()
        self.faults: list[tuple[str, int, str]] = []  # what no server may say, killed or not
        self._pause = pause
        self._trigger: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(name, token), daemon=True)
            for name, token in tokens.items()
            if name != "olga"
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop labelling. An answer on its way is not waited for."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    def _work(self, name: str, token: str) -> None:
        with contextlib.closing(Person(self.port, token)) as person:
            self._label(name, person)

    def _label(self, name: str, person: Person) -> None:
        leases: list[dict[str, Any]] = []
        for number in itertools.count():
            while not leases and not self._is_over.wait(self._pause):
                reply, _sent_at = self._insist(name, lambda: person.send("projects/forum/leases", {"n": 1}))
                leases = reply.body["leases"] if reply.body else []
            if self._is_over.is_set():
                return
            key, lease_id, lease_next = f"{name}:{number}", leases[0]["id"], number % 2
            verdict = VERDICTS[number % 3]

            def submit(
                lease_id: str = lease_id, key: str = key, verdict: str = verdict, lease_next: int = lease_next
            ) -> Reply:
                return person.submit(lease_id, key, verdict, lease_next)

            reply, sent_at = self._insist(name, submit)
            if reply.status != 201:
                return
            leases = reply.body["leases"]
            with self._lock:
                self.acknowledged[key] = Told(int(reply.body["annotation"]), sent_at, time.monotonic())
                trigger, self._trigger = self._trigger, None
                if trigger is not None:
                    trigger()
            self._is_over.wait(self._pause)

    def _insist(self, name: str, send: Callable[[], Reply]) -> tuple[Reply, float]:
        """Repeat a request until it is answered with 2xx; whatever is neither silence nor a proper 503 is a fault."""
        while not self._is_over.is_set():
            sent_at = time.monotonic()
            reply = send()
            with self._lock:
                self.statuses[reply.status] += 1
                if reply.status in (200, 201):
                    return reply, sent_at
                if reply.status and not reply.is_unavailable:
                    self.faults.append((name, reply.status, str(reply.body)[:300]))
            self._is_over.wait(RETRY_SECONDS)
        return Reply(0, {}, None), 0.0

    def after_next(self, action: Callable[[], None]) -> None:
        """Call `action` once, on the thread that receives the next acknowledgement, before anything else is sent."""
        with self._lock:
            self._trigger = action

    def wait_for_more(self, n: int, seconds: float = 30.0) -> None:
        """Wait until `n` further answers were acknowledged."""
        wanted, deadline = len(self.acknowledged) + n, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, (self.statuses, self.faults)
            time.sleep(PAUSE)

    def wait_for_answer(self, since: float, seconds: float) -> float | None:
        """Wait for the acknowledgement of a request that was sent after `since`; seconds from then, None: too long."""
        deadline = since + seconds
        while time.monotonic() < deadline:
            if found := [told.at for told in self._latest(400) if told.sent_at >= since]:
                return min(found) - since
            time.sleep(PAUSE)
        return None

    def _latest(self, n: int) -> list[Told]:
        """Of the acknowledged ones the last `n`."""
        with self._lock:
            return list(itertools.islice(reversed(self.acknowledged.values()), n))

    def get_times(self) -> list[float]:
        """When each answer was acknowledged, ascending."""
        with self._lock:
            return sorted(told.at for told in self.acknowledged.values())

    def find_lost(self, read_stored: Callable[[], Mapping[str, int]]) -> dict[str, int]:
        """The answers acknowledged until now that are not stored under the id that was told; each is named once."""
        with self._lock:
            acknowledged = dict(self.acknowledged)
        stored = read_stored()
        lost = {key: told.annotation for key, told in acknowledged.items() if stored.get(key) != told.annotation}
        for key in lost:
            del self.acknowledged[key]
        return lost


def read_stored(conninfo: str) -> dict[str, int]:
    """Every stored annotation that has its label: key -> id. Fails where a key or an answer is there twice."""
    with contextlib.closing(psycopg.connect(conninfo)) as connection:
        rows = connection.execute(
            "select a.key, a.id, a.person_id, a.item_id from annotation_annotation a"
            " join annotation_label l on l.annotation_id = a.id"
        ).fetchall()
    stored = {str(key): int(number) for key, number, _person, _item in rows}
    assert len(rows) == len(stored), "one key was stored twice"
    assert len(rows) == len({row[2:] for row in rows}), "somebody's answer to one item was stored twice"
    return stored
