"""What is set about content that is hard to look at: by each for themselves, the administrator, owners of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.lanes import move_to_lanes
from annotation.care import parse_care, parse_organisation_care
from annotation.errors import InvalidError, StateError
from annotation.hints import SEVERITIES, find_hint_fault, lane_of
from annotation.models import CareProfile, Item, Organisation, User


def change_care(*, person: User, changes: Mapping[str, Any]) -> CareProfile:
    """Change what a person has set for themselves. Held items that they opt out of go back to the queue at once.

    Not atomic as a whole: their requests that are under way end first, so that what those took is given back too.
    The event says that something was set, and not what. Raises InvalidError.
    """
    columns = parse_care(changes)
    with transaction.atomic():
        queue.hold_exposure(person_id=person.pk)
        profile, _is_new = CareProfile.objects.update_or_create(person=person, defaults=columns)
        write_event(project=None, kind="care.changed", actor=person, ref_id=person.pk)
    if columns.get("opted_out"):
        queue.decline(person_id=person.pk, harms=profile.opted_out)
    return profile


@transaction.atomic
def change_organisation_care(*, changes: Mapping[str, Any], actor: User) -> Organisation:
    """Change what the organisation sets for everybody; it holds from the next lease on. Raises InvalidError."""
    columns = parse_organisation_care(changes)
    Organisation.objects.update(**columns)
    write_event(project=None, kind="organisation.changed", actor=actor, data={"settings": sorted(columns)})
    return Organisation.objects.get()


@transaction.atomic
def set_hint(*, item: Item, severity: str, harms: Sequence[str], actor: User) -> Item:
    """Say how hard an item is to look at: its work moves to the lane of that. Raises InvalidError, StateError."""
    item = Item.objects.select_for_update(of=("self",), no_key=True).select_related("project").get(pk=item.pk)
    if item.lifecycle not in (Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED):
        raise StateError
    before = lane_of(item.metadata)
    metadata = {**item.metadata, "severity": severity, "harm": list(harms)}
    fault = find_hint_fault(metadata)
    if fault:
        raise InvalidError(fields={"harms" if severity in SEVERITIES else "severity": fault})
    Item.objects.filter(pk=item.pk).update(metadata=metadata)
    item.metadata = metadata
    if lane_of(metadata) != before:
        move_to_lanes({item.pk: lane_of(metadata)})
    write_event(project=item.project, kind="item.hinted", actor=actor, item_id=item.pk)
    return item
