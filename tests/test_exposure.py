"""How much that is severe one person is handed: the budget of a day, few in a row, harms that they opted out of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from annotation import queue
from annotation.actions.care import change_care, change_organisation_care, set_hint
from annotation.actions.projects import change_project, create_project, set_member
from annotation.audit import find_violations
from annotation.errors import InvalidError
from annotation.importing.rows import RowError, parse_row
from annotation.models import Event, Organisation, QueueLane, Seat
from annotation.schema import compile_schema
from tests.api_client import Api
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk, import_rows
from tests.test_queue import expire_lease
from tests.together import together
from tests.touched_rows import count_written, rows_read

pytestmark = pytest.mark.django_db

DAY = timedelta(hours=24)


def rows(severe: int = 0, mild: int = 0, harm: str = "", prefix: str = "") -> list[dict[str, Any]]:
    """Texts `s-1`, `s-2`, ... that are severe and `m-1`, ... that are not, all in the pool."""
    hint = {"severity": "severe", **({"harm": harm} if harm else {})}
    kinds = [(f"{prefix}s-{n}", hint) for n in range(1, severe + 1)]
    kinds += [(f"{prefix}m-{n}", {}) for n in range(1, mild + 1)]
    return [{"external_id": name, "text": name, "group": "one", "metadata": metadata} for name, metadata in kinds]


def limit(desk: Desk, **limits: int) -> None:
    change_organisation_care(changes={"severe_pause_seconds": 0, **limits}, actor=desk.cast.olga)


def is_severe(raw: dict[str, Any]) -> bool:
    return bool(raw["metadata"].get("severity") == "severe")


def severe_first(desk: Desk) -> None:
    """Severe items are wanted before all others."""
    items = {item: float(severity) for item, severity in lanes_of(desk)}
    queue.set_ranks(project_id=desk.project.pk, priorities=items, draw_id=None)


def lanes_of(desk: Desk) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select q.item_id, l.severity from annotation_queuerow q join annotation_queuelane l on l.id = q.lane_id"
            " where q.project_id = %s and q.kind = 1",
            [desk.project.pk],
        )
        return list(cursor.fetchall())


def shift(**fields: timedelta) -> None:
    """Time passes for all seats."""
    Seat.objects.update(**{name: F(name) - by for name, by in fields.items()})


# The day's budget


def test_no_severe_item_is_handed_out_once_the_count_is_used_up(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=4, mild=2), max_held=10)
    limit(desk, severe_items=2)
    severe_first(desk)
    found = desk.lease("alice", 6)
    assert [is_severe(raw) for raw in found.leases] == [True, True, False, False]
    assert (found.reason, found.limit) == ("limit", "exposure")
    assert found.retry_after is not None
    assert DAY.total_seconds() - 60 < found.retry_after <= DAY.total_seconds()
    assert [is_severe(raw) for raw in desk.lease("bob", 2).leases] == [True, True]


def test_a_budget_of_nothing_hands_out_nothing_severe(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=1))
    limit(desk, severe_items=0)
    assert (desk.lease("alice").leases, desk.lease("alice").limit) == ([], "exposure")


def skip(desk: Desk, raw: dict[str, Any]) -> None:
    queue.skip(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk, reason="harmful")


def release(desk: Desk, raw: dict[str, Any]) -> None:
    queue.release(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast.alice.pk)


def expire(desk: Desk, raw: dict[str, Any]) -> None:
    expire_lease(raw)


def lose(desk: Desk, raw: dict[str, Any]) -> None:
    expire_lease(raw)
    desk.lease_one("bob")


def undo(desk: Desk, raw: dict[str, Any]) -> None:
    queue.undo(annotation_id=desk.submit("alice", raw).annotation_id, person_id=desk.cast.alice.pk)


def undo_and_skip(desk: Desk, raw: dict[str, Any]) -> None:
    back = queue.undo(annotation_id=desk.submit("alice", raw).annotation_id, person_id=desk.cast.alice.pk)
    skip(desk, back)


@pytest.mark.parametrize("end", [skip, release, expire, lose, undo, undo_and_skip])
def test_whatever_becomes_of_it_an_item_that_was_handed_out_counts_once(
    make_desk: MakeDesk, end: Callable[[Desk, dict[str, Any]], None]
) -> None:
    desk = make_desk(rows=rows(severe=3), overlap=1)
    limit(desk, severe_items=1)
    end(desk, desk.lease_one("alice"))
    assert queue.exposure(person_id=desk.cast.alice.pk).n == 1
    assert Seat.objects.filter(person=desk.cast.alice).count() == 1
    held = desk.lease("alice", 2)
    assert (Seat.objects.filter(person=desk.cast.alice).count(), held.limit) == (1, "exposure")


def test_what_was_handed_out_a_day_ago_counts_no_more(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=3))
    limit(desk, severe_items=1)
    desk.label("alice")
    shift(leased_at=DAY - timedelta(minutes=1))
    assert desk.lease("alice").limit == "exposure"
    assert 0 < (desk.lease("alice").retry_after or 0) <= 60
    shift(leased_at=timedelta(minutes=2))
    assert is_severe(desk.lease_one("alice"))


def second_desk(desk: Desk, items: list[dict[str, Any]]) -> Desk:
    """Another project of olga's with alice in it."""
    project = create_project(
        slug="second",
        name="Second",
        schema=CHOICE_SCHEMA,
        settings={"learning": {"holdout_share": 0, "every": None}},
        owner=desk.cast.olga,
    )
    set_member(project=project, user=desk.cast.alice, role="annotator", actor=None)
    import_rows(project, items)
    return Desk(project, desk.cast)


