"""What the reviewers' app does about events that it reads later, in batches."""

from __future__ import annotations

from annotation.models import Event
from reviewers.actions import erase_notes

CONSUMER = "reviewers"


def read_erasures(events: list[Event]) -> None:
    """Erase the notes on items whose content was erased."""
    erased = [event.item_id for event in events if event.kind == "item.erased" and event.item_id is not None]
    if erased:
        erase_notes(item_ids=erased)
