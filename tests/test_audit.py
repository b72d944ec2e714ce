"""The auditor: what it finds in damaged rows, what it leaves behind, who sees it, and that beat has it done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test import Client

from annotation import queue, tasks
from annotation.actions.audits import record_audit, start_audit_if_due
from annotation.audit import find_violations, main
from annotation.audit.checks import BY_NAME, CHECKS, RANGES, Check
from annotation.audit.latest import known_violations, last_audit
from annotation.audit.looking import audit
from annotation.jobs import run_job
from annotation.models import Event, Item, Job, QueueRow
from tests.cast import Desk, MakeDesk
from tests.together import together
from tests.workers import Worker, wait_until

pytestmark = pytest.mark.django_db


def run_sql(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def work_a_day(make_desk: MakeDesk) -> Desk:
    """An item that is agreed, one that is disputed, one that is half done; leases that are held, skipped, run out."""
    desk = make_desk(n=5, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    desk.vote("t-2", alice="spam", bob="none")
    desk.vote("t-3", alice="spam")
    held = desk.lease_one("alice")
    skipped = desk.lease_one("bob")
    queue.skip(
        seat_id=skipped["seat"], generation=skipped["generation"], person_id=desk.cast.bob.pk, reason="ambiguous"
    )
    run_sql(f"update annotation_seat set expires_at = now() - interval '1 minute' where id = {held['seat']}")
    queue.move_floors()
    return desk


def decide(desk: Desk, reviewer: str) -> None:
    """A decision about t-2, as rows alone: by somebody who may have labelled it, which nobody recorded."""
    seat = queue.take_dispute(project_id=desk.project.pk, item_id=desk.item("t-2").pk, person_id=desk.cast[reviewer].pk)
    run_sql(
        "insert into reviewers_adjudication (project_id, item_id, seat_id, pass_no, reviewer_id, answers, reason,"
        " is_precedent, is_own_work, created_at)"
        f" values ({desk.project.pk}, {desk.item('t-2').pk}, {seat}, 1, {desk.cast[reviewer].pk}, '{{}}', 'other',"
        " false, false, clock_timestamp())"
    )


def broken() -> set[str]:
    """The names of the checks that do not hold."""
    return {name for name, _project in audit().rows}


# What it finds


def test_nothing_is_wrong_after_a_days_work(make_desk: MakeDesk) -> None:
    desk = work_a_day(make_desk)
    decide(desk, "rita")
    assert desk.row("t-2").state == QueueRow.State.ADJUDICATED
    assert find_violations() == {}


OFFER_OF_NO_ROW = """
    insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free)
    select coalesce(max(queue_row_id), 0) + 1000, 1, coalesce(max(lane_id), 0), 0, 0, 1 from annotation_offer
