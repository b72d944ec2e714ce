"""Q3: an answer that was acknowledged survives `kill -9` of any process: the real thing, over HTTP, part by part."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config.home import ROOT, get_socket_folder
from tests.installation import Installation, make_environment, wait_for_no_process

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

# A project with three annotators; prints their tokens.
SETUP = """
import json
import django
django.setup()
from annotation.actions.people import create_token, create_user
from annotation.actions.projects import create_project, set_member
from tests.cast import CHOICE_SCHEMA, import_rows
settings = {"overlap": 3, "learning": {"holdout_share": 0, "every": None}}
olga = create_user(username="olga")
project = create_project(slug="forum", name="Forum", schema=CHOICE_SCHEMA, settings=settings, owner=olga)
import_rows(project, [{"external_id": f"t-{i}", "text": f"text {i}"} for i in range(3000)])
tokens = {}
for name in ("alice", "bob", "carol"):
    user = create_user(username=name)
    set_member(project=project, user=user, role="annotator", actor=olga)
    tokens[name] = create_token(user=user, scopes=None, actor=user)[1]
print(json.dumps(tokens))
"""
PAUSE = 0.02  # seconds


class Annotators:
    """Three people who label without rest, each answer repeated under its key until it is acknowledged."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.installation = Installation(home)
        self.acknowledged: dict[str, int] = {}  # key -> annotation
        self.refused: list[tuple[int, str]] = []
        self._trigger: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Make the project and begin to label."""
        self.installation.wait_until_ready(90)
        made = subprocess.run(
            [sys.executable, "-c", SETUP],
            env=make_environment(self.home, self.installation.port),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        self._threads = [
            threading.Thread(target=self._label, args=(name, token)) for name, token in json.loads(made.stdout).items()
        ]
        for thread in self._threads:
            thread.start()

    def _label(self, name: str, token: str) -> None:
        for number in itertools.count():
            leases = self._insist(token, "projects/forum/leases", {"n": 1}, f"lease {name}")
            if self._is_over.is_set():
                return
            key = f"{name}-{number}"
            body = {"answers": {"verdict": "none"}}
            answer = self._insist(token, f"leases/{leases['leases'][0]['id']}/annotation", body, key)
            if self._is_over.is_set():
                return
            with self._lock:
                self.acknowledged[key] = int(answer["annotation"])
                trigger, self._trigger = self._trigger, None
                if trigger is not None:
                    trigger()
            time.sleep(PAUSE)

    def _insist(self, token: str, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Send a request until it is answered with 2xx. Only silence and 5xx are repeated; anything else is a fault."""
        while not self._is_over.is_set():
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.installation.port}/api/v1/{path}",
                json.dumps(body).encode(),
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key},
            )
            try:
                with urllib.request.urlopen(request, timeout=15) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code < 500:
                        self.refused.append((error.code, error.read().decode()))
                        self._is_over.set()
            except (OSError, ValueError, http.client.HTTPException):
                pass  # nobody there, or cut off in the middle of an answer
            time.sleep(PAUSE)
        return {}

    def kill_after_an_answer(self, pid: int) -> None:
        """Let the next acknowledged answer be the last thing that the process lives to see."""
        killed = threading.Event()

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            killed.set()

        with self._lock:
            self._trigger = kill
        assert killed.wait(20), self.refused

    def wait_for_more(self, n: int, seconds: float = 30.0) -> None:
        """Wait until `n` further answers were acknowledged."""
        wanted, deadline = len(self.acknowledged) + n, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, self.refused
            time.sleep(PAUSE)

    def read_stored(self) -> dict[str, int]:
        """Every stored annotation that has its label: key -> id."""
        folder = str(get_socket_folder(self.home))
        with psycopg.connect(host=folder, user="touchstone", dbname="touchstone") as connection:
            rows = connection.execute(
                "select a.key, a.id from annotation_annotation a join annotation_label l on l.annotation_id = a.id"
            ).fetchall()
        assert len(rows) == len(dict(rows)), "one key was stored twice"
        return dict(rows)

    def find_lost(self) -> dict[str, int]:
        """Every answer acknowledged until now that is not stored under the id that was told; each is named once."""
        acknowledged = dict(self.acknowledged)
        stored = self.read_stored()
        lost = {key: told for key, told in acknowledged.items() if stored.get(key) != told}
        for key in lost:
            del self.acknowledged[key]
        return lost

    def restart(self) -> None:
        """Start `touchstone up` anew where its supervisor died."""
        self.installation.end()
        wait_for_no_process(self.home)
        self.installation = Installation(self.home)

    def end(self) -> None:
        """Stop labelling, and everything that runs."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(20)
        self.installation.end()
        wait_for_no_process(self.home)


@pytest.fixture(scope="module")
def annotators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Annotators]:
    """One installation for all kills here: each comes on top of what the ones before have left."""
    annotators = Annotators(tmp_path_factory.mktemp("acknowledged"))
    try:
        annotators.start()
        yield annotators
    finally:
        annotators.end()


def find_part(installation: Installation, which: int, *words: str) -> int:
    """The id of a part's process: 0 the oldest, -1 the youngest. A part that was killed before may be on its way."""
    deadline = time.monotonic() + 20
    while not (found := installation.find(*words)):
        assert time.monotonic() < deadline, words
        time.sleep(PAUSE)
    return found[which]


@pytest.mark.parametrize(
    ("which", "words"),
    [
        pytest.param(0, ("bin/postgres", "-D"), id="postgres"),
        pytest.param(0, ("valkey",), id="valkey"),
        pytest.param(0, ("celery", " worker "), id="worker"),
        pytest.param(0, ("celery", " beat "), id="beat"),
        pytest.param(0, ("granian",), id="web"),
        pytest.param(-1, ("granian",), id="web-process"),
    ],
)
def test_an_acknowledged_answer_survives_the_kill_of_any_part(
    annotators: Annotators, which: int, words: tuple[str, ...]
) -> None:
    annotators.wait_for_more(10)
    annotators.kill_after_an_answer(find_part(annotators.installation, which, *words))
    annotators.wait_for_more(10)
    assert annotators.find_lost() == {}
    assert annotators.refused == []


def test_an_acknowledged_answer_survives_the_kill_of_the_supervisor(annotators: Annotators) -> None:
    annotators.wait_for_more(10)
    annotators.kill_after_an_answer(annotators.installation.process.pid)
    annotators.restart()
    annotators.wait_for_more(10)
    assert annotators.find_lost() == {}
    assert annotators.refused == []
