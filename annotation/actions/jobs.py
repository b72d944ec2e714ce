"""Every change of a job's row, and finding one. The row is the truth; a message only tells a worker to look at it.

    queued --claim--> running --finish--> done
      ^                  |  \\---fail---> failed (not worth repeating)
      \\------retry-------/   \\---------> dead (attempts used up)

A claim counts the attempt, and that number fences everything which the attempt writes: a worker that lost its job,
because it was paused or cut off until somebody else took over, finds its number outdated. A job whose worker is silent
for `stale_seconds` may be claimed anew. A claim passes over a row that is locked: whoever holds it is alive.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb

from annotation.actions.events import write_event
from annotation.actions.locks import lock_project
from annotation.models import Job, Project, User

STALE_SECONDS = 30.0  # six heartbeats
MAX_ATTEMPTS = 3
MAX_RINGS = 100  # of one sweep: the next one follows in seconds
RUN_TASK = "annotation.tasks.run_job"

logger = logging.getLogger(__name__)


class JobLostError(Exception):
    """This attempt no longer owns the job: another one does, or the job has ended. Stop, and write nothing more."""


@transaction.atomic
def start_job(
    *,
    kind: str,
    project: Project | None,
    created_by: User | None,
    args: Mapping[str, Any] | None = None,
    lock: str | None = None,
    run_at: datetime | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> Job:
    """Store work to be done, in the caller's transaction, and tell a worker once that is committed.

    `args` are ids and settings, never content. Of the jobs with the same `lock` (up to 100 characters) one runs at a
    time; the others wait. `run_at` in the future: not before then. A broker that does not answer costs about a second
    at most, and no job: the sweeper tells a worker again. Returns the queued job.
    """
    rows = Job.objects.raw(
        "insert into annotation_job"
        " (project_id, kind, args, lock, state, attempt, max_attempts, created_by_id, created_at, run_at, done, error)"
        " values (%s, %s, %s, %s, 'queued', 0, %s, %s, clock_timestamp(),"
        " coalesce(%s::timestamptz, clock_timestamp()), 0, '') returning *",
        [
            project.pk if project else None,
            kind,
            Jsonb(dict(args or {})),
            lock,
            max_attempts,
            created_by.pk if created_by else None,
            run_at,
        ],
    )
    job = next(iter(rows))
    write_event(project=project, kind="job.started", actor=created_by, ref_id=job.pk, data={"kind": kind})
    if job.run_at <= job.created_at or run_at is None:
        transaction.on_commit(lambda: _ring(job.pk))
    return job


def find_queued(
    *, project: Project, kind: str, args: Mapping[str, Any] | None = None, is_due: bool = False
) -> Job | None:
    """The first of a project's jobs of a kind that no worker has begun; None where there is none.

    Whoever would start the same again takes that one: what it does not know yet it still reads when it begins. `args`:
    only one with exactly these. `is_due`: only one that need not wait for its time.
    """
    jobs = Job.objects.filter(project=project, kind=kind, state=Job.State.QUEUED)
    if args is not None:
        jobs = jobs.filter(args=dict(args))
    if is_due:
        jobs = jobs.filter(run_at__lte=Now())
    return jobs.order_by("pk").first()


def find_in_hand(*, project: Project, kind: str, args: Mapping[str, Any], patience: timedelta) -> Job | None:
    """The newest of a project's jobs with exactly these arguments, where it waits, runs, or failed a moment ago.

    None where it ended well, or failed longer than `patience` ago: then one may be started.
    """
    job = Job.objects.filter(project=project, kind=kind, args=dict(args)).order_by("-pk").first()
    if job is None or job.state == Job.State.DONE:
        return None
    is_old = job.ended_at is not None and timezone.now() - job.ended_at > patience
    return None if is_old else job


@transaction.atomic
def start_once(
    *, kind: str, project: Project, created_by: User | None, args: Mapping[str, Any], lock: str, patience: timedelta
) -> Job:
    """The job that `find_in_hand` finds, else a new one; however many ask at the same time."""
    lock_project(project, kind)
    return find_in_hand(project=project, kind=kind, args=args, patience=patience) or start_job(
        kind=kind, project=project, created_by=created_by, args=args, lock=lock
    )


def find_done(*, project: Project | None, kind: str, args: Mapping[str, Any] | None = None) -> Job | None:
    """The newest job of a kind that came to its end well, of a project or of none; None where there is none.

    `args`: only one with exactly these.
    """
    jobs = Job.objects.filter(project=project, kind=kind, state=Job.State.DONE)
    if args is not None:
        jobs = jobs.filter(args=dict(args))
    return jobs.order_by("-pk").first()


def claim_job(*, job_id: int, worker: str, stale_seconds: float = STALE_SECONDS) -> Job | None:
    """Take a job for one more attempt and return it as running, or None where it is not to be run now.

    It is taken where it is queued and due, or running with no heartbeat for `stale_seconds`. Not where its lock is held
    by another running job: it stays queued. With no attempt left it becomes dead. `worker` says who asks, for the log.
    Must not be called inside a transaction that may still be rolled back: the attempt counts from here on.
    """
    try:
        with transaction.atomic():
            rows = list(
                Job.objects.raw(
                    "update annotation_job set state = 'running', attempt = attempt + 1,"
                    " claimed_at = clock_timestamp(), heartbeat_at = clock_timestamp(),"
                    " done = 0, total = null, result = null, error = ''"
                    " where id = (select j.id from annotation_job j where j.id = %s and j.attempt < j.max_attempts"
                    " and (j.state = 'queued' and j.run_at <= clock_timestamp() or j.state = 'running'"
                    " and j.heartbeat_at < clock_timestamp() - make_interval(secs => %s))"
                    " and not exists (select 1 from annotation_job o where o.lock = j.lock and o.state = 'running'"
                    " and o.id <> j.id)"
                    " for no key update of j skip locked) returning *",
                    [job_id, stale_seconds],
                )
            )
    except IntegrityError:  # another job took the lock at this very moment
        return None
    if not rows:
        _bury_jobs(stale_seconds, job_id)
        return None
    logger.info("job %s (%s): attempt %s by %s", job_id, rows[0].kind, rows[0].attempt, worker)
    return rows[0]


def renew_job(*, job_id: int, attempt: int) -> None:
    """Note that the attempt is alive. Raises JobLostError where the job is no longer its own.

    Never waits: where the row is locked, the attempt's own transaction holds it, which keeps others off as well.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_job set heartbeat_at = clock_timestamp() where id = (select id from annotation_job"
            " where id = %s and attempt = %s and state = 'running' for no key update skip locked)",
            [job_id, attempt],
        )
        if cursor.rowcount == 0:
            _refuse_unless(
                Job.objects.filter(pk=job_id, attempt=attempt, state=Job.State.RUNNING).exists(), job_id, attempt
            )


