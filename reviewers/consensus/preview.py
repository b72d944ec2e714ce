"""What another rule would make of the answers that there are: counted, with examples; nothing is changed.

The judge is the one that a submit asks (`reviewers_judge` in `sql/vote.sql`), under the other rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotation.models import Item, Organisation, Project, QueueRow
from annotation.schema import Compiled
from annotation.settings import parse_settings
from reviewers.algorithms.intervals import wilson
from reviewers.answers import compiled_schema
from reviewers.consensus.weighing import SUFFIX

MOST_LOOKED_AT = 2000  # of more items a random sample is looked at: the page waits for it
MOST_LOOKED_AT_BY_VOTER = 500  # whenever the page of the rule is opened
MOST_EXAMPLES = 5
CHANGES = ("agreed", "disputed", "open", "relabelled")
_VALUE = ("choice", "choices", "number", "data")


@dataclass(frozen=True)
class Change:
    """What becomes of some items: newly agreed, disputed or open again, or agreed with another label.

    `n` of the items looked at; `interval` is the 95 % interval of how many of all it would be, where not all were
    looked at. `examples` are items (id, external id), the same ones for the same answers.
    """

    kind: str
    n: int
    estimate: int
    interval: tuple[int, int] | None
    examples: list[tuple[int, str]]


@dataclass(frozen=True)
class Preview:
    """What a rule would change. `n_items`: those that have answers and no decision; a sample of them was looked at."""

    rule: dict[str, Any]
    n_items: int
    n_looked_at: int
    n_decided: int
    changes: list[Change]

    @property
    def n_changed(self) -> int:
        """How many of the items looked at would be another way."""
        return sum(change.n for change in self.changes)


_ANSWERED = """
    from annotation_queuerow q join annotation_item i on i.id = q.item_id
    where q.project_id = %(project)s and q.kind in (1, 4) and q.n_submitted > 0 and i.lifecycle = %(lifecycle)s
      and not exists (select 1 from annotation_queuerow n
                      where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no)
"""
_JUDGED = """
    select i.id, i.external_id, q.state, j.state, j.verdicts::text, (
      select jsonb_object_agg(r.question, jsonb_build_object('choice', r.choice, 'choices', to_jsonb(r.choices),
          'number', r.number, 'data', r.data))
      from reviewers_resolution r where r.item_id = q.item_id and r.pass_no = q.pass_no and r.state = 1)::text
    from (select q.id {answered} and q.state <> 3 order by hashint8extended(q.id, 1) limit %(limit)s) looked
    join annotation_queuerow q on q.id = looked.id join annotation_item i on i.id = q.item_id
    cross join lateral reviewers_judge(
      q, %(rule)s::jsonb, %(min)s::int, %(max)s::int, %(skips)s::int, %(questions)s::jsonb) j
    order by i.id
