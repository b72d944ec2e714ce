"""Jobs of the reviewers' app, and what beat does for it: labels carried over to a breaking version of the label schema
with what was decided from them, and the daily recount of votes.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from celery import shared_task
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg.errors import DeadlockDetected

from annotation.actions.carrying import KIND, Way, carried_up_to, carry_items, count_carried, find_way, tell_carried
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.models import Item, Project
from reviewers.actions import carry_decisions, fold_votes, settle_recount, start_recount_if_due, sum_up_votes
from reviewers.recount import KIND as RECOUNT
from reviewers.recount import BehindError, Difference, find_differences

BATCH = 100  # items: people who label them wait for it


@job_kind(KIND)
def run_carrying(running: RunningJob) -> dict[str, Any]:
    """Carry the labels of the project in batches of items; with `items` or `import`, answers that came late to those.

    The result is how many answers were carried to other values, how many are asked again, how many items are open again
    by that, and how many decisions are asked again: over all attempts and jobs for this version. Each batch is one
    transaction that also says how far it went, so that an attempt goes on where the one before it was cut off.
    """
    project, args = running.project, running.args
    way = find_way(project)
    items = Item.objects.filter(project=project)
    is_late = bool(args)
    if "items" in args:
        items = items.filter(pk__in=args["items"])
    if "import" in args:
        items = items.filter(imported_by=args["import"])
    total = items.count()
    after = None if is_late else carried_up_to(project, way.target)
    done = 0 if after is None else items.filter(pk__lte=after).count()
    while ids := list(
        (items if after is None else items.filter(pk__gt=after)).order_by("pk").values_list("pk", flat=True)[:BATCH]
    ):
        _carry_batch(running, way, ids, is_late=is_late)
        after, done = ids[-1], done + len(ids)
        running.progress(done, max(total, done))
    return count_carried(project, way.target)


def _carry_batch(running: RunningJob, way: Way, ids: list[int], *, is_late: bool) -> None:
    """One transaction. It holds many rows: where it and somebody's request wait for each other, it gives way."""
    project, actor = running.project, running.job.created_by
    for attempt in range(5):
        try:
            with transaction.atomic():
                running.check()
                batch = carry_items(project=project, way=way, item_ids=ids, actor=actor)
                n = carry_decisions(project=project, way=way, batch=batch, is_late=is_late)
                tell_carried(
                    project=project,
                    way=way,
                    actor=actor,
                    batch=batch,
                    n_decisions=n,
                    up_to=None if is_late else ids[-1],
                )
            return
        except OperationalError as error:
            if attempt == 4 or connection.in_atomic_block or not isinstance(error.__cause__, DeadlockDetected):
                raise


@shared_task(name="reviewers.tasks.start_recount")
def start_recount() -> None:
    """Have the votes counted again where that is due."""
    start_recount_if_due()


@job_kind(RECOUNT)
def run_recount(running: RunningJob) -> dict[str, Any] | None:
    """Count the votes of all projects again, and put right what was counted otherwise; see `reviewers/recount.py`."""
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
