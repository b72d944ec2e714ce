"""What tests of jobs do to rows and look for in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F

from annotation.actions.jobs import claim_job, start_job
from annotation.models import Event, Job


def start(kind: str, **options: Any) -> Job:
    return start_job(kind=kind, project=None, created_by=None, **options)


def claim(job: Job, **options: Any) -> Job | None:
    return claim_job(job_id=job.pk, worker="test", **options)


def count(kind: str, job: Job) -> int:
    return Event.objects.filter(kind=kind, ref_id=job.pk).count()


def age_heartbeat(job: Job) -> None:
    """As if the job's worker had been silent for a minute."""
    Job.objects.filter(pk=job.pk).update(heartbeat_at=F("heartbeat_at") - timedelta(minutes=1))


def has_state(job: Job, state: str, attempt: int) -> bool:
    return Job.objects.filter(pk=job.pk, state=state, attempt=attempt).exists()
