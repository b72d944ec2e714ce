"""A form that edits a list, one row of which is open: what the editors of questions and of clauses share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def read_whole(text: str) -> int:
    """The whole number that a form sent: a place, a count, a version. 0 for what is none or has more than 9 digits."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def find_open(data: Mapping[str, str], rows: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The place of the row that a posted form is about; None where it left the list since the form was made.

    The form says the place (`open`) and what the row was called then (`was`, its `name`), because in another tab it may
    have moved. Without `was` the form held no row, and the place is all there is.
    """
    place = read_whole(data.get("open", ""))
    if "was" not in data or (place < len(rows) and str(rows[place].get(name, "")) == data["was"]):
        return place
    return next((i for i, row in enumerate(rows) if str(row.get(name, "")) == data["was"]), None)


def move(rows: list[Any], place: int, by: int) -> int:
    """Move a row up (-1) or down (1); its new place."""
    target = place + by
    if 0 <= place < len(rows) and 0 <= target < len(rows):
        rows[place], rows[target] = rows[target], rows[place]
        return target
    return place
