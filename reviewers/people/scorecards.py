"""One annotator's labels beside what was accepted. Read only."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.models import Project
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson

LEAST_LABELS = 20
METHOD = (
    "share of labels equal to the accepted one, numbers within their tolerance, boxes and segments that overlap"
    " (own vote included), Wilson"
)

# Labels that stand, on questions that are settled, of items that at least two people answered. A person is measured
# against people: an item that simulated ones helped to settle counts for them alone, unless a reviewer decided it.
# Of texts nothing is accepted.
_HITS = """
    select s.person_id, count(*), count(*) filter (where l.choice is not distinct from r.choice
      and l.choices is not distinct from r.choices and (l.number is not distinct from r.number
        or abs(l.number::text::numeric - r.number::text::numeric) <= t.tolerance)
      and reviewers_same(l.data, r.data, t.overlap)),
      count(distinct s.item_id)
    from annotation_seat s
    join annotation_queuerow q on q.id = s.queue_row_id
    join annotation_label l on l.annotation_id = s.annotation_id
    join annotation_user u on u.id = s.person_id
    join reviewers_resolution r on r.item_id = s.item_id and r.question = l.question and r.pass_no = q.pass_no
    left join unnest(%(questions)s::smallint[], %(tolerances)s::numeric[], %(overlaps)s::numeric[])
      t (question, tolerance, overlap) on t.question = l.question
    where s.project_id = %(project)s and s.state = 2 and s.kind in (1, 4) and r.state in (1, 3) and q.n_submitted > 1
      and l.text_commitment is null
      and (u.kind = 'simulated' or r.state = 3 or not exists (select 1 from annotation_seat o
        join annotation_user p on p.id = o.person_id
        where o.queue_row_id = q.id and o.state = 2 and p.kind = 'simulated'))
    group by 1
"""


def accepted_shares(project: Project) -> dict[int, dict[str, Any]]:
    """Person -> how often their label is the accepted one, as a figure or its refusal.

    Only items that at least two people answered count: alone, everybody agrees with themselves. What simulated people
    said is in no person's figure.
    People without such labels are left out.
    """
    compiled = project.schema.compiled if project.schema else {"questions": []}
    questions = compiled["questions"]
    with connection.cursor() as cursor:
        cursor.execute(
            _HITS,
            {
                "project": project.pk,
                "questions": [q["id"] for q in questions],
                "tolerances": [_decimal(q.get("tolerance")) for q in questions],
                "overlaps": [_decimal(q.get("least_overlap")) for q in questions],
            },
        )
        rows = cursor.fetchall()
    return {person: _figure(n, n_same, n_items) for person, n, n_same, n_items in rows}


def _decimal(number: float | None) -> str | None:
    return None if number is None else str(number)


def _figure(n: int, n_same: int, n_items: int) -> dict[str, Any]:
    if n < LEAST_LABELS:
        refusal = ngettext("%(n)d settled label, %(least)d needed", "%(n)d settled labels, %(least)d needed", n)
        told = refusal % {"n": n, "least": LEAST_LABELS}
        return Figure.refused("accepted_share", told, n_items=n_items, n_labels=n, n_annotators=1).as_dict()
    return Figure(
        metric="accepted_share",
        value=n_same / n,
        interval=wilson(n_same, n),
        method=_(METHOD),
        n_items=n_items,
        n_labels=n,
        n_annotators=1,
    ).as_dict()