def test_the_budget_is_one_for_all_projects(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=2))
    other = second_desk(desk, rows(severe=2, prefix="o-"))
    limit(desk, severe_items=1)
    desk.label("alice")
    assert other.lease("alice").limit == "exposure"


def test_a_project_may_be_stricter_than_the_organisation(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=3), care={"severe_items": 1})
    other = second_desk(desk, rows(severe=2, prefix="o-"))
    limit(desk, severe_items=3)
    assert is_severe(other.lease_one("alice"))
    desk.label("alice")
    assert desk.lease("alice").limit == "exposure"
    other.submit("alice", other.lease_one("alice"))
    assert is_severe(other.lease_one("alice"))


@pytest.mark.parametrize(
    "care",
    [
        {"severe_items": 101},
        {"severe_minutes": 61},
        {"severe_in_a_row": 4},
        {"severe_in_a_row": 0},
        {"severe_items": -1},
        {"severe_items": "3"},
        {"severe_pause_seconds": 119},
        {"colour": 1},
        7,
    ],
)
def test_a_project_is_never_looser(make_desk: MakeDesk, care: object) -> None:
    desk = make_desk()
    with pytest.raises(InvalidError) as raised:
        change_project(project=desk.project, settings={"care": care}, actor=desk.cast.olga)
    assert set(raised.value.fields) == {"care"}


def test_an_organisation_that_becomes_stricter_is_so_for_every_project(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=3), care={"severe_items": 3, "severe_in_a_row": 3})
    limit(desk, severe_items=1)
    desk.label("alice")
    assert desk.lease("alice").limit == "exposure"


# Minutes


def answer_after(desk: Desk, elapsed: float, **body: Any) -> None:
    """Alice takes the next item and answers it so many seconds later."""
    raw = desk.lease_one("alice")
    assert is_severe(raw)
    shift(leased_at=timedelta(seconds=elapsed), ended_at=timedelta(seconds=elapsed))
    desk.submit("alice", raw, **body)


def seconds_of(desk: Desk) -> int:
    return round(queue.exposure(person_id=desk.cast.alice.pk).seconds)


def test_no_severe_item_is_handed_out_once_the_minutes_are_used_up(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=4))
    limit(desk, severe_minutes=1)
    answer_after(desk, 100, seconds=40)
    answer_after(desk, 100, seconds=19)
    assert seconds_of(desk) == 59
    answer_after(desk, 100, seconds=1)
    assert (desk.lease("alice").leases, desk.lease("alice").limit) == ([], "exposure")


def test_no_more_seconds_count_than_went_by(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=2))
    answer_after(desk, 30, seconds=5000)
    assert seconds_of(desk) == 30


def test_an_answer_that_brought_no_seconds_counts_from_the_end_of_the_one_before(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=3))
    first, second = desk.lease("alice", 2).leases
    shift(leased_at=timedelta(seconds=100))
    desk.submit("alice", first)
    shift(leased_at=timedelta(seconds=20), ended_at=timedelta(seconds=20))
    desk.submit("alice", second)
    assert seconds_of(desk) == 120  # 100 and 20, not 100 and 120


def test_what_ended_without_an_answer_counts_a_minute_at_most(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=3))
    raw = desk.lease_one("alice")
    shift(leased_at=timedelta(seconds=30))
    skip(desk, raw)
    assert seconds_of(desk) == 30
    raw = desk.lease_one("alice")
    shift(leased_at=timedelta(seconds=500), ended_at=timedelta(seconds=500))
    skip(desk, raw)
    assert seconds_of(desk) == 90


