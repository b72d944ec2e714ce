"""Answers written by SQL, in the shapes that the queue leaves behind: a million over HTTP would take an hour."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotation.models import Project

ITEMS_AT_ONCE = 20_000

_ANSWERS = [
    """
    alter table given
      add seat bigint not null default nextval(pg_get_serial_sequence('annotation_seat', 'id')),
      add annotation bigint not null default nextval(pg_get_serial_sequence('annotation_annotation', 'id'))
    """,
    "set local session_replication_role = replica",  # no checks of foreign keys, row by row
    """
    insert into annotation_seat (id, annotation_id, queue_row_id, person_id, project_id, item_id, lane_id, kind,
        draw_id, state, generation, leased_at, expires_at, ended_at, reason, schema_id, arm)
      overriding system value
      select seat, annotation, id, person, project_id, item_id, lane_id, 1, draw_id, 2, 1,
        at - interval '10 s', at + interval '1 h', at, '', %(schema)s, 0 from given
    """,
    """
    insert into annotation_annotation (id, seat_id, project_id, item_id, person_id, schema_id, source, created_at,
        seconds, is_unsure, flag, clauses, key, body_digest, lease_generation)
      overriding system value
      select annotation, seat, project_id, item_id, person, %(schema)s, 'human', at, seconds, false, '', '{}',
        'fill-' || annotation, '', 1 from given
    """,
    """
    insert into annotation_label (annotation_id, question, project_id, item_id, person_id, choice)
      select annotation, 1, project_id, item_id, person, said from given
    """,
]


def write_answers(cursor: Any, project: Project) -> None:
    """The seat, annotation and label of each row of the temporary table `given`, in the order of its rows.

    Its columns: `id`, `item_id`, `lane_id`, `draw_id`, `project_id` of the queue row; `person`, `said` (the id of a
    choice of the first question), `seconds`, `at`. It gets two more: `seat` and `annotation`, their ids. In the
    caller's transaction, which has no foreign keys checked from here on.
    """
    for statement in _ANSWERS:
        cursor.execute(statement, {"schema": project.schema_id})


# Different people on each item; each says the truth as often as they are skilled. Item by item from hashes.
_GIVEN = """
    create temporary table given on commit drop as
    select q.id, q.item_id, q.lane_id, q.draw_id, q.project_id, p.person,
      case when u.skill < 0.62 + (p.place %% 7) * 0.05 then z.truth else (z.truth + u.other) %% 3 + 1 end as said,
      5 as seconds,
      clock_timestamp() - ((hashtextextended(q.item_id::text, 3) & 63) * interval '1 day') as at
    from annotation_queuerow q
    cross join lateral (select case when h < 0.6 then 1 when h < 0.9 then 2 else 3 end as truth
      from (select (hashtextextended(q.item_id::text, 1) & 65535) / 65536.0 as h) x) z
    cross join generate_series(0, %(answers)s - 1) k(n)
    cross join lateral (select ((hashtextextended(q.item_id::text, 2) & 65535) + k.n * 13) %% %(n_people)s as place) w
    cross join lateral (select w.place, (%(people)s::bigint[])[1 + w.place] as person) p
    cross join lateral (select (hashtextextended(q.item_id::text, 10 + k.n) & 65535) / 65536.0 as skill,
      (hashtextextended(q.item_id::text, 20 + k.n) & 1)::int as other) u
    where q.project_id = %(project)s and q.kind = 1 and q.item_id = any(%(items)s)
"""
_COUNT = [
    """
    update annotation_queuerow q set n_submitted = %(answers)s, overlap = %(overlap)s,
        state = (%(answers)s = %(overlap)s)::int
      from given g where g.id = q.id
    """,
    "delete from annotation_offer o using given g where o.queue_row_id = g.id and %(answers)s = %(overlap)s",
    "update annotation_offer o set n_free = %(overlap)s - %(answers)s from given g where o.queue_row_id = g.id",
]
_EVENTS = """
    insert into annotation_event (project_id, kind, actor_id, item_id, ref_id)
      select project_id, 'annotation.submitted', person, item_id, annotation from given
"""


def label_by_skill(
    project: Project,
    people: Sequence[int],
    items: Sequence[int],
    overlap: int,
    answers: int | None = None,
    *,
    has_events: bool = True,
) -> float:
    """Give each item `answers` answers of `overlap` (all, where left out) by people of different skill; the seconds.

    Some ten thousand items a transaction. An item with all its answers is agreed, without a resolution. With events,
    whoever reads them counts these answers as any others.
    """
    from django.db import connection, transaction

    about: dict[str, Any] = {
        "project": project.pk,
        "people": list(people),
        "n_people": len(people),
        "overlap": overlap,
        "answers": overlap if answers is None else answers,
    }
    started = time.monotonic()
    for start in range(0, len(items), ITEMS_AT_ONCE):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_GIVEN, about | {"items": list(items[start : start + ITEMS_AT_ONCE])})
            write_answers(cursor, project)
            for statement in [*_COUNT, *([_EVENTS] if has_events else [])]:
                cursor.execute(statement, about)
    return time.monotonic() - started
