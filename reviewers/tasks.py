"""What a Celery worker is told to do for this app, beside the jobs."""

from __future__ import annotations

from celery import shared_task

from reviewers import job_kinds
from reviewers.actions.votes import start_recount_if_due

__all__ = ["job_kinds", "start_recount"]


@shared_task(name="reviewers.tasks.start_recount")
def start_recount() -> None:
    """Have the votes counted again where that is due."""
    start_recount_if_due()
