"""The items of a project as one list: what is accepted, what the model thinks, what is served next.

Each order walks its own index by keyset, so that a page costs the same however far it is. Orders by utility and by
disagreement have two stretches: first the items that have one, highest first, then all others by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotation.models import Item, Project, QueueLane, QueueRow
from learning.models import ModelVersion
from learning.questions import default_question
from reviewers.answers import compiled_schema, questions_by_id, read_value, spell_value
from reviewers.models import Resolution

ORDERS = ("id", "-priority", "-utility", "-disagreement")
LIFECYCLES = {value.name.lower(): value.value for value in Item.Lifecycle if value != Item.Lifecycle.OPEN}
VOTES = {value.name.lower(): value.value for value in QueueRow.State}
STATES = (*VOTES, *LIFECYCLES)

Position = list[Any]

_KINDS = (QueueLane.Kind.LABEL.value, QueueLane.Kind.RELABEL.value)

# "(select 1 ...) is null" is always a nested probe of an index; "not exists" may become a join of everything.
# The row of the queue on which the item stands now: its newest pass.
_CURRENT = """(select 1 from annotation_queuerow n
    where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no limit 1) is null"""
_VISIBLE = "(select m.is_visible from annotation_import m where m.id = i.imported_by_id)"
_WORDS = """i.lifecycle in (0, 1) and exists (select 1 from annotation_itempayload p where p.item_id = i.id
    and item_words(p.parts) @@ plainto_tsquery('simple', %(words)s))"""
# The pool: what a model may choose from. Outside it, an item has no utility.
_POOL = """(i.lifecycle = 0 and i.split = 0 and q.state = 0 and not q.is_closed and (
    select 1 from annotation_drawitem di join annotation_draw d on d.id = di.draw_id
    where di.item_id = i.id and d.stream = 'audit' limit 1) is null)"""
_JOINED = "annotation_item i join annotation_queuerow q on q.item_id = i.id"
_SCORED = "(select 1 from learning_score s where s.model_version_id = %(model)s and s.item_id = i.id) is not null"
_UNRESOLVED = """(select 1 from reviewers_resolution r
    where r.item_id = i.id and r.pass_no = q.pass_no limit 1) is null"""
# Of an item's questions the one that people differ on most stands for the item.
_WORST = """(select 1 from reviewers_resolution o where o.item_id = r.item_id and o.pass_no = r.pass_no
    and (o.disagreement, o.question) > (r.disagreement, r.question) limit 1) is null"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of an order. Conditions may speak of `i`, the item, and `q`, its row of the queue.

    `leader` is the table whose index gives the order, where that is neither of the two: then each of its rows is looked
    at in turn, and its item is probed. `keys` are the sort keys beside the id, selected so that smaller comes first;
    a key with a minus descends. `after` says how it goes on behind a row of `%(after_0)s` and `%(after_id)s`.
    """

    where: str = "true"
    after: str = "q.item_id > %(after_id)s"
    order: str = "q.item_id"
    keys: tuple[str, ...] = ()
    leader: str = ""
    leader_id: str = "q.item_id"
    leader_where: str = ""
    is_id_descending: bool = False


_STRETCHES: dict[str, tuple[Stretch, ...]] = {
    "id": (Stretch(),),
    "-priority": (
        Stretch(after="(q.rank, q.item_id) > (%(after_0)s, %(after_id)s)", order="q.rank, q.item_id", keys=("q.rank",)),
    ),
    "-utility": (
        Stretch(
            where=_POOL,
            after="s.utility <= %(after_0)s and (s.utility < %(after_0)s or s.item_id > %(after_id)s)",
            order="s.utility desc, s.item_id",
            keys=("-s.utility",),
            leader="learning_score s",
            leader_id="s.item_id",
            leader_where="s.model_version_id = %(model)s",
        ),
        Stretch(where=f"not ({_POOL} and {_SCORED})"),
    ),
    "-disagreement": (
        Stretch(
            where="q.pass_no = r.pass_no",
            after="(r.disagreement, r.item_id) < (%(after_0)s, %(after_id)s)",
            order="r.disagreement desc, r.item_id desc",
            keys=("-r.disagreement",),
            leader="reviewers_resolution r",
            leader_id="r.item_id",
            leader_where=f"r.project_id = %(project)s and {_WORST}",
            is_id_descending=True,
        ),
        Stretch(where=_UNRESOLVED),
    ),
}


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
    after: Position | None = None,
    limit: int = 30,
) -> tuple[list[dict[str, Any]], Position | None]:
    """One page of a project's items, and after which position the next page begins (None: this was the last).

    `order` is one of ORDERS, `state` one of STATES, `words` an external id's beginning or words of the text. Items of
    an unfinished import are left out. A walk by utility stays on the model with which it began.
    """
    stretches = _STRETCHES[order]
    model = after[1] if after else getattr(current_model(project), "pk", None)
    start = after[0] if after else 0
    key: list[Any] | None = after[2] if after else None
    found: list[tuple[int, list[Any]]] = []  # (stretch, its keys and the id)
    for number in range(start, len(stretches)):
        wanted = limit + 1 - len(found)
        found += [(number, k) for k in _find(project, stretches[number], state, words, model, key, wanted)]
        key = None
        if len(found) > limit:
            break
    page = found[:limit]
    following: Position | None = [page[-1][0], model, page[-1][1]] if len(found) > limit else None
    return show_items(project, [int(k[-1]) for _number, k in page], model), following


def _find(
    project: Project,
    stretch: Stretch,
    state: str | None,
    words: str | None,
    model: int | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[list[Any]]:
    """The sort keys and ids of the next rows of a stretch. Without a leader each kind of row has its own walk."""
    conditions = [
        "q.project_id = %(project)s",
        f"q.kind {'in (1, 4)' if stretch.leader else '= %(kind)s'}",
        _CURRENT,
        _VISIBLE,
        stretch.where,
    ]
    params: dict[str, Any] = {"project": project.pk, "model": model, "limit": limit}
    if state in LIFECYCLES:
        conditions.append("i.lifecycle = %(state)s")
        params["state"] = LIFECYCLES[state]
    elif state is not None:
        conditions.append("i.lifecycle = 0 and q.state = %(state)s")
        params["state"] = VOTES[state]
    if words is not None:
        conditions.append(f"(i.external_id like %(prefix)s or {_WORDS})")
        params["prefix"] = words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
        params["words"] = words
    leading = [stretch.leader_where] if stretch.leader else conditions
    if after is not None:
        leading.append(stretch.after)
        params["after_id"] = after[-1]
        params |= {f"after_{n}": value for n, value in enumerate(after[:-1])}
    tables = _JOINED
    if stretch.leader:
        conditions.append(f"i.id = {stretch.leader_id}")
        tables = (
            f"{stretch.leader} cross join lateral (select 1 from {_JOINED} where {' and '.join(conditions)} limit 1) x"  # noqa: S608
        )
    sql = (  # made of this module's own constants; values are parameters
        f"select {', '.join((*stretch.keys, stretch.leader_id))} from {tables}"  # noqa: S608
        f" where {' and '.join(leading)} order by {stretch.order} limit %(limit)s"
    )
    rows: list[list[Any]] = []
    with connection.cursor() as cursor:
        for kind in _KINDS[:1] if stretch.leader else _KINDS:
            cursor.execute(sql, {**params, "kind": kind})
            rows += [list(row) for row in cursor.fetchall()]
    sign = -1 if stretch.is_id_descending else 1
    rows.sort(key=lambda row: (*row[:-1], sign * row[-1]))
    # Descending keys were selected negated, so that one sort does for both; positions hold them as they are stored.
    descending = [key.startswith("-") for key in stretch.keys]
    return [[-v if d else v for v, d in zip(row[:-1], descending, strict=True)] + row[-1:] for row in rows[:limit]]


def show_items(project: Project, ids: Sequence[int], model: int | None) -> list[dict[str, Any]]:
    """Items by id, in the order given, as `GET items` shows them; ids of other projects are left out."""
    sql = f"""
        select q.item_id, i.external_id, i.lifecycle, q.state, -q.rank, q.pass_no,
          (select s.utility from learning_score s
             where s.model_version_id = %(model)s and s.item_id = i.id and {_POOL}),
          (select max(r.disagreement) from reviewers_resolution r where r.item_id = i.id and r.pass_no = q.pass_no),
          (select sum(n.n_submitted) from annotation_queuerow n where n.item_id = i.id and n.kind in (1, 4))
        from {_JOINED}
        where i.id = any(%(ids)s) and i.project_id = %(project)s and q.kind in (1, 4) and {_CURRENT}"""  # noqa: S608
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
