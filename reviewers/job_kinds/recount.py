"""The job that counts all votes again, once a day, and puts right what was counted otherwise from events."""

from __future__ import annotations

from time import monotonic
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.models import Project
from reviewers.actions.votes import fold_votes, settle_recount, sum_up_votes
from reviewers.agreement.recount import KIND, BehindError, Difference, find_differences


@job_kind(KIND)
def run_recount(running: RunningJob) -> dict[str, Any] | None:
    """Count the votes of all projects again (`agreement/recount.py`); the result is as `settle_recount` says."""
    began = monotonic()
    differences = []
    for project in Project.objects.order_by("pk"):
        try:
            found = find_differences(project, running.progress)
        except BehindError:
            told = _("The events are not being read, so that nothing can be said about the counts made from them.")
            raise JobFailedError(told) from None
        if found:
            fold_votes(project_id=project.pk, item_ids=found)
        n_rows = sum_up_votes(project_id=project.pk)
        if found or n_rows:
            differences.append(Difference(project, len(found), n_rows))
    with transaction.atomic():
        running.check()
        result = settle_recount(job=running.job, differences=differences, seconds=monotonic() - began)
        running.finish(result)
    return None
