"""A look at what came in since a model was taught: for a person, or after an import. It is kept as the job's result."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.errors import StateError
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
    if project.state == Project.State.ARCHIVED:
        raise StateError(_("This project is archived."))
    args = {"question": question["id"]}
    jobs = Job.objects.filter(project=project, kind=KIND, args=args).order_by("-pk")
    waiting = jobs.filter(state=Job.State.QUEUED)
    same = (waiting.filter(run_at__lte=Now()) if is_pressing else waiting).first()
    if same is not None:
        return same
    run_at = None
    if not is_pressing:
        last = jobs.filter(ended_at__isnull=False).values_list("ended_at", flat=True).first()
        run_at = last + REST if last is not None else None
    # In turns with rounds: both bring the stored counts of words up to date.
    job = start_job(kind=KIND, project=project, created_by=actor, args=args, lock=lock_name(project), run_at=run_at)
    write_event(project=project, kind="drift.requested", actor=actor, ref_id=job.pk)
    return job
