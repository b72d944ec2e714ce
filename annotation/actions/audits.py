"""When the next audit is due, and what becomes of what one found: a job's result, and an event where that is new."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from annotation.actions.events import write_event
from annotation.actions.jobs import claim_job, finish_job, start_job
from annotation.audit.checks import BY_NAME
from annotation.audit.latest import KIND, last_audit
from annotation.audit.looking import Findings
from annotation.models import Job, Project

LOCK = "audit"
AT_LEAST_SECONDS = 3600.0
AT_MOST_SECONDS = 24 * 3600.0
REST_TIMES = 50.0  # as long as it took: an audit of a large database takes a fiftieth of one core at most


@transaction.atomic
def start_audit_if_due() -> Job | None:
    """Start an audit an hour after the last one ended, later where that took long, and after a day at the latest.

    Cheap where none is due: one row is read. Safe to run anywhere and twice at once. Returns the queued job, or None.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(hashtext('audit'), 0)")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(
            """
            select j.state in ('queued', 'running'), extract(epoch from clock_timestamp() - j.ended_at)::float8,
              (j.result ->> 'seconds')::float8
            from annotation_job j where j.project_id is null and j.kind = %s order by j.id desc limit 1
            """,
            [KIND],
        )
        last = cursor.fetchone()
    if last is not None:
        is_waiting, age, took = last
        if is_waiting or age < min(AT_MOST_SECONDS, max(AT_LEAST_SECONDS, REST_TIMES * (took or 0))):
            return None
    return start_job(kind=KIND, project=None, created_by=None, lock=LOCK)


@transaction.atomic
def record_audit(found: Findings) -> Job | None:
    """Store an audit that was made outside a job (`touchstone audit`) as if one had been; None while one is running.

    So that who mended something and looked again sees the red line gone.
    """
    job = start_job(kind=KIND, project=None, created_by=None, lock=LOCK)
    claimed = claim_job(job_id=job.pk, worker="touchstone audit")
    if claimed is None:
        transaction.set_rollback(True)  # the one that runs will say the same
        return None
    finish_job(job_id=claimed.pk, attempt=claimed.attempt, result=settle_findings(job=claimed, found=found))
    return claimed


@transaction.atomic
def settle_findings(*, job: Job, found: Findings) -> dict[str, Any]:
    """Write an event for each violation that the audit before did not know, and for each that is gone.

    Returns the job's result: `{"violations": [{"check", "project", "rows", "since"}], "examples", "seconds",
    "longest_seconds"}`; `since` is kept for as long as audits find the same. In the transaction that ends the job.
    """
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    before = last_audit()
    result: dict[str, Any] = (before.result if before else None) or {}
    known = {(one["check"], one["project"]): one for one in result.get("violations", [])}
    projects = Project.objects.in_bulk({project for _check, project in {*known, *found.rows} if project is not None})

    def tell(kind: str, check: str, project: int | None, rows: int) -> None:
        named = BY_NAME.get(check)
        data = {"check": check, "invariant": named.invariant if named else "", "rows": rows}
        write_event(project=projects.get(project or 0), kind=kind, actor=None, ref_id=job.pk, data=data)

    violations = []
    for (check, project), rows in sorted(found.rows.items(), key=str):
        if (check, project) not in known:
            tell("audit.violated", check, project, rows)
        since = known.get((check, project), {}).get("since", now.isoformat())
        violations.append({"check": check, "project": project, "rows": rows, "since": since})
    for (check, project), one in known.items():
        if (check, project) not in found.rows:
            tell("audit.mended", check, project, one["rows"])
    return {
        "violations": violations,
        "examples": found.examples,
        "seconds": round(found.seconds, 3),
        "longest_seconds": round(found.longest_seconds, 3),
    }
