"""The job that brings a changed vote rule to the items that have answers."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, OuterRef

from annotation import queue
from annotation.deadlocks import in_turn
from annotation.jobs import RunningJob, job_kind
from annotation.models import Item, Project, QueueLane, QueueRow
from annotation.strides import stride

BATCH = 100  # items: people who label them wait for it
LABELLING = (QueueLane.Kind.LABEL, QueueLane.Kind.RELABEL)


@job_kind("rule")
def run_rule(running: RunningJob) -> dict[str, int]:
    """Let the rule look anew at all items with answers; the result is `{"looked_at", "changed"}`.

    What a reviewer decided stays decided. Doing it twice changes nothing.
    """
    items = Item.objects.filter(project=running.project, lifecycle=Item.Lifecycle.OPEN)
    total = items.count()
    seen, looked_at, changed = 0, 0, 0
    for ids in stride(items, BATCH):
        n_looked, n_changed = settle_items(running, running.project, ids)
        looked_at, changed = looked_at + n_looked, changed + n_changed
        seen += len(ids)
        running.progress(seen, max(total, seen))
    return {"looked_at": looked_at, "changed": changed}


def settle_items(running: RunningJob, project: Project, item_ids: Sequence[int]) -> tuple[int, int]:
    """Let the vote rule look at the newest answers to these items, in one transaction that the attempt must own.

    Returns how many had any, and how many of these came to another state.
    """

    def look() -> tuple[int, int]:
        running.check()
        return _settle(project, item_ids)

    return in_turn(look)


def _settle(project: Project, item_ids: Sequence[int]) -> tuple[int, int]:
    newer = QueueRow.objects.filter(item=OuterRef("item"), kind__in=LABELLING, pass_no__gt=OuterRef("pass_no"))
    rows = QueueRow.objects.filter(
        project=project, item__in=item_ids, item__lifecycle=Item.Lifecycle.OPEN, kind__in=LABELLING, n_submitted__gt=0
    ).exclude(state=QueueRow.State.ADJUDICATED)
    before = dict(rows.exclude(Exists(newer)).values_list("pk", "state"))
    queue.settle(row_ids=list(before))
    now = dict(QueueRow.objects.filter(pk__in=before).values_list("pk", "state"))
    return len(before), sum(now[pk] != state for pk, state in before.items())