"""


def preview_rule(project: Project, rule: Mapping[str, Any]) -> Preview:
    """Count what `rule`, in the shape in which it is sent, would change now. Raises InvalidError."""
    compiled = compiled_schema(project)
    columns = parse_settings({"rule": rule}, compiled, Organisation.objects.get(), current=project)
    params = _params(project, columns["rule"], compiled)
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*), count(*) filter (where q.state = 3) {_ANSWERED}", params)
        n_answered, n_decided = cursor.fetchone()
        cursor.execute(_JUDGED.format(answered=_ANSWERED), params)
        rows = cursor.fetchall()
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in CHANGES}
    for item, external_id, before, after, verdicts, accepted in rows:
        kind = _what_changes(before, after, json.loads(verdicts or "[]"), json.loads(accepted or "{}"))
        if kind is not None:
            found[kind].append((item, external_id))
    n_items = n_answered - n_decided
    changes = [_change(kind, items, len(rows), n_items) for kind, items in found.items()]
    return Preview(columns["rule"], n_items, len(rows), n_decided, changes)


def _params(project: Project, rule: Mapping[str, Any], compiled: Compiled) -> dict[str, Any]:
    """What `reviewers_judge` and the queries around it need to know of a project."""
    return {
        "project": project.pk,
        "lifecycle": int(Item.Lifecycle.OPEN),
        "limit": MOST_LOOKED_AT,
        "rule": json.dumps(rule),
        "min": project.overlap_min,
        "max": project.overlap_max,
        "skips": project.skips_to_dispute,
        "questions": json.dumps(compiled["questions"]),
    }


@dataclass(frozen=True)
class ByVoter:
    """The agreed items on which a model's vote counted, and those of them that would not be agreed without it.

    Of many a sample of `n_looked_at` is looked at; `n_only` is then an estimate, with its 95 % interval.
    """

    n_items: int
    n_looked_at: int
    n_only: int
    interval: tuple[int, int] | None


_JUDGED_WITHOUT = """
    with found as materialized (
      select q.id from annotation_queuerow q join annotation_item i on i.id = q.item_id
      where q.project_id = %(project)s and q.kind in (1, 4) and q.state = 1 and i.lifecycle = %(lifecycle)s
        and exists (select 1 from reviewers_resolution r
                    where r.item_id = q.item_id and r.pass_no = q.pass_no and r.method like %(suffix)s)
        and not exists (select 1 from annotation_queuerow n
                        where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no))
    select (select count(*) from found), count(*), count(*) filter (where j.state <> 1)
    from (select id from found order by hashint8extended(id, 1) limit %(limit)s) looked
    join annotation_queuerow q on q.id = looked.id
    cross join lateral reviewers_judge(
      q, %(rule)s::jsonb, %(min)s::int, %(max)s::int, %(skips)s::int, %(questions)s::jsonb) j
"""


def count_by_voter(project: Project) -> ByVoter:
    """Judge the agreed items on which a model voted once more, by people alone."""
    compiled = compiled_schema(project)
    params = _params(project, {**project.rule, "voter": None}, compiled) | {
        "suffix": f"%{SUFFIX}",
        "limit": MOST_LOOKED_AT_BY_VOTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED_WITHOUT, params)
        n_items, n_looked_at, n_only = cursor.fetchone()
    estimate, interval = _estimate(n_only, n_looked_at, n_items)
    return ByVoter(n_items, n_looked_at, estimate, interval)


def _what_changes(
    before: int, after: int, verdicts: list[dict[str, Any]], accepted: Mapping[str, Mapping[str, Any]]
) -> str | None:
    if after != before:
        return QueueRow.State(after).name.lower()
    if after != QueueRow.State.AGREED:
        return None
    then = {str(one["q"]): {name: one[name] for name in _VALUE} for one in verdicts if one["settled"]}
    return None if then == accepted else "relabelled"


def _change(kind: str, items: list[tuple[int, str]], n_looked_at: int, n_items: int) -> Change:
    estimate, interval = _estimate(len(items), n_looked_at, n_items)
    return Change(kind, len(items), estimate, interval, items[:MOST_EXAMPLES])


def _estimate(n: int, n_looked_at: int, n_items: int) -> tuple[int, tuple[int, int] | None]:
    """How many of all it would be, and the 95 % interval where not all were looked at."""
    interval = None
    if n_looked_at < n_items:
        low, high = wilson(n, n_looked_at)
        interval = (max(n, round(low * n_items)), round(high * n_items))
    return round(n * n_items / n_looked_at) if n_looked_at else 0, interval


def show_preview(preview: Preview) -> dict[str, Any]:
    """A preview as callers see it."""
    return {
        "rule": preview.rule,
        "n_items": preview.n_items,
        "n_looked_at": preview.n_looked_at,
        "n_decided": preview.n_decided,
        "changes": [
            {
                "change": change.kind,
                "n": change.estimate,
                "interval": None if change.interval is None else list(change.interval),
                "examples": [{"id": str(item), "external_id": external} for item, external in change.examples],
            }
            for change in preview.changes
        ],
    }
