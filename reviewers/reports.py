"""Lists for people: the resolutions of a project, and what one adjudication was.

Agreement is in `reviewers/agreement/report.py`; disputes, with who said what, are in `reviewers/disputes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.kinds import Question
from annotation.models import Item, Project
from annotation.schema import Compiled, find_question
from annotation.serializers import show_time
from reviewers.answers import (
    compiled_schema,
    questions_by_id,
    restore_texts,
    restore_value,
    spell_answers,
    spell_value,
    spell_votes,
)
from reviewers.consensus.weighing import SUFFIX
from reviewers.models import Adjudication, Resolution

STATES = {state.name.lower(): int(state) for state in Resolution.State}
STATE_NAMES = {number: name for name, number in STATES.items()}
Row = dict[str, Any]
Position = tuple[int, int]


def pick_question(project: Project, name: str | None) -> Question:
    """The question of that name, or the first one where no name is given. Raises InvalidError."""
    compiled = compiled_schema(project)
    question: Question | None = find_question(compiled, name) if name else compiled["questions"][0]
    if question is None:
        known = ", ".join(q["name"] for q in compiled["questions"])
        raise InvalidError(fields={"question": _("One of: %(known)s.") % {"known": known}})
    return question


# One row per item and question that is asked of it. An item whose votes were never settled has no resolution yet: its
# unconditional questions are open, with the votes counted, and weighed where the rule weighs them, now.
_RESOLUTIONS = """
    select i.id, i.external_id, w.question, coalesce(r.state, 0) as state, r.choice, r.choices, r.number,
      (case when r.method like '%%+model' then f.voter end)::text as voter,
      r.data::text as data, r.confidence, r.method, coalesce(r.version, 0) as version,
      (case when coalesce(r.state, 0) = 0 then (select c.votes from reviewers_count(q.id, w.question, w.kind) c)
            else r.votes end)::text as votes,
      (case when coalesce(r.state, 0) <> 0 then r.posterior when %(is_weighed)s and w.kind in ('choice', 'rating')
         and q.n_submitted > 0 then (select c.posterior from reviewers_weigh(q.id, i.project_id, w.question, i.id,
           reviewers_voter(%(rule)s::jsonb, %(min)s, i.id)) c)
       end)::text as posterior
    from annotation_item i
    join annotation_import m on m.id = i.imported_by_id and m.is_visible
    cross join unnest(%(questions)s::smallint[], %(kinds)s::text[], %(conditional)s::boolean[])
      as w(question, kind, is_conditional)
    join lateral (select x.id, x.pass_no, x.state, x.n_submitted from annotation_queuerow x
                  where x.item_id = i.id and x.kind in (1, 4) order by x.pass_no desc limit 1) q on true
    {join} reviewers_resolution r on r.item_id = i.id and r.question = w.question and r.pass_no = q.pass_no
    left join reviewers_consensusfit f on f.id = r.fit_id
    where i.project_id = %(project)s and i.lifecycle <> %(sealed)s
      and (r.id is not null or (not w.is_conditional and q.state = 0 and i.lifecycle = 0))
      and {where}
      and i.id >= %(item)s and (i.id, w.question) > (%(item)s, %(question)s)
    order by i.id, w.question limit %(limit)s
