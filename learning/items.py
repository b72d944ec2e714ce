"""The items of a project as one list: what is accepted, what the model thinks, what is served next.

How the list is walked, at any size, is `learning/item_walks.py`. Orders by utility and by disagreement have two
stretches: first the items that have one, highest first, then all others by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from annotation.models import Project
from learning.item_walks import (
    ANSWERS,
    CURRENT,
    DISAGREEMENT,
    IN_PROJECT,
    LIFECYCLES,
    ORDERS,
    POOL,
    STATES,
    STRETCHES,
    UTILITY,
    VOTES,
    Key,
    Said,
    read_wanted,
    robust_plans,
    walk,
)
from learning.models import ModelVersion
from learning.questions import default_question
from reviewers.answers import compiled_schema, questions_by_id, read_value, spell_value
from reviewers.models import Resolution

__all__ = ["ORDERS", "STATES", "Said", "current_model", "list_items", "show_items"]

Position = list[Any]  # the stretch, the model whose utilities are shown, the key of the last row


def current_model(project: Project) -> ModelVersion | None:
    """The model whose utilities are shown: the current one of the question that is learned, else the newest one."""
    models = ModelVersion.objects.filter(project=project, is_current=True).order_by("-pk")
    question = default_question(project)
    return (models.filter(question=question["id"]) if question else models).first()


def list_items(
    project: Project,
    *,
    order: str = "id",
    state: str | None = None,
    words: str | None = None,
    said: Said | None = None,
    after: Position | None = None,
    limit: int = 30,
) -> tuple[list[dict[str, Any]], Position | None]:
    """One page of a project's items, and after which position the next page begins (None: this was the last).

    `order` is one of ORDERS, `state` one of STATES, `words` an external id's beginning or words of the text, `said`
    what people said, as the votes were last counted. Items of an unfinished import are left out. A walk by utility
    stays on the model with which it began. A page has fewer rows than `limit`, none even, where many items were looked
    at and few of them fit: the next page goes on from there.
    """
    model = after[1] if after else getattr(current_model(project), "pk", None)
    start = after[0] if after else 0
    key: Key | None = after[2] if after else None
    found: list[tuple[int, Key]] = []
    following: Position | None = None
    with robust_plans():
        wanted = read_wanted(project, state, words, model, said)
        for number, stretch in enumerate(STRETCHES[order]):
            if number < start:
                continue
            part = walk(stretch, wanted, key, limit + 1 - len(found))
            found += [(number, k) for k in part.keys]
            key = None
            if len(found) > limit:
                number, last = found[limit - 1]
                following = [number, model, last]
                break
            if part.stopped is not None:
                following = [number, model, part.stopped]
                break
        return show_items(project, [int(k[-1]) for _number, k in found[:limit]], model), following


def show_items(project: Project, ids: Sequence[int], model: int | None) -> list[dict[str, Any]]:
    """Items by id, in the order given, as `GET items` shows them; ids of other projects are left out."""
    sql = f"""
        select i.id, i.external_id, i.lifecycle, q.state, -q.rank, q.pass_no,
          case when {POOL} then {UTILITY} end, {DISAGREEMENT}, {ANSWERS}
        from annotation_item i cross join {CURRENT} where i.id = any(%(ids)s) and {IN_PROJECT}"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, {"ids": list(ids), "model": model, "project": project.pk})
        found = {row[0]: row for row in cursor.fetchall()}
    accepted = _resolutions(project, {pk: row[5] for pk, row in found.items()})
    names = {number: name for name, number in VOTES.items()}
    lifecycles = {number: name for name, number in LIFECYCLES.items()}
    return [
        {
            "id": str(pk),
            "external_id": external_id,
            "state": lifecycles.get(lifecycle, names[state]),
            "priority": priority + 0.0,  # never -0
            "utility": utility,
            "disagreement": disagreement,
            "resolutions": accepted.get(pk, {}),
            "n_annotations": int(n_annotations),
        }
        for pk, external_id, lifecycle, state, priority, _pass, utility, disagreement, n_annotations in (
            found[pk] for pk in ids if pk in found
        )
    ]


def _resolutions(project: Project, passes: dict[int, int]) -> dict[int, dict[str, dict[str, Any]]]:
    """What is accepted for items (id -> current pass), by item and question's name."""
    questions = questions_by_id(compiled_schema(project))
    shown: dict[int, dict[str, dict[str, Any]]] = {}
    for row in Resolution.objects.filter(item__in=passes).order_by("item", "question"):
        question = questions.get(row.question)
        if question is not None and row.pass_no == passes[row.item_id]:
            shown.setdefault(row.item_id, {})[question["name"]] = {
                "state": Resolution.State(row.state).name.lower(),
                "value": spell_value(question, read_value(row)),
                "confidence": row.confidence,
                "method": row.method,
                "version": row.version,
            }
    return shown
