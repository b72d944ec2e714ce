"""What must always hold of the queue (DESIGN section 5), one invariant after the other, each on real rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from annotation import queue
from annotation.errors import (
    AlreadySubmittedError,
    KeyMissingError,
    KeyReusedError,
    LeaseGoneError,
    UndoTooLateError,
)
from annotation.models import Annotation, Event, Item, Label, Offer, QueueRow, Seat
from tests.cast import Desk, MakeDesk
from tests.touched_rows import count_written

pytestmark = pytest.mark.django_db


def expire_lease(raw: dict[str, Any]) -> None:
    """Time passes for one lease. The clock is the database's (Q12), so tests move `expires_at`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_seat set expires_at = clock_timestamp() - interval '1 hour' where id = %s", [raw["seat"]]
        )


# Q1, Q11: never more seats than the overlap, and the counter is the seats


def test_an_item_is_handed_to_as_many_people_as_its_overlap_and_no_more(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    assert len(desk.lease("alice").leases) == 1
    assert len(desk.lease("bob").leases) == 1
    refused = desk.lease("carol")
    assert (refused.leases, refused.reason) == ([], "all_leased")
    assert (desk.taken("t-1"), desk.n_free("t-1")) == (2, 0)


def test_the_database_refuses_one_seat_too_many(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    with pytest.raises(IntegrityError, match="offer_has_a_free_place"), transaction.atomic():
        Offer.objects.filter(queue_row=desk.row("t-1")).update(n_free=F("n_free") - 1)
    desk.label("alice")
    with pytest.raises(IntegrityError, match="queue_submitted_in_overlap"), transaction.atomic():
        QueueRow.objects.filter(pk=desk.row("t-1").pk).update(n_submitted=F("n_submitted") + 1)


def test_what_is_on_offer_and_what_is_taken_make_up_the_overlap(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4, overlap=2)
    desk.label("alice")
    desk.lease("bob", 3)
    released = desk.lease_one("carol")
    queue.release(seat_id=released["seat"], generation=released["generation"], person_id=desk.cast.carol.pk)
    for name in ("t-1", "t-2", "t-3", "t-4"):
        assert desk.taken(name) + desk.n_free(name) == 2


# Q2: nobody twice


def test_nobody_is_offered_an_item_that_they_have_answered(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=3)
    first = desk.lease_one("alice")
    desk.submit("alice", first)
    second = desk.lease_one("alice")
    desk.submit("alice", second)
    assert second["item"] != first["item"]
    assert desk.lease("alice").reason == "done_by_you"


def test_the_database_refuses_a_second_seat_of_one_person(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    seat = Seat.objects.get(pk=desk.lease_one("alice")["seat"])
    seat.pk = None
    with pytest.raises(IntegrityError, match="seat_once"), transaction.atomic():
        seat.save(force_insert=True)


def test_a_second_answer_to_the_same_item_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    desk.submit("alice", raw, key="one")
    with pytest.raises(AlreadySubmittedError):
        desk.submit("alice", raw, key="two")
    assert Annotation.objects.count() == 1


# Q4: one key, one effect, one answer


def test_a_repeated_submit_has_one_effect_and_the_same_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    raw = desk.lease_one("alice")
    first = desk.submit("alice", raw, key="k", lease_next=1)
    again = desk.submit("alice", raw, key="k", lease_next=1)
    assert again.is_replay
    assert again.annotation_id == first.annotation_id
    assert [x["seat"] for x in again.leases] == [x["seat"] for x in first.leases]
    assert Seat.objects.filter(person=desk.cast.alice).count() == 2


def test_a_replay_leaves_out_leases_that_ended_since_and_takes_no_new_one(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4)
    raw = desk.lease_one("alice")
    first = desk.submit("alice", raw, key="k", lease_next=1)
    desk.submit("alice", first.leases[0], lease_next=1)
    assert desk.submit("alice", raw, key="k", lease_next=1).leases == []


@pytest.mark.parametrize("change", [{"verdict": "spam"}, {"unsure": True}])
def test_another_body_under_the_same_key_is_refused(make_desk: MakeDesk, change: dict[str, Any]) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    desk.submit("alice", raw, key="k")
    with pytest.raises(KeyReusedError):
        desk.submit("alice", raw, key="k", **change)


def test_the_same_key_on_another_lease_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    desk.submit("alice", desk.lease_one("alice"), key="k")
    with pytest.raises(KeyReusedError):
        desk.submit("alice", desk.lease_one("alice"), key="k")


@pytest.mark.parametrize("key", ["", "x" * 256, "line\nbreak"])
def test_a_key_that_is_missing_or_odd_is_refused(make_desk: MakeDesk, key: str) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    from random import Random

    from annotation.actions.answers import answer_lease

    with pytest.raises(KeyMissingError):
        answer_lease(
            access=desk.access("alice"),
            stamp=queue.find_stamp(seat_id=raw["seat"], generation=1, person_id=desk.cast.alice.pk),
            generation=1,
            key=key,
            body={"answers": {"verdict": "none"}},
            rng=Random(1),
        )


# Q5, Q6: expiry


def test_an_expired_place_is_taken_at_once_without_a_sweeper(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    expire_lease(desk.lease_one("alice"))
    assert len(desk.lease("bob").leases) == 1
    assert desk.taken("t-1") == 1


def test_an_expired_place_competes_with_the_head_in_serving_order(make_desk: MakeDesk) -> None:
    desk = make_desk(n=5)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    assert desk.lease_one("bob")["item"] == raw["item"]


def test_a_late_submit_is_accepted_while_nobody_took_the_place(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    assert desk.submit("alice", raw).item_state == "agreed"


def test_a_late_submit_is_refused_when_somebody_took_the_place(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    desk.lease_one("bob")
    with pytest.raises(LeaseGoneError):
        desk.submit("alice", raw)
    assert Annotation.objects.count() == 0


def test_who_lost_a_place_is_offered_another_one_of_the_same_item(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    desk.lease_one("bob")
    again = desk.lease_one("alice")
    assert (again["seat"], again["generation"]) == (raw["seat"], raw["generation"] + 1)


def test_an_old_lease_id_is_dead_once_the_seat_is_held_anew(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    desk.lease_one("alice")
    with pytest.raises(LeaseGoneError):
        desk.submit("alice", raw)


def test_a_renewed_lease_is_not_taken_over(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    expire_lease(raw)
    queue.renew(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk)
    assert desk.lease("bob").leases == []


# Q7: nothing starves, and "nothing left" is true


def test_nothing_left_is_said_for_its_true_reason(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    raw = desk.lease_one("alice")
    assert desk.lease("bob").reason == "all_leased"
    desk.submit("alice", raw)
    assert desk.lease("bob").reason == "empty"


def test_a_place_that_opens_again_is_found_behind_everybodys_cursor(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    raw = desk.lease_one("alice")
    desk.label("bob")
    desk.label("bob")
    assert desk.lease("bob").leases == []
    queue.release(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk)
    assert desk.lease_one("bob")["item"] == raw["item"]


def test_a_bulk_change_is_found_behind_everybodys_cursor(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    for _ in range(3):
        desk.label("alice")
    assert desk.lease("alice").reason == "empty"
    from tests.cast import import_rows

    import_rows(desk.project, [{"external_id": "new", "text": "a late one"}])
    assert desk.lease_one("alice")["item"] == desk.item("new").pk


def test_floors_move_and_hide_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4)
    held = desk.lease_one("alice")
    desk.label("bob")
    queue.move_floors()
    expire_lease(held)
    queue.release(seat_id=held["seat"], generation=held["generation"], person_id=desk.cast.alice.pk)
    found = {desk.label("carol").annotation_id for _ in range(3)}
    assert len(found) == 3
    assert desk.lease("carol").reason == "empty"


def test_every_item_is_served_whatever_its_priority(make_desk: MakeDesk) -> None:
    desk = make_desk(n=6)
    queue.set_ranks(
        project_id=desk.project.pk, priorities={desk.item("t-3").pk: -5.0, desk.item("t-4").pk: 7.5}, draw_id=None
    )
    for _ in range(6):
        desk.label("alice")
    assert desk.lease("alice").reason == "empty"


def test_a_paused_project_hands_out_nothing_and_keeps_what_is_held(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    desk.lease_one("alice")
    from annotation.actions.projects import change_project

    change_project(project=desk.project, settings={"state": "paused"}, actor=desk.cast.olga)
    paused = desk.lease("alice", 2)
    assert (len(paused.leases), paused.reason) == (1, "paused")


def test_nobody_holds_more_than_the_limit(make_desk: MakeDesk) -> None:
    desk = make_desk(n=9, max_held=2)
    many = desk.lease("alice", 5)
    assert (len(many.leases), many.reason) == (2, "limit")


def test_a_person_with_languages_is_offered_only_those(make_desk: MakeDesk) -> None:
    rows = [{"external_id": tag, "text": "x", "metadata": {"language": tag}} for tag in ("en", "de")]
    desk = make_desk(rows=rows)
    from annotation.actions.projects import set_member

    set_member(project=desk.project, user=desk.cast.alice, role="annotator", languages=["de"], actor=desk.cast.olga)
    desk.label("alice")
    assert desk.row("de").n_submitted == 1
    assert desk.lease("alice").reason == "not_qualified"


# Q8: skip, release, undo


@pytest.mark.parametrize("give_back", ["skip", "release"])
def test_a_place_is_given_back_exactly_once(make_desk: MakeDesk, give_back: str) -> None:
    desk = make_desk(n=1, overlap=2)
    raw = desk.lease_one("alice")
    calls: dict[str, Callable[[], None]] = {
        "skip": lambda: queue.skip(
            seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk, reason="language"
        ),
        "release": lambda: queue.release(
            seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk
        ),
    }
    calls[give_back]()
    with pytest.raises(LeaseGoneError):
        calls[give_back]()
    assert (desk.taken("t-1"), desk.n_free("t-1")) == (0, desk.row("t-1").overlap)


def test_a_skipped_item_is_not_offered_again_and_a_released_one_is(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    raw = desk.lease_one("alice")
    queue.release(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk)
    raw = desk.lease_one("alice")
    queue.skip(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk, reason="ambiguous")
    assert desk.lease("alice").reason == "done_by_you"


def test_an_item_that_enough_people_skip_is_disputed(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2, skips_to_dispute=2)
    for name in ("alice", "bob"):
        raw = desk.lease_one(name)
        queue.skip(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast[name].pk, reason="ambiguous")
    assert queue.item_state(desk.item("t-1").pk) == "disputed"
    assert desk.lease("carol").leases == []
    assert desk.lease_one("rita", kind="adjudicate")["item"] == desk.item("t-1").pk


def test_undo_keeps_the_seat_for_its_owner(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    done = desk.submit("alice", raw, "none")
    assert queue.item_state(raw["item"]) == "agreed"
    again = queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)
    assert (again["seat"], again["generation"]) == (raw["seat"], raw["generation"] + 1)
    assert queue.item_state(raw["item"]) == "open"
    assert desk.lease("bob").leases == []
    assert desk.submit("alice", again, "spam").item_state == "agreed"
    assert Annotation.objects.count() == 2


# Q9: when an answer can no longer be taken back


def test_undo_is_for_the_author_alone(make_desk: MakeDesk) -> None:
    from annotation.errors import AbsentError

    desk = make_desk(n=1)
    done = desk.label("alice")
    with pytest.raises(AbsentError):
        queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.bob.pk)


def test_undo_ends_with_its_window(make_desk: MakeDesk) -> None:
    from annotation.models import Organisation

    desk = make_desk(n=1)
    done = desk.label("alice")
    Organisation.objects.update(undo_seconds=0)
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)


def test_undo_ends_when_a_reviewer_takes_the_dispute(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    done = desk.label("alice", "none")
    desk.label("bob", "spam")
    desk.lease_one("rita", kind="adjudicate")
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)


def test_undo_ends_when_a_snapshot_has_used_the_item(make_desk: MakeDesk) -> None:
    from django.utils import timezone

    from learning.models import Snapshot, SnapshotMember

    desk = make_desk(n=1)
    done = desk.label("alice")
    snapshot = Snapshot.objects.create(project=desk.project, major=1, minor=0, created_at=timezone.now())
    SnapshotMember.objects.create(
        snapshot=snapshot, item=desk.item("t-1"), question=1, state=1, choice=1, method="majority", resolution_version=1
    )
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)


# Q10: history


@pytest.mark.parametrize(
    "table", ["annotation_annotation", "annotation_label", "annotation_event", "annotation_labelschema"]
)
@pytest.mark.parametrize("statement", ["delete from {}", "update {} set project_id = project_id"])
def test_history_refuses_change(make_desk: MakeDesk, table: str, statement: str) -> None:
    make_desk(n=1).label("alice")
    with (
        pytest.raises(IntegrityError, match="never changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))


def test_a_change_is_a_new_annotation_that_the_seat_points_to(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    first = desk.label("alice", "none")
    again = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    second = desk.submit("alice", again, "spam")
    assert Seat.objects.get().annotation_id == second.annotation_id
    assert set(Label.objects.values_list("choice", flat=True)) == {1, 2}


# Q12: the database's clock


def test_the_queue_reads_no_clock_of_the_application() -> None:
    from pathlib import Path

    source = Path(queue.__file__).read_text(encoding="utf-8")
    assert "timezone" not in source
    assert "datetime" not in source
    assert "import time" not in source


def test_leases_end_by_the_databases_clock(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, lease_seconds=60)
    raw = desk.lease_one("alice")
    with connection.cursor() as cursor:
        cursor.execute(
            "select extract(epoch from expires_at - clock_timestamp()) from annotation_seat where id = %s",
            [raw["seat"]],
        )
        (left,) = cursor.fetchone()
    assert 50 < left <= 60


# Q14: overlap changes, and items resolved meanwhile


def test_a_smaller_overlap_never_falls_below_what_is_taken(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=3)
    desk.lease_one("alice")
    desk.lease_one("bob")
    queue.set_overlap(project_id=desk.project.pk, wanted=1, after=0, limit=100)
    assert (desk.row("t-1").overlap, desk.taken("t-1")) == (2, 2)


def test_a_held_seat_on_a_resolved_item_may_still_be_submitted(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    held = desk.lease_one("alice")
    desk.label("bob", "spam")
    with transaction.atomic():
        queue.take_dispute(project_id=desk.project.pk, item_id=held["item"], person_id=desk.cast.rita.pk)
    assert desk.submit("alice", held, "none").item_state == "adjudicated"


# Q15: one reviewer a dispute


def disputed(make_desk: MakeDesk) -> Desk:
    desk = make_desk(n=1, overlap=2)
    desk.label("alice", "none")
    desk.label("bob", "spam")
    return desk


def test_two_reviewers_never_hold_one_dispute(make_desk: MakeDesk) -> None:
    from annotation.actions.projects import set_member

    desk = disputed(make_desk)
    set_member(project=desk.project, user=desk.cast.carol, role="reviewer", actor=desk.cast.olga)
    assert desk.lease_one("rita", kind="adjudicate")["item"] == desk.item("t-1").pk
    assert desk.lease("carol", kind="adjudicate").reason == "all_leased"
    with transaction.atomic():
        assert (
            queue.take_dispute(project_id=desk.project.pk, item_id=desk.item("t-1").pk, person_id=desk.cast.carol.pk)
            is None
        )


def test_a_reviewer_is_not_offered_a_dispute_that_they_labelled(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.label("rita", "none")
    desk.label("bob", "spam")
    assert desk.lease("rita", kind="adjudicate").reason == "done_by_you"


def test_a_dispute_whose_lease_ran_out_is_not_offered_to_who_labelled_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.label("rita", "none")
    desk.label("bob", "spam")
    raw = desk.lease_one("olga", kind="adjudicate")
    expire_lease(raw)
    assert desk.lease("rita", kind="adjudicate").leases == []
    assert desk.lease_one("olga", kind="adjudicate")["item"] == raw["item"]


# What is stamped on a seat, and what is cheap


def test_a_seat_says_how_its_item_came_to_be_offered(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    seat = Seat.objects.select_related("draw").get(pk=desk.lease_one("alice")["seat"])
    assert seat.draw is not None
    assert seat.draw.strategy == "import"
    assert seat.schema_id == desk.project.schema_id


def test_a_share_of_the_work_comes_from_the_holdout(make_desk: MakeDesk) -> None:
    from random import Random

    desk = make_desk(n=300, learning={"holdout_share": 0.5, "every": None}, max_held=50)
    rng = Random(5)
    seats = queue.lease(project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=40, rng=rng).leases
    splits = list(Seat.objects.filter(pk__in=[s["seat"] for s in seats]).values_list("item__split", flat=True))
    assert 10 <= sum(splits) <= 30


def test_holdout_items_look_like_any_other(make_desk: MakeDesk) -> None:
    """Q13: ids, order of keys and payload of a holdout item's lease tell nothing."""
    from annotation.serializers import show_lease

    desk = make_desk(n=300, learning={"holdout_share": 0.5, "every": None}, max_held=50)
    raws = desk.lease("alice", 40, seed=5).leases
    shapes = {repr({k: type(v) for k, v in show_lease(raw, desk.access("alice")).items()}) for raw in raws}
    inner = {tuple(show_lease(raw, desk.access("alice"))["item"]) for raw in raws}
    assert len(shapes) == len(inner) == 1
    seats = Seat.objects.filter(pk__in=[raw["seat"] for raw in raws])
    assert set(seats.values_list("item__split", flat=True)) == {0, 1}


def test_a_submit_with_the_next_lease_writes_seven_rows(make_desk: MakeDesk) -> None:
    desk = make_desk(n=5, overlap=3)
    raw = desk.lease_one("alice")

    before = count_written()
    desk.submit("alice", raw, lease_next=1)
    assert count_written() - before == 7


def test_every_answer_is_an_event(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    done = desk.label("alice")
    event = Event.objects.get(kind="annotation.submitted")
    assert (event.ref_id, event.actor_id, event.item_id) == (
        done.annotation_id,
        desk.cast.alice.pk,
        desk.item("t-1").pk,
    )


# A replay tells the leases that were told first


def test_a_replay_tells_the_leases_of_the_first_answer_whatever_is_held_now(make_desk: MakeDesk) -> None:
    desk = make_desk(n=12)
    old, answered = desk.lease("alice", 2).leases
    expire_lease(old)
    other = Item.objects.filter(split=Item.Split.POOL).exclude(pk__in=[old["item"], answered["item"]]).first()
    assert other is not None
    queue.set_ranks(project_id=desk.project.pk, priorities={other.pk: 5}, draw_id=None)
    first = desk.submit("alice", answered, key="k", lease_next=1)
    queue.renew(seat_id=old["seat"], generation=old["generation"], person_id=desk.cast.alice.pk)
    again = desk.submit("alice", answered, key="k", lease_next=1)
    assert [raw["seat"] for raw in again.leases] == [raw["seat"] for raw in first.leases]


def test_a_replay_leaves_out_a_lease_that_was_given_back_and_taken_anew(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    answered = desk.lease_one("alice")
    [told] = desk.submit("alice", answered, key="k", lease_next=1).leases
    queue.release(seat_id=told["seat"], generation=told["generation"], person_id=desk.cast.alice.pk)
    assert desk.lease_one("alice")["seat"] == told["seat"]
    assert desk.submit("alice", answered, key="k", lease_next=1).leases == []
