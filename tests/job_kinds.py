"""Kinds of jobs that only tests start; a test's worker is told to import them. What they do shows as events."""

from __future__ import annotations

import os
import time
from typing import Any

from django.db import transaction

from annotation.actions.events import write_event
from annotation.jobs import JobFailedError, JobLostError, RunningJob, job_kind
from annotation.models import Event


def note(kind: str, running: RunningJob, **data: Any) -> None:
    write_event(project=None, kind=kind, actor=None, ref_id=running.job.pk, data=data)


@job_kind("test-note")
def note_once(running: RunningJob) -> dict[str, int]:
    """One effect, and a result."""
    note("test.effect", running)
    return {"attempt": running.job.attempt}


@job_kind("test-wait")
def wait_for_word(running: RunningJob) -> None:
    """Begin, wait until the test says go, then have an effect if this attempt may still."""
    note("test.began", running, pid=os.getpid())
    running.progress(1, 2)
    deadline = time.monotonic() + 60
    while not Event.objects.filter(kind="test.go", ref_id=running.job.pk).exists():
        assert time.monotonic() < deadline, "nobody said go"
        time.sleep(0.02)
    try:
        with transaction.atomic():
            running.check()
            note("test.effect", running)
    except JobLostError:
        note("test.refused", running, attempt=running.job.attempt)
        raise


@job_kind("test-alone")
def run_alone(running: RunningJob) -> None:
    """Begin and end, a moment apart."""
    note("test.began", running)
    time.sleep(0.01)
    note("test.ended", running)


@job_kind("test-finish")
def finish_with_effect(running: RunningJob) -> None:
    """The effect and the end of the job in one transaction; then a fault that comes too late to matter."""
    with transaction.atomic():
        note("test.effect", running)
        running.finish({"n": 1})
    raise RuntimeError("after the end")


@job_kind("test-crash")
def crash(running: RunningJob) -> None:
    """Stop unexpectedly."""
    raise RuntimeError("secret content")


@job_kind("test-exit")
def end_process(running: RunningJob) -> None:
    """Take the process down, as running out of memory would."""
    note("test.began", running)
    os._exit(1)


@job_kind("test-refuse")
def refuse(running: RunningJob) -> None:
    """Fail for good, with a result."""
    raise JobFailedError("Line 3 has no text.", result={"rejected": 1})