def test_minutes_outlive_undo_and_a_lease_that_ran_out(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=1))
    raw = desk.lease_one("alice")
    shift(leased_at=timedelta(seconds=50))
    done = desk.submit("alice", raw, seconds=45)
    back = queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)
    assert seconds_of(desk) == 45
    Seat.objects.filter(pk=back["seat"]).update(leased_at=F("leased_at") - timedelta(seconds=640))
    Seat.objects.filter(pk=back["seat"]).update(expires_at=F("leased_at") + timedelta(seconds=600))
    assert seconds_of(desk) == 105
    again = desk.lease_one("alice")
    assert (again["seat"], again["generation"]) == (back["seat"], back["generation"] + 1)
    assert seconds_of(desk) == 105


# In a row


def longest_run(served: list[bool]) -> int:
    runs = "".join("x" if severe else " " for severe in served).split()
    return max(map(len, runs), default=0)


@pytest.mark.parametrize("at_once", [1, 2, 3, 12])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_only_so_many_severe_items_come_in_a_row(make_desk: MakeDesk, at_once: int, most: int) -> None:
    desk = make_desk(rows=rows(severe=8, mild=4), max_held=12)
    limit(desk, severe_in_a_row=most, severe_pause_seconds=600)
    severe_first(desk)
    served: list[bool] = []
    while leases := desk.lease("alice", at_once).leases:
        for raw in leases:
            served.append(is_severe(raw))
            desk.submit("alice", raw)
    assert longest_run(served) == most
    assert (served.count(True), served.count(False)) == (min(8, 5 * most), 4)


def test_where_nothing_mild_is_left_there_is_a_pause(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=5))
    limit(desk, severe_in_a_row=2, severe_pause_seconds=90)
    desk.label("alice")
    desk.label("alice")
    refused = desk.lease("alice")
    assert (refused.leases, refused.reason, refused.limit) == ([], "limit", "in_a_row")
    assert 80 < (refused.retry_after or 0) <= 90
    shift(leased_at=timedelta(seconds=80), ended_at=timedelta(seconds=80))
    assert 0 < (desk.lease("alice").retry_after or 0) <= 10
    shift(leased_at=timedelta(seconds=10), ended_at=timedelta(seconds=10))
    assert is_severe(desk.lease_one("alice"))


def test_an_answer_brings_the_next_item_within_the_same_limits(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=5, mild=1))
    limit(desk, severe_in_a_row=2, severe_pause_seconds=600)
    severe_first(desk)
    leases, served = [desk.lease_one("alice")], []
    while leases:
        served.append(is_severe(leases[0]))
        leases = desk.submit("alice", leases[0], lease_next=1).leases
    assert served == [True, True, False, True, True]


def test_a_reviewers_disputes_count_too(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=2, harm="violence"), overlap=2)
    for name, verdict in (("alice", "none"), ("bob", "spam")):
        for raw in desk.lease(name, 2).leases:
            desk.submit(name, raw, verdict)
    lane = QueueLane.objects.get(kind=QueueLane.Kind.ADJUDICATE)
    assert (lane.severity, lane.harms) == (2, "violence")
    limit(desk, severe_items=1)
    assert is_severe(desk.lease_one("rita", "adjudicate"))
    assert desk.lease("rita", 2, "adjudicate").limit == "exposure"


# Opting out


def test_items_of_a_harm_that_one_opted_out_of_are_not_offered(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[*rows(severe=2, harm="violence, sexual"), *rows(mild=1)], max_held=9)
    change_care(person=desk.cast.alice, changes={"opted_out": ["sexual"]})
    found = desk.lease("alice", 3)
    assert [raw["metadata"] for raw in found.leases] == [{}]
    desk.submit("alice", found.leases[0])
    refused = desk.lease("alice")
    assert (refused.reason, refused.limit, refused.retry_after) == ("limit", "opted_out", None)
    assert len(desk.lease("bob", 3).leases) == 2


def test_opting_out_gives_back_what_is_held_and_counts_as_no_skip(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[*rows(severe=2, harm="violence"), *rows(mild=1)], overlap=1)
    held = desk.lease("alice", 3).leases
    change_care(person=desk.cast.alice, changes={"opted_out": ["violence"]})
    states = dict(Seat.objects.filter(person=desk.cast.alice).values_list("item__external_id", "state"))
    assert states == {"s-1": Seat.State.RELEASED, "s-2": Seat.State.RELEASED, "m-1": Seat.State.HELD}
    assert len(held) == 3
    assert not Event.objects.filter(kind="seat.skipped").exists()
    assert len(desk.lease("bob", 3).leases) == 2
    assert find_violations() == {}


