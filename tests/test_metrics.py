"""`/metrics`: the figures are those of the rows, nothing in them names anybody, and only superusers read them."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from annotation.actions.audits import record_audit
from annotation.actions.events import write_event
from annotation.actions.people import create_token
from annotation.audit.checks import CHECKS
from annotation.audit.looking import audit
from annotation.events import dispatch_events, subscribe, unsubscribe
from annotation.models import Event, Job, Seat, User
from reviewers.agreement.recount import KIND as RECOUNT
from tests.cast import PASSWORD, MakeDesk
from tests.job_rows import start
from tests.workers import get_database_url

pytestmark = pytest.mark.django_db

Figures = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture
def token(db: None) -> str:
    """A superuser's token that is good for `/metrics` alone."""
    root = User.objects.create_superuser(username="root", password=PASSWORD)
    return create_token(user=root, scopes=["metrics"], actor=root)[1]


def scrape(token: str) -> str:
    response = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response["Content-Type"][:10]) == (200, "text/plain"), response.content
    assert "no-store" in response["Cache-Control"]
    return response.content.decode()


def read(token: str) -> Figures:
    """Each figure by its name and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(scrape(token))
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


# What they say


def test_before_the_first_audit_nothing_is_said_about_it(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=1)
    assert not [name for name, _labels in read(token) if "audit" in name or "invariant" in name]


def test_the_last_audit_is_shown_check_by_check(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=3)
    with connection.cursor() as cursor:
        cursor.execute("delete from annotation_offer")
    job = record_audit(audit())
    assert job is not None
    Job.objects.filter(pk=job.pk).update(ended_at=F("ended_at") - timedelta(hours=1))
    figures = read(token)
    shown = {labels: n for (name, labels), n in figures.items() if name == "touchstone_invariant_violations"}
    assert shown == {(one.name, one.invariant): 0 for one in CHECKS} | {("offer_is_what_is_free", "Q11"): 3}
    assert figures["touchstone_audit_age_seconds", ()] == pytest.approx(3600, abs=60)
    assert 0 <= figures["touchstone_audit_duration_seconds", ()] < 60


def test_jobs_are_counted_by_state_and_the_oldest_that_is_due_is_timed(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=1)
    Job.objects.all().delete()
    now = timezone.now()
    start("test.steps", run_at=now + timedelta(hours=1))
    calm = read(token)
    assert [calm["touchstone_jobs", (state,)] for state in ("queued", "running", "failed", "dead")] == [1, 0, 0, 0]
    assert calm["touchstone_job_oldest_due_seconds", ()] == 0, "none is due yet"
    assert calm["touchstone_job_longest_silence_seconds", ()] == 0

    for state, minutes in (("queued", 0), ("queued", 5), ("running", 9), ("failed", 9), ("dead", 9), ("done", 9)):
        job = start("test.steps")
        earlier = now - timedelta(minutes=minutes)
        Job.objects.filter(pk=job.pk).update(state=state, run_at=earlier, heartbeat_at=earlier)
    figures = read(token)
    assert [figures["touchstone_jobs", (state,)] for state in ("queued", "running", "failed", "dead")] == [3, 1, 1, 1]
    assert figures["touchstone_job_oldest_due_seconds", ()] == pytest.approx(300, abs=60)
    assert figures["touchstone_job_longest_silence_seconds", ()] == pytest.approx(540, abs=60)


@pytest.mark.django_db(transaction=True)
def test_events_that_a_consumer_has_not_read_wait(make_desk: MakeDesk, token: str) -> None:
    desk = make_desk(n=1)
    subscribe(consumer="test-metrics", handler=list)
    try:
        dispatch_events()
        dispatch_events()
    finally:
        unsubscribe(consumer="test-metrics")
    figures = read(token)
    assert figures["touchstone_events_waiting", ("test-metrics",)] == 0
    assert figures["touchstone_events_oldest_waiting_seconds", ("test-metrics",)] == 0
    for _n in range(3):
        write_event(project=desk.project, kind="test.happened", actor=None)
    figures = read(token)
    assert figures["touchstone_events_waiting", ("test-metrics",)] == 3
    assert 0 < figures["touchstone_events_oldest_waiting_seconds", ("test-metrics",)] < 60
    assert Event.objects.filter(kind="test.happened").count() == 3


def test_votes_that_wait_and_what_the_last_recount_found_are_shown(make_desk: MakeDesk, token: str) -> None:
    desk = make_desk(n=1, overlap=2)
    figures = read(token)
    assert figures["touchstone_agreement_behind_seconds", ()] == 0
    assert not [name for name, _labels in figures if "agreement_wrong" in name or "recount" in name]
    desk.label("alice")
    assert 0 < read(token)["touchstone_agreement_behind_seconds", ()] < 60
    ended = timezone.now() - timedelta(hours=1)
    differences = [{"project": desk.project.pk, "items": 3, "rows": 2}, {"project": 0, "items": 1, "rows": 0}]
    job = start(RECOUNT)
    Job.objects.filter(pk=job.pk).update(state="done", ended_at=ended, result={"differences": differences})
    figures = read(token)
    assert figures["touchstone_agreement_wrong_items", ()] == 4
    assert figures["touchstone_agreement_wrong_rows", ()] == 2
    assert 3600 <= figures["touchstone_agreement_recount_age_seconds", ()] < 3660


def test_leases_and_answers_are_counted(make_desk: MakeDesk, token: str) -> None:
    desk = make_desk(n=5)
    before = read(token)
    assert (before["touchstone_leases_held", ("running",)], before["touchstone_leases_held", ("expired",)]) == (0, 0)
    for _n in range(2):
        desk.label("alice")
    desk.lease("bob", 2)
    raw = desk.lease_one("carol")
    Seat.objects.filter(pk=raw["seat"]).update(expires_at=F("expires_at") - timedelta(days=1))
    after = read(token)
    assert (after["touchstone_leases_held", ("running",)], after["touchstone_leases_held", ("expired",)]) == (2, 1)
    desk.label("alice")
    assert read(token)["touchstone_annotations_total", ()] == after["touchstone_annotations_total", ()] + 1


def test_tables_are_described(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=3)
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_queuerow, annotation_offer")
    figures = read(token)
    assert figures["touchstone_table_rows", ("annotation_queuerow",)] == 3
    assert figures["touchstone_table_dead_rows", ("annotation_queuerow",)] >= 0
    assert figures["touchstone_database_bytes", ()] > figures["touchstone_table_bytes", ("annotation_offer",)] > 0


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_stands_open_is_seen(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=1)
    with psycopg.connect(get_database_url()) as other:
        assert read(token)["touchstone_oldest_transaction_seconds", ()] == 0
        other.execute("select pg_sleep(0.2)")
        assert 0.2 <= read(token)["touchstone_oldest_transaction_seconds", ()] < 60


# Who reads them


def test_nothing_in_them_names_anybody(make_desk: MakeDesk, token: str) -> None:
    desk = make_desk(n=3, slug="secret-forum")
    desk.label("alice")
    with connection.cursor() as cursor:
        cursor.execute("delete from annotation_offer")
    record_audit(audit())
    start("test.steps")
    text = scrape(token).lower()
    for name in ("secret", "forum", "alice", "olga", "root", "t-1", "text number", str(desk.item("t-1").pk)):
        assert name not in text


def ask(raw: str, address: str = "/metrics") -> int:
    return Client().get(address, headers={"Authorization": f"Bearer {raw}"}).status_code


def test_a_token_must_be_a_superusers_and_wide_enough(make_desk: MakeDesk, token: str) -> None:
    desk = make_desk(n=1)
    root = User.objects.get(username="root")
    assert ask(create_token(user=root, actor=root)[1]) == 200
    assert ask(create_token(user=root, scopes=["see", "manage"], actor=root)[1]) == 403
    assert ask(create_token(user=desk.cast.olga, scopes=["metrics"], actor=root)[1]) == 403
    assert ask(create_token(user=desk.cast.olga, actor=root)[1]) == 403
    assert ask("ts_nothing") == 401


def test_a_token_for_metrics_opens_nothing_else(make_desk: MakeDesk, token: str) -> None:
    make_desk(n=1)
    assert ask(token) == 200
    for address in ("projects", "projects/forum", "projects/forum/items", "projects/forum/leases"):
        assert ask(token, f"/api/v1/{address}") == 403
