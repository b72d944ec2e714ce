"""Events reach each consumer once: whatever commits late, fails, runs twice at a time, or comes out of a backup."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from annotation.actions.events import move_to_cluster, write_event
from annotation.events import dispatch_events, read_events, subscribe, unsubscribe
from annotation.models import Event, EventPosition
from tests.workers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Listen = Callable[[str], list[int]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Subscribe a consumer and return the list to which the ids of its events are added."""
    consumers: list[str] = []

    def subscribe_list(consumer: str) -> list[int]:
        heard: list[int] = []
        subscribe(consumer=consumer, handler=lambda events: heard.extend(event.pk for event in events))
        consumers.append(consumer)
        return heard

    yield subscribe_list
    for consumer in consumers:
        unsubscribe(consumer=consumer)


def write(kind: str = "test.happened") -> int:
    return write_event(project=None, kind=kind, actor=None)


def write_restored(xid: int) -> int:
    """An event as a restore brings it back: with the number of a transaction of another cluster."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into annotation_event (kind, xid) values ('test.happened', %s::text::xid8) returning id", [str(xid)]
        )
        return int(cursor.fetchone()[0])


class OpenTransaction:
    """A transaction on a connection of its own that has written one event and stays open until told to end."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._written = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.event_id = 0

    def __enter__(self) -> OpenTransaction:
        self._thread.start()
        assert self._written.wait(10)
        return self

    def __exit__(self, *_rest: object) -> None:
        self.commit()

    def commit(self) -> None:
        self._go.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with transaction.atomic():
                self.event_id = write()
                self._written.set()
                self._go.wait(30)
        finally:
            connections.close_all()


# --- Order -----------------------------------------------------------------------------------------------------------


def test_event_that_commits_late_is_not_passed_over(listen: Listen) -> None:
    heard = [listen("test-a"), listen("test-b")]
    dispatch_events()
    before = write()
    with OpenTransaction() as early:
        late = [write(), write()]
        dispatch_events()
        assert heard == [[before], [before]]
        early.commit()
    dispatch_events()
    dispatch_events()
    expected = sorted([before, early.event_id, *late])
    assert [sorted(ids) for ids in heard] == [expected, expected]


