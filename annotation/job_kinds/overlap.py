"""The job that brings a changed overlap to the items that wait."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from annotation import queue
from annotation.jobs import RunningJob, job_kind
from annotation.models import QueueRow

BATCH = 2000


@job_kind("overlap")
def run_overlap(running: RunningJob) -> dict[str, int]:
    """Give every unsettled item `max(overlap, taken)` places, in batches; the result is `{"changed"}`.

    An item that has all its answers now is settled by the vote rule. Doing it twice changes nothing.
    """
    project = running.project
    rows = QueueRow.objects.filter(project=project)
    total = rows.count()
    after, seen, changed = 0, 0, 0
    while True:
        with transaction.atomic():
            running.check()
            last, n = queue.set_overlap(project_id=project.pk, wanted=project.overlap_min, after=after, limit=BATCH)
            if last is None:
                return {"changed": changed}
            done = rows.filter(item__gt=after, item__lte=last)
            full = done.filter(kind=1, state=QueueRow.State.OPEN, is_closed=False, n_submitted__gte=F("overlap"))
            queue.settle(row_ids=list(full.order_by("pk").values_list("pk", flat=True)))
            seen += done.count()
        after, changed = last, changed + n
        running.progress(seen, max(total, seen))
