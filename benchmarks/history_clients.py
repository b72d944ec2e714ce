"""One client of the history test: a person's program that does everything in random mixture and writes down each call.

It cuts some of its own calls off, before the request is whole or before the answer is read, and then does not know what
they did; it repeats such a call, with the same key, until it is told.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any

from benchmarks.history.record import Answer, Lease, Operation, Request

ANSWER_SECONDS = 20.0
CUT_SHARE = 0.03  # of the calls that may be cut off; of these a third before the request is whole
LATE_SHARE = 0.15  # of the leases that are put aside until they have run out
WINDOW = 4  # projects that are worked on at a time
VERDICTS = ("none", "spam", "insult")
CUTTABLE = frozenset({"lease", "submit", "renew", "skip", "release", "undo"})
MOST_REPEATS = 20


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """A project to work on: item id -> external id, who works there, and what its overlap may be changed to."""

    slug: str
    items: Mapping[str, str]
    people: tuple[str, ...]
    other_overlaps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What all clients share: the server, the projects in the order in which they are worked on, names and tokens."""

    port: int
    seed: int
    projects: tuple[ProjectPlan, ...]
    people: tuple[tuple[str, str], ...]
    owner_token: str
    operations: int  # of each client
    clients: int


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    body: Any = None  # JSON, or bytes as they are
    key: str = ""
    token: str = ""


class CutError(Exception):
    """The call was cut off on purpose."""


