"""The database is gone, cut off in the middle of an answer, or full: 503, never a false 2xx, and it heals by itself.

A real web server on the test's database, with a proxy in between that breaks connections. `benchmarks/chaos.py faults`
does the same on a whole installation, for longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import RequestFactory

from annotation.actions.events import write_event
from annotation.actions.jobs import sweep_jobs
from annotation.actions.people import create_token
from annotation.models import Annotation, Seat
from config.embedded.valkey import answers_ping
from config.faults import show_fault
from tests.annotators import Person, Reply
from tests.cast import Desk, MakeDesk
from tests.installation import find_processes
from tests.job_rows import count, has_state, start
from tests.proxy import Direction, Proxy
from tests.web_server import WebServer
from tests.workers import Worker, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.embedded]

MAX_TRIES = 5


@pytest.fixture(scope="module")
def proxy(django_db_setup: None) -> Iterator[Proxy]:
    """What stands between the web server and the database."""
    parameters = connection.get_connection_params()
    proxy = Proxy(Path(parameters["host"]) / f".s.PGSQL.{parameters['port']}")
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def server(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: object) -> Iterator[WebServer]:
    """The web server, for all tests here: each finds it as the one before has left it."""
    parameters = connection.get_connection_params()
    server = WebServer(
        tmp_path_factory.mktemp("web"),
        database_url=proxy.get_url(parameters["user"], parameters["dbname"]),
        broker_url=settings.BROKER_URL,
        DJANGO_SETTINGS_MODULE="tests.settings",
        WEB_THREADS="1",  # so one connection, and it is known what the next answer is
    )
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A project with enough items that nobody runs out."""
    return make_desk(n=150)


@pytest.fixture
def alice(desk: Desk, server: WebServer, proxy: Proxy) -> Iterator[Person]:
    """Alice's program, on a server that works."""
    proxy.spare()
    proxy.accept()
    user = desk.cast.alice
    person = Person(server.port, create_token(user=user, scopes=None, actor=user)[1])
    assert insist(lambda: person.lease()).status == 200
    yield person
    proxy.spare()
    proxy.accept()
    person.close()


def insist(send: Any) -> Reply:
    """Repeat a request until it is answered with 2xx: at once, and few times. Anything but a proper 503 fails."""
    for _try in range(MAX_TRIES):
        reply: Reply = send()
        if reply.status < 300:
            return reply
        assert reply.is_unavailable, reply
    raise AssertionError(f"no answer in {MAX_TRIES} tries")


def lease_one(person: Person) -> str:
    """The id of a lease that the person holds."""
    return str(insist(lambda: person.lease()).body["leases"][0]["id"])


@pytest.mark.parametrize("is_new", [False, True], ids=["kept-connection", "new-connection"])
def test_cut_before_any_answer_of_the_database_is_a_503_and_the_answer_is_stored_once(
    alice: Person, proxy: Proxy, is_new: bool
) -> None:
    turn, n_uncut, stored_before_the_503 = 0, 0, 0
    while n_uncut < 2:  # each place twice: the second time the server remembers who asks
        n_before = turn // 2
        key, lease_id = f"cut-{turn}", lease_one(alice)
        disturb = proxy.break_all if is_new else proxy.spare
        disturb()
        cut = proxy.cut_before_answer(n_before)
        first = alice.submit(lease_id, key, lease_next=1)
        assert first.status == 201 or first.is_unavailable, first
        stored = read_annotations(key)
        stored_before_the_503 += first.status == 503 and stored != []
        proxy.spare()
        again = alice.submit(lease_id, key, lease_next=1)
        assert again.status == 201, "a connection that was broken may cost one request, not two"
        assert [int(again.body["annotation"])] == read_annotations(key)
        assert stored in ([], read_annotations(key))
        n_uncut = 0 if cut.happened.is_set() else n_uncut + 1
        turn += 1
        assert turn < 100, "a submit never comes to its end"
    assert stored_before_the_503 >= 1, "no cut came between the commit and its answer"


def read_annotations(key: str) -> list[int]:
    """The annotations that are stored under a key."""
    return list(Annotation.objects.filter(key=key).values_list("pk", flat=True))


def test_cut_at_any_byte_loses_no_lease_and_doubles_no_answer(alice: Person, proxy: Proxy) -> None:
    rng = Random(7)
    n_unheard, n_cut = 0, 0
    for number in range(40):
        lengths = measure(alice, proxy, f"measured-{number}")
        direction: Direction = rng.choice(["to server", "to client"])
        key, lease_id = f"byte-{number}", lease_one(alice)
        cut = proxy.cut_at_byte(direction, rng.randrange(lengths[direction]))
        first = alice.submit(lease_id, key, lease_next=1)
        proxy.spare()
        assert first.status == 201 or first.is_unavailable, first
        n_cut += cut.happened.is_set()
        n_unheard += first.status == 503
        told = {int(alice.submit(lease_id, key, lease_next=1).body["annotation"]) for _repeat in range(2)}
        assert told == set(read_annotations(key))
        assert first.status == 503 or told == {int(first.body["annotation"])}
    assert n_cut >= 30
    assert n_unheard >= 20
    assert not Seat.objects.filter(state=Seat.State.SUBMITTED, annotation=None).exists()


def measure(person: Person, proxy: Proxy, key: str) -> dict[Direction, int]:
    """How many bytes one submit takes in each direction."""
    lease_id = lease_one(person)
    before = dict(proxy.n_bytes)
    assert person.submit(lease_id, key, lease_next=1).status == 201
    return {way: proxy.n_bytes[way] - before[way] for way in before}


