"""How a person's day goes: what is done, active time, pace beside their own usual, what is left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import queue
from annotation.models import Offer, QueueLane
from annotation.pace import LEAST_TODAY, LEAST_USUAL, sitting
from annotation.progress import today_began
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=60, overlap=2)


def answer(desk: Desk, n: int, seconds: float | None) -> list[int]:
    return [desk.submit("alice", desk.lease_one("alice"), "none", seconds=seconds).annotation_id for _ in range(n)]


def test_today_is_counted_with_its_active_time(desk: Desk) -> None:
    answer(desk, 3, 20.0)
    answer(desk, 1, None)
    found = sitting(desk.access("alice"))
    assert (found.n_today, found.seconds_today) == (4, 60.0)
    assert sitting(desk.access("bob")).n_today == 0


def test_what_was_taken_back_is_not_counted(desk: Desk) -> None:
    (annotation_id,) = answer(desk, 1, 20.0)
    queue.undo(annotation_id=annotation_id, person_id=desk.cast.alice.pk)
    found = sitting(desk.access("alice"))
    assert (found.n_today, found.seconds_today) == (0, 0.0)


def test_pace_is_told_once_enough_was_timed(desk: Desk) -> None:
    answer(desk, LEAST_TODAY - 1, 30.0)
    assert sitting(desk.access("alice")).per_hour is None
    answer(desk, 1, 30.0)
    assert sitting(desk.access("alice")).per_hour == pytest.approx(120)


def test_the_usual_pace_is_of_the_days_before(desk: Desk) -> None:
    answer(desk, LEAST_USUAL, 60.0)
    tomorrow = today_began() + timedelta(days=1)
    found = sitting(desk.access("alice"), today=tomorrow)
    assert (found.n_today, found.per_hour) == (0, None)
    assert found.usual_per_hour == pytest.approx(60)
    later = sitting(desk.access("alice"), today=timezone.now() + timedelta(days=20))
    assert later.usual_per_hour is None


def test_on_a_severe_queue_nobodys_pace_is_told(desk: Desk) -> None:
    answer(desk, LEAST_USUAL, 60.0)
    QueueLane.objects.filter(project=desk.project).update(severity=2)
    found = sitting(desk.access("alice"), today=today_began() + timedelta(days=1))
    assert (found.is_paced, found.per_hour, found.usual_per_hour) == (False, None, None)
    assert sitting(desk.access("alice")).n_today == LEAST_USUAL


def test_what_is_left_is_what_this_person_could_still_be_given(desk: Desk) -> None:
    answer(desk, 4, 5.0)
    desk.lease_one("alice")
    assert Offer.objects.count() == 60
    assert (sitting(desk.access("alice")).n_left, sitting(desk.access("bob")).n_left) == (56, 60)
    assert not sitting(desk.access("alice")).is_more_left


def test_what_is_left_is_counted_up_to_a_bound(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.pace.MOST_LEFT", 10)
    found = sitting(desk.access("alice"))
    assert (found.n_left, found.is_more_left) == (10, True)
    answer(desk, 60, 5.0)
    monkeypatch.setattr("annotation.pace.MOST_LOOKED", 60)
    found = sitting(desk.access("alice"))
    assert (found.n_left, found.is_more_left) == (None, False)


def test_languages_that_are_not_ones_own_are_not_left(make_desk: MakeDesk) -> None:
    rows = [
        {"external_id": f"t-{i}", "text": "hallo", "metadata": {"language": "de" if i < 4 else "en"}} for i in range(10)
    ]
    desk = make_desk(rows=rows)
    desk.project.members.filter(user=desk.cast.alice).update(languages=["DE"])
    assert sitting(desk.access("alice")).n_left == 4
    assert sitting(desk.access("bob")).n_left == 10
