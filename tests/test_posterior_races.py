"""The posterior rule among many at once: no place is taken away from who holds it or is just taking it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, connections, transaction

from annotation import queue
from annotation.audit import find_violations
from annotation.models import QueueRow, Seat
from tests.cast import Desk, MakeDesk
from tests.posterior_desk import know, make_known_desk, state_of
from tests.together import together
from tests.workers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_item_that_is_settled_keeps_a_place_for_who_is_just_taking_it(make_desk: MakeDesk) -> None:
    desk = make_known_desk(make_desk, n=1)
    desk.vote("t-1", alice="spam", bob="none")
    know(desk, alice=0.99, bob=0.5)
    row = desk.row("t-1").pk

    def settle() -> None:
        try:
            queue.settle(row_ids=[row])
        finally:
            connections.close_all()

    queue.set_ranks(project_id=desk.project.pk, priorities={desk.item("t-1").pk: 9.0}, draw_id=None)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            held = desk.lease_one("carol")
            settling = pool.submit(settle)
            wait_until(_somebody_waits)
        settling.result(timeout=20)
    assert held["item"] == desk.item("t-1").pk
    assert state_of(desk, "t-1") == ("agreed", 2, 3)
    assert find_violations() == {}


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select exists (select 1 from pg_locks where not granted)")
        return bool(cursor.fetchone()[0])


def test_labelling_goes_on_while_fits_settle_items_anew(make_desk: MakeDesk) -> None:
    """Three people answer all there is while one skill after the other is stored and every item is looked at anew."""
    desk = make_known_desk(make_desk, n=12, overlap={"min": 2, "max": 3})
    rows = list(QueueRow.objects.order_by("pk").values_list("pk", flat=True))

    def settle(number: int) -> None:
        for at in range(6):
            know(desk, alice=0.99 if (number + at) % 2 else 0.5)
            queue.settle(row_ids=rows)

    labelling: list[Callable[[], None]] = [partial(_label_all, desk, name) for name in ("alice", "bob", "carol")]
    results = together(*labelling, partial(settle, 0), partial(settle, 1))
    assert results == [None] * 5
    queue.settle(row_ids=rows)
    assert find_violations() == {}
    assert QueueRow.objects.filter(kind=1, overlap__gt=3).count() == 0
    answered = Seat.objects.filter(state=Seat.State.SUBMITTED, person__in=[desk.cast.alice, desk.cast.bob])
    assert answered.count() >= 12


def _label_all(desk: Desk, name: str) -> None:
    verdicts = {"alice": "spam", "bob": "none", "carol": "spam"}
    for _ in range(100):
        found = desk.lease(name)
        if not found.leases:
            return
        desk.submit(name, found.leases[0], verdicts[name])
