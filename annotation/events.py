"""Reading events: each consumer gets each event once, in an order that never lets one slip by.

**Order.** An event's id is given before its transaction commits, so `id > last` would pass over one that commits late.
A reader therefore looks only below the oldest transaction still running (`pg_snapshot_xmin`): there, nothing can
appear any more. It reads by (xid, id), whole transactions at a time, and its position is the transaction below which
it has read all.

**Once.** Position and handler share one transaction: both happen or neither. The position's row is locked meanwhile,
and a second reader passes on. A handler that raises keeps its position and meets the same events again; other
consumers go on.

**Another cluster.** After a restore from a dump (or pg_upgrade) transaction numbers start anew, and the stored ones
mean nothing. A position carries the identifier of its cluster. Where that differs, all events that exist now (up to
`boundary_id`) are visible for good. Of these the consumer has read the ones with an id up to `last_id` and, in the old
numbering, an `xid` below its position; the rest it gets now: first the few that an older reading had not reached
although a higher id was read, then those above `last_id` by id, among them what was written after the restore and
before this. Then it reads on above the boundary by the new numbers. A new consumer starts in the same way, with all of
history before it. What this cannot see: a database written to on a second cluster that no reader ever ran on, and then
dumped back to the first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection, transaction

from annotation.actions.events import lock_position, move_position, move_to_cluster
from annotation.models import Event, EventPosition

Handler = Callable[[list[Event]], object]

BATCH = 500
MAX_BATCHES = 20  # of one consumer in one dispatch, so that the others get their turn

logger = logging.getLogger(__name__)

_handlers: dict[str, Handler] = {}


def subscribe(*, consumer: str, handler: Handler) -> None:
    """Have `handler` called with each further batch of events, in `AppConfig.ready`.

    `consumer` is the name under which the position is kept (up to 60 characters); renaming it starts from the
    beginning. `handler` gets a list of at least one event, oldest first, inside a transaction that also moves the
    position: what it writes to the database counts exactly once. It must be quick; longer work is a job that it
    starts. Raises ValueError where another handler has the name.
    """
    if _handlers.setdefault(consumer, handler) is not handler:
        raise ValueError(f"another handler reads events as {consumer!r}")


def unsubscribe(*, consumer: str) -> None:
    """Forget the handler of `consumer`; its position stays. Nothing happens where there is none."""
    _handlers.pop(consumer, None)


def dispatch_events(*, limit: int = BATCH) -> int:
    """Give every consumer what it has not read yet; return the number of events given, over all consumers.

    Safe to run anywhere and at the same time. Events become visible here after their transaction and all older ones
    have ended, so a test needs real transactions. What a handler raises is logged, and its events come again next
    time.
    """
    n_events = 0
    for consumer, handler in list(_handlers.items()):
        try:
            n_events += _dispatch_to(consumer, handler, limit)
        except Exception:
            logger.exception("events could not be given to %s", consumer)
    return n_events


def _dispatch_to(consumer: str, handler: Handler, limit: int) -> int:
    n_events = 0
    for _batch in range(MAX_BATCHES):
        with transaction.atomic():
            events = read_events(consumer=consumer, limit=limit)
            if events:
                handler(events)
        n_events += len(events)
        if len(events) < limit:
            break
    return n_events


def read_events(*, consumer: str, limit: int = BATCH) -> list[Event]:
    """Return the next events of `consumer`, oldest first, and move its position, in the caller's transaction.

    About `limit` events: the last transaction is always complete. Empty where nothing is new, or where another reader
    holds the position. Whoever rolls back gets the same events again. Raises TransactionManagementError outside a
    transaction, OperationalError where the boundary to an earlier cluster cannot be had just now.
    """
    position = lock_position(consumer=consumer)
    if position is None:
        return []
    system_identifier = _get_system_identifier()
    if position.system_identifier != system_identifier:
        events = _find_passed_over(position)
        move_to_cluster(position=position, system_identifier=system_identifier)
        if events:
            return events
    if position.last_id < position.boundary_id:
        events = _find_by_id(position, limit)
        last_id = events[-1].pk if len(events) == limit else position.boundary_id
        move_position(position=position, xid=position.xid, last_id=last_id)
        if events:
            return events
    events = _find_by_transaction(position, limit)
    if events:
        last_id = max(position.last_id, *(event.pk for event in events))
        move_position(position=position, xid=events[-1].xid + 1, last_id=last_id)
    return events


def _get_system_identifier() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select system_identifier from pg_control_system()")
        return str(cursor.fetchone()[0])


def _find_by_transaction(position: EventPosition, limit: int) -> list[Event]:
    """The ordinary case: by (xid, id), only what no running transaction can still add to."""
    return list(
        Event.objects.raw(
            "select * from (select * from annotation_event where xid >= %s::text::xid8"
            " and xid < pg_snapshot_xmin(pg_current_snapshot()) and id > %s"
            " order by xid fetch first %s rows with ties) e order by e.xid, e.id",
            [str(position.xid), position.boundary_id, limit],
        )
    )


def _find_by_id(position: EventPosition, limit: int) -> list[Event]:
    """After a change of cluster: what existed then and has a higher id than any event read."""
    return list(Event.objects.filter(id__gt=position.last_id, id__lte=position.boundary_id).order_by("id")[:limit])


def _find_passed_over(position: EventPosition) -> list[Event]:
    """At a change of cluster, in its old numbering: what was not read although a higher id was.

    Few, whatever the size of the table: only what was written beside transactions that had been read.
    """
    return list(
        Event.objects.raw(
            "select * from annotation_event where xid >= %s::text::xid8 and id > %s and id <= %s order by xid, id",
            [str(position.xid), position.boundary_id, position.last_id],
        )
    )