class Client:
    """One client. `number` is its own among all; every second one shares its person with another client."""

    def __init__(self, plan: Plan, number: int, n_operations: int | None = None) -> None:
        self.plan = plan
        self.number = number
        self.rng = Random(f"{plan.seed}-{number}")
        self.name, self.token = plan.people[number % len(plan.people)]
        self.n_operations = plan.operations if n_operations is None else n_operations
        self.projects = [project for project in plan.projects if self.name in project.people]
        self.history: list[Operation] = []
        self.held: list[tuple[str, Lease]] = []  # (project, lease)
        self.aside: list[tuple[str, Lease]] = []  # to be used when they have run out
        self.dead: deque[tuple[str, Lease]] = deque(maxlen=20)
        self.answered: deque[tuple[Request, Any]] = deque(maxlen=30)  # with their bodies
        self.acknowledged: deque[Request] = deque(maxlen=20)  # to be taken back
        self.out: list[tuple[str, str]] = []  # (project, person) to be put back
        self._keys = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=ANSWER_SECONDS)
        self._doings: list[tuple[float, Callable[[], object]]] = [
            (20, self.lease),
            (20, self.submit),
            (14, self.submit_and_lease),
            (8, self.use_expired),
            (4, self.repeat),
            (2, self.send_another_body),
            (1, self.send_another_lease),
            (5, self.renew),
            (4, self.skip),
            (6, self.release),
            (2, self.use_dead),
            (6, self.undo),
            (1, self.look),
            (2, self.change_overlap),
            (0.6, self.remove_member),
            (0.3, self.prioritise),
            (0.3, self.quarantine),
            (0.3, self.adjudicate),
        ]

    # --- Calls ------------------------------------------------------------------------------------------------------

    def send(self, kind: str, request: Request, call: Call, *, is_whole: bool = False) -> Operation:
        """Do one call and write it down. `is_whole`: it is not cut off on purpose."""
        cut = kind in CUTTABLE and not is_whole and self.rng.random() < CUT_SHARE
        invoked_at = time.time()
        try:
            answer = self._exchange(call, self.rng.choice((1, 2, 3)) if cut else 0)
        except (OSError, ValueError, http.client.HTTPException, CutError):
            self._connection.close()
            answer = Answer()
        ended_at = time.time()
        known = 0 < answer.status < 500 or answer.status == 503
        operation = Operation(
            number=self.number * 1_000_000 + len(self.history),
            client=f"client-{self.number}",
            kind=kind,
            invoked_at=invoked_at,
            ended_at=ended_at,
            outcome="unknown" if not known else "ok" if answer.status < 300 else "fail",
            request=request,
            answer=answer,
        )
        self.history.append(operation)
        return operation

    def insist(self, kind: str, request: Request, call: Call) -> Operation:
        """Do a call until it is known what it did; each time is an operation of its own."""
        operation = self.send(kind, request, call)
        for _ in range(MOST_REPEATS):
            if operation.outcome != "unknown":
                break
            operation = self.send(kind, request, call)
        return operation

    def _exchange(self, call: Call, cut: int) -> Answer:
        raw = (
            call.body if isinstance(call.body, bytes) else b"" if call.body is None else json.dumps(call.body).encode()
        )
        headers = {
            "Authorization": f"Bearer {call.token or self.token}",
            "Content-Type": "application/x-ndjson" if isinstance(call.body, bytes) else "application/json",
            "Content-Length": str(len(raw)),
        }
        if call.key:
            headers["Idempotency-Key"] = call.key
        if cut == 1 and raw:
            self._connection.request(call.method, f"/api/v1/{call.path}", raw[: len(raw) // 2], headers)
            raise CutError
        self._connection.request(call.method, f"/api/v1/{call.path}", raw, headers)
        if cut:
            time.sleep(self.rng.choice((0.0, 0.002, 0.02)))
            raise CutError
        response = self._connection.getresponse()
        return read_answer(response.status, response.read(), response.headers.get("Idempotency-Replayed") == "true")

    # --- A person's work --------------------------------------------------------------------------------------------

    def pick_project(self) -> ProjectPlan:
        """One of a few projects that are worked on at this time; now and then any."""
        if self.rng.random() < 0.05:
            return self.rng.choice(self.projects)
        n_before = max(0, len(self.plan.projects) - WINDOW)
        first = min(n_before, int(len(self.history) / self.n_operations * (n_before + 1)))
        now = self.plan.projects[first : first + WINDOW]
        return self.rng.choice([project for project in now if self.name in project.people] or self.projects)

    def keep(self, project: str, operation: Operation) -> None:
        """Remember the leases that an answer brought."""
        had = {lease.id for _, lease in [*self.held, *self.aside]}
        for lease in operation.answer.leases:
            if lease.id not in had:
                (self.aside if self.rng.random() < LATE_SHARE else self.held).append((project, lease))

    def take(self) -> tuple[str, Lease] | None:
        """A lease to use, which may have run out, or somebody else's tab may have used it."""
        return self.held.pop(self.rng.randrange(len(self.held))) if self.held else None

    def lease(self, project: str = "", n: int = 0) -> Operation:
        project = project or self.pick_project().slug
        request = Request(project=project, person=self.name, n=n or self.rng.choice((1, 1, 2, 3)))
        operation = self.insist("lease", request, Call("POST", f"projects/{project}/leases", {"n": request.n}))
        self.keep(project, operation)
        return operation

    def look(self) -> None:
        project = self.pick_project().slug
        request = Request(project=project, person=self.name)
        self.keep(project, self.insist("held", request, Call("GET", f"projects/{project}/leases")))

    def answer(self, project: str, lease: Lease, lease_next: int = 0) -> Operation:
        """Answer a lease, under a new key."""
        self._keys += 1
        value = self.rng.choices(VERDICTS, (6, 2, 1))[0]
        body: dict[str, Any] = {"answers": {"verdict": value}, "seconds": round(self.rng.random(), 3)}
        if lease_next:
            body["lease_next"] = lease_next
        request = Request(
            project=project,
            person=self.name,
            lease=lease.id,
            item=lease.item,
            key=f"{self.number}-{self._keys}",
            body=json.dumps(body, sort_keys=True),
            value=value,
            n=lease_next,
        )
        return self.send_answer(request, body)

    def send_answer(self, request: Request, body: Any) -> Operation:
        operation = self.insist(
            "submit", request, Call("POST", f"leases/{request.lease}/annotation", body, request.key)
        )
        self.answered.append((request, body))
        if operation.outcome == "ok":
            if not operation.answer.is_replay:
                self.acknowledged.append(replace(request, annotation=operation.answer.annotation))
            self.keep(request.project, operation)
        lease = Lease(request.lease, request.item, 0.0)
        self.dead.append((request.project, lease))
        return operation

    def submit(self, lease_next: int = 0) -> None:
        if taken := self.take():
            self.answer(*taken, lease_next=lease_next)
        else:
            self.lease()

    def submit_and_lease(self) -> None:
        self.submit(lease_next=self.rng.choice((1, 1, 2)))

    def repeat(self) -> None:
        if self.answered:
            self.send_answer(*self.rng.choice(self.answered))

    def send_another_body(self) -> None:
        if self.answered:
            request, body = self.rng.choice(self.answered)
            value = self.rng.choice([verdict for verdict in VERDICTS if verdict != request.value])
            body = {**body, "answers": {"verdict": value}}
            self.send_answer(replace(request, value=value, body=json.dumps(body, sort_keys=True)), body)

    def send_another_lease(self) -> None:
        if self.answered and (taken := self.take()):
            (project, lease), (request, body) = taken, self.rng.choice(self.answered)
            self.send_answer(replace(request, project=project, lease=lease.id, item=lease.item), body)

    def use_expired(self) -> None:
        """Use a lease that has run out: most often the last one that did, before somebody else takes the place."""
        late = [kept for kept in self.aside if kept[1].expires_at < time.time()]
        if not late:
            return
        last = max(late, key=lambda kept: kept[1].expires_at)
        kept = self.rng.choice((last, last, self.rng.choice(late)))
        self.aside.remove(kept)
        self.rng.choice((self.answer, self.answer, self.answer, self._renew, self._release, self._skip))(*kept)

    def use_dead(self) -> None:
        """Use a lease that has ended, or that another call is just ending."""
        if self.dead:
            dead = self.rng.choice(self.dead)
            self.rng.choice((self.answer, self._renew, self._release, self._skip))(*dead)

    def _use(self, kind: str, project: str, lease: Lease, call: Call) -> Operation:
        request = Request(project=project, person=self.name, lease=lease.id, item=lease.item)
        operation = self.insist(kind, request, call)
        if kind == "renew":
            self.keep(project, operation)
        else:
            self.dead.append((project, lease))
        return operation

    def _renew(self, project: str, lease: Lease) -> Operation:
        return self._use("renew", project, lease, Call("POST", f"leases/{lease.id}/renew"))

    def _skip(self, project: str, lease: Lease) -> Operation:
        return self._use("skip", project, lease, Call("POST", f"leases/{lease.id}/skip", {"reason": "ambiguous"}))

    def _release(self, project: str, lease: Lease) -> Operation:
        return self._use("release", project, lease, Call("DELETE", f"leases/{lease.id}"))

    def renew(self) -> None:
        if taken := self.take():
            self._renew(*taken)

    def skip(self) -> None:
        if taken := self.take():
            self._skip(*taken)

    def release(self) -> None:
        if taken := self.take():
            self._release(*taken)

    def undo(self) -> None:
        if self.acknowledged:
            done = self.rng.choice(self.acknowledged)
            call = Call("POST", f"annotations/{done.annotation}/undo")
            request = Request(
                project=done.project, person=self.name, lease=done.lease, item=done.item, annotation=done.annotation
            )
            self.keep(done.project, self.insist("undo", request, call))

    # --- What happens around them -----------------------------------------------------------------------------------

    def _manage(self, kind: str, request: Request, method: str, path: str, body: Any = None) -> Operation:
        call = Call(method, f"projects/{request.project}/{path}".rstrip("/"), body, token=self.plan.owner_token)
        return self.insist(kind, request, call)

    def change_overlap(self) -> None:
        project = self.pick_project()
        if project.other_overlaps:
            overlap = self.rng.choice(project.other_overlaps)
            request = Request(project=project.slug, overlap=overlap)
            self._manage("overlap", request, "PATCH", "", {"overlap": overlap})

    def remove_member(self) -> None:
        project = self.pick_project()
        name = self.rng.choice(project.people)
        request = Request(project=project.slug, person=name)
        self._manage("remove_member", request, "DELETE", f"members/{name}")
        self.out.append((project.slug, name))

    def put_back(self) -> None:
        project, name = self.out.pop()
        request = Request(project=project, person=name)
        self._manage("set_member", request, "PUT", f"members/{name}", {"role": "annotator"})

    def prioritise(self) -> None:
        """Raise a few items by predictions of a model that is unsure about them."""
        project = self.pick_project()
        chosen = self.rng.sample(sorted(project.items.values()), min(5, len(project.items)))
        lines = [
            {"external_id": name, "model": "outside", "proba": {"none": self.rng.random() / 2, "spam": 0.4}}
            for name in chosen
        ]
        body = "\n".join(json.dumps(line) for line in lines).encode()
        self._manage("prioritise", Request(project=project.slug), "POST", "predictions", body)

    def quarantine(self) -> None:
        project = self.pick_project()
        item = self.rng.choice(sorted(project.items))
        self._manage("quarantine", Request(project=project.slug, item=item), "POST", f"items/{item}/quarantine")

    def adjudicate(self) -> None:
        project = self.pick_project()
        item = self.rng.choice(sorted(project.items))
        body = {"answers": {"verdict": "spam"}, "reason": "ambiguous", "note": ""}
        request = Request(project=project.slug, item=item)
        self._manage("adjudicate", request, "POST", f"items/{item}/adjudication", body)

    # --- Running ----------------------------------------------------------------------------------------------------

    def run(self) -> list[Operation]:
        """Do everything in random mixture, `n_operations` calls in all; who was taken out is in again at the end."""
        weights = [weight for weight, _ in self._doings]
        while len(self.history) < self.n_operations:
            if self.out and self.rng.random() < 0.2:
                self.put_back()
            else:
                self.rng.choices(self._doings, weights)[0][1]()
        while self.out:
            self.put_back()
        self.close()
        return self.history

    def drain(self) -> list[Operation]:
        """Answer what is left in every project, until there is nothing more to be had."""
        for project in self.projects:
            for _ in project.items:
                found = self.lease(project.slug, 5).answer.leases
                if not found:
                    break
                for lease in found:
                    self.answer(project.slug, lease)
        self.close()
        return self.history

    def ask(self, project: str) -> Operation:
        """Ask for one lease, without cutting anything off."""
        request = Request(project=project, person=self.name, n=1)
        return self.send("lease", request, Call("POST", f"projects/{project}/leases", {"n": 1}), is_whole=True)

    def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(OSError):
            self._connection.close()


def read_answer(status: int, raw: bytes, is_replay: bool) -> Answer:
    """What the history keeps of an answer. Raises ValueError where the body is not JSON."""
    body = json.loads(raw) if raw else {}
    shown = body.get("leases", [body["lease"]] if "lease" in body else [body] if "expires_at" in body else [])
    shown = body.get("results", shown)
    return Answer(
        status=status,
        code=str(body.get("code") or ""),
        leases=tuple(read_lease(lease) for lease in shown),
        reason=str(body.get("reason") or "") if "leases" in body else "",
        annotation=str(body.get("annotation") or ""),
        is_replay=is_replay,
    )


def read_lease(shown: Mapping[str, Any]) -> Lease:
    """A lease as the API shows it."""
    return Lease(
        id=shown["id"],
        item=shown["item"]["id"],
        expires_at=datetime.fromisoformat(shown["expires_at"]).timestamp(),
    )


def run_clients(plan: Plan, numbers: list[int], phase: str) -> list[Operation]:
    """Run these clients at once, each in a thread; `phase`: `run` or `drain`. For a process of its own."""
    clients = [Client(plan, number) for number in numbers]
    done: list[list[Operation]] = []
    threads = [threading.Thread(target=lambda c=client: done.append(getattr(c, phase)())) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == len(clients), "a client has died"
    return [operation for history in done for operation in history]
