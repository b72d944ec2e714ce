"""What the current model is unsure about, and where it and people disagree. Read only.

Open items come along the index of scores, the highest utility first: under most strategies the closest margin. Labels
that contradict the model are among those that were accepted since the model became the current one: it had said what it
said before anybody asked, and was not taught them. (What is doubted among all labels: `learning/doubts.py`.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import connection

from annotation.kinds import Question
from annotation.models import Project
from learning.item_walks import robust_plans
from learning.items import Position, list_items
from learning.models import ModelVersion
from learning.questions import class_names, classes_of, holds_several
from learning.stored_proba import find_proba

MOST_EVENTS = 20_000  # looked through for labels accepted since: less than a quarter of a second
MOST_CONTRADICTIONS = 100

# Where none of the newest events made the model the current one, all of them came after that.
_SETTLED = """
    with recent as materialized (
      select x.id, x.kind, x.item_id, x.ref_id, x.data from annotation_event x
      where x.project_id = %(project)s order by x.id desc limit %(most)s)
    select distinct e.item_id from recent e
    where e.item_id is not null and e.data ->> 'state' in ('agreed', 'adjudicated') and e.id > coalesce((
      select max(t.id) from recent t where t.kind = 'model.turned_current' and t.ref_id = %(model)s), 0)
"""
# "offset 0": from each item to its own rows, whatever the planner believes of tables without statistics.
_CONTRADICTIONS = """
    select i.id, i.external_id, coalesce(r.choice, r.number::int), s.choice, s.probability
    from unnest(%(items)s::bigint[]) c(item)
    cross join lateral (select y.* from annotation_item y where y.id = c.item offset 0) i
    cross join lateral (select x.* from reviewers_resolution x where x.item_id = c.item and x.question = %(question)s
      order by x.pass_no desc limit 1) r
    cross join lateral (select z.* from learning_score z where z.item_id = c.item offset 0) s
    where i.project_id = %(project)s and i.lifecycle = 0 and s.model_version_id = %(model)s and r.state in (1, 3)
      and s.choice <> coalesce(r.choice, r.number::int)
    order by s.probability desc, i.id limit %(most)s
"""


def list_unsure(
    project: Project, question: Question, model: ModelVersion, *, after: Position | None = None, limit: int = 30
) -> tuple[list[dict[str, Any]], Position | None]:
    """One page of the open items that the model scored, the highest utility first, and where the next page begins.

    Rows as `list_items` gives them, with `likeliest`: the two likeliest classes as `[{"value", "probability"}]`; one
    where the rest is not known on this host, none of a class that left the schema. Where several classes may hold at
    once, the two whose probabilities are nearest to a half. `after` is a position in the list of the same model.
    """
    rows, position = list_items(
        project, order="-utility", state="open", after=after or [0, model.pk, None], limit=limit
    )
    scored = [row for row in rows if row["utility"] is not None]
    if len(scored) < len(rows) or (position is not None and position[0] > 0):
        position = None  # behind them come items without a score
    likeliest = _find_likeliest(question, model, [int(row["id"]) for row in scored])
    # A round may remove the scores of the model before it in between.
    told = [row | {"likeliest": likeliest[int(row["id"])]} for row in scored if int(row["id"]) in likeliest]
    return told, position


def _find_likeliest(question: Question, model: ModelVersion, items: list[int]) -> dict[int, list[dict[str, Any]]]:
    names = dict(zip(classes_of(question), class_names(question), strict=True))
    is_several = holds_several(question)

    def rank(pair: tuple[int, float]) -> float:
        return abs(pair[1] - 0.5) if is_several else -pair[1]

    with connection.cursor() as cursor:
        cursor.execute(
            "select item_id, choice, probability, proba from learning_score"
            " where model_version_id = %s and item_id = any(%s)",
            [model.pk, items],
        )
        scores = {item: (choice, probability, proba) for item, choice, probability, proba in cursor.fetchall()}
    stored = find_proba(model, np.array(items, np.int64))
    found: dict[int, list[dict[str, Any]]] = {}
    for item, (choice, probability, sent) in scores.items():
        said = sent if sent is not None else stored.get(item)
        told = [(choice, probability)]
        if said is not None:
            told = sorted(zip(model.classes, map(float, said), strict=True), key=rank)[:2]
        found[item] = [{"value": names[code], "probability": share} for code, share in told if code in names]
    return found


def find_contradictions(project: Project, question: Question, model: ModelVersion) -> list[dict[str, Any]]:
    """Labels accepted since the model became the current one that are not what it said, what it was surest of first.

    `[{"item": {"id", "external_id"}, "label", "said", "probability"}]`, at most 100, among the newest 20,000 events of
    the project; classes by their values, without those that left the schema. None where several classes may hold.
    """
    names = dict(zip(classes_of(question), class_names(question), strict=True))
    about = {"project": project.pk, "model": model.pk, "question": question["id"]}
    with robust_plans(), connection.cursor() as cursor:
        cursor.execute(_SETTLED, about | {"most": MOST_EVENTS})
        items = [row[0] for row in cursor.fetchall()]
        cursor.execute(_CONTRADICTIONS, about | {"items": items, "most": MOST_CONTRADICTIONS})
        rows = cursor.fetchall()
    return [
        {
            "item": {"id": str(item), "external_id": external_id},
            "label": names[label],
            "said": names[said],
            "probability": probability,
        }
        for item, external_id, label, said, probability in rows
        if label in names and said in names
    ]
