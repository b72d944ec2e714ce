"""When a project's next snapshot is due by itself. Read only; `learning/tasks/schedules.py` asks every minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from annotation.models import Item, Job, Project
from learning.models import Snapshot
from learning.snapshots.accepted import ACCEPTED, accepted_parameters
from learning.snapshots.rows import WITHDRAWN

RETRY_AFTER = timedelta(hours=1)  # a job that failed is not asked for again each minute


def count_new(project: Project, since: Snapshot | None) -> int:
    """Return how many accepted labels the project has that this snapshot does not hold in the same version."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            with accepted as ({ACCEPTED})
            select count(*) from accepted a where not exists (
              select 1 from learning_snapshotmember m
              where m.snapshot_id = %(since)s and m.item_id = a.item_id and m.question = a.question
                and m.resolution_version = a.version)
            """,  # noqa: S608 - a constant
            {"since": since.pk if since else None, **accepted_parameters(project_id=project.pk)},
        )
        return int(cursor.fetchone()[0])


def is_due(project: Project, now: datetime) -> bool:
    """Say whether the project's `snapshots` setting asks for a snapshot now: the time or the number has come, and
    something was accepted since the last one that took everything."""
    setting = project.snapshots or {}
    every_hours, every_resolutions = setting.get("every_hours"), setting.get("every_resolutions")
    if not (every_hours or every_resolutions):
        return False
    last_job = Job.objects.filter(project=project, kind="snapshot").order_by("-id").first()
    if last_job is not None:
        if last_job.state in (Job.State.QUEUED, Job.State.RUNNING):
            return False
        if last_job.state in (Job.State.FAILED, Job.State.DEAD) and last_job.created_at > now - RETRY_AFTER:
            return False
    last = Snapshot.objects.filter(project=project, state=Snapshot.State.PUBLISHED, query={}).order_by("-id").first()
    if every_hours and (last is None or last.created_at <= now - timedelta(hours=every_hours)):
        return count_new(project, last) > 0
    return every_resolutions is not None and count_new(project, last) >= every_resolutions


def find_withdrawn(snapshot: Snapshot) -> set[str]:
    """Return the ids (as text) of a snapshot's items whose content must be in no file any more."""
    sealed = Item.objects.filter(project_id=snapshot.project_id, lifecycle__in=WITHDRAWN)
    with connection.cursor() as cursor:
        cursor.execute(
            "select distinct m.item_id from learning_snapshotmember m where m.snapshot_id = %s and m.item_id = any(%s)",
            [snapshot.pk, list(sealed.values_list("pk", flat=True))],
        )
        return {str(row[0]) for row in cursor.fetchall()}


def is_content_stale(snapshot: Snapshot) -> bool:
    """Say whether a published `items.parquet` still holds content that was withdrawn since it was written."""
    n_known: int = (snapshot.manifest or {})["counts"]["withdrawn"]
    return len(find_withdrawn(snapshot)) > n_known
