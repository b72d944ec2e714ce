"""Q3: an answer that was acknowledged survives `kill -9` of any process: the real thing, over HTTP, part by part.

`benchmarks/chaos.py kill` does the same to a hundred processes in random order while twenty people label.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from config.home import get_socket_folder
from tests.annotators import PAUSE, Annotators, make_project, read_stored
from tests.installation import Installation, make_environment, wait_for_no_process

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


class Office:
    """An installation, and three people who label in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.conninfo = make_conninfo(host=str(get_socket_folder(home)), user="touchstone", dbname="touchstone")
        self.installation = Installation(home)
        self.annotators: Annotators | None = None

    def start(self) -> Annotators:
        """Make the project and begin to label."""
        self.installation.wait_until_ready(90)
        environment = make_environment(self.home, self.installation.port)
        tokens = make_project(environment, n_people=3, n_items=3000)
        self.annotators = Annotators(self.installation.port, tokens)
        self.annotators.start()
        return self.annotators

    def find_lost(self) -> dict[str, int]:
        """Every answer acknowledged until now that is not stored under the id that was told."""
        assert self.annotators is not None
        return self.annotators.find_lost(lambda: read_stored(self.conninfo))

    def kill_after_an_answer(self, pid: int) -> None:
        """Let the next acknowledged answer be the last thing that the process lives to see."""
        assert self.annotators is not None
        killed = threading.Event()

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            killed.set()

        self.annotators.after_next(kill)
        assert killed.wait(20), self.annotators.faults

    def restart(self) -> None:
        """Start `touchstone up` anew where its supervisor died."""
        self.installation.end()
        wait_for_no_process(self.home)
        self.installation = Installation(self.home, port=self.installation.port)

    def end(self) -> None:
        """Stop labelling, and everything that runs."""
        if self.annotators is not None:
            self.annotators.stop()
        self.installation.end()
        wait_for_no_process(self.home)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One installation for all kills here: each comes on top of what the ones before have left."""
    office = Office(tmp_path_factory.mktemp("acknowledged"))
    try:
        office.start()
        yield office
    finally:
        office.end()


@pytest.fixture
def annotators(office: Office) -> Annotators:
    """The people, at work."""
    assert office.annotators is not None
    return office.annotators


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
    office: Office, annotators: Annotators, which: int, words: tuple[str, ...]
) -> None:
    annotators.wait_for_more(10)
    office.kill_after_an_answer(find_part(office.installation, which, *words))
    annotators.wait_for_more(10)
    assert office.find_lost() == {}
    assert annotators.faults == []


def test_an_acknowledged_answer_survives_the_kill_of_the_supervisor(office: Office, annotators: Annotators) -> None:
    annotators.wait_for_more(10)
    office.kill_after_an_answer(office.installation.process.pid)
    office.restart()
    annotators.wait_for_more(10)
    assert office.find_lost() == {}
    assert annotators.faults == []
