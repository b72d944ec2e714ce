"""Votes counted beside the labels: folded from events, counted again once a day, and what becomes of a difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.models import Job
from reviewers.agreement.recount import KIND, Difference
from reviewers.agreement.vote_counts import counted_ids

RECOUNT_EVERY = timedelta(days=1)


@transaction.atomic
def fold_votes(*, project_id: int, item_ids: Sequence[int]) -> int:
    """Count the votes on some items of a project anew. Returns of how many questions of items they changed."""
    questions = counted_ids(project_id)
    with connection.cursor() as cursor:
        cursor.execute(
            "select agreement_fold(%s, %s::bigint[], %s::smallint[])", [project_id, list(item_ids), questions]
        )
        return int(cursor.fetchone()[0])


@transaction.atomic
def sum_up_votes(*, project_id: int) -> int:
    """Make a project's histogram what its counted items come to. Returns how many rows of it were not so."""
    with connection.cursor() as cursor:
        cursor.execute("select n_counts + n_voters from agreement_sum_up(%s)", [project_id])
        return int(cursor.fetchone()[0])


@transaction.atomic
def start_recount_if_due() -> Job | None:
    """Start the recount of all votes a day after the last one ended. Returns the queued job, None where none is due."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(hashtext('agreement.recount'), 0)")
        if not cursor.fetchone()[0]:
            return None
    last = Job.objects.filter(project=None, kind=KIND).order_by("-pk").first()
    is_recent = last is not None and (last.ended_at is None or timezone.now() - last.ended_at < RECOUNT_EVERY)
    return None if is_recent else start_job(kind=KIND, project=None, created_by=None, lock=KIND)


@transaction.atomic
def settle_recount(*, job: Job, differences: Sequence[Difference], seconds: float) -> dict[str, Any]:
    """Write an event for each project in which counted votes were not so. Returns the job's result."""
    for one in differences:
        data = {"items": one.n_items, "rows": one.n_rows}
        write_event(project=one.project, kind="agreement.differed", actor=None, ref_id=job.pk, data=data)
    return {
        "differences": [{"project": one.project.pk, "items": one.n_items, "rows": one.n_rows} for one in differences],
        "seconds": round(seconds, 3),
    }
