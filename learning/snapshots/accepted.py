"""Which labels are accepted right now: the one statement that a snapshot copies from and a schedule counts with.

Accepted is a resolution that is agreed or adjudicated, in the item's newest pass, of an item that is open and whose
import has finished.

From each resolution to its own rows ("offset 0"), whatever the planner believes: it takes a project of which it has no
statistics yet for one row, and would go through all items of the project for each of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

ACCEPTED: Final = """
  select r.item_id, r.question, r.state, r.choice, r.choices, r.number, r.data, r.confidence, r.method, r.version,
         q.id as queue_row_id
  from reviewers_resolution r
  cross join lateral (select x.lifecycle, x.split, x.imported_by_id from annotation_item x where x.id = r.item_id
                      offset 0) i
  join annotation_import m on m.id = i.imported_by_id and m.is_visible
  join lateral (select w.id, w.pass_no from annotation_queuerow w where w.item_id = r.item_id and w.kind in (1, 4)
                order by w.pass_no desc, w.kind limit 1) q on q.pass_no = r.pass_no
  where r.project_id = %(project)s and i.lifecycle = 0 and r.state = any(%(states)s::smallint[])
    and (%(questions)s::smallint[] is null or r.question = any(%(questions)s::smallint[]))
    and (%(split)s::smallint is null or i.split = %(split)s::smallint)
    and (%(min_confidence)s::float8 is null or r.confidence is null or r.confidence >= %(min_confidence)s::float8)
"""


def accepted_parameters(
    *,
    project_id: int,
    states: Collection[int] = (1, 3),
    questions: Collection[int] | None = None,
    split: int | None = None,
    min_confidence: float | None = None,
) -> dict[str, Any]:
    """Return the statement's parameters; None is no condition."""
    return {
        "project": project_id,
        "states": list(states),
        "questions": None if questions is None else list(questions),
        "split": split,
        "min_confidence": min_confidence,
    }
