"""What a Celery worker is told to do: each task calls one function of ours, and repeating any of them does no harm."""

from __future__ import annotations

from celery import shared_task

from annotation import events, job_kinds, jobs, queue
from annotation.actions import audits
from annotation.actions import jobs as job_actions

__all__ = ["dispatch_events", "job_kinds", "move_floors", "run_job", "start_audit", "sweep_jobs"]


@shared_task(name="annotation.tasks.run_job")
def run_job(job_id: int) -> None:
    """Look at a job, and carry it out where it is to be run now."""
    jobs.run_job(job_id)


@shared_task(name="annotation.tasks.dispatch_events")
def dispatch_events() -> None:
    """Give every consumer of events what is new."""
    events.dispatch_events()


@shared_task(name="annotation.tasks.sweep_jobs")
def sweep_jobs() -> None:
    """Tell workers again about jobs that wait or were abandoned."""
    job_actions.sweep_jobs()


@shared_task(name="annotation.tasks.move_floors")
def move_floors() -> None:
    """Let each project's queue forget the rows at its head that are full."""
    queue.move_floors()


@shared_task(name="annotation.tasks.start_audit")
def start_audit() -> None:
    """Have the invariants checked where that is due."""
    audits.start_audit_if_due()
