"""Moving items between lanes: what may be said of them by their metadata has changed (language, severity, harms)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from annotation import queue
from annotation.hints import LaneKey

# The lane in which each queue row of the items should be, beside the one in which it is.
_NEW_LANE = """
    select q.id as row_id, n.id as lane_id, l.id as old_lane_id, n.severity
    from unnest(%s::bigint[], %s::text[], %s::int[], %s::text[]) as w(item_id, language, severity, harms)
    join annotation_queuerow q on q.item_id = w.item_id
    join annotation_queuelane l on l.id = q.lane_id
    join annotation_queuelane n on (n.project_id, n.kind, n.stream, n.language, n.severity, n.harms)
      = (l.project_id, l.kind, l.stream, w.language, w.severity, w.harms)
    where n.id <> l.id
"""


def move_to_lanes(wanted: Mapping[int, LaneKey]) -> None:
    """Move the work on items (by id), and the seats on it, to the lanes that they belong in now.

    Where the new lane is severe, whoever was handed such an item has been handed something severe. Runs in the caller's
    transaction.
    """
    items = list(wanted)
    keys = list(wanted.values())
    arrays: list[Any] = [
        items,
        [key.language for key in keys],
        [key.severity for key in keys],
        [key.harms for key in keys],
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into annotation_queuelane
                (project_id, kind, stream, language, severity, harms, epoch, floor_rank, floor_tiebreak)
              select distinct l.project_id, l.kind, l.stream, w.language, w.severity, w.harms, 0, '-infinity'::float8, 0
              from unnest(%s::bigint[], %s::text[], %s::int[], %s::text[]) as w(item_id, language, severity, harms)
              join annotation_queuerow q on q.item_id = w.item_id
              join annotation_queuelane l on l.id = q.lane_id
              on conflict do nothing
            """,
            arrays,
        )
        # Seats before rows, each in the order of their ids: the order in which the queue locks.
        cursor.execute("select id from annotation_seat where item_id = any(%s) order by id for no key update", [items])
        cursor.execute(
            "select id from annotation_queuerow where item_id = any(%s) order by id for no key update", [items]
        )
        cursor.execute(
            "update annotation_seat s set lane_id = m.lane_id, exposure = case when m.severity >= 2 then 2"  # noqa: S608
            f" when s.exposure = 2 then 0 else s.exposure end from ({_NEW_LANE}) m where s.queue_row_id = m.row_id",
            arrays,
        )
        cursor.execute(
            f"update annotation_queuerow q set lane_id = m.lane_id from ({_NEW_LANE}) m"  # noqa: S608  (a constant)
            " where q.id = m.row_id returning q.id, m.lane_id, m.old_lane_id",
            arrays,
        )
        moved = cursor.fetchall()
    queue.put_offers(row_ids=[row for row, _new, _old in moved])
    with connection.cursor() as cursor:
        # A seat whose claim was on its way, which the offers waited for. One that is locked is being used just now.
        cursor.execute(
            """
            update annotation_seat set lane_id = q.lane_id,
              exposure = case when l.severity >= 2 then 2 else exposure end
            from annotation_queuerow q join annotation_queuelane l on l.id = q.lane_id
            where q.id = queue_row_id and annotation_seat.id in (
              select s.id from annotation_seat s join annotation_queuerow r on r.id = s.queue_row_id
              where r.id = any(%s) and s.lane_id <> r.lane_id for no key update of s skip locked)
            """,
            [[row for row, _new, _old in moved]],
        )
    lanes = {lane for _row, *pair in moved for lane in pair}
    queue.bump_lanes(lane_ids=sorted(lanes))
