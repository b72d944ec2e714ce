"""The queue's invariants, checked by SQL over a live database: each query finds the rows where one is broken.

Read-only, one short statement each. What rows alone cannot show (that an answer survives a kill, that time is the
database's) is shown by tests.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

# invariant (DESIGN section 5) -> the rows that break it, at most 20: their id and what is wrong
CHECKS: dict[str, str] = {
    "Q1 seats held and submitted stay within the overlap": """
        select q.id, q.item_id, q.overlap, count(s.id) from annotation_queuerow q
        join annotation_seat s on s.queue_row_id = q.id and s.state in (1, 2)
        group by q.id having count(s.id) > q.overlap""",
    "Q2 nobody's answer counts twice on an item in a pass": """
        select min(s.id), s.item_id, s.person_id, count(*) from annotation_seat s
        join annotation_queuerow q on q.id = s.queue_row_id
        where s.state = 2 and s.kind in (1, 4) group by s.item_id, s.person_id, q.pass_no having count(*) > 1""",
    "Q4 one idempotency key has one annotation": """
        select min(id), person_id, key, count(*) from annotation_annotation
        group by person_id, key having count(*) > 1""",
    "Q7 no open item stands before its lane's floor": """
        select o.queue_row_id, o.item_id from annotation_offer o join annotation_queuelane l on l.id = o.lane_id
        where not o.is_returned and (o.rank, o.tiebreak) < (l.floor_rank, l.floor_tiebreak)""",
    "Q8 a submitted seat points to its own annotation, every other to none": """
        select s.id, s.state, s.annotation_id from annotation_seat s
        left join annotation_annotation a on a.id = s.annotation_id
        where (s.state = 2 and s.kind <> 2 and (a.seat_id is distinct from s.id or a.item_id <> s.item_id
               or a.person_id <> s.person_id)) or (s.state = 1 and s.annotation_id is not null)""",
    "Q10 history refuses change": """
        select t.name from unnest(array['annotation_annotation', 'annotation_label', 'annotation_event',
          'annotation_labelschema', 'annotation_guideline', 'reviewers_adjudication', 'learning_snapshotmember'])
          as t(name)
        where not exists (select 1 from pg_trigger g where g.tgrelid = t.name::regclass and g.tgname = 'append_only'
                          and g.tgenabled <> 'D')""",
    "Q11 what is on offer and what is taken make up the overlap": """
        select q.id, q.overlap, count(s.id), o.n_free from annotation_queuerow q
        left join annotation_seat s on s.queue_row_id = q.id and s.state in (1, 2)
        left join annotation_offer o on o.queue_row_id = q.id
        group by q.id, o.queue_row_id
        having coalesce(o.n_free, 0) <> case when q.is_closed then 0 else q.overlap - count(s.id) end""",
    "Q11 n_submitted counts the seats submitted": """
        select q.id, q.n_submitted, count(s.id) from annotation_queuerow q
        left join annotation_seat s on s.queue_row_id = q.id and s.state = 2
        group by q.id having count(s.id) <> q.n_submitted""",
    "Q14 the overlap is never below what is submitted": """
        select id, overlap, n_submitted from annotation_queuerow where n_submitted > overlap""",
    "Q15 one reviewer holds a dispute": """
        select queue_row_id, count(*) from annotation_seat where kind = 2 and state = 1
        group by queue_row_id having count(*) > 1""",
    "Q15 who decided an item had not labelled it, or it is recorded": """
        select d.id, d.item_id, d.reviewer_id from reviewers_adjudication d where not d.is_own_work and exists (
          select 1 from annotation_annotation a where a.item_id = d.item_id and a.person_id = d.reviewer_id
          and a.created_at < d.created_at)""",
}


def find_violations() -> dict[str, list[tuple[Any, ...]]]:
    """Every invariant that is broken, with up to 20 of the rows that break it. Empty: all hold."""
    from django.db import connection

    broken = {}
    with connection.cursor() as cursor:
        for name, sql in CHECKS.items():
            cursor.execute(f"select * from ({sql}) broken limit 20")  # noqa: S608  (our own text)
            if rows := cursor.fetchall():
                broken[name] = rows
    return broken


def main(argv: Sequence[str] = ()) -> int:
    """`touchstone audit`: 0 where everything holds, else 1 and the rows."""
    import django

    django.setup()
    broken = find_violations()
    for name in CHECKS:
        sys.stdout.write(f"{'BROKEN' if name in broken else 'ok    '}  {name}\n")
        for row in broken.get(name, []):
            sys.stdout.write(f"        {row}\n")
    return 1 if broken else 0
