"""What happens to an item after its import: priorities, quarantine, erasure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from annotation import queue
from annotation.actions.derivatives import seal_media
from annotation.actions.events import write_event
from annotation.models import AnnotationText, Draw, DrawItem, Item, ItemPayload, Project, Quarantine, User


@transaction.atomic
def set_priorities(
    *,
    project: Project,
    priorities: Mapping[int, float],
    draw: Draw | None = None,
    draw_items: Sequence[DrawItem] = (),
    actor: User | None = None,
) -> int:
    """Give items (by id) new priorities, higher first served; the draw that chose them is stored with them.

    Items of other projects are left alone. People's cursors start anew in the lanes that changed. Returns how many rows
    changed.
    """
    DrawItem.objects.bulk_create(draw_items, batch_size=1000)
    changed = queue.set_ranks(project_id=project.pk, priorities=priorities, draw_id=draw.pk if draw else None)
    write_event(
        project=project, kind="priorities.set", actor=actor, ref_id=draw.pk if draw else None, data={"n": changed}
    )
    return changed


def set_holdout_share(*, project: Project, share: float) -> None:
    """Set the share of served work that comes from the holdout from now on (0 once the evaluation set is full)."""
    Project.objects.filter(pk=project.pk).update(holdout_share_now=share)


@transaction.atomic
def quarantine_item(*, item: Item, actor: User) -> Quarantine | None:
    """Seal an item: from the commit on it is in no page, list, queue, snapshot or export, and its files are not served.

    Every other item of the project that shows one of its files is sealed with it. None where it was not open: then
    nothing changed. The events hand it off.
    """
    parts = ItemPayload.objects.filter(item=item).values_list("parts", flat=True).first() or []
    media = sorted({part["media"] for part in parts if "media" in part})
    ids = {item.pk}
    for sha in media:
        same = ItemPayload.objects.filter(item__project_id=item.project_id, parts__contains=[{"media": sha}])
        ids.update(same.values_list("item_id", flat=True))
    found = dict(
        Item.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=ids, lifecycle__in=[Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED])
        .order_by("pk")
        .values_list("pk", "lifecycle")
    )
    if item.pk not in found:
        return None
    sealed = [item.pk, *sorted(set(found) - {item.pk})]
    Item.objects.filter(pk__in=sealed).update(lifecycle=Item.Lifecycle.QUARANTINED)
    queue.close_items(item_ids=sealed)
    seal_media(project=item.project, sha256=media)
    quarantine = Quarantine.objects.create(
        project=item.project,
        item_ids=sealed,
        archived_ids=[pk for pk in sealed if found[pk] == Item.Lifecycle.ARCHIVED],
        media=media,
        sealed_by=actor,
    )
    for pk in sealed:
        write_event(project=item.project, kind="item.quarantined", actor=actor, item_id=pk, ref_id=quarantine.pk)
    return quarantine


@transaction.atomic
def erase_items(*, project: Project, item_ids: Sequence[int], actor: User | None, reason: str) -> int:
    """Erase the payloads of items and the free text about them; ids, labels and commitments stay.

    Returns how many were erased now: those erased before are left alone.
    """
    erased = Item.objects.filter(pk__in=item_ids, project=project).exclude(lifecycle=Item.Lifecycle.ERASED)
    ids = sorted(erased.values_list("pk", flat=True))
    Item.objects.filter(pk__in=ids).update(lifecycle=Item.Lifecycle.ERASED, metadata={}, gold=None, group="")
    queue.close_items(item_ids=ids)
    ItemPayload.objects.filter(item_id__in=ids).delete()
    AnnotationText.objects.filter(annotation__item_id__in=ids).delete()
    for item_id in ids:
        write_event(project=project, kind="item.erased", actor=actor, item_id=item_id, data={"reason": reason[:200]})
    return len(ids)
