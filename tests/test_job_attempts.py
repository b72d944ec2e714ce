"""The rows of jobs: claims, fences, attempts, locks, and a broker that may be anywhere between quick and gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import transaction
from django.db.models.functions import Now

from annotation.actions.jobs import (
    JobLostError,
    advance_job,
    fail_job,
    finish_job,
    hold_job,
    renew_job,
    retry_job,
    start_once,
    sweep_jobs,
)
from annotation.jobs import RunningJob, job_kind, run_job
from annotation.models import Job
from config.celery import app
from tests import job_kinds
from tests.cast import MakeDesk
from tests.job_rows import age_heartbeat, claim, count, has_state, start
from tests.together import together
from tests.workers import wait_until

__all__ = ["job_kinds"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def unheard_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker, under names to which no worker listens: here the tests do the worker's part."""
    monkeypatch.setitem(app.conf.broker_transport_options, "global_keyprefix", "unheard.")


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch, unheard_broker: None) -> None:
    """A broker that is not there."""
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis+socket:///nowhere/valkey.sock")


@pytest.fixture
def silent_broker(monkeypatch: pytest.MonkeyPatch, unheard_broker: None) -> Iterator[None]:
    """A broker that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        yield


# --- The broker is only a bell ---------------------------------------------------------------------------------------


def test_absent_broker_costs_a_request_nothing(no_broker: None) -> None:
    began = time.monotonic()
    job = start("test-note")
    assert time.monotonic() - began < 0.5
    assert has_state(job, "queued", 0)


def test_silent_broker_costs_a_request_about_a_second(silent_broker: None) -> None:
    began = time.monotonic()
    job = start("test-note")
    assert time.monotonic() - began < 2.5
    assert has_state(job, "queued", 0)


def test_job_of_rolled_back_transaction_does_not_exist() -> None:
    with transaction.atomic():
        start("test-note")
        transaction.set_rollback(True)
    assert not Job.objects.exists()


# --- One attempt after the other -------------------------------------------------------------------------------------


def test_job_that_always_crashes_is_dead_after_three_attempts() -> None:
    job = start("test-crash")
    for attempt in (1, 2, 3):
        assert has_state(job, "queued", attempt - 1)
        run_job(job.pk, backoff_seconds=0)
    run_job(job.pk, backoff_seconds=0)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("dead", 3)
    assert "RuntimeError" in job.error
    assert "secret" not in job.error


def test_crashed_job_waits_longer_each_time() -> None:
    job = start("test-crash")
    run_job(job.pk)
    assert Job.objects.filter(pk=job.pk, state="queued", run_at__gt=Now() + timedelta(seconds=3)).exists()
    assert claim(job) is None
    assert sweep_jobs() == 0
    Job.objects.filter(pk=job.pk).update(run_at=Now())
    run_job(job.pk)
    assert Job.objects.filter(pk=job.pk, attempt=2, run_at__gt=Now() + timedelta(seconds=8)).exists()


def test_refused_job_is_failed_with_its_sentence_and_result() -> None:
    job = start("test-refuse")
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("failed", 1)
    assert job.error == "Line 3 has no text."
    assert job.result == {"rejected": 1}


def test_job_of_unknown_kind_is_tried_again() -> None:
    job = start("test-unheard-of")
    run_job(job.pk)
    assert has_state(job, "queued", 1)


def test_job_ended_by_its_own_function_stays_done() -> None:
    job = start("test-finish")
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"n": 1})


def test_job_is_not_run_before_its_time() -> None:
    job = start("test-note", run_at=datetime.now(UTC) + timedelta(hours=1))
    assert claim(job) is None
    assert sweep_jobs() == 0
    Job.objects.filter(pk=job.pk).update(run_at=Now())
    assert sweep_jobs() == 1


def test_two_functions_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="test-note"):
        job_kind("test-note")(lambda running: None)


# --- Claims and fences -----------------------------------------------------------------------------------------------


def test_only_one_of_many_claims_succeeds() -> None:
    job = start("test-note")
    claims = together(*[lambda: claim(job) for _ in range(10)])
    assert sum(claimed is not None for claimed in claims) == 1
    assert has_state(job, "running", 1)


def test_only_one_of_many_jobs_with_one_lock_is_claimed() -> None:
    started = [start("test-note", lock="a") for _ in range(10)]
    claims = together(*[partial(claim, job) for job in started])
    assert sum(claimed is not None for claimed in claims) == 1
    assert Job.objects.filter(state="queued", attempt=0).count() == 9


def test_sweep_rings_for_one_job_per_lock() -> None:
    for lock in ("a", "a", "b", "b", None, None):
        start("test-note", lock=lock)
    assert sweep_jobs() == 4


def test_silent_job_is_claimed_anew_and_the_first_attempt_is_refused() -> None:
    job = start("test-note", lock="a")
    first = claim(job)
    assert first is not None
    assert claim(job) is None
    time.sleep(0.06)
    second = claim(job, stale_seconds=0.05)
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    late: list[Callable[[], None]] = [
        lambda: renew_job(job_id=job.pk, attempt=1),
        lambda: hold_job(job_id=job.pk, attempt=1),
        lambda: advance_job(job_id=job.pk, attempt=1, done=9),
        lambda: finish_job(job_id=job.pk, attempt=1, result={}),
        lambda: fail_job(job_id=job.pk, attempt=1, error="late"),
        lambda: retry_job(job_id=job.pk, attempt=1, error="late", delay_seconds=0),
    ]
    for write in late:
        with pytest.raises(JobLostError):
            write()
    assert has_state(job, "running", 2)
    finish_job(job_id=job.pk, attempt=2, result=None)
    with pytest.raises(JobLostError):
        finish_job(job_id=job.pk, attempt=2, result=None)


def test_silent_job_without_attempts_left_is_dead() -> None:
    job = start("test-note", max_attempts=1)
    assert claim(job) is not None
    age_heartbeat(job)
    assert claim(job) is None
    assert has_state(job, "dead", 1)


def test_attempt_that_holds_its_row_is_not_taken_over() -> None:
    job = start("test-note")
    assert claim(job) is not None
    age_heartbeat(job)
    with transaction.atomic():
        hold_job(job_id=job.pk, attempt=1)
        assert together(*[lambda: claim(job), lambda: renew_job(job_id=job.pk, attempt=1)]) == [None, None]
    assert claim(job) is not None


def test_heartbeat_keeps_a_job_and_notes_its_loss() -> None:
    job = start("test-listen")
    seen: list[object] = []

    @job_kind("test-listen")
    def listen(running: RunningJob) -> None:
        time.sleep(1.2)
        seen.append(claim(job, stale_seconds=1))
        Job.objects.filter(pk=job.pk).update(attempt=2)
        wait_until(lambda: running.is_lost)
        seen.append(running.is_lost)

    run_job(job.pk, heartbeat_seconds=0.05)
    assert seen == [None, True]
    assert has_state(job, "running", 2)


def test_ended_job_tells_a_worker_of_the_next_with_its_lock() -> None:
    first, second = start("test-note", lock="a"), start("test-note", lock="a")
    with app.connection_for_write() as broker, broker.SimpleQueue("touchstone") as messages:
        messages.clear()
        run_job(first.pk)
        told = [messages.get(timeout=2).payload[0]]
    assert count("job.finished", first) == 1
    assert told == [[second.pk]]


def test_what_several_ask_for_at_once_is_started_once(make_desk: MakeDesk) -> None:
    project = make_desk(n=1).project
    ask = partial(
        start_once,
        kind="test-note",
        project=project,
        created_by=None,
        args={"n": 1},
        lock="one",
        patience=timedelta(minutes=1),
    )
    first, *others = together(*[ask] * 4)
    assert {job.pk for job in others} == {first.pk}
    assert ask(args={"n": 2}).pk != first.pk
    Job.objects.filter(pk=first.pk).update(state="failed", ended_at=Now())
    assert ask().pk == first.pk
    Job.objects.filter(pk=first.pk).update(ended_at=Now() - timedelta(minutes=2))
    assert ask().pk != first.pk