def test_a_database_that_is_gone_is_a_503_everywhere_and_works_again_at_once(
    desk: Desk, alice: Person, server: WebServer, proxy: Proxy
) -> None:
    lease_id = lease_one(alice)
    proxy.refuse()
    for reply in (
        alice.submit(lease_id, "gone"),
        alice.lease(),
        alice.send("projects/forum/leases", method="GET"),
        alice.send(f"leases/{lease_id}/skip", {"reason": "other"}),
        alice.send(f"leases/{lease_id}", method="DELETE"),
        alice.send("projects/forum", method="GET"),
        alice.send("projects/forum/items", b'{"text": "new"}'),
    ):
        assert reply.is_unavailable, reply
    proxy.accept()
    assert alice.submit(lease_id, "gone").status == 201
    assert len(read_annotations("gone")) == 1


def test_pages_say_503_while_the_database_is_gone(desk: Desk, server: WebServer, proxy: Proxy) -> None:
    proxy.spare()
    proxy.refuse()
    for path in ("/", "/p/forum/label/", "/setup/abc"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}{path}", headers={"Cookie": "sessionid=" + "a" * 32}
        )
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=15):
            pass
        with caught.value as answer:
            assert answer.code == 503
            assert answer.headers["Retry-After"] == "5"
    proxy.accept()


@pytest.mark.parametrize("path", ["/api/v1/projects", "/"])
def test_a_database_that_fails_outside_any_view_is_a_503_too(path: str) -> None:
    try:
        raise OperationalError("server closed the connection unexpectedly")
    except OperationalError:
        response = show_fault(RequestFactory().get(path))
    assert response.status_code == 503
    assert response["Retry-After"] == "5"


def test_an_answer_whose_sender_hung_up_is_stored_once(desk: Desk, alice: Person, server: WebServer) -> None:
    rng = Random(11)
    token = create_token(user=desk.cast.alice, scopes=None, actor=desk.cast.alice)[1]
    for number in range(20):
        key, lease_id = f"hung-up-{number}", lease_one(alice)
        body = json.dumps({"answers": {"verdict": "none"}, "lease_next": 0}).encode()
        head = (
            f"POST /api/v1/leases/{lease_id}/annotation HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            # No orderly end: the server's answer meets a connection that is gone.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(head.encode() + body)
            with contextlib.suppress(TimeoutError):
                client.settimeout(0.001 + rng.random() * 0.02)
                client.recv(1)
        told = {int(alice.submit(lease_id, key).body["annotation"]) for _repeat in range(2)}
        assert told == set(read_annotations(key))


def test_a_running_job_outlives_its_broker_and_the_worker_hears_of_the_next(worker: Worker) -> None:
    job = start("test-wait")
    wait_until(lambda: count("test.began", job) == 1)
    valkey = Path(settings.BROKER_URL.removeprefix("redis+socket://"))
    processes = find_processes(settings.TOUCHSTONE_HOME)
    (pid,) = [pid for pid, command in processes.items() if "valkey" in command and str(valkey) in command]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not answers_ping(valkey))
    wait_until(lambda: answers_ping(valkey))
    after = start("test-note")
    wait_until(lambda: sweep_jobs() == 0 and has_state(after, "done", 1))
    write_event(project=None, kind="test.go", actor=None, ref_id=job.pk)
    wait_until(lambda: has_state(job, "done", 1))
    assert count("test.effect", job) == 1


@pytest.fixture
def full_disk(tmp_path: Path, desk: Desk) -> Iterator[Path]:
    """A small file system with the tables of answers on it; give back its folder."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(folder)], check=True)
    try:
        place = folder / "tables"
        place.mkdir(mode=0o700)
        with connection.cursor() as cursor:
            cursor.execute(f"create tablespace small location '{place}'")
            for table in ("annotation_annotation", "annotation_label"):
                cursor.execute(f"alter table {table} set tablespace small")
                cursor.execute(f"vacuum full {table}")  # no room in it that the tests before have left
        yield folder
        (folder / "fill").unlink(missing_ok=True)
        with connection.cursor() as cursor:
            for table in ("annotation_annotation", "annotation_label"):
                cursor.execute(f"alter table {table} set tablespace pg_default")
            cursor.execute("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_a_503_and_never_a_false_2xx_and_heals_by_itself(
    full_disk: Path, alice: Person, server: WebServer
) -> None:
    acknowledged: dict[str, int] = {}

    def label(key: str, lease_id: str) -> Reply:
        body = {"answers": {"verdict": "none"}, "comment": "x" * 2000}
        reply = alice.send(f"leases/{lease_id}/annotation", body, key)
        if reply.status == 201:
            acknowledged[key] = int(reply.body["annotation"])
        return reply

    assert label("before", lease_one(alice)).status == 201
    with contextlib.suppress(OSError), (full_disk / "fill").open("wb", buffering=0) as fill:
        while fill.write(b"\0" * 4096):
            pass
    refused = None
    for number in range(100):
        lease_id = lease_one(alice)
        refused = label(f"full-{number}", lease_id)
        if refused.status != 201:
            break
    assert refused is not None
    assert refused.is_unavailable, refused
    assert label(f"full-{number}", lease_id).is_unavailable
    (full_disk / "fill").unlink()
    assert label(f"full-{number}", lease_id).status == 201
    assert acknowledged == dict(Annotation.objects.values_list("key", "pk"))
