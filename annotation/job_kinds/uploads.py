"""The uploaded file that came with a job: there for each of its attempts, gone when there will be none any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.job_kinds.url_parts import memo_path
from annotation.jobs import JobFailedError, RunningJob
from annotation.models import Job

SWEPT_JOBS = 20


def upload_path(args: Mapping[str, Any]) -> Path:
    """Where the file of a job with these arguments lies, or lay."""
    return Path(settings.UPLOAD_DIR) / Path(args["file"]).name


def remove_upload(args: Mapping[str, Any]) -> None:
    """Remove the file, and what was remembered of its addresses."""
    path = upload_path(args)
    path.unlink(missing_ok=True)
    memo_path(path).unlink(missing_ok=True)


def remove_leftovers(job: Job) -> None:
    """Remove the files of the project's jobs of this kind that ended without having done so: a killed worker cannot."""
    ended = Job.objects.filter(project=job.project, kind=job.kind, ended_at__isnull=False).order_by("-pk")
    for other in ended[:SWEPT_JOBS]:
        if upload_path(other.args) != upload_path(job.args):
            remove_upload(other.args)


@contextmanager
def uploaded_file(running: RunningJob) -> Iterator[Path]:
    """The job's file, for the duration of a `with` block in which the job is also finished.

    Behind it the file is removed, but not where the attempt was cut off and another one may follow. Raises
    JobFailedError where there is no file.
    """
    remove_leftovers(running.job)
    path = upload_path(running.args)
    if not path.is_file():
        raise JobFailedError(_("The uploaded file is gone. Send it again."))
    try:
        yield path
    except Exception as error:
        if isinstance(error, TouchstoneError) or running.job.attempt >= running.job.max_attempts:
            remove_upload(running.args)
        raise
    remove_upload(running.args)
