"""A machine that plays people at a queue, in any order that hypothesis thinks of, on a real database and on the model.

Each step is one request. What it answers and all that it leaves in the tables must be what `queue_model.Queue` says.
An example plays in one transaction, in a project that was made beforehand, and takes everything back at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from annotation import queue
from annotation.actions.answers import answer_lease
from annotation.actions.items import quarantine_item, set_holdout_share, set_priorities
from annotation.actions.jobs import claim_job
from annotation.actions.projects import change_project, remove_member, set_member
from annotation.actions.quarantine import ask_release, confirm_release, find_quarantine
from annotation.audit import find_violations
from annotation.errors import TouchstoneError
from annotation.job_kinds.overlap import run_overlap
from annotation.jobs import RunningJob
from annotation.models import Item, Job, QueueLane
from reviewers.actions.adjudication import adjudicate
from tests.queue_breaks import Break, install
from tests.queue_model import (
    ADJUDICATE,
    HELD,
    LABEL,
    RELEASED,
    Answer,
    Body,
    Lease,
    Offered,
    Refusal,
    Row,
    Submitted,
)
from tests.queue_worlds import (
    CHOICES,
    JUDGE,
    LABELLERS,
    LANGUAGES,
    LEASE_SECONDS,
    MAX_HELD,
    OWNER,
    REVIEWER,
    ROLES,
    WORLDS,
    Tables,
    World,
    read_tables,
    tables_of,
)

# Nothing is shrunk, nothing is kept: whoever only asks whether something is found is told so at once.
QUICKLY = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

T = TypeVar("T")

PEOPLE = st.sampled_from(LABELLERS)
JUDGES = st.sampled_from((OWNER, JUDGE, REVIEWER))
BODIES = st.builds(Body, st.sampled_from(CHOICES), st.integers(0, 2))


class QueueMachine(RuleBasedStateMachine):
    """People at a queue. `tally` counts, over all examples, each request with its answer."""

    def __init__(self, worlds: Mapping[str, World], tally: Counter[tuple[str, str]] | None = None) -> None:
        super().__init__()
        self.worlds = worlds
        self.tally: Counter[tuple[str, str]] = Counter() if tally is None else tally
        self.leases: list[Lease] = []  # all that were ever handed out
        self.answers: list[Answer] = []
        self.seat_ids: dict[tuple[str, str, str], int] = {}
        self.annotation_ids: dict[tuple[str, str], int] = {}
        self.found: Tables = ({}, {}, {})
        self.has_failed = False
        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def teardown(self) -> None:
        """Ask the auditor, unless it went wrong before, and take everything back."""
        try:
            violations = {} if self.has_failed else find_violations()
            assert not violations, f"the auditor found {violations}"
        finally:
            transaction.set_rollback(True)
            self._atomic.__exit__(None, None, None)

    @initialize(world=st.sampled_from(sorted(WORLDS)), n=st.integers(1, MAX_HELD))
    def begin(self, world: str, n: int) -> None:
        """Two people lease something: nearly all that can happen then happens to leases."""
        self.world = self.worlds[world]
        self.project = self.world.project
        self.model = deepcopy(self.world.model)
        self.names = {item.pk: name for name, item in self.world.items.items()}
        for person in (LABELLERS[0], REVIEWER):
            self._lease(person, LABEL, n)

    # Asking for work

    @rule(person=PEOPLE, n=st.integers(1, 4))
    def lease(self, person: str, n: int) -> None:
        self._lease(person, LABEL, n)

    @rule(person=PEOPLE)
    def lease_one_more(self, person: str) -> None:
        self._lease(person, LABEL, len(self.model.held(person, LABEL)) + 1)

    @precondition(lambda self: self._disputes())
    @rule(person=JUDGES)
    def lease_dispute(self, person: str) -> None:
        self._lease(person, ADJUDICATE, len(self.model.held(person, ADJUDICATE)) + 1)

    def _lease(self, person: str, kind: str, n: int) -> None:
        if not self.model.people[person].is_member:
            return  # they are turned away at the door, which is not the queue's
        access = self.world.access[person]

        def real() -> Offered:
            found = queue.lease(
                project_id=self.project.pk,
                person_id=access.user.pk,
                kind=kind,
                n=n,
                languages=access.languages,
                rng=Random(1),
            )
            assert (found.retry_after is not None) == (found.reason == "all_leased")
            assert found.retry_after is None or 1 <= found.retry_after <= LEASE_SECONDS
            return Offered(self._note(person, found.leases), found.reason)

        self._compare(f"lease {kind}", real, lambda: self.model.lease(person, kind, n, self._lost()))

    # Answering

    @precondition(lambda self: self._held())
    @rule(data=st.data(), body=BODIES)
    def answer(self, data: st.DataObject, body: Body) -> None:
        self._submit("submit", data.draw(st.sampled_from(self._held())), body)

    @precondition(lambda self: self._held())
    @rule(data=st.data(), choice=st.sampled_from(CHOICES))
    def answer_and_go_on(self, data: st.DataObject, choice: str) -> None:
        lease = data.draw(st.sampled_from(self._held()))
        self._submit("submit", lease, Body(choice, len(self.model.held(lease.person, LABEL))))

    @precondition(lambda self: self._held())
    @rule(data=st.data())
    def disagree(self, data: st.DataObject) -> None:
        """Answer what nobody else has answered, so that there are disputes."""
        lease = data.draw(st.sampled_from(self._held()))
        said = {seat.choice for seat in self.model.row(lease).seats.values()}
        self._submit("submit", lease, Body(next((choice for choice in CHOICES if choice not in said), CHOICES[0])))

    @precondition(lambda self: self._labels())
    @rule(data=st.data(), body=BODIES)
    def answer_with_any_lease(self, data: st.DataObject, body: Body) -> None:
        self._submit("submit with any lease", data.draw(st.sampled_from(self._labels())), body)

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), body=BODIES, what=st.sampled_from(("nothing", "body", "lease")))
    def send_a_key_again(self, data: st.DataObject, body: Body, what: str) -> None:
        """The same request once more, or another one under its key."""
        answer = data.draw(st.sampled_from(self.answers))
        mine = [lease for lease in self._labels() if lease.person == answer.lease.person]
        lease = data.draw(st.sampled_from(mine)) if what == "lease" else answer.lease
        self._submit("submit again", lease, body if what == "body" else answer.body, answer.key)

    def _submit(self, name: str, lease: Lease, body: Body, key: str | None = None) -> None:
        if not self.model.people[lease.person].is_member and body.lease_next:
            return  # only what was under way when they were taken out comes this far
        key = key or f"k-{len(self.answers)}"
        access = self.world.access[lease.person]
        access = self.world.access[lease.person]
        stamp = queue.find_stamp(seat_id=self._seat_id(lease), generation=lease.generation, person_id=access.user.pk)
        sent = {"answers": {"verdict": body.choice}, "lease_next": body.lease_next}
        stored: list[Answer] = []

        def real() -> Submitted:
            done = answer_lease(
                access=self.world.access[lease.person],
                stamp=stamp,
                generation=lease.generation,
                key=key,
                body=sent,
                rng=Random(1),
            )
            first = self.annotation_ids.setdefault((lease.person, key), done.annotation_id)
            assert done.annotation_id == first
            return Submitted(key, done.item_state, self._note(lease.person, done.leases), done.is_replay)

        def model() -> Submitted:
            done, answer = self.model.submit(lease, key, body, self._lost())
            stored.extend([answer] if answer else [])
            return done

        self._compare(name, real, model)
        self.answers += stored

    # What else a holder may do

    @precondition(lambda self: self._held(ADJUDICATE) or self._held())
    @rule(data=st.data(), what=st.sampled_from(("renew", "skip", "release")))
    def keep_or_give_back(self, data: st.DataObject, what: str) -> None:
        self._keep_or_give_back(data.draw(st.sampled_from(self._held(ADJUDICATE) + self._held())), what)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), what=st.sampled_from(("renew", "skip", "release")))
    def keep_or_give_back_any_lease(self, data: st.DataObject, what: str) -> None:
        self._keep_or_give_back(data.draw(st.sampled_from(self.leases)), what)

    def _keep_or_give_back(self, lease: Lease, what: str) -> None:
        id_ = {
            "seat_id": self._seat_id(lease),
            "generation": lease.generation,
            "person_id": self.world.users[lease.person].pk,
        }
        real: dict[str, Callable[[], Lease | None]] = {
            "renew": lambda: self._note(lease.person, [queue.renew(**id_)])[0],
            "skip": lambda: queue.skip(**id_, reason="ambiguous"),
            "release": lambda: queue.release(**id_),
        }
        self._compare(what, real[what], lambda: getattr(self.model, what)(lease))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        self._undo(data.draw(st.sampled_from(self.answers)))

    @precondition(lambda self: self._answers_in_dispute())
    @rule(data=st.data())
    def undo_in_dispute(self, data: st.DataObject) -> None:
        self._undo(data.draw(st.sampled_from(self._answers_in_dispute())))

    def _undo(self, answer: Answer) -> None:
        person = answer.lease.person
        if not self.model.people[person].is_member:
            return

        def real() -> Lease:
            annotation_id = self.annotation_ids[person, answer.key]
            raw = queue.undo(annotation_id=annotation_id, person_id=self.world.users[person].pk)
            return self._note(person, [raw])[0]

        self._compare("undo", real, lambda: self.model.undo(answer))

    # Time

    @precondition(lambda self: self._held(ADJUDICATE) or self._held())
    @rule(data=st.data())
    def let_a_lease_run_out(self, data: st.DataObject) -> None:
        """It ends just now: never before its lane's `lease_floor`, which stands seconds back."""
        lease = data.draw(st.sampled_from(self._held(ADJUDICATE) + self._held()))
        sql = "update annotation_seat set expires_at = clock_timestamp() - interval '1 ms' where id = %s"
        self._compare("expire", lambda: self._execute(sql, self._seat_id(lease)), lambda: self.model.expire(lease))

    @precondition(lambda self: self._held(ADJUDICATE) or self._held())
    @rule(are_moved=st.booleans())
    def let_an_hour_pass(self, are_moved: bool) -> None:
        """All leases end, and what floors say of them is an hour old, unless they are moved."""
        hour = "update {0} set {1} = {1} - interval '1 hour' where project_id = %s and {2}"

        def real() -> None:
            self._execute(hour.format("annotation_seat", "expires_at", "state = 1"), self.project.pk)
            self._execute(hour.format("annotation_queuelane", "lease_floor", "true"), self.project.pk)
            if are_moved:
                queue.move_floors()

        self._compare("an hour passes", real, self.model.expire_all)

    # What reviewers, engineers and owners do

    @precondition(lambda self: self._disputes())
    @rule(data=st.data(), person=JUDGES)
    def decide(self, data: st.DataObject, person: str) -> None:
        leased = [lease.item for lease in self._held(ADJUDICATE)]
        self._adjudicate(person, data.draw(st.sampled_from(leased + [row.item for row in self._disputes()])))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), what=st.sampled_from(("priority", "floors", "item", "decision")))
    def change_items(self, data: st.DataObject, what: str) -> None:
        getattr(self, f"_change_{what}")(data)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), what=st.sampled_from(("overlap", "member", "holdout", "pause")))
    def change_the_project(self, data: st.DataObject, what: str) -> None:
        getattr(self, f"_change_{what}")(data)

    @precondition(lambda self: self.model.settings.is_paused)
    @rule()
    def go_on(self) -> None:
        self._compare("go on", lambda: self._change(state="active"), lambda: self.model.pause(False))

    @precondition(lambda self: self._absent())
    @rule(data=st.data())
    def let_back(self, data: st.DataObject) -> None:
        person = data.draw(st.sampled_from(self._absent()))
        self._compare("let a member back", lambda: self._set_member(person), lambda: self.model.come_back(person))

    def _change_overlap(self, data: st.DataObject) -> None:
        low, more = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 1))

        def real() -> None:
            self._change(overlap={"min": low, "max": low + more})
            waiting = Job.objects.filter(project=self.project, kind="overlap", state="queued").first()
            job = waiting and claim_job(job_id=waiting.pk, worker="test")
            if job:
                running = RunningJob(job)
                running.finish(run_overlap(running))

        self._compare("overlap", real, lambda: self.model.set_overlap(low, low + more))

    def _change_priority(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.items)))
        priority = data.draw(st.sampled_from((-1.0, 0.0, 1.0, 2.0)))

        def real() -> None:
            set_priorities(project=self.project, priorities={self.world.items[name].pk: priority})

        self._compare("priority", real, lambda: self.model.set_priority(name, priority))

    def _change_floors(self, data: st.DataObject) -> None:
        def real() -> None:
            queue.move_floors()

        self._compare("move floors", real, lambda: None)

    def _change_holdout(self, data: st.DataObject) -> None:
        share = 0.0 if self.model.settings.holdout_first else 1.0
        self._compare(
            "holdout's share",
            lambda: set_holdout_share(project=self.project, share=share),
            lambda: self.model.serve_holdout_first(share == 1),
        )

    def _change_pause(self, data: st.DataObject) -> None:
        self._compare("pause", lambda: self._change(state="paused"), lambda: self.model.pause(True))

    def _change_member(self, data: st.DataObject) -> None:
        person = data.draw(PEOPLE)
        user, actor = self.world.users[person], self.world.users[OWNER]
        self._compare(
            "remove a member",
            lambda: remove_member(project=self.project, user=user, actor=actor),
            lambda: self.model.leave(person),
        )

    def _change_item(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.items)))
        item, actor = self.world.items[name], self.world.users[OWNER]
        if name in self.model.sealed and data.draw(st.booleans()):
            self._compare("let out", lambda: self._let_out(item), lambda: self.model.let_out(name))
            return
        self._compare(
            "quarantine",
            lambda: quarantine_item(item=item, actor=actor) is not None,
            lambda: self.model.seal(name),
        )

    def _let_out(self, item: Item) -> None:
        """One asks, another one confirms. (Who may is not the queue's affair.)"""
        quarantine = find_quarantine(item)
        assert quarantine is not None
        ask_release(quarantine=quarantine, actor=self.world.users[OWNER], reason="a false alarm")
        confirm_release(quarantine=quarantine, actor=self.world.users[REVIEWER])

    def _change_decision(self, data: st.DataObject) -> None:
        """Somebody decides what may be no dispute, or was decided before."""
        self._adjudicate(data.draw(JUDGES), data.draw(st.sampled_from(sorted(self.world.items))))

    def _adjudicate(self, person: str, name: str) -> None:
        if not self.model.people[person].is_member:
            return

        def real() -> None:
            adjudicate(
                access=self.world.access[person],
                item=self.world.items[name],
                answers={"verdict": "spam"},
                reason="ambiguous",
            )

        self._compare("adjudicate", real, lambda: self.model.adjudicate(person, name))

    # How

    def _compare(self, name: str, real: Callable[[], T], model: Callable[[], T]) -> T | str:
        """Do one thing in the database and on the model: they must say the same, and the tables must hold the same."""
        self.has_failed = True
        told = _answer_of(real)
        self.found = read_tables(self.project)
        expected = _answer_of(model)
        self.tally[name, _describe(expected)] += 1
        assert told == expected, f"{name}: {told} instead of {expected}"
        for what, found, wanted in zip(("rows", "seats", "answers"), self.found, tables_of(self.model), strict=True):
            assert found == wanted, f"{name}: {what} are {found} instead of {wanted}"
        self.has_failed = False
        return expected

    def _held(self, kind: str = LABEL) -> list[Lease]:
        """Everything of a kind that anybody holds, late or not."""
        return [
            Lease(person, row.kind, row.item, seat.generation)
            for row, person, seat in self.model.seats()
            if seat.state == HELD and row.kind == kind
        ]

    def _labels(self) -> list[Lease]:
        return [lease for lease in self.leases if lease.kind == LABEL]

    def _disputes(self) -> list[Row]:
        return [row for row in self.model.rows.values() if row.kind == ADJUDICATE and not row.is_closed]

    def _answers_in_dispute(self) -> list[Answer]:
        disputed = {row.item for row in self._disputes()}
        return [answer for answer in self.answers if answer.lease.item in disputed]

    def _absent(self) -> list[str]:
        return [name for name, person in self.model.people.items() if not person.is_member]

    def _lost(self) -> set[tuple[str, str, str]]:
        """Places whose lease the last request ended, as the tables show them now."""
        return {
            (row.kind, row.item, person)
            for row, person, seat in self.model.seats()
            if seat.is_late and self.found[1].get((row.kind, row.item, person), (None,))[0] == RELEASED
        }

    def _note(self, person: str, raws: Sequence[dict[str, Any]]) -> tuple[Lease, ...]:
        """Leases as the queue shows them."""
        found = []
        for raw in raws:
            kind = QueueLane.Kind(raw["kind"]).name.lower()
            lease = Lease(person, kind, self.names[raw["item"]], raw["generation"])
            self.seat_ids[person, kind, lease.item] = raw["seat"]
            if lease not in self.leases:
                self.leases.append(lease)
            found.append(lease)
        return tuple(found)

    def _seat_id(self, lease: Lease) -> int:
        return self.seat_ids[lease.person, lease.kind, lease.item]

    def _set_member(self, person: str) -> None:
        set_member(
            project=self.project,
            user=self.world.users[person],
            role=ROLES[person],
            languages=LANGUAGES.get(person, ()),
            actor=self.world.users[OWNER],
        )

    def _change(self, **settings: Any) -> None:
        change_project(project=self.project, settings=settings, actor=self.world.users[OWNER])

    def _execute(self, sql: str, *params: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)


