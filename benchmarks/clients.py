"""Many annotators over HTTP at little cost: a few processes, each with one loop over raw keep-alive connections.

A client is a generator: it yields a request (or a pause) and is given the answer. What a client holds stays with it
between runs, so that runs on several projects can take turns.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import multiprocessing
import os
import random
import selectors
import socket
import time
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.measuring import in_ms

ANSWER = "none"  # everybody gives every item the same answer, so that it settles and no dispute is opened
ANSWER_SECONDS = 60.0  # an answer that takes longer is an error


@dataclass(frozen=True, slots=True)
class Plan:
    """What every client does, until `seconds` are over or all of them together have stored `most` labels.

    `kind`: "next" (each submit brings the next lease), "pair" (lease and submit are two requests) or "health" (a
    trivial page). `think`: mean seconds between having an item and answering it, uniform from half to one and a half.
    `rate`: labels a second of all clients together at fixed moments (an open loop); 0: as fast as they can.
    """

    kind: str
    project: str = ""
    seconds: float = 3600.0
    most: int = 0
    think: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Request:
    kind: str
    data: bytes
    due: float = 0.0  # when it was to be sent; 0: it is due when it is sent


@dataclass(frozen=True, slots=True)
class _Pause:
    until: float


@dataclass(slots=True)
class Load:
    """What came of a run. Latencies in seconds by kind of request, with the moments (monotonic) they ended at."""

    labels: int = 0
    settled: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    started: float = 0.0
    latencies: dict[str, array[float]] = field(default_factory=dict)
    ended: dict[str, array[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    example: str = ""
    empty: int = 0
    reconnects: int = 0

    @property
    def rate(self) -> float:
        """Labels a second."""
        return self.labels / self.seconds if self.seconds else 0.0

    @property
    def requests(self) -> int:
        return sum(len(times) for times in self.latencies.values())

    def add(self, other: Load) -> None:
        """Take another client process's part of the same run, or another run of the same kind, into this one."""
        self.labels += other.labels
        self.settled += other.settled
        self.cpu += other.cpu
        self.empty += other.empty
        self.reconnects += other.reconnects
        self.errors.update(other.errors)
        self.example = self.example or other.example
        for kind in other.latencies:
            self.latencies.setdefault(kind, array("d")).extend(other.latencies[kind])
            self.ended.setdefault(kind, array("d")).extend(other.ended[kind])

    def as_json(self) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "per_second": round(self.rate, 1),
            "ms": {kind: in_ms(times) for kind, times in self.latencies.items()},
            "client_cpu_ms_per_request": round(1000 * self.cpu / max(1, self.requests), 3),
            "errors": dict(self.errors.most_common(5)),
            **({"error_example": self.example} if self.example else {}),
            **({"sent_again": self.reconnects} if self.reconnects else {}),
            **({"told_that_nothing_is_left": self.empty} if self.empty else {}),
        }


# --- What a client does ----------------------------------------------------------------------------------------------

_Steps = Generator[_Request | _Pause, tuple[int, bytes], None]


class _Client:
    """One annotator: a connection, a token, and the lease held in each project."""

    def __init__(self, number: int, port: int, token: str) -> None:
        self.number = number
        self.port = port
        self.token = token
        self.random = random.Random()  # keys of their own in each run: a kept home remembers the last one
        self.held: dict[str, str] = {}  # project -> lease
        self.socket: socket.socket | None = None
        self.received = bytearray()
        self.sent_at = 0.0
        self.request: _Request | None = None
        self.steps: _Steps | None = None

    def connect(self) -> socket.socket:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.received.clear()
        return self.socket

    def post(self, kind: str, path: str, body: str, due: float = 0.0, key: str = "") -> _Request:
        key_line = f"Idempotency-Key: {key}\r\n" if key else ""
        head = (
            f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\n{key_line}Content-Length: {len(body)}\r\n\r\n"
        )
        return _Request(kind, head.encode() + body.encode(), due)