"""

# Each damage with all that it breaks. Where the database itself would refuse it, what refuses is taken away first.
DAMAGES = {
    "an overlap below what is taken": (
        "update annotation_queuerow set overlap = 0 where id in (select queue_row_id from annotation_seat"
        " where state = 1); delete from annotation_offer where queue_row_id in (select queue_row_id"
        " from annotation_seat where state = 1)",
        {"places_within_overlap"},
    ),
    "a seat on another item": (
        "update annotation_seat s set item_id = (select max(item_id) from annotation_queuerow q"
        " where q.item_id <> s.item_id) where state = 3",
        {"seat_of_its_row"},
    ),
    "a seat in another lane": ("update annotation_seat set lane_id = 0 where state = 1", {"seat_of_its_row"}),
    "a second seat of one person": (
        "alter table annotation_seat drop constraint seat_once;"
        " update annotation_seat s set person_id = (select min(person_id) from annotation_seat) where state = 2",
        {"one_seat_each", "seat_and_answer"},
    ),
    "a second row of one item": (
        "alter table annotation_queuerow drop constraint queue_row_once;"
        " insert into annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap,"
        "  n_submitted, state, is_closed) select project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap,"
        "  n_submitted, state, true from annotation_queuerow where n_submitted = 1;"
        " insert into annotation_seat (queue_row_id, person_id, project_id, item_id, lane_id, kind,"
        "  state, generation, leased_at, expires_at, reason, schema_id, arm, annotation_id)"
        "  select (select max(id) from annotation_queuerow), person_id, project_id, item_id, lane_id, kind,"
        "  2, 1, leased_at, expires_at, '', schema_id, 0, annotation_id from annotation_seat"
        "  where state = 2 and queue_row_id in (select id from annotation_queuerow where n_submitted = 1)",
        {"one_answer_each", "seat_and_answer"},
    ),
    "one key twice": (
        "alter table annotation_annotation drop constraint annotation_key_once, disable trigger append_only;"
        " update annotation_annotation set key = 'one';"
        " alter table annotation_annotation enable trigger append_only",
        {"one_answer_a_key"},
    ),
    "a floor too high": ("update annotation_queuelane set floor_rank = 'infinity'", {"nothing_before_floor"}),
    "a floor of leases too high": (
        "update annotation_queuelane set lease_floor = now()",
        {"no_lease_before_floor"},
    ),
    "a floor of what is held too high": (
        "update annotation_member set held_floor = now() + interval '1 minute'",
        {"no_held_seat_before_floor"},
    ),
    "an answer of somebody else's": (
        "update annotation_seat s set annotation_id = (select min(annotation_id) from annotation_seat) where state = 2",
        {"seat_and_answer"},
    ),
    "an answer that is not there": (
        "update annotation_seat set annotation_id = annotation_id + 1000000 where state = 2",
        {"seat_and_answer"},
    ),
    "an answer on a place given back": (
        "update annotation_seat set annotation_id = (select min(id) from annotation_annotation) where state = 3",
        {"seat_and_answer"},
    ),
    "history without its guard": (
        "drop trigger append_only on annotation_guideline",
        {"history_refuses_change"},
    ),
    "history with its guard asleep": (
        "alter table annotation_label disable trigger append_only",
        {"history_refuses_change"},
    ),
    "history with a guard against one thing": (
        "create or replace trigger append_only before delete on learning_snapshotmember"
        " for each row execute function refuse_change()",
        {"history_refuses_change"},
    ),
    "offers gone": ("delete from annotation_offer", {"offer_is_what_is_free"}),
    "an offer too large": ("update annotation_offer set n_free = n_free + 1", {"offer_is_what_is_free"}),
    "an offer of a closed row": (
        "insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free, returned_by)"
        " select id, item_id, lane_id, rank, tiebreak, 1, pg_current_xact_id() from annotation_queuerow"
        " where is_closed and kind = 1",
        {"offer_is_what_is_free"},
    ),
    "an offer of no row": (OFFER_OF_NO_ROW, {"offer_is_what_is_free"}),
    "a place given back and not offered": (
        "update annotation_seat set state = 4 where state = 1",
        {"offer_is_what_is_free"},
    ),
    "an offer out of order": (
        "update annotation_offer set rank = rank - 1, returned_by = pg_current_xact_id()",
        {"offer_of_its_row"},
    ),
    "an offer in another lane": (
        "update annotation_offer set lane_id = 0",
        {"offer_of_its_row"},
    ),
    "answers not counted": (
        "update annotation_queuerow set n_submitted = 0",
        {"submitted_is_counted"},
    ),
    "more answers counted than asked for": (
        "alter table annotation_queuerow drop constraint queue_submitted_in_overlap;"
        " update annotation_queuerow set n_submitted = 9 where n_submitted = 1",
        {"submitted_is_counted", "overlap_holds_answers"},
    ),
    "two reviewers at once": (
        "insert into annotation_seat (queue_row_id, person_id, project_id, item_id, lane_id, kind,"
        " state, generation, leased_at, expires_at, reason, schema_id, arm) select q.id, u.id, q.project_id, q.item_id,"
        " q.lane_id, 2, 1, 1, now(), now() + interval '1 hour', '', p.schema_id, 0"
        " from annotation_queuerow q join annotation_project p on p.id = q.project_id"
        " cross join annotation_user u where q.kind = 2 and u.username in ('rita', 'olga');"
        " update annotation_queuerow set overlap = 2 where kind = 2; delete from annotation_offer o"
        " using annotation_queuerow q where q.id = o.queue_row_id and q.kind = 2",
        {"one_reviewer_a_dispute"},
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_named(make_desk: MakeDesk, damage: str) -> None:
    work_a_day(make_desk)
    assert broken() == set()
    sql, finds = DAMAGES[damage]
    run_sql("set constraints all immediate")  # or a table with checks to come refuses to be altered
    run_sql(sql)
    assert broken() == finds


def test_a_decision_about_ones_own_answer_is_named(make_desk: MakeDesk) -> None:
    desk = work_a_day(make_desk)
    decide(desk, "alice")
    assert broken() == {"decided_by_another"}
    run_sql("set constraints all immediate")
    run_sql("alter table reviewers_adjudication disable trigger append_only")
    run_sql("update reviewers_adjudication set is_own_work = true")
    assert broken() == {"history_refuses_change"}, "recorded it is no fault; its sleeping guard is"


def test_every_check_has_its_damage() -> None:
    named = set().union(*(finds for _sql, finds in DAMAGES.values()), {"decided_by_another"})
    assert named == set(BY_NAME)
    assert len(BY_NAME) == len(CHECKS)
    assert {check.over for check in CHECKS} <= {*RANGES, ""}
    assert {check.invariant for check in CHECKS} == {"Q1", "Q2", "Q4", "Q7", "Q8", "Q10", "Q11", "Q14", "Q15"}


def test_small_ranges_find_the_same_and_leave_no_gap(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    work_a_day(make_desk)
    run_sql("delete from annotation_offer")
    run_sql("update annotation_seat set annotation_id = annotation_id + 1000000 where state = 2")
    whole = audit()
    for table in RANGES:
        monkeypatch.setitem(RANGES, table, 1)
    assert audit().rows == whole.rows
    assert sum(whole.rows.values()) > len(whole.rows) == 2


@pytest.mark.parametrize("size", [3, 20_000])
def test_all_are_counted_and_twenty_are_shown(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setitem(RANGES, "annotation_queuerow", size)
    desk = make_desk(n=25)
    run_sql("delete from annotation_offer")
    found = audit()
    assert found.rows == {("offer_is_what_is_free", desk.project.pk): 25}
    assert [len(rows) for rows in found.examples.values()] == [20]
    row = found.examples["offer_is_what_is_free"][0]
    assert (row["project_id"], row["overlap"], row["taken"], row["offered"]) == (desk.project.pk, 1, 0, None)


@pytest.mark.django_db(transaction=True)
def test_an_audit_among_people_at_work_finds_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=60, overlap=3)
    left = {"alice", "bob", "carol", "rita"}
    found = []

    def work(name: str) -> None:
        rng = Random(name)
        try:
            while leases := desk.lease(name, 2).leases:
                for raw in leases:
                    held = {"generation": raw["generation"], "person_id": desk.cast[name].pk}
                    match rng.randrange(6):
                        case 0:
                            queue.release(seat_id=raw["seat"], **held)
                        case 1:
                            queue.skip(seat_id=raw["seat"], reason="technical", **held)
                        case 2:
                            done = desk.submit(name, raw, rng.choice(["none", "spam"]), key=f"{name}-{rng.random()}")
                            queue.undo(annotation_id=done.annotation_id, person_id=desk.cast[name].pk)
                        case _:
                            desk.submit(name, raw, rng.choice(["none", "spam"]), key=f"{name}-{rng.random()}")
        finally:
            left.discard(name)

    def manage() -> None:
        wanted = 3
        items = list(Item.objects.values_list("pk", flat=True))
        rng = Random(1)
        while left:
            priorities = {item: rng.random() for item in rng.sample(items, 10)}
            queue.set_ranks(project_id=desk.project.pk, priorities=priorities, draw_id=None)
            wanted = 5 - wanted
            queue.set_overlap(project_id=desk.project.pk, wanted=wanted, after=0, limit=1000)
            queue.move_floors()

    def look() -> None:
        while left:
            found.append(find_violations())

    assert together(*(partial(work, name) for name in sorted(left)), manage, look) == [None] * 6
    assert found
    assert [one for one in found if one] == []


def test_no_statement_may_take_long(make_desk: MakeDesk) -> None:
    asked = "select null::bigint as project_id, current_setting('statement_timeout') as patience"
    found = audit([Check("patience", "Q0", "", "", "", asked)])
    assert found.examples == {"patience": [{"project_id": None, "patience": "30s"}]}


def test_progress_ends_at_the_total(make_desk: MakeDesk) -> None:
    make_desk(n=1)
    told: list[tuple[int, int]] = []
    audit(progress=lambda done, total: told.append((done, total)), patience=0)
    assert [done for done, _total in told] == list(range(1, len(told) + 1))
    assert {total for _done, total in told} == {len(told)}


# What it leaves behind


def run_audit() -> Job:
    """An audit as a worker makes it."""
    job = Job.objects.filter(kind="audit").latest("pk")
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == Job.State.DONE
    return job


def start_and_run() -> Job:
    Job.objects.filter(kind="audit").update(ended_at=F("ended_at") - timedelta(days=2))
    assert start_audit_if_due() is not None
    return run_audit()


def audit_events() -> list[tuple[str, int | None, str, int]]:
    events = Event.objects.filter(kind__startswith="audit.").order_by("pk")
    return [(one.kind, one.project_id, (one.data or {})["check"], (one.data or {})["rows"]) for one in events]


@pytest.mark.django_db(transaction=True)
def test_a_violation_is_one_event_until_it_is_mended(make_desk: MakeDesk) -> None:
    desk, other = make_desk(n=3), make_desk(n=1, slug="other")
    other.label("alice")
    assert start_and_run().result == {
        "violations": [],
        "examples": {},
        "seconds": pytest.approx(0, abs=60),
        "longest_seconds": pytest.approx(0, abs=60),
    }
    assert audit_events() == []

    run_sql(f"delete from annotation_offer where item_id = {desk.item('t-1').pk}")
    run_sql(OFFER_OF_NO_ROW)
    job = start_and_run()
    first = [
        ("audit.violated", None, "offer_is_what_is_free", 1),
        ("audit.violated", desk.project.pk, "offer_is_what_is_free", 1),
    ]
    assert sorted(audit_events(), key=str) == sorted(first, key=str)
    assert set(Event.objects.filter(kind="audit.violated").values_list("ref_id", flat=True)) == {job.pk}
    [known] = known_violations(desk.project)
    assert (known.check.invariant, known.n_rows, known_violations(other.project)) == ("Q11", 1, [])

    run_sql("delete from annotation_offer where item_id in (select id from annotation_item)")
    run_sql(OFFER_OF_NO_ROW)
    start_and_run()
    assert len(audit_events()) == 2, "more of the same is no news"
    [still] = known_violations(desk.project)
    assert (still.n_rows, still.since) == (3, known.since)

    queue.put_offers(row_ids=list(QueueRow.objects.values_list("pk", flat=True)))
    start_and_run()
    assert audit_events()[2:] == [("audit.mended", desk.project.pk, "offer_is_what_is_free", 3)]
    assert known_violations(desk.project) == []
    assert [one.n_rows for one in known_violations(None)] == [2]


@pytest.mark.django_db(transaction=True)
def test_the_worker_carries_out_what_beat_starts(make_desk: MakeDesk, worker: Worker) -> None:
    desk = make_desk(n=2)
    run_sql(f"delete from annotation_offer where item_id = {desk.item('t-1').pk}")
    assert settings.CELERY_BEAT_SCHEDULE["start-audit"]["task"] == tasks.start_audit.name
    tasks.start_audit()
    wait_until(lambda: Job.objects.filter(kind="audit", state=Job.State.DONE).exists())
    assert audit_events() == [("audit.violated", desk.project.pk, "offer_is_what_is_free", 1)]
    client = Client()
    client.force_login(desk.cast.olga, backend="django.contrib.auth.backends.ModelBackend")
    assert "Invariant Q11 is broken" in client.get(f"/p/{desk.project.slug}/").content.decode()


def test_an_audit_is_due_an_hour_after_the_last_and_later_where_that_took_long(make_desk: MakeDesk) -> None:
    assert start_audit_if_due() is not None
    assert start_audit_if_due() is None, "one waits already"

    def is_due(after: timedelta, seconds: float) -> bool:
        Job.objects.filter(kind="audit").delete()
        job = record_audit(audit())
        assert job is not None
        Job.objects.filter(pk=job.pk).update(ended_at=F("ended_at") - after, result={"seconds": seconds})
        return start_audit_if_due() is not None

    assert not is_due(timedelta(minutes=59), 1)
    assert is_due(timedelta(minutes=61), 1)
    assert not is_due(timedelta(minutes=90), 120)
    assert is_due(timedelta(minutes=101), 120)
    assert not is_due(timedelta(hours=23), 3600)
    assert is_due(timedelta(hours=25), 3600)


def test_an_audit_that_failed_is_tried_again_in_an_hour(make_desk: MakeDesk) -> None:
    job = start_audit_if_due()
    assert job is not None
    Job.objects.filter(pk=job.pk).update(state=Job.State.DEAD, ended_at=F("created_at"))
    assert start_audit_if_due() is None
    Job.objects.filter(pk=job.pk).update(ended_at=F("created_at") - timedelta(hours=2))
    assert start_audit_if_due() is not None
    assert last_audit() is None


def test_the_command_says_what_is_broken_and_that_it_is_mended(
    make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = make_desk(n=3)
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:8] for line in lines[:-1]] == ["ok      "] * len(CHECKS)

    item = desk.item("t-2")
    run_sql(f"delete from annotation_offer where item_id = {item.pk}")
    assert main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("BROKEN  Q11 what is on offer and what is taken make up the overlap: 1 row")
    assert f"item={item.pk}  overlap=1  is_closed=False  taken=0  offered=None" in lines[place + 1]
    assert len(known_violations(desk.project)) == 1

    queue.put_offers(row_ids=[desk.row("t-2").pk])
    assert main([]) == 0
    assert known_violations(desk.project) == []


def test_the_command_says_that_it_could_not_finish(make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    make_desk(n=1)
    run_sql("alter table annotation_offer rename to annotation_gone")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("touchstone: the audit could not be finished: ")
    assert last_audit() is None


@pytest.mark.django_db(transaction=True)
def test_a_command_beside_a_running_audit_leaves_it_alone(make_desk: MakeDesk) -> None:
    make_desk(n=1)
    job = start_audit_if_due()
    assert job is not None
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, attempt=1)
    assert record_audit(audit()) is None
    assert Job.objects.filter(kind="audit").count() == 1


# Who sees it


@pytest.fixture
def page(make_desk: MakeDesk) -> Callable[[str, str], str]:
    """What somebody sees of a project, or of the list of projects, after an audit that found something in both."""
    desk = make_desk(n=2)
    make_desk(n=1, slug="other")
    run_sql(f"delete from annotation_offer where item_id = {desk.item('t-1').pk}")
    run_sql("drop trigger append_only on annotation_guideline")
    record_audit(audit())
    desk.cast.rita.is_superuser = True
    desk.cast.rita.save()

    def look(name: str, address: str) -> str:
        client = Client()
        client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
        return client.get(address).content.decode()

    return look


@pytest.mark.parametrize(
    ("name", "address", "sees"),
    [
        ("olga", "/p/forum/", ["Q11"]),
        ("olga", "/p/other/", []),
        ("olga", "/", []),
        ("rita", "/p/forum/", ["Q11"]),
        ("rita", "/", ["Q10"]),
        ("enzo", "/p/forum/", []),
        ("alice", "/p/forum/", []),
    ],
)
def test_owners_see_their_project_and_superusers_the_rest(
    page: Callable[[str, str], str], name: str, address: str, sees: list[str]
) -> None:
    text = page(name, address)
    assert [q for q in ("Q10", "Q11") if f"Invariant {q} is broken in 1 case" in text] == sees
    assert ("<code>touchstone audit</code>" in text) == bool(sees)
