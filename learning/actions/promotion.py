"""Promotion: a person makes a kept model the current one. Rolling back is the promotion of an earlier version."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.actions.jobs import find_queued, start_job
from annotation.actions.projects import refuse_archived
from annotation.errors import StateError
from annotation.models import Job, User
from learning.actions.models import refuse_barred
from learning.actions.rounds import lock_name
from learning.models import ModelVersion
from learning.questions import learnable_questions

KIND = "promotion"


@transaction.atomic
def start_promotion(*, model: ModelVersion, actor: User) -> Job:
    """Queue the promotion of a model, or return the one of it that waits already. In turns with rounds.

    The job scores the pool with the model and then swaps; the batch that stands first in the queue stays. Raises
    StateError for an archived project, for the model that is current and nothing waits to replace, for a question that
    can no longer be learned, and for a language model that has not passed.
    """
    project = model.project
    refuse_archived(project)
    refuse_barred(model)
    if not any(model.is_of(question) for question in learnable_questions(project)):
        raise StateError(_("The question of this model is no longer one that can be learned."))
    lock, args = lock_name(project), {"model": model.pk}
    waiting = find_queued(project=project, kind=KIND, args=args)
    if waiting is not None:
        return waiting
    is_followed = Job.objects.filter(lock=lock, state__in=[Job.State.QUEUED, Job.State.RUNNING]).exists()
    if model.is_current and not is_followed:
        raise StateError(_("%(model)s is the current model already.") % {"model": model})
    job = start_job(kind=KIND, project=project, created_by=actor, args=args, lock=lock)
    write_event(project=project, kind="promotion.requested", actor=actor, ref_id=model.pk)
    return job
