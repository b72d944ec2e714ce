"""Q12: all of the queue's times are the database's, however wrong the application's clock is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from annotation import queue
from annotation.models import Annotation, Event, QueueCursor, QueueLane, Seat
from tests.cast import MakeDesk

pytestmark = pytest.mark.django_db


def read_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


@pytest.mark.parametrize("wrong", [datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)])
def test_a_wrong_clock_of_the_application_moves_no_time_of_the_queue(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, wrong: datetime
) -> None:
    desk = make_desk(n=6, overlap=2, lease_seconds=600)
    began = read_clock()
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    first, second, third = desk.lease("alice", 3).leases
    done = desk.submit("alice", first, lease_next=3)
    queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)
    desk.submit("alice", second)
    queue.renew(seat_id=third["seat"], generation=third["generation"], person_id=desk.cast.alice.pk)
    queue.skip(seat_id=third["seat"], generation=third["generation"], person_id=desk.cast.alice.pk, reason="ambiguous")
    queue.take_dispute(project_id=desk.project.pk, item_id=second["item"], person_id=desk.cast.rita.pk)
    assert desk.lease("bob", 50).leases
    queue.move_floors()

    ended = read_clock()
    seats = Seat.objects.all()
    found = [
        *seats.values_list("leased_at", flat=True),
        *seats.values_list("ended_at", flat=True),
        *Annotation.objects.values_list("created_at", flat=True),
        *Event.objects.filter(kind__regex="^(annotation|seat)").values_list("at", flat=True),
        *QueueCursor.objects.values_list("moved_at", flat=True),
    ]
    times = [at for at in found if at is not None]
    assert len(times) > 12
    assert began <= min(times)
    assert max(times) <= ended
    held = seats.filter(state=Seat.State.HELD).values_list("expires_at", flat=True)
    assert began + timedelta(seconds=600) <= min(held)
    assert max(held) <= ended + timedelta(seconds=600)
    floors = [at for at in QueueLane.objects.values_list("lease_floor", flat=True) if at is not None]
    assert floors
    assert began - timedelta(seconds=10) <= min(floors)
    assert max(floors) <= ended


def test_a_held_lease_outlives_a_wrong_clock_of_the_application(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    monkeypatch.setattr(timezone, "now", lambda: datetime(2101, 1, 1, tzinfo=UTC))
    assert desk.lease("bob").reason == "all_leased"
    assert [one["seat"] for one in queue.held(project_id=desk.project.pk, person_id=desk.cast.alice.pk)] == [
        raw["seat"]
    ]
    assert desk.submit("alice", raw).item_state == "agreed"


def test_the_queues_sql_reads_the_time_that_passes_and_no_transactions_start() -> None:
    folder = Path(queue.__file__).parent / "sql"
    sql = "".join(
        re.sub(r"--.*", "", (folder / name).read_text(encoding="utf-8")) for name in ("queue.sql", "care.sql")
    )
    assert re.findall(r"\bnow\(\)|current_timestamp|transaction_timestamp|localtimestamp", sql) == []
    assert "clock_timestamp()" in sql
