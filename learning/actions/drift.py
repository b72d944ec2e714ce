"""A look at what came in since a model was taught: for a person, or after an import. It is kept as the job's result."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from annotation.actions.events import write_event
from annotation.actions.jobs import find_queued, start_job
from annotation.actions.projects import refuse_archived
from annotation.kinds import Question
from annotation.models import Job, Project, User
from learning.actions.rounds import lock_name

KIND = "drift"
# Imports may come by the second; what they bring is looked at together.
REST = timedelta(hours=1)


@transaction.atomic
def start_drift(*, project: Project, actor: User | None, question: Question, is_pressing: bool = True) -> Job:
    """Queue a comparison of what came in with what taught the current model, or return the one that waits already.

    Not pressing: not before an hour has passed since the last one. Raises StateError for an archived project.
    """
    refuse_archived(project)
    args = {"question": question["id"]}
    waiting = find_queued(project=project, kind=KIND, args=args, is_due=is_pressing)
    if waiting is not None:
        return waiting
    run_at = None
    if not is_pressing:
        ended = Job.objects.filter(project=project, kind=KIND, args=args, ended_at__isnull=False).order_by("-pk")
        last = ended.values_list("ended_at", flat=True).first()
        run_at = last + REST if last is not None else None
    # In turns with rounds: both bring the stored counts of words up to date.
    job = start_job(kind=KIND, project=project, created_by=actor, args=args, lock=lock_name(project), run_at=run_at)
    write_event(project=project, kind="drift.requested", actor=actor, ref_id=job.pk)
    return job
