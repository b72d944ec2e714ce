"""The jobs that write snapshots' files. One at a time for each project (the job's lock)."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from annotation.errors import TouchstoneError
from annotation.jobs import JobLostError, RunningJob, job_kind
from learning.actions.snapshots import (
    KIND,
    WITHDRAW_KIND,
    fail_snapshot,
    freeze_members,
    publish_snapshot,
    replace_content,
)
from learning.models import Snapshot
from learning.snapshots.files import build_files, rebuild_without, remove_leftovers, temporary_folder
from learning.snapshots.schedule import find_withdrawn, is_content_stale


@job_kind(KIND)
def run_snapshot(running: RunningJob) -> dict[str, Any] | None:
    """Freeze, write, publish. A second attempt goes on with what the first one froze; the result is `{"version"}`."""
    job = running.job
    snapshot = freeze_members(project=running.project, query=running.args["query"], job=job, actor=job.created_by)
    try:
        running.check()
        folder = temporary_folder(snapshot)
        manifest = build_files(snapshot, folder, running.progress)
        with transaction.atomic():
            published = publish_snapshot(snapshot=snapshot, folder=folder, manifest=manifest, check=running.check)
            running.finish({"version": published.version})
    except JobLostError:
        raise
    except TouchstoneError as error:
        fail_snapshot(snapshot=snapshot, reason=error.code)
        raise
    except Exception as error:
        if job.attempt >= job.max_attempts:
            fail_snapshot(snapshot=snapshot, reason=type(error).__name__)
        raise
    remove_leftovers(published)
    return None


@job_kind(WITHDRAW_KIND)
def run_withdrawal(running: RunningJob) -> dict[str, Any]:
    """Take content that was erased or sealed out of the published snapshots; the result is `{"snapshots"}`."""
    changed = 0
    for snapshot in Snapshot.objects.filter(project=running.project, state=Snapshot.State.PUBLISHED).order_by("pk"):
        if is_content_stale(snapshot):
            running.check()
            folder = temporary_folder(snapshot)
            manifest = rebuild_without(snapshot, folder, find_withdrawn(snapshot))
            replace_content(snapshot=snapshot, folder=folder, manifest=manifest, check=running.check)
            remove_leftovers(snapshot)
            changed += 1
    return {"snapshots": changed}
