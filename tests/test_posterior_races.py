"""The posterior rule among many at once: a place that somebody is just taking is not taken away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from annotation import queue
from annotation.audit import find_violations
from tests.cast import MakeDesk
from tests.posterior_desk import know, make_known_desk, state_of
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