"""


def resolution_rows(
    project: Project,
    question: Question | None = None,
    state: str | None = None,
    after: Position | None = None,
    limit: int = 30,
) -> tuple[list[Row], Position | None]:
    """One page of what is accepted, by item and question, and where the next page begins (None: this was the last).

    `question` None: all of the current schema. `state`: open, agreed, disputed or adjudicated; None: all. `after`: the
    position that the page before returned. Quarantined items are left out. Raises InvalidError for an unknown state.
    """
    compiled = compiled_schema(project)
    if state is not None and state not in STATES:
        raise InvalidError(fields={"state": _("One of: %(known)s.") % {"known": ", ".join(STATES)}})
    wanted = [question] if question else compiled["questions"]
    sql = _RESOLUTIONS.format(
        join="left join" if state in (None, "open") else "join",
        where="true"
        if state is None
        else "coalesce(r.state, 0) = %(state)s"
        if state == "open"
        else "r.state = %(state)s",
    )
    item, last_question = after or (0, 0)
    params = {
        "project": project.pk,
        "questions": [q["id"] for q in wanted],
        "kinds": [q["kind"] for q in wanted],
        "conditional": [q["when"] is not None for q in wanted],
        "sealed": int(Item.Lifecycle.QUARANTINED),
        "state": STATES[state] if state else None,
        "is_weighed": project.rule["kind"] == "posterior",
        "rule": json.dumps(project.rule),
        "min": project.overlap_min,
        "item": item,
        "question": last_question,
        "limit": limit + 1,
    }
    found = _fetch(sql, params)
    by_id = {q["id"]: q for q in wanted}
    rows = [
        {
            "item": {"id": str(row["id"]), "external_id": row["external_id"]},
            **_show_resolution(
                by_id[row["question"]],
                row | {"data": None if row["data"] is None else json.loads(row["data"])},
                json.loads(row["votes"]),
                json.loads(row["posterior"] or "null"),
                json.loads(row["voter"] or "null"),
            ),
        }
        for row in found[:limit]
    ]
    following = (found[limit - 1]["id"], found[limit - 1]["question"]) if len(found) > limit else None
    return rows, following


def _fetch(sql: str, params: Mapping[str, Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _show_resolution(
    question: Question,
    row: Mapping[str, Any],
    votes: Mapping[str, int],
    posterior: Mapping[str, float] | None,
    voter: Mapping[str, Any] | None,
) -> Row:
    return {
        "question": question["name"],
        "state": STATE_NAMES[row["state"]],
        "value": spell_value(question, restore_value(row)),
        "confidence": row["confidence"],
        "method": row["method"],
        "votes": spell_votes(question, votes),
        "posterior": None if posterior is None else spell_votes(question, posterior),
        "voter": None if voter is None else {name: voter[name] for name in ("name", "version")},
        "version": row["version"],
    }


def show_resolutions(item: Item, compiled: Compiled, pass_no: int | None = None) -> list[Row]:
    """The resolutions of one item, in schema order, in the shape of `GET resolutions` without the item.

    `pass_no` None: the newest pass that has any. Open questions without a row are left out.
    """
    rows = Resolution.objects.filter(item=item)
    if pass_no is None:
        pass_no = rows.order_by("-pass_no").values_list("pass_no", flat=True).first() or 1
    found = rows.filter(pass_no=pass_no).annotate(voter=F("fit__voter"))
    by_question = {row["question"]: row for row in found.values()}
    return [
        _show_resolution(
            question,
            row := by_question[number],
            row["votes"],
            row["posterior"],
            row["voter"] if row["method"].endswith(SUFFIX) else None,
        )
        for number, question in questions_by_id(compiled).items()
        if number in by_question
    ]


def show_adjudication(adjudication: Adjudication, compiled: Compiled) -> Row:
    """A decision as callers see it."""
    note = getattr(adjudication, "note", None)
    stored = {int(number): restore_value(columns) for number, columns in adjudication.answers.items()}
    values = {number: value for number, value in stored.items() if value is not None}
    values |= restore_texts(note.answers if note else {})
    return {
        "id": str(adjudication.pk),
        "item": str(adjudication.item_id),
        "reviewer": adjudication.reviewer.name,
        "answers": spell_answers(questions_by_id(compiled), values),
        "reason": adjudication.reason,
        "note": note.text if note else "",
        "precedent": adjudication.is_precedent,
        "own_work": adjudication.is_own_work,
        "guideline_version": adjudication.guideline_version,
        "at": show_time(adjudication.created_at),
    }


def precedents(
    project: Project, after: int | None = None, limit: int = 30, question: Question | None = None
) -> tuple[list[Row], int | None]:
    """One page of the decisions that annotators can look up, newest first, and where the next page begins.

    `after`: the adjudication's id that the page before returned. Decisions on items that are no longer open to people
    (quarantined, erased) are left out.
    """
    compiled = compiled_schema(project)
    found: Sequence[Adjudication] = list(_precedents(project, after, question)[: limit + 1])
    shown = [
        {
            **show_adjudication(adjudication, compiled),
            "external_id": adjudication.item.external_id,
            "parts": adjudication.item.payload.parts,
        }
        for adjudication in found[:limit]
    ]
    return shown, found[limit - 1].pk if len(found) > limit else None


def _precedents(project: Project, after: int | None, question: Question | None) -> Any:
    kept = Adjudication.objects.filter(
        project=project,
        is_precedent=True,
        item__lifecycle__in=(Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED),
        item__payload__isnull=False,
    )
    if after is not None:
        kept = kept.filter(pk__lt=after)
    if question is not None:
        kept = kept.filter(answers__has_key=str(question["id"]))
    return kept.select_related("item__payload", "reviewer", "note").order_by("-pk")
