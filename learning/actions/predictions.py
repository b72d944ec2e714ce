"""Scores from elsewhere: the request that brings them. What they become is in `learning/tasks/predictions.py`."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.actions.projects import refuse_archived
from annotation.models import Job, Project, User
from learning.actions.rounds import lock_name

KIND = "predictions"


@transaction.atomic
def start_predictions(
    *, project: Project, actor: User | None, path: Path, compression: str | None = None, select: bool = True
) -> Job:
    """Queue the reading of spooled predictions; `path` lies in UPLOAD_DIR. With `select` priorities are raised after.

    Raises StateError for an archived project.
    """
    refuse_archived(project)
    job = start_job(
        kind=KIND,
        project=project,
        created_by=actor,
        args={"file": path.name, "compression": compression, "select": select},
        lock=lock_name(project),
    )
    write_event(project=project, kind="predictions.requested", actor=actor, ref_id=job.pk)
    return job