def hold_job(*, job_id: int, attempt: int) -> None:
    """Make sure that the attempt still owns the job; inside a transaction, that it will until the transaction ends.

    Raises JobLostError where it does not.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select 1 from annotation_job where id = %s and attempt = %s and state = 'running' for no key update",
            [job_id, attempt],
        )
        _refuse_unless(cursor.fetchone() is not None, job_id, attempt)


def advance_job(*, job_id: int, attempt: int, done: int, total: int | None = None) -> None:
    """Store how far the attempt is (`total` None: as before); counts as a heartbeat. Raises JobLostError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_job set done = %s, total = coalesce(%s, total), heartbeat_at = clock_timestamp()"
            " where id = %s and attempt = %s and state = 'running'",
            [done, total, job_id, attempt],
        )
        _refuse_unless(cursor.rowcount == 1, job_id, attempt)


def finish_job(*, job_id: int, attempt: int, result: Mapping[str, Any] | None) -> None:
    """End the job as done, with what it found. Raises JobLostError where the attempt no longer owns it."""
    _end_job(job_id, attempt, state="done", event="job.finished", result=result)


def fail_job(*, job_id: int, attempt: int, error: str, result: Mapping[str, Any] | None = None) -> None:
    """End the job as failed: not worth repeating. `error` is a sentence for people. Raises JobLostError."""
    _end_job(job_id, attempt, state="failed", event="job.failed", error=error, result=result)


