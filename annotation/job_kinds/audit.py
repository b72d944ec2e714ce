"""The job that audits the whole database."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from annotation.actions.audits import settle_findings
from annotation.audit.latest import KIND
from annotation.audit.looking import audit
from annotation.jobs import RunningJob, job_kind

REST = 1.0  # half the time people have the database to themselves


@job_kind(KIND)
def run_audit(running: RunningJob) -> dict[str, Any] | None:
    """Look at everything, and store what breaks an invariant; the result is as `settle_findings` says.

    An attempt that was cut off has stored nothing, and the next one starts again.
    """
    found = audit(progress=running.progress, rest=REST)
    with transaction.atomic():
        running.check()
        running.finish(settle_findings(job=running.job, found=found))
    return None
