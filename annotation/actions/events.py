"""Writing events, and the positions of those who read them (`annotation/events.py` reads)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from annotation.models import EventPosition, Project, User


def write_event(
    *,
    project: Project | None,
    kind: str,
    actor: User | None,
    item_id: int | None = None,
    ref_id: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Store a fact, in the caller's transaction, and return its id.

    `kind` is noun.past (`annotation.submitted`); `ref_id` is the row that it is about; `data` holds ids and settings,
    never content. Time and transaction are the database's.
    """
    row: list[Any] = [project.pk if project else None, kind, actor.pk if actor else None, item_id, ref_id]
    row.append(None if data is None else Jsonb(dict(data)))
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into annotation_event (project_id, kind, actor_id, item_id, ref_id, data)"
            " values (%s, %s, %s, %s, %s, %s) returning id",
            row,
        )
        return int(cursor.fetchone()[0])


def lock_position(*, consumer: str) -> EventPosition | None:
    """Take the position of `consumer` until the transaction ends, or return None where another reader has it now.

    A consumer that never read gets a position on no cluster, which is before everything.
    """
    free = EventPosition.objects.select_for_update(skip_locked=True).filter(consumer=consumer)
    position = free.first()
    # Only where there is none: an insert that meets a locked row waits for it.
    if position is None and not EventPosition.objects.filter(consumer=consumer).exists():
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into annotation_eventposition (consumer, xid, system_identifier, last_id, boundary_id, read_at)"
                " values (%s, '0', '', 0, 0, clock_timestamp()) on conflict do nothing",
                [consumer],
            )
        position = free.first()
    return position


def move_position(*, position: EventPosition, xid: int, last_id: int) -> None:
    """Store that everything below `xid` has been read, and no id above `last_id`. The caller holds the position."""
    position.xid, position.last_id = xid, last_id
    _store_position(position)


def move_to_cluster(*, position: EventPosition, system_identifier: str) -> None:
    """Let `position` start again on this cluster, with every event that exists now to be read by its id.

    The boundary is exact: writers of events are held off for the moment in which it is read (the lock goes with the
    savepoint), so no event at or below it can still appear. Raises OperationalError where a writer keeps its
    transaction open for longer than the lock may wait; the next reader tries again.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set local lock_timeout = '200ms'")
            cursor.execute("lock table annotation_event in share mode")
            cursor.execute("select coalesce(max(id), 0) from annotation_event")
            boundary_id = int(cursor.fetchone()[0])
        transaction.set_rollback(True)
    position.system_identifier, position.boundary_id, position.xid = system_identifier, boundary_id, 0
    _store_position(position)


def _store_position(position: EventPosition) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_eventposition set xid = %s::text::xid8, system_identifier = %s, last_id = %s,"
            " boundary_id = %s, read_at = clock_timestamp() where consumer = %s",
            [
                str(position.xid),
                position.system_identifier,
                position.last_id,
                position.boundary_id,
                position.consumer,
            ],
        )
