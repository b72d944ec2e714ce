"""The recount: do the votes that were counted from events stand as they were counted? Read only.

Once a day all votes are counted again from the labels, some thousand items a statement. What differs is looked at once
more after the events have been read up to then, since what came in the last second is not counted yet; what still
differs in the same way is a fault. `actions.py` puts it right and says so; owners are told until a recount finds none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep
from typing import Any

from django.db import connection

from annotation.actions.jobs import find_done
from annotation.models import Item, Job, Project
from annotation.strides import stride
from reviewers.agreement.vote_counts import counted_ids, seconds_behind

KIND = "agreement.recount"
ITEMS_AT_ONCE = 5_000  # a tenth of a second
PATIENCE_SECONDS = 60.0

Place = tuple[int, int]  # an item and a question


@dataclass(frozen=True, slots=True)
class Difference:
    """How many items of a project were counted otherwise than their labels say, and rows of the sums."""

    project: Project
    n_items: int
    n_rows: int


class BehindError(Exception):
    """The events are not read: nothing can be said about what was counted from them."""


def find_differences(project: Project, progress: Callable[[int], object]) -> list[int]:
    """The items whose counted votes are not those that stand. Raises BehindError where events are not being read."""
    questions = counted_ids(project.pk)
    suspects: dict[Place, tuple[str | None, str | None]] = {}
    done = 0
    for ids in stride(Item.objects.filter(project=project), ITEMS_AT_ONCE):
        suspects |= _differ(project, ids, questions)
        done += len(ids)
        progress(done)
    if not suspects:
        return []
    _wait_for_events(project)
    again = _differ(project, sorted({item for item, _question in suspects}), questions)
    return sorted({place[0] for place, told in suspects.items() if again.get(place) == told})


def _differ(
    project: Project, ids: Sequence[int], questions: Sequence[int]
) -> dict[Place, tuple[str | None, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select item_id, question, counted, stands from agreement_differ(%s, %s::bigint[], %s::smallint[])",
            [project.pk, list(ids), list(questions)],
        )
        return {(item, question): (counted, stands) for item, question, counted, stands in cursor.fetchall()}


def _wait_for_events(project: Project) -> None:
    """Return once all that happened up to now is read."""
    began = monotonic()
    while seconds_behind(project) > monotonic() - began:
        if monotonic() - began > PATIENCE_SECONDS:
            raise BehindError
        sleep(0.2)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the last recount found in a project and put right."""

    n_items: int
    n_rows: int
    at: datetime


def last_recount() -> Job | None:
    """The job of the last recount that ended well; None where there was none yet."""
    return find_done(project=None, kind=KIND)


def known_alarm(project: Project) -> Alarm | None:
    """What the last recount found in a project; None where all was as counted."""
    job = last_recount()
    result: dict[str, Any] = (job.result if job else None) or {}
    for one in result.get("differences", []):
        if one["project"] == project.pk and job is not None and job.ended_at is not None:
            return Alarm(one["items"], one["rows"], job.ended_at)
    return None
