"""The job that carries labels, and what was decided from them, over to a breaking version of the label schema."""

from __future__ import annotations

from typing import Any

from annotation.actions.carrying import KIND, Way, carried_up_to, carry_items, count_carried, find_way, tell_carried
from annotation.deadlocks import in_turn
from annotation.jobs import RunningJob, job_kind
from annotation.models import Item
from annotation.strides import stride
from reviewers.actions.adjudication import carry_decisions

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
    for ids in stride(items, BATCH, after):
        _carry_batch(running, way, ids, is_late=is_late)
        done += len(ids)
        running.progress(done, max(total, done))
    return count_carried(project, way.target)


def _carry_batch(running: RunningJob, way: Way, ids: list[int], *, is_late: bool) -> None:
    """One transaction, which says how far it went."""
    project, actor = running.project, running.job.created_by

    def carry() -> None:
        running.check()
        batch = carry_items(project=project, way=way, item_ids=ids, actor=actor)
        n = carry_decisions(project=project, way=way, batch=batch, is_late=is_late)
        up_to = None if is_late else ids[-1]
        tell_carried(project=project, way=way, actor=actor, batch=batch, n_decisions=n, up_to=up_to)

    in_turn(carry)
