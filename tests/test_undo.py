"""Q9: when an answer may be taken back, each condition by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import queue
from annotation.actions.items import quarantine_item
from annotation.audit import find_violations
from annotation.errors import UndoTooLateError
from annotation.models import Organisation, QueueRow
from learning.models import Snapshot, SnapshotMember
from reviewers.actions.adjudication import adjudicate
from tests.cast import Desk, MakeDesk
from tests.test_queue import expire_lease

pytestmark = pytest.mark.django_db


def undo(desk: Desk, name: str, annotation_id: int) -> None:
    queue.undo(annotation_id=annotation_id, person_id=desk.cast[name].pk)


def test_an_answer_is_taken_back_within_the_window_that_the_organisation_sets(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    Organisation.objects.update(undo_seconds=60)
    undo(desk, "alice", desk.label("alice").annotation_id)
    assert desk.row("t-1").n_submitted == 0
    assert find_violations() == {}


def test_an_answer_is_taken_back_once(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    done = desk.label("alice")
    undo(desk, "alice", done.annotation_id)
    with pytest.raises(UndoTooLateError):
        undo(desk, "alice", done.annotation_id)
    assert desk.row("t-1").n_submitted == 0


def test_an_answer_that_was_replaced_stays_replaced(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    first = desk.label("alice", "none")
    again = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    desk.submit("alice", again, "spam")
    with pytest.raises(UndoTooLateError):
        undo(desk, "alice", first.annotation_id)
    assert desk.row("t-1").n_submitted == 1


def test_an_answer_to_a_decided_item_stays(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    done = desk.label("alice", "none")
    adjudicate(access=desk.access("rita"), item=desk.item("t-1"), answers={"verdict": "spam"}, reason="ambiguous")
    with pytest.raises(UndoTooLateError):
        undo(desk, "alice", done.annotation_id)
    assert desk.row("t-1").state == QueueRow.State.ADJUDICATED


def test_a_reviewer_whose_lease_ran_out_does_not_stand_in_the_way(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    done = desk.label("alice", "none")
    desk.label("bob", "spam")
    expire_lease(desk.lease_one("rita", kind="adjudicate"))
    undo(desk, "alice", done.annotation_id)
    assert queue.item_state(desk.item("t-1").pk) == "open"


def test_an_answer_to_a_sealed_item_stays(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    done = desk.label("alice")
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    with pytest.raises(UndoTooLateError):
        undo(desk, "alice", done.annotation_id)


def test_a_snapshot_from_before_the_answer_does_not_stand_in_the_way(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    before = timezone.now() - timedelta(days=1)
    snapshot = Snapshot.objects.create(project=desk.project, major=1, minor=0, created_at=before)
    SnapshotMember.objects.create(
        snapshot=snapshot, item=desk.item("t-1"), question=1, state=1, choice=1, method="majority", resolution_version=1
    )
    undo(desk, "alice", desk.label("alice").annotation_id)
    assert desk.row("t-1").n_submitted == 0


def test_a_place_that_was_opened_by_undo_is_its_owners_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    undo(desk, "alice", desk.label("alice").annotation_id)
    assert desk.lease("bob").reason == "all_leased"
    assert desk.lease_one("alice")["item"] == desk.item("t-1").pk