def _answer_of(call: Callable[[], T]) -> T | str:
    try:
        return call()
    except TouchstoneError as error:
        return error.code
    except Refusal as refusal:
        return refusal.code


def _describe(told: object) -> str:
    """An answer in a word, for the tally."""
    if isinstance(told, Offered):
        return told.reason or "ok"
    if isinstance(told, Submitted):
        return "replay" if told.is_replay else "ok"
    return told if isinstance(told, str) else "ok"


def play(
    worlds: Mapping[str, World],
    how: settings,
    *,
    seed: int | None = None,
    tally: Counter[tuple[str, str]] | None = None,
    on_example: Callable[[], object] = lambda: None,
) -> None:
    """Play examples, and raise what is wrong with one. `seed` decides which, unless `how` does. Counts in `tally`."""

    def make() -> QueueMachine:
        on_example()
        return QueueMachine(worlds, tally)

    factory: Any = make if seed is None else seeded(seed)(make)  # where a class is wanted, a function will do
    run_state_machine_as_test(factory, settings=how)


@dataclass(frozen=True, slots=True)
class Found:
    """What the machine noticed, and in which example, counted from 1."""

    example: int
    why: str


def play_until_found(
    worlds: Mapping[str, World], broken: Break | None, *, examples: int, steps: int, seed: int
) -> Found | None:
    """Break the queue, play until the machine notices, and mend it. None: it noticed nothing, however broken it was."""
    played: list[int] = []
    how = settings(QUICKLY, max_examples=examples, stateful_step_count=steps)
    with transaction.atomic():
        if broken is not None:
            install(broken)
        try:
            play(worlds, how, seed=seed, on_example=lambda: played.append(1))
        except (AssertionError, DatabaseError) as error:
            return Found(len(played), str(error))
        finally:
            transaction.set_rollback(True)
    return None
