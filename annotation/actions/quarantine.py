"""Letting out again what was sealed, which takes two people. (`actions/items.py` seals.)"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.derivatives import unseal_media
from annotation.actions.events import write_event
from annotation.errors import InvalidError, StateError
from annotation.models import Item, Quarantine, User

MAX_REASON = 200


def find_quarantine(item: Item) -> Quarantine | None:
    """The sealing that an item is under; None where it is under none."""
    return Quarantine.objects.filter(project_id=item.project_id, item_ids__contains=[item.pk], released_at=None).first()


@transaction.atomic
def ask_release(*, quarantine: Quarantine, actor: User, reason: str) -> Quarantine:
    """Ask that what was sealed be let out. Somebody else confirms it. Raises InvalidError, StateError."""
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON or "\x00" in reason:
        raise InvalidError(fields={"reason": _("A text of 1 to %(most)d characters.") % {"most": MAX_REASON}})
    row = _lock(quarantine)
    if row.asked_by_id is not None:
        raise StateError(_("Somebody has asked for it already. Another owner confirms or refuses."))
    row.asked_by, row.asked_at, row.reason = actor, timezone.now(), reason
    row.save(update_fields=["asked_by", "asked_at", "reason"])
    _write(row, "item.release_asked", actor)
    return row


@transaction.atomic
def refuse_release(*, quarantine: Quarantine, actor: User) -> Quarantine:
    """Leave it sealed: the request for release is gone. Whoever asked may take it back so. Raises StateError."""
    row = _lock(quarantine)
    if row.asked_by_id is None:
        raise StateError(_("Nobody has asked for it."))
    row.asked_by, row.asked_at, row.reason = None, None, ""
    row.save(update_fields=["asked_by", "asked_at", "reason"])
    _write(row, "item.release_refused", actor)
    return row


@transaction.atomic
def confirm_release(*, quarantine: Quarantine, actor: User) -> Quarantine:
    """Let it out: what was not erased since is as it was before, and work on it goes on. Raises StateError.

    A file stays sealed where another sealing that was not lifted holds it too.
    """
    row = _lock(quarantine)
    if row.asked_by_id is None:
        raise StateError(_("Nobody has asked for it yet: one owner asks, another one confirms."))
    if row.asked_by_id == actor.pk:
        raise StateError(_("You asked for it yourself. Another owner has to confirm."))
    row.released_by, row.released_at = actor, timezone.now()
    row.save(update_fields=["released_by", "released_at"])
    sealed = Item.objects.filter(pk__in=row.item_ids, lifecycle=Item.Lifecycle.QUARANTINED)
    archived = list(sealed.filter(pk__in=row.archived_ids).values_list("pk", flat=True))
    opened = list(sealed.exclude(pk__in=archived).values_list("pk", flat=True))
    Item.objects.filter(pk__in=archived).update(lifecycle=Item.Lifecycle.ARCHIVED)
    Item.objects.filter(pk__in=opened).update(lifecycle=Item.Lifecycle.OPEN)
    queue.reopen_items(item_ids=opened)
    others = Quarantine.objects.filter(project_id=row.project_id, released_at=None).values_list("media", flat=True)
    held = {sha for media in others for sha in media}
    unseal_media(project=row.project, sha256=sorted(set(row.media) - held))
    _write(row, "item.released", actor)
    return row


def _lock(quarantine: Quarantine) -> Quarantine:
    row = Quarantine.objects.select_for_update(of=("self",)).select_related("project").get(pk=quarantine.pk)
    if row.released_at is not None:
        raise StateError(_("This was let out already."))
    return row


def _write(row: Quarantine, kind: str, actor: User) -> None:
    for pk in row.item_ids:
        write_event(project=row.project, kind=kind, actor=actor, item_id=pk, ref_id=row.pk)
