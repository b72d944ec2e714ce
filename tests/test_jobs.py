"""Jobs survive: killed and paused workers, messages that come thrice or never, work that takes its process down."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
from django.db import transaction

from annotation.actions.events import write_event
from annotation.actions.jobs import RUN_TASK, sweep_jobs
from annotation.models import Event, Job
from config.celery import app
from tests.job_rows import age_heartbeat, count, has_state, start
from tests.together import together
from tests.workers import Worker, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def say_go(job: Job) -> None:
    write_event(project=None, kind="test.go", actor=None, ref_id=job.pk)


def test_worker_runs_job_and_stores_result(worker: Worker) -> None:
    job = start("test-note", args={"n": 1})
    wait_until(lambda: has_state(job, "done", 1))
    job.refresh_from_db()
    assert job.result == {"attempt": 1}
    assert job.error == ""
    assert job.ended_at is not None
    assert count("test.effect", job) == 1
    assert count("job.started", job) == count("job.finished", job) == 1


def test_job_of_killed_worker_is_run_again(worker: Worker) -> None:
    job = start("test-wait")
    wait_until(lambda: count("test.began", job) == 1)
    worker.kill()
    age_heartbeat(job)
    worker.start()
    sweep_jobs()
    wait_until(lambda: count("test.began", job) == 2)
    say_go(job)
    wait_until(lambda: has_state(job, "done", 2))
    assert count("test.effect", job) == 1
    assert count("test.refused", job) == 0


def test_writes_of_worker_that_was_paused_are_refused(worker: Worker) -> None:
    job = start("test-wait")
    wait_until(lambda: count("test.began", job) == 1)
    paused = Event.objects.values_list("data__pid", flat=True).get(kind="test.began", ref_id=job.pk)
    os.kill(paused, signal.SIGSTOP)
    try:
        age_heartbeat(job)
        sweep_jobs()
        wait_until(lambda: count("test.began", job) == 2)
        say_go(job)
        wait_until(lambda: has_state(job, "done", 2))
    finally:
        os.kill(paused, signal.SIGCONT)
    wait_until(lambda: count("test.refused", job) == 1)
    assert count("test.effect", job) == 1
    assert has_state(job, "done", 2)


def test_job_that_ends_its_process_is_dead_after_three_attempts(worker: Worker) -> None:
    job = start("test-exit")
    for attempt in (1, 2, 3):
        wait_until(lambda: count("test.began", job) == attempt)  # noqa: B023 - called at once
        age_heartbeat(job)
        sweep_jobs()
    wait_until(lambda: has_state(job, "dead", 3))
    job.refresh_from_db()
    assert "worker was lost" in job.error
    assert count("job.died", job) == 1
    after = start("test-note")
    wait_until(lambda: has_state(after, "done", 1))


def test_message_that_comes_three_times_has_one_effect(worker: Worker) -> None:
    started = [start("test-note") for _ in range(10)]
    together(*[partial(app.send_task, RUN_TASK, args=[job.pk]) for job in started for _ in range(3)])
    wait_until(lambda: Job.objects.filter(state="done", attempt=1).count() == 10)
    last = start("test-note")  # behind every message sent so far
    wait_until(lambda: has_state(last, "done", 1))
    assert [count("test.effect", job) for job in started] == [1] * 10


def test_jobs_with_one_lock_run_one_at_a_time(worker: Worker) -> None:
    started = together(*[lambda: start("test-alone", lock="round:1") for _ in range(20)])
    wait_until(lambda: not Job.objects.exclude(state="done").exists())
    steps = list(
        Event.objects.filter(kind__in=["test.began", "test.ended"]).order_by("at").values_list("kind", "ref_id")
    )
    assert [kind for kind, _job in steps] == ["test.began", "test.ended"] * 20
    assert [job for _kind, job in steps[::2]] == [job for _kind, job in steps[1::2]]
    assert {job for _kind, job in steps} == {job.pk for job in started}


def test_job_started_while_broker_is_down_runs_after_the_sweep(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", "redis+socket:///nowhere/valkey.sock")
    with transaction.atomic():
        job = start("test-note")
    assert sweep_jobs() == 0
    assert has_state(job, "queued", 0)
    monkeypatch.delenv("CELERY_BROKER_WRITE_URL")
    assert sweep_jobs() == 1
    wait_until(lambda: has_state(job, "done", 1))