def test_a_mild_item_may_have_a_harm_to_opt_out_of(make_desk: MakeDesk) -> None:
    metadata = {"severity": "mild", "harm": ["spiders"]}
    desk = make_desk(rows=[{"external_id": "a", "text": "a", "metadata": metadata}])
    change_care(person=desk.cast.alice, changes={"opted_out": ["spiders"]})
    assert desk.lease("alice").limit == "opted_out"
    assert desk.lease_one("bob")["metadata"] == metadata
    assert queue.exposure(person_id=desk.cast.bob.pk).n == 0


@pytest.mark.parametrize("sent", [{"opted_out": "violence"}, {"opted_out": ["No!"]}, {"opted_out": [1]}, {"colour": 1}])
def test_what_cannot_be_set_is_named(make_desk: MakeDesk, sent: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as raised:
        change_care(person=make_desk().cast.alice, changes=sent)
    assert set(raised.value.fields) == set(sent)


def test_people_see_their_own_settings_and_nobody_elses(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=1, harm="violence"))
    alice, olga = Api(desk.cast.alice), Api(desk.cast.olga)
    desk.lease_one("alice")
    answer = alice.patch("me/care", {"opted_out": ["gore"]}).json()
    assert (answer["opted_out"], answer["harms"]) == (["gore"], ["gore", "violence"])
    assert answer["exposure"] == {"items": 1, "minutes": 0.0, "most_items": 100, "most_minutes": 60}
    seen = olga.get("me/care").json()
    assert (seen["opted_out"], seen["harms"], seen["exposure"]["items"]) == ([], ["violence"], 0)
    event = Event.objects.get(kind="care.changed")
    assert (event.project_id, event.data) == (None, None)
    assert Api(desk.cast.mallory).get("me/care").json()["harms"] == []


def test_the_limits_are_the_administrators(make_desk: MakeDesk) -> None:
    desk = make_desk()
    olga = Api(desk.cast.olga)
    assert olga.patch("organisation/care", {"severe_items": 5}).status_code == 403
    desk.cast.olga.is_superuser = True
    desk.cast.olga.save()
    root = Api(desk.cast.olga)
    assert root.patch("organisation/care", {"severe_items": 5}).json()["severe_items"] == 5
    assert Organisation.objects.get().severe_items == 5
    for wrong in ({"severe_items": -1}, {"severe_in_a_row": 0}, {"severe_minutes": 1441}, {"colour": 1}):
        response = root.patch("organisation/care", wrong)
        assert (response.status_code, set(response.json()["fields"])) == (400, set(wrong))


# How hard an item is


@pytest.mark.parametrize(
    ("metadata", "severity", "harms"),
    [
        ({}, 0, ""),
        ({"severity": "none"}, 0, ""),
        ({"severity": "mild", "harm": "gore"}, 1, "gore"),
        ({"severity": "severe", "harm": " Violence,gore, gore"}, 2, "gore,violence"),
        ({"harm": ["self_harm"]}, 0, "self_harm"),
        ({"severity": None, "harm": None}, 0, ""),
    ],
)
def test_an_item_comes_into_the_lane_that_its_metadata_says(
    make_desk: MakeDesk, metadata: dict[str, Any], severity: int, harms: str
) -> None:
    desk = make_desk(rows=[{"external_id": "a", "text": "a", "metadata": metadata}])
    lane = QueueLane.objects.get(pk=desk.row("a").lane_id)
    assert (lane.severity, lane.harms) == (severity, harms)


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"severity": "sever"}, "`severity`"),
        ({"severity": 3}, "`severity`"),
        ({"severity": ["severe"]}, "`severity`"),
        ({"harm": "no way!"}, "`harm`"),
        ({"harm": [1]}, "`harm`"),
        ({"harm": {"violence": True}}, "`harm`"),
        ({"harm": list("abcdef")}, "`harm`"),
        ({"harm": "x" * 41}, "`harm`"),
    ],
)
def test_a_severity_or_harm_that_is_none_is_a_wrong_row(metadata: dict[str, Any], named: str) -> None:
    with pytest.raises(RowError, match=named):
        parse_row({"text": "a", "metadata": metadata}, compile_schema(CHOICE_SCHEMA, None))


def test_the_hint_comes_with_the_lease(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[*rows(severe=1, harm="violence,sexual"), *rows(mild=1)], show_external_id=True)
    leases = {lease["item"]["external_id"]: lease["item"] for lease in Api(desk.cast.alice).lease(n=2)}
    assert leases["s-1"]["care"] == {"severity": "severe", "harms": ["sexual", "violence"]}
    assert "care" not in leases["m-1"]