@transaction.atomic
def retry_job(*, job_id: int, attempt: int, error: str, delay_seconds: float) -> None:
    """Queue the job for another attempt in `delay_seconds`; with none left it is dead. Raises JobLostError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_job set state = 'queued', error = %s,"
            " run_at = clock_timestamp() + make_interval(secs => %s)"
            " where id = %s and attempt = %s and state = 'running' and attempt < max_attempts returning lock",
            [error, delay_seconds, job_id, attempt],
        )
        row = cursor.fetchone()
    if row is None:
        _end_job(job_id, attempt, state="dead", event="job.died", error=error)
    else:
        _ring_next_on_commit(row[0])


def sweep_jobs(*, stale_seconds: float = STALE_SECONDS) -> int:
    """Tell workers about every job that is due or abandoned, bury those with no attempt left; return how many told.

    This is what makes the broker dispensable: a message that was lost, or never sent, is sent again here. At most 100,
    the longest due first; a job whose lock is held is left to the end of the job that holds it. Stops at the first
    message that cannot be sent.
    """
    _bury_jobs(stale_seconds, None)
    with connection.cursor() as cursor:
        cursor.execute(
            "select j.id from annotation_job j where j.state in ('queued', 'running') and (j.state = 'queued'"
            " and j.run_at <= clock_timestamp() or j.state = 'running'"
            " and j.heartbeat_at < clock_timestamp() - make_interval(secs => %s))"
            " and not exists (select 1 from annotation_job o where o.lock = j.lock and o.id <> j.id"
            " and (o.state = 'running' or o.state = 'queued' and j.state = 'queued' and o.run_at <= clock_timestamp()"
            " and (o.run_at, o.id) < (j.run_at, j.id)))"
            " order by j.run_at, j.id limit %s",
            [stale_seconds, MAX_RINGS],
        )
        job_ids = [int(row[0]) for row in cursor.fetchall()]
    for n_told, job_id in enumerate(job_ids):
        if not _ring(job_id):
            return n_told
    return len(job_ids)


def is_other_work_waiting(kind: str) -> bool:
    """Whether jobs of other kinds are due that no worker has begun: what is long and not urgent gives way to them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select 1 from annotation_job where state = 'queued' and run_at <= clock_timestamp()"
            " and kind <> %s)",
            [kind],
        )
        return bool(cursor.fetchone()[0])


def _refuse_unless(is_own: bool, job_id: int, attempt: int) -> None:
    if not is_own:
        raise JobLostError(f"attempt {attempt} no longer owns job {job_id}")


@transaction.atomic
def _end_job(
    job_id: int, attempt: int, *, state: str, event: str, error: str = "", result: Mapping[str, Any] | None = None
) -> None:
    rows = list(
        Job.objects.raw(
            "update annotation_job set state = %s, error = %s, result = %s, ended_at = clock_timestamp(),"
            " heartbeat_at = clock_timestamp() where id = %s and attempt = %s and state = 'running' returning *",
            [state, error, None if result is None else Jsonb(dict(result)), job_id, attempt],
        )
    )
    _refuse_unless(len(rows) == 1, job_id, attempt)
    _tell_end(rows[0], event)


def _bury_jobs(stale_seconds: float, job_id: int | None) -> None:
    """End as dead what has no attempt left and no worker: all such jobs, or one."""
    with transaction.atomic():
        rows = list(
            Job.objects.raw(
                "update annotation_job set state = 'dead', ended_at = clock_timestamp(), error = %s where id in ("
                "select id from annotation_job where attempt >= max_attempts and (state = 'queued' or state = 'running'"
                " and heartbeat_at < clock_timestamp() - make_interval(secs => %s)) and id = coalesce(%s, id)"
                " for no key update skip locked) returning *",
                [_("The worker was lost in the middle, each time that this was tried."), stale_seconds, job_id],
            )
        )
        for job in rows:
            _tell_end(job, "job.died")


def _tell_end(job: Job, event: str) -> None:
    write_event(project=job.project, kind=event, actor=job.created_by, ref_id=job.pk, data={"kind": job.kind})
    _ring_next_on_commit(job.lock)


def _ring_next_on_commit(lock: str | None) -> None:
    """Once this is committed, tell a worker about the job that waited longest for `lock`."""
    if lock is not None:
        transaction.on_commit(lambda: _ring_next(lock))


def _ring_next(lock: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select id from annotation_job where lock = %s and state = 'queued' and run_at <= clock_timestamp()"
            " order by run_at, id limit 1",
            [lock],
        )
        row = cursor.fetchone()
    if row is not None:
        _ring(int(row[0]))


def _ring(job_id: int) -> bool:
    """Send a worker the job's id; say whether the broker took it. Never raises, and never waits much over a second.

    The connection is a fresh one: a worker's own may wait for long, and kombu would try again and again.
    """
    patience = {"socket_connect_timeout": 1, "socket_timeout": 1, "max_retries": 0}
    try:
        with current_app.connection_for_write(connect_timeout=1, transport_options=patience) as broker:
            current_app.send_task(RUN_TASK, args=[job_id], connection=broker, retry=False)
    except Exception as error:
        logger.warning("the broker was not told of job %s: %s", job_id, type(error).__name__)
        return False
    return True
