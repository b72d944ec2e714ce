"""A search for labels that may be wrong: asked for by a person. What it finds is in the job's result."""

from __future__ import annotations

from django.db import transaction

from annotation.actions.events import write_event
from annotation.actions.jobs import find_queued, start_job
from annotation.actions.projects import refuse_archived
from annotation.kinds import Question
from annotation.models import Job, Project, User
from learning.actions.rounds import lock_name

KIND = "label_errors"


@transaction.atomic
def start_search(*, project: Project, actor: User | None, question: Question) -> Job:
    """Queue a search among the accepted labels of a question, or return the one of it that waits already.

    Raises StateError for an archived project.
    """
    refuse_archived(project)
    args = {"question": question["id"]}
    waiting = find_queued(project=project, kind=KIND, args=args)
    if waiting is not None:
        return waiting
    # In turns with rounds: both bring the stored counts of words up to date.
    job = start_job(kind=KIND, project=project, created_by=actor, args=args, lock=lock_name(project))
    write_event(project=project, kind="label_errors.requested", actor=actor, ref_id=job.pk)
    return job
