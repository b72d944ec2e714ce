"""Asking for the features of a project's items to be made; they are files, not rows."""

from __future__ import annotations

from annotation.actions.jobs import find_queued, start_job
from annotation.models import Job, Project
from learning.actions.rounds import lock_name

KIND = "features"


def start_features(*, project: Project) -> Job | None:
    """Queue what makes the stored features those of today's items; None where such a job waits already.

    It takes turns with rounds, which would make what is missing themselves.
    """
    if find_queued(project=project, kind=KIND) is not None:
        return None
    return start_job(kind=KIND, project=project, created_by=None, lock=lock_name(project))