def test_one_early_transaction_beside_thousands_of_later_ones_is_heard_once_by_everybody(listen: Listen) -> None:
    heard = [listen(f"test-{n}") for n in range(3)]
    dispatch_events()
    is_over = threading.Event()
    rounds: list[int] = []

    def write_one_by_one() -> None:
        """Each event in a transaction of its own, without the way to and fro in between."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "do $$ begin for n in 1..1500 loop"
                    " insert into annotation_event (kind) values ('test.happened'); commit; end loop; end $$"
                )
        finally:
            connections.close_all()

    def dispatch() -> None:
        try:
            while not is_over.is_set():
                rounds.append(dispatch_events(limit=200))
        finally:
            connections.close_all()

    before = write()
    dispatch_events()
    with ThreadPoolExecutor(6) as pool, OpenTransaction() as early:
        dispatchers = [pool.submit(dispatch) for _ in range(2)]
        for writer in [pool.submit(write_one_by_one) for _ in range(4)]:
            writer.result()
        n_rounds = len(rounds)
        wait_until(lambda: len(rounds) >= n_rounds + 10)  # whatever could be read too early has been read by then
        heard_beside = [list(ids) for ids in heard]
        early.commit()
        written = set(Event.objects.values_list("pk", flat=True))
        deadline = time.monotonic() + 20
        while any(len(ids) < len(written) for ids in heard) and time.monotonic() < deadline:
            time.sleep(0.02)
        is_over.set()
        for dispatcher in dispatchers:
            dispatcher.result()
    assert heard_beside == [[before]] * 3, "what commits after an open transaction waits for it"
    assert len(written) == 6002
    assert early.event_id in written
    assert [Counter(ids) for ids in heard] == [Counter(written)] * 3


def test_many_writers_and_two_dispatchers_at_once(listen: Listen) -> None:
    heard = [listen("test-a"), listen("test-b")]
    dispatch_events()
    is_over = threading.Event()
    written: list[int] = []

    def write_some(seed: int) -> None:
        rng = Random(seed)
        try:
            for _ in range(25):
                with transaction.atomic():
                    ids = [write() for _ in range(rng.randint(1, 3))]
                    time.sleep(rng.random() * 0.01)
                written.extend(ids)
        finally:
            connections.close_all()

    def dispatch() -> None:
        try:
            while not is_over.is_set():
                dispatch_events(limit=7)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        dispatchers = [pool.submit(dispatch) for _ in range(2)]
        list(pool.map(write_some, range(6)))
        is_over.set()
        for dispatcher in dispatchers:
            dispatcher.result()
    dispatch_events(limit=7)
    assert len(written) > 150
    assert [Counter(ids) for ids in heard] == [Counter(written)] * 2


def test_rolled_back_event_is_not_heard(listen: Listen) -> None:
    heard = listen("test-a")
    dispatch_events()
    with transaction.atomic():
        write()
        transaction.set_rollback(True)
    kept = write()
    dispatch_events()
    assert heard == [kept]


def test_batch_holds_whole_transactions() -> None:
    with transaction.atomic():
        read_events(consumer="test-a")
    with transaction.atomic():
        together = [write() for _ in range(5)]
    alone = write()
    with transaction.atomic():
        assert [event.pk for event in read_events(consumer="test-a", limit=2)] == together
        assert [event.pk for event in read_events(consumer="test-a", limit=2)] == [alone]
        assert read_events(consumer="test-a", limit=2) == []


def test_new_consumer_gets_history_in_batches(listen: Listen) -> None:
    written = [write() for _ in range(7)]
    heard = listen("test-a")
    assert dispatch_events(limit=3) >= 7
    written.append(write())
    dispatch_events(limit=3)
    assert heard == written


# --- Once ------------------------------------------------------------------------------------------------------------


def test_effect_and_position_are_stored_together(listen: Listen) -> None:
    others = listen("test-b")
    faults = [RuntimeError("the first time"), IntegrityError("the second time")]

    def answer(events: list[Event]) -> None:
        for event in events:
            write_event(project=None, kind="test.effect", actor=None, ref_id=event.pk)
        for fault in faults[:1]:
            faults.remove(fault)
            raise fault

    subscribe(consumer="test-a", handler=lambda events: answer([e for e in events if e.kind == "test.happened"]))
    try:
        written = write()
        for _ in range(4):
            dispatch_events()
    finally:
        unsubscribe(consumer="test-a")
    assert Event.objects.filter(kind="test.effect", ref_id=written).count() == 1
    assert others.count(written) == 1
    assert faults == []


def test_failing_handler_does_not_hold_up_others(listen: Listen) -> None:
    def fail(events: list[Event]) -> None:
        raise RuntimeError

    subscribe(consumer="test-a", handler=fail)
    heard = listen("test-b")
    try:
        dispatch_events()
        written = write()
        dispatch_events()
        dispatch_events()
    finally:
        unsubscribe(consumer="test-a")
    assert heard == [written]


def test_second_reader_passes_on_while_the_first_reads() -> None:
    write()

    def read_elsewhere() -> list[Event]:
        try:
            with transaction.atomic():
                return read_events(consumer="test-a")
        finally:
            connections.close_all()

    with transaction.atomic():
        read_events(consumer="test-a")
    written = write()
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        assert [event.pk for event in read_events(consumer="test-a")] == [written]
        assert pool.submit(read_elsewhere).result(10) == []


def test_one_name_has_one_handler(listen: Listen) -> None:
    listen("test-a")
    with pytest.raises(ValueError, match="test-a"):
        subscribe(consumer="test-a", handler=print)


# --- Another cluster -------------------------------------------------------------------------------------------------

OLD = 10**12  # transaction numbers of a cluster that was in use for long


def restore_position(*, xid: int, last_id: int, boundary_id: int = 0) -> None:
    """A position as a restore brings it back: it speaks of another cluster."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into annotation_eventposition (consumer, xid, system_identifier, last_id, boundary_id, read_at)"
            " values ('test-a', %s::text::xid8, '42', %s, %s, now())",
            [str(xid), last_id, boundary_id],
        )


def test_after_a_restore_each_unread_event_is_heard_once_and_no_read_one_again(listen: Listen) -> None:
    heard = listen("test-a")
    write_restored(OLD - 2)  # read
    passed_over = write_restored(OLD + 5)  # began to write first, committed last
    read_last = write_restored(OLD - 1)  # read
    unread = [write_restored(OLD + 3), write_restored(OLD + 1)]
    restore_position(xid=OLD, last_id=read_last)
    since = [write(), write()]  # on the new cluster, before anybody looked
    for _ in range(3):
        dispatch_events(limit=2)
    assert heard == [passed_over, *unread, *since]
    later = [write(), write()]
    dispatch_events(limit=2)
    dispatch_events(limit=2)
    assert heard == [passed_over, *unread, *since, *later]


def test_second_restore_halfway_through_the_first_loses_nothing(listen: Listen) -> None:
    written = [write_restored(OLD + 10 - n) for n in range(6)]
    with transaction.atomic():
        read = [event.pk for event in read_events(consumer="test-a", limit=2)]
    EventPosition.objects.update(system_identifier="43")
    written += [write_restored(OLD), write()]
    heard = listen("test-a")
    for _ in range(3):
        dispatch_events(limit=2)
    assert read + heard == written


def test_change_of_stored_identifier_alone_repeats_nothing(listen: Listen) -> None:
    heard = listen("test-a")
    written = [write() for _ in range(4)]
    dispatch_events()
    written += [write() for _ in range(4)]
    dispatch_events()
    EventPosition.objects.update(system_identifier="43")
    dispatch_events()
    written.append(write())
    dispatch_events()
    assert heard == written


def test_boundary_waits_for_whoever_is_writing(listen: Listen) -> None:
    heard = listen("test-a")
    with OpenTransaction() as early:
        later = write()
        position = EventPosition(consumer="test-a", xid=0, system_identifier="", last_id=0, boundary_id=0)
        with pytest.raises(OperationalError), transaction.atomic():
            move_to_cluster(position=position, system_identifier="42")
        dispatch_events()
        assert heard == []
        early.commit()
    dispatch_events()
    assert heard == [early.event_id, later]
