"""Q7: no open item starves, and "nothing left" is said only where that is so, whatever cursors and floors say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation import queue
from annotation.audit import find_violations
from annotation.models import Member, QueueCursor, QueueLane, Seat
from tests.cast import Desk, MakeDesk
from tests.queue_worlds import move_cursors_always
from tests.test_queue import expire_lease

pytestmark = pytest.mark.django_db


def point_cursors(desk: Desk, name: str, rank: float, tiebreak: int = 0) -> None:
    """Say in every lane, in its present epoch, that the person has nothing to do before this place."""
    for lane in QueueLane.objects.filter(project=desk.project):
        QueueCursor.objects.create(
            person_id=desk.cast[name].pk,
            lane_id=lane.pk,
            epoch=lane.epoch,
            rank=rank,
            tiebreak=tiebreak,
            moved_at=timezone.now(),
        )


def look_to_the_end(desk: Desk, name: str) -> None:
    """Let somebody be told that there is nothing, and remember that as their cursors do: from the second time on."""
    for _ in range(2):
        assert desk.lease(name).leases == []
    lanes = QueueLane.objects.filter(project=desk.project, kind=1).values_list("pk", "epoch")
    cursors = QueueCursor.objects.filter(person_id=desk.cast[name].pk)
    assert dict(cursors.values_list("lane_id", "full_epoch")) == dict(lanes)


def in_one_lane(n: int) -> list[dict[str, Any]]:
    """Rows of one group: all in the pool or all in the holdout."""
    return [{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in range(1, n + 1)]


def test_a_cursor_past_all_work_hides_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4)
    point_cursors(desk, "alice", float("inf"))
    assert len({desk.label("alice").annotation_id for _ in range(4)}) == 4
    assert desk.lease("alice").reason == "empty"


def test_a_floor_past_all_work_hides_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4)
    QueueLane.objects.update(floor_rank=float("inf"))
    assert len({desk.label("alice").annotation_id for _ in range(4)}) == 4
    assert desk.lease("alice").reason == "empty"


def release(desk: Desk, raw: dict[str, Any]) -> None:
    queue.release(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk)


def skip(desk: Desk, raw: dict[str, Any]) -> None:
    queue.skip(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk, reason="language")


def expire(desk: Desk, raw: dict[str, Any]) -> None:
    expire_lease(raw)


def expire_and_move_floors(desk: Desk, raw: dict[str, Any]) -> None:
    expire_lease(raw)
    assert queue.move_floors() > 0


def leave(desk: Desk, raw: dict[str, Any]) -> None:
    assert queue.leave(project_id=desk.project.pk, person_id=desk.cast.alice.pk) == 1


def widen(desk: Desk, raw: dict[str, Any]) -> None:
    assert queue.set_overlap(project_id=desk.project.pk, wanted=2, after=0, limit=100)[1] == 1


@pytest.mark.parametrize("happens", [release, skip, expire, expire_and_move_floors, leave, widen])
def test_whoever_was_told_that_nothing_is_left_finds_the_place_that_opens(
    make_desk: MakeDesk, happens: Callable[[Desk, dict[str, Any]], None]
) -> None:
    desk = make_desk(n=1, overlap=1)
    raw = desk.lease_one("alice")
    look_to_the_end(desk, "bob")
    happens(desk, raw)
    assert desk.lease_one("bob")["item"] == raw["item"]
    assert find_violations() == {}


def test_whoever_was_told_that_nothing_is_left_is_asked_where_votes_differ(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap={"min": 2, "max": 3})
    first, second = desk.lease_one("alice"), desk.lease_one("bob")
    look_to_the_end(desk, "carol")
    desk.submit("alice", first, "none")
    desk.submit("bob", second, "spam")
    assert desk.lease_one("carol")["item"] == first["item"]


def test_whoever_lost_a_place_finds_another_one_of_the_same_item_behind_their_cursor(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    raw = desk.lease_one("alice")
    assert len(desk.lease("alice", 2).leases) == 1
    expire_lease(raw)
    desk.lease_one("bob")
    assert desk.lease_one("alice")["item"] == raw["item"]


def test_a_place_on_an_item_that_is_sealed_is_not_waited_for(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    queue.close_items(item_ids=[raw["item"]])
    assert desk.lease("bob").reason == "empty"
    assert find_violations() == {}


def test_an_unused_place_on_a_decided_item_is_not_waited_for(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    held = desk.lease_one("alice")
    desk.label("bob")
    queue.take_dispute(project_id=desk.project.pk, item_id=held["item"], person_id=desk.cast.rita.pk)
    assert desk.lease("carol").reason == "empty"
    expire_lease(held)
    assert desk.lease("carol").reason == "empty"


def test_a_dispute_that_one_labelled_is_not_waited_for(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.label("rita", "none")
    desk.label("bob", "spam")
    desk.lease_one("olga", kind="adjudicate")
    assert desk.lease("rita", kind="adjudicate").reason == "empty"


def test_when_to_ask_again_is_told_by_a_place_that_one_may_take(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=in_one_lane(2), overlap=2, lease_seconds=3600)
    desk.label("carol")
    same, _ = desk.lease("alice", 2).leases  # the first beside carol's answer, the second beside bob
    desk.lease_one("bob")
    Seat.objects.filter(pk=same["seat"]).update(expires_at=timezone.now() + timedelta(seconds=60))
    told = desk.lease("carol")
    assert told.reason == "all_leased"
    assert told.retry_after is not None
    assert told.retry_after > 3000


def test_an_item_that_became_the_most_urgent_comes_first_wherever_a_cursor_stands(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=in_one_lane(4))
    rows = sorted((desk.row(f"t-{i}") for i in range(1, 5)), key=lambda row: row.tiebreak)
    point_cursors(desk, "alice", 0, rows[2].tiebreak)
    queue.set_ranks(project_id=desk.project.pk, priorities={rows[1].item_id: 3.0}, draw_id=None)
    assert desk.lease_one("alice")["item"] == rows[1].item_id


def test_the_cursor_among_raised_items_hides_nothing_that_is_raised_again(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=in_one_lane(6), overlap=2)
    rows = [desk.row(f"t-{i}") for i in range(1, 7)]
    queue.set_ranks(project_id=desk.project.pk, priorities={row.item_id: 1.0 for row in rows[:3]}, draw_id=None)
    for _ in rows:
        desk.label("alice")
    look_to_the_end(desk, "alice")
    assert set(QueueCursor.objects.values_list("returned_rank", flat=True)) == {float("inf")}
    mine = Seat.objects.filter(person=desk.cast.alice, item_id=rows[1].item_id)
    mine.update(state=Seat.State.RELEASED, annotation=None)  # as if they had never had it: only the raise tells them
    queue.set_ranks(project_id=desk.project.pk, priorities={rows[1].item_id: 9.0}, draw_id=None)
    assert desk.lease_one("alice")["item"] == rows[1].item_id


def test_the_floor_of_what_somebody_holds_hides_none_of_it(make_desk: MakeDesk) -> None:
    move_cursors_always()
    desk = make_desk(n=4, max_held=4)
    held = desk.lease("alice", 3).leases
    floors = Member.objects.filter(project=desk.project, user=desk.cast.alice).values_list("held_floor", flat=True)
    assert all(floor is not None for floor in floors)
    assert desk.lease("alice", 3).leases == held
    assert find_violations() == {}


def test_floors_move_up_to_the_first_open_item_and_no_further(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=in_one_lane(3))
    rows = sorted((desk.row(f"t-{i}") for i in range(1, 4)), key=lambda row: row.tiebreak)
    desk.label("alice")
    queue.move_floors()
    lane = QueueLane.objects.get(pk=rows[0].lane_id)
    assert (lane.floor_rank, lane.floor_tiebreak) == (0, rows[1].tiebreak)
    assert desk.lease_one("bob")["item"] == rows[1].item_id


def test_the_first_open_item_is_served_first(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=in_one_lane(5), max_held=5)
    rows = sorted((desk.row(f"t-{i}") for i in range(1, 6)), key=lambda row: row.tiebreak)
    queue.set_ranks(project_id=desk.project.pk, priorities={rows[4].item_id: 1.0}, draw_id=None)
    served = [raw["item"] for raw in desk.lease("alice", 5).leases]
    assert served == [rows[4].item_id, *(row.item_id for row in rows[:4])]