@dataclass(slots=True)
class _Run:
    """One process's part of a run."""

    plan: Plan
    started: float
    share: int  # labels of this process, 0: no bound
    n_clients: int  # of all processes
    load: Load
    begun: int = 0

    def is_over(self) -> bool:
        return time.monotonic() >= self.started + self.plan.seconds or (0 < self.share <= self.begun)


def _check_health(client: _Client, run: _Run) -> _Steps:
    request = _Request("health", f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
    while not run.is_over():
        yield request


def _label(client: _Client, run: _Run) -> _Steps:
    """Get an item, answer it, and so on. A client that is told to stop still answers what a pair has leased."""
    plan, load = run.plan, run.load
    lease_next = int(plan.kind == "next")
    interval = run.n_clients / plan.rate if plan.rate else 0.0
    due = run.started + (client.number / run.n_clients - 1) * interval if interval else 0.0
    while not run.is_over():
        held = client.held.pop(plan.project, None)
        if held is None:
            status, body = yield client.post("lease", f"projects/{plan.project}/leases", '{"n":1}')
            if status != 200:
                _note(load, "lease", status, body)
                yield _Pause(time.monotonic() + 0.05)
                continue
            held = _read_lease(json.loads(body)["leases"])
            if held is None:
                load.empty += 1
                yield _Pause(time.monotonic() + 0.05)
                continue
        if plan.think:
            yield _Pause(time.monotonic() + client.random.uniform(0.5, 1.5) * plan.think)
        if interval:
            due += interval
            yield _Pause(due)
        if lease_next and run.is_over():
            client.held[plan.project] = held
            return
        run.begun += 1
        answer = f'{{"answers":{{"verdict":"{ANSWER}"}},"seconds":2.5,"lease_next":{lease_next}}}'
        key = f"{client.random.getrandbits(128):032x}"
        status, body = yield client.post("submit", f"leases/{held}/annotation", answer, due, key)
        if status != 201:
            _note(load, "submit", status, body)
            continue
        done = json.loads(body)
        load.labels += 1
        load.settled += done["item_state"] != "open"
        following = _read_lease(done["leases"])
        if following is not None:
            client.held[plan.project] = following


def _read_lease(leases: list[dict[str, Any]]) -> str | None:
    return str(leases[0]["id"]) if leases else None


def _note(load: Load, kind: str, status: int, body: bytes) -> None:
    load.errors[f"{kind} {status}"] += 1
    load.example = load.example or body[:200].decode(errors="replace")


# --- The loop of one process -----------------------------------------------------------------------------------------


class _Loop:
    """Sends what clients yield and gives them the answers, one process, one thread."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.selector = selectors.DefaultSelector()
        self.pauses: list[tuple[float, int, _Client]] = []
        self.left = 0

    def carry_out(self, clients: Sequence[_Client]) -> None:
        work = _check_health if self.run.plan.kind == "health" else _label
        self.left = len(clients)
        for client in clients:
            self.selector.register(client.connect(), selectors.EVENT_READ, client)
            client.steps = work(client, self.run)
        for client in clients:
            self._take(client, None)
        while self.left:
            now = time.monotonic()
            while self.pauses and self.pauses[0][0] <= now:
                self._take(heapq.heappop(self.pauses)[2], None)
            if not self.left:
                break
            timeout = max(0.0, self.pauses[0][0] - time.monotonic()) if self.pauses else ANSWER_SECONDS
            events = self.selector.select(timeout)
            if not events and not self.pauses and self.left:
                raise TimeoutError(f"{self.left} clients wait for an answer")
            for selected, _mask in events:
                self._receive(selected.data)
        for client in clients:
            if client.socket is not None:
                self.selector.unregister(client.socket)
        self.selector.close()

    def _take(self, client: _Client, answer: tuple[int, bytes] | None) -> None:
        """Give a client its answer, and do what it wants next."""
        assert client.steps is not None
        try:
            step = next(client.steps) if answer is None else client.steps.send(answer)
        except StopIteration:
            self.left -= 1
            return
        if isinstance(step, _Pause):
            heapq.heappush(self.pauses, (step.until, client.number, client))
        else:
            self._send(client, step)

    def _send(self, client: _Client, request: _Request) -> None:
        client.request = request
        client.sent_at = request.due or time.monotonic()
        try:
            client.connect().sendall(request.data)
        except OSError:
            self._connect_again(client)

    def _receive(self, client: _Client) -> None:
        assert client.socket is not None
        try:
            data = client.socket.recv(262_144)
        except OSError:
            data = b""
        if not data or client.request is None:
            self._connect_again(client)
            return
        client.received += data
        head_end = client.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(client.received[:head_end]).lower()
        place = head.find(b"content-length:")
        assert place >= 0, head
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(client.received) < head_end + 4 + length:
            return
        body = bytes(client.received[head_end + 4 : head_end + 4 + length])
        del client.received[: head_end + 4 + length]
        now = time.monotonic()
        kind = client.request.kind
        client.request = None
        self.run.load.latencies.setdefault(kind, array("d")).append(now - client.sent_at)
        self.run.load.ended.setdefault(kind, array("d")).append(now)
        self._take(client, (int(head[9:12]), body))

    def _connect_again(self, client: _Client) -> None:
        """The server has closed the connection, as it does after half a minute without a request.

        A request that is under way is sent once more: a lease request does no harm twice, and an answer has its key.
        """
        assert client.socket is not None
        if client.request is not None:
            self.run.load.reconnects += 1
            if self.run.load.reconnects > 1000:
                raise ConnectionError("the server closes every connection")
        self.selector.unregister(client.socket)
        client.socket.close()
        client.socket = None
        self.selector.register(client.connect(), selectors.EVENT_READ, client)
        if client.request is not None:
            client.connect().sendall(client.request.data)


def _serve(pipe: Connection, port: int, numbered: Sequence[tuple[int, str]], n_clients: int) -> None:
    """A client process: carries out each plan that comes through the pipe, until None comes."""
    clients = [_Client(number, port, token) for number, token in numbered]
    while (order := pipe.recv()) is not None:
        plan, share, started = order
        load = Load()
        time.sleep(max(0.0, started - time.monotonic()))
        spent = time.process_time()
        try:
            _Loop(_Run(plan, started, share, n_clients, load)).carry_out(clients)
        except Exception as error:
            load.errors[f"client failed: {error!r}"] += 1
        load.cpu = time.process_time() - spent
        load.seconds = time.monotonic() - started
        pipe.send(load)


# --- All of them -----------------------------------------------------------------------------------------------------


class Fleet:
    """Clients in a few processes. `run` blocks; `start` and `collect` let the caller do something meanwhile."""

    def __init__(self, port: int, tokens: Iterable[str], processes: int = 2) -> None:
        numbered = list(enumerate(tokens))
        self.size = len(numbered)
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for k in range(processes):
            ours, theirs = context.Pipe()
            arguments = (theirs, port, numbered[k::processes], self.size)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._started = 0.0

    def start(self, plan: Plan) -> None:
        """Let every client begin with a plan, a moment from now."""
        self._started = time.monotonic() + 0.05
        for k, pipe in enumerate(self._pipes):
            share = plan.most // len(self._pipes) + (k < plan.most % len(self._pipes))
            pipe.send((plan, share, self._started))

    def collect(self) -> Load:
        """Wait until all have done it."""
        load = Load(started=self._started)
        for pipe in self._pipes:
            part: Load = pipe.recv()
            load.add(part)
            load.seconds = max(load.seconds, part.seconds)
        failed = [text for text in load.errors if text.startswith("client failed")]
        if failed:
            raise RuntimeError(failed[0])
        return load

    def run(self, plan: Plan) -> Load:
        """Carry out a plan; returns when the last answer is in."""
        self.start(plan)
        return self.collect()

    def measure_ceiling(self, seconds: float = 3.0) -> dict[str, float]:
        """What these clients reach where the server does next to nothing: the most they can ask for."""
        load = self.run(Plan("health", seconds=seconds))
        return {
            "requests_per_second": round(load.requests / load.seconds, 1),
            "client_cpu_ms_per_request": round(1000 * load.cpu / max(1, load.requests), 3),
        }

    def end(self) -> None:
        """Stop the processes."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                os.kill(process.pid or 0, 9)
