"""What one person answered last in a project, in words, and which of it they can still take back. Read only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from annotation.kinds import LabelValue
from annotation.models import Item, Label, Project, User
from annotation.versions import read_schema
from reviewers.answers import questions_by_id, read_value, restore_texts, spell_answers, tell_answers

NEWEST = 20
EXCERPT = 120

# Along the index of a person's annotations, newest first. An answer that was taken back, or replaced by a later one, is
# not the seat's any more. Of a sealed or erased item nothing of the content is read, and no text answer.
_NEWEST = """
    select a.id, a.created_at, a.is_unsure, a.flag, a.clauses, a.schema_id, t.comment,
      case when i.lifecycle < %(sealed)s then (
        select left(x ->> 'text', %(most)s) from jsonb_array_elements(p.parts) x
        where x ? 'text' order by (x ->> 'role') is distinct from 'context' desc limit 1) end as excerpt,
      case when i.lifecycle < %(sealed)s then p.parts -> 0 ->> 'kind' end as kind,
      case when i.lifecycle < %(sealed)s then t.answers::text end as texts,
      queue_may_undo(a, s, clock_timestamp()) as may_undo
    from annotation_annotation a
    join annotation_seat s on s.id = a.seat_id and s.annotation_id = a.id and s.state = 2
    join annotation_item i on i.id = a.item_id
    left join annotation_itempayload p on p.item_id = a.item_id
    left join annotation_annotationtext t on t.annotation_id = a.id
    where a.project_id = %(project)s and a.person_id = %(person)s and s.kind in (1, 4)
    order by a.created_at desc, a.id desc limit %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer that stands. `told`: `[{"question", "text"}]`; `draft` is what the desk needs to show it again.

    `excerpt`: how the item's text begins; `part_kind`: the kind of its first part; both None where the item is sealed
    or erased.
    """

    annotation_id: int
    at: datetime
    told: list[dict[str, Any]]
    excerpt: str | None
    part_kind: str | None
    may_undo: bool
    draft: dict[str, Any]

    @property
    def draft_json(self) -> str:
        """The draft as JSON, for an attribute of the page."""
        return json.dumps(self.draft, ensure_ascii=False)


def newest_answers(project: Project, person: User, limit: int = NEWEST) -> list[Answered]:
    """A person's own newest answers in a project, newest first; [] where there are none. Two statements."""
    params = {
        "sealed": int(Item.Lifecycle.QUARANTINED),
        "most": EXCERPT,
        "project": project.pk,
        "person": person.pk,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, params)
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    values = _values_of(row["id"] for row in rows)
    return [_show(row, values[row["id"]] | restore_texts(json.loads(row["texts"] or "{}"))) for row in rows]


def _values_of(annotation_ids: Iterable[int]) -> defaultdict[int, dict[int, LabelValue]]:
    found: defaultdict[int, dict[int, LabelValue]] = defaultdict(dict)
    for label in Label.objects.filter(annotation_id__in=list(annotation_ids)):
        value = read_value(label)
        if value is not None:
            found[label.annotation_id][label.question] = value
    return found


def _show(row: dict[str, Any], values: dict[int, LabelValue]) -> Answered:
    compiled = read_schema(row["schema_id"]).compiled
    answers = spell_answers(questions_by_id(compiled), values)
    return Answered(
        annotation_id=row["id"],
        at=row["created_at"],
        told=tell_answers(compiled, answers),
        excerpt=row["excerpt"],
        part_kind=row["kind"],
        may_undo=row["may_undo"],
        draft={
            "answers": answers,
            "unsure": row["is_unsure"],
            "flag": row["flag"] or None,
            "comment": row["comment"] or "",
            "clauses": row["clauses"],
        },
    )