def test_an_owner_says_that_an_item_is_severe(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=3)
    item = desk.item("t-1")
    held = {raw["item"]: raw for raw in desk.lease("alice", 2).leases}
    path = f"projects/forum/items/{item.pk}/care"
    answer = Api(desk.cast.olga).put(path, {"severity": "severe", "harms": ["Violence"]})
    assert answer.json() == {"id": str(item.pk), "severity": "severe", "harms": ["violence"]}
    assert queue.exposure(person_id=desk.cast.alice.pk).n == 1
    desk.submit("alice", held[item.pk])
    limit(desk, severe_items=0)
    assert [raw["item"] for raw in desk.lease("bob", 2).leases] == [desk.item("t-2").pk]
    set_hint(item=item, severity="none", harms=[], actor=desk.cast.olga)
    assert queue.exposure(person_id=desk.cast.alice.pk).n == 0
    assert len(desk.lease("bob", 2).leases) == 2
    assert find_violations() == {}
    for wrong, field in (({"severity": "awful"}, "severity"), ({"severity": "mild", "harms": ["?"]}, "harms")):
        response = Api(desk.cast.olga).put(path, wrong)
        assert (response.status_code, set(response.json()["fields"])) == (400, {field})


def test_new_metadata_moves_an_item_to_its_lane(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(mild=1))
    import_rows(desk.project, [{**rows(mild=1)[0], "metadata": {"severity": "severe"}}], update_metadata=True)
    limit(desk, severe_items=0)
    assert desk.lease("alice").limit == "exposure"


# What it costs


def test_an_answer_to_a_severe_item_writes_no_more_rows_than_any_other(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=4), overlap=3)
    raw = desk.lease_one("alice")
    before = count_written()
    desk.submit("alice", raw, lease_next=1)
    assert count_written() - before == 7


def test_where_nothing_is_severe_nothing_more_is_asked(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4)
    raw = desk.lease_one("alice")
    before = rows_read()
    desk.submit("alice", raw, lease_next=1)
    assert not {"annotation_careprofile", "annotation_organisation"} & (rows_read() - before).keys()
    assert not Seat.objects.exclude(exposure=0).exists()


def test_what_is_read_does_not_grow_with_the_severe_items_of_other_days(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=200), max_held=50)
    limit(desk, severe_items=1000, severe_in_a_row=1000)
    for _ in range(3):
        desk.lease("alice", 50)
        Seat.objects.update(state=Seat.State.SKIPPED)
    shift(leased_at=DAY, ended_at=DAY)
    desk.lease("alice", 4)
    before = rows_read()
    assert queue.exposure(person_id=desk.cast.alice.pk).n == 4
    assert (rows_read() - before)["annotation_seat"] <= 2 * 4


def test_each_answer_is_looked_up_once_whatever_the_tables_were_like_when_the_plan_was_made(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(rows=rows(severe=70))
    limit(desk)
    with connection.cursor() as cursor:
        cursor.execute("analyze")  # now it is known, not guessed, that nobody has answered
    queue.exposure(person_id=desk.cast.alice.pk)
    for _ in range(60):
        desk.label("alice")
    before = rows_read()
    assert queue.exposure(person_id=desk.cast.alice.pk).n == 60
    assert (rows_read() - before)["annotation_annotation"] <= 60


# At the same moment


@pytest.mark.django_db(transaction=True)
def test_requests_of_one_person_at_once_do_not_pass_the_budget(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=30), overlap=5)
    other = second_desk(desk, rows(severe=30, prefix="o-"))
    limit(desk, severe_items=3, severe_in_a_row=100)
    alice = desk.cast.alice.pk
    for _ in range(10):
        Seat.objects.all().update(leased_at=F("leased_at") - 2 * DAY, state=Seat.State.SKIPPED)
        calls = [
            partial(queue.lease, project_id=where.project.pk, person_id=alice, n=n, rng=Random(n))
            for where in (desk, other)
            for n in (1, 2, 3)
        ]
        together(*calls)
        assert queue.exposure(person_id=alice).n == 3


@pytest.mark.django_db(transaction=True)
def test_a_lease_on_its_way_does_not_outlive_opting_out(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=rows(severe=40, harm="violence"), overlap=5)
    limit(desk, severe_items=1000, severe_in_a_row=1000)
    alice = desk.cast.alice
    ask = partial(queue.lease, project_id=desk.project.pk, person_id=alice.pk, n=3, rng=Random(0))
    for _ in range(5):
        change_care(person=alice, changes={"opted_out": []})
        together(ask, partial(change_care, person=alice, changes={"opted_out": ["violence"]}), ask)
        assert not Seat.objects.filter(person=alice, state=Seat.State.HELD).exists()
