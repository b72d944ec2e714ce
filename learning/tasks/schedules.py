"""What beat asks for every minute: snapshots and rounds that are due, content to withdraw, builds to give up."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Item, Job, Project
from learning.actions.snapshots import WITHDRAW_KIND, fail_snapshot, start_snapshot, start_withdrawal
from learning.consumers import start_if_due
from learning.models import Snapshot
from learning.snapshots.files import remove_leftovers
from learning.snapshots.rows import WITHDRAWN
from learning.snapshots.schedule import is_content_stale, is_due

logger = logging.getLogger(__name__)


@shared_task(name="learning.tasks.run_schedules")
def run_schedules() -> None:
    """Start what is due. Safe to run anywhere and twice at once; a project that fails does not hold up the others."""
    for project in Project.objects.filter(state=Project.State.ACTIVE, snapshots__isnull=False).order_by("pk"):
        try:
            _start_if_due(project)
        except Exception:
            logger.exception("the snapshot schedule of project %s", project.pk)
    for project in Project.objects.filter(state=Project.State.ACTIVE, learning__every_hours__gt=0).order_by("pk"):
        try:
            _start_round_if_due(project)
        except Exception:
            logger.exception("the rounds by time of project %s", project.pk)
    give_up_abandoned()
    withdraw_content()


def _start_if_due(project: Project) -> None:
    with transaction.atomic():
        if _take_turn("snapshot schedule", project) and is_due(project, timezone.now()):
            start_snapshot(project=project, actor=None)


def _start_round_if_due(project: Project) -> None:
    with transaction.atomic():
        if _take_turn("round schedule", project):
            start_if_due(project, timezone.now())


def _take_turn(schedule: str, project: Project) -> bool:
    """Whether nobody else looks at this schedule just now; until the end of the transaction nobody does."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(hashtext(%s), %s::int)", [schedule, project.pk])
        return bool(cursor.fetchone()[0])


def give_up_abandoned() -> None:
    """Fail the snapshots whose job ended without publishing them (its worker was killed each time)."""
    ended = [Job.State.DONE, Job.State.FAILED, Job.State.DEAD]
    for snapshot in Snapshot.objects.filter(state=Snapshot.State.BUILDING, job__state__in=ended):
        fail_snapshot(snapshot=snapshot, reason="job_ended")
        remove_leftovers(snapshot)


def withdraw_content() -> None:
    """Start the removal of content in each project with a published snapshot that still holds some."""
    sealed = Item.objects.filter(lifecycle__in=WITHDRAWN)
    concerned = Project.objects.filter(pk__in=sealed.values("project_id"), snapshot_versions__state="published")
    for project in concerned.distinct().order_by("pk"):
        waiting = Job.objects.filter(
            project=project, kind=WITHDRAW_KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING]
        )
        published = Snapshot.objects.filter(project=project, state=Snapshot.State.PUBLISHED)
        if not waiting.exists() and any(map(is_content_stale, published)):
            start_withdrawal(project=project)
