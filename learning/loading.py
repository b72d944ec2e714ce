"""Rows to arrays: accepted labels, the pool, the content of items, probabilities that were sent in.

Everything is read in short statements: nothing here holds a transaction open while a model is fitted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Item, Project
from learning.features.counting import Payload
from learning.models import ModelVersion
from learning.questions import classes_of, holds_several
from learning.snapshots.accepted import ACCEPTED, accepted_parameters
from reviewers.columns import ColumnType, read_columns

# The class that an accepted value (or a label) is of: a choice's id, or a rating.
CODE = "coalesce(a.choice, a.number::int)"

# The classes that an accepted set has, as the bits of a number: they are at most 60.
_HELD = """coalesce((select bit_or(1::int8 << (c.place - 1)::int) from unnest(%(classes)s::int[]) with ordinality
    c(code, place) where c.code = any(a.choices)), 0)"""

# An audit draw measures the world: its items teach nothing, whatever other draws they are in.
_AUDITED = """exists (select 1 from annotation_drawitem di join annotation_draw d on d.id = di.draw_id
    where di.item_id = {item} and d.stream = 'audit')"""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Items with an accepted label.

    Attributes
    ----------
    items : ndarray of int64, (n_items,)
        Ids, ascending.
    y : ndarray of int64, (n_items,)
        Codes: positions in `classes_of(question)`. Where several classes may hold, (n_items, n_classes): 1 for those
        that do, else 0.
    versions : ndarray of int64, (n_items,)
        Of the items' resolutions: with the ids they say what exactly was learned from.
    """

    items: NDArray[np.int64]
    y: NDArray[np.int64]
    versions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.items)

    def select(self, is_wanted: NDArray[np.bool_]) -> Labelled:
        """Those that are marked."""
        return Labelled(self.items[is_wanted], self.y[is_wanted], self.versions[is_wanted])


@dataclass(frozen=True, eq=False)
class Pool:
    """Items whose label is still wanted.

    Attributes
    ----------
    items : ndarray of int64, (n_items,)
        Ids, ascending.
    has_place : ndarray of bool, (n_items,)
        Whether somebody could still be given the item; the others wait for answers that are under way.
    """

    items: NDArray[np.int64]
    has_place: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.items)


def load_training(project: Project, question: Question) -> Labelled:
    """The accepted labels that a model may learn from: of the pool, and in no audit draw.

    Accepted as for a snapshot (agreed or adjudicated, newest pass, open item). A class that left the schema teaches
    nothing. Empty arrays where there is none.
    """
    return _load_accepted(project, question, Item.Split.POOL, f"not {_AUDITED.format(item='a.item_id')}")


def load_holdout(project: Project, question: Question) -> Labelled:
    """The accepted labels that judge a model and never train one."""
    return _load_accepted(project, question, Item.Split.HOLDOUT, "true")


def _load_accepted(project: Project, question: Question, split: Item.Split, condition: str) -> Labelled:
    classes, is_several = classes_of(question), holds_several(question)
    y = _HELD if is_several else f"array_position(%(classes)s::int[], {CODE}) - 1"
    is_one = "a.choices is not null" if is_several else f"{CODE} = any(%(classes)s::int[])"
    rows = read_columns(
        f"select a.item_id as item, {y} as y, a.version from ({ACCEPTED}) a"  # noqa: S608
        f" where {is_one} and {condition} order by a.item_id",
        {
            **accepted_parameters(project_id=project.pk, questions=[question["id"]], split=split.value),
            "classes": classes,
        },
        item="int8",
        y="int8",
        version="int8",
    )
    found = rows["y"]
    if is_several:
        found = found[:, np.newaxis] >> np.arange(len(classes)) & 1
    return Labelled(rows["item"], found, rows["version"])


def load_pool(project: Project) -> Pool:
    """The items that a batch may be chosen from: open, visible, of the pool's split, not settled, in no audit draw."""
    rows = read_columns(
        f"""
        select i.id as item, (o.queue_row_id is not null and q.kind = 1)::int as has_place from annotation_queuerow q
        left join annotation_offer o on o.queue_row_id = q.id
        join annotation_item i on i.id = q.item_id and i.lifecycle = 0 and i.split = 0
        join annotation_import m on m.id = i.imported_by_id and m.is_visible
        where q.project_id = %(project)s and q.kind in (1, 4) and q.state = 0 and not q.is_closed
          and not exists (select 1 from annotation_queuerow n
                          where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no)
          and not {_AUDITED.format(item="i.id")}
        order by i.id""",  # noqa: S608
        {"project": project.pk},
        item="int8",
        has_place="int8",
    )
    return Pool(rows["item"], rows["has_place"].astype(bool))


def load_listed(project: Project) -> NDArray[np.int64]:
    """The ids of all items whose content may be used, ascending: visible, and neither sealed nor erased."""
    rows = read_columns(
        """
        select i.id as item from annotation_item i
        join annotation_import m on m.id = i.imported_by_id and m.is_visible
        where i.project_id = %(project)s and i.lifecycle in (0, 1) order by i.id""",
        {"project": project.pk},
        item="int8",
    )
    return np.asarray(rows["item"], np.int64)


def load_named(project: Project, external_ids: Collection[str]) -> dict[str, int]:
    """The ids of items by their external ids, of those that may be scored: as in `load_listed`."""
    rows = _fetch(
        """
        select i.external_id, i.id from annotation_item i
        join annotation_import m on m.id = i.imported_by_id and m.is_visible
        where i.project_id = %(project)s and i.external_id = any(%(names)s) and i.lifecycle in (0, 1)""",
        {"project": project.pk, "names": list(external_ids)},
    )
    return dict(rows)


def load_payloads(items: NDArray[np.int64]) -> list[Payload]:
    """The parts of items as JSON, in the order of the ids; None for an item that was erased."""
    found: dict[int, bytes] = {}
    with (
        connection.cursor() as cursor,
        cursor.copy(
            # Django's cursor that logs statements takes no parameters here.
            cursor.mogrify(
                "copy (select item_id, parts::text from annotation_itempayload where item_id = any(%s::int8[]))"
                " to stdout (format binary)",
                [items.tolist()],
            )
        ) as copy,
    ):
        copy.set_types(["int8", "bytea"])  # a text as the bytes that it is
        found.update(copy.rows())
    return [found.get(item) for item in items.tolist()]


def load_sent_proba(model: ModelVersion, items: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The probabilities that were sent in for the items.

    Returns
    -------
    (ndarray of bool, (n_items,), ndarray of float64, (n_known, n_classes))
        Which of the items have any, and those, in the order of the items; columns as `model.classes`.
    """
    columns: dict[str, ColumnType] = {f"p{number}": "float8" for number in range(1, len(model.classes) + 1)}
    values = ", ".join(f"proba[{number}] as {name}" for number, name in enumerate(columns, start=1))
    rows = read_columns(
        f"select item_id as item, {values} from learning_score"  # noqa: S608
        " where model_version_id = %(model)s and proba is not null and item_id = any(%(items)s::bigint[])"
        " order by item_id",
        {"model": model.pk, "items": items.tolist()},
        item="int8",
        **columns,
    )
    known = np.isin(items, rows["item"])
    proba = np.column_stack([rows[column] for column in columns])
    return known, proba[np.searchsorted(rows["item"], items[known])]


def has_sent_proba(model: ModelVersion, items: NDArray[np.int64]) -> bool:
    """Whether probabilities were sent in for any of the items."""
    ((found,),) = _fetch(
        "select exists (select 1 from learning_score where model_version_id = %(model)s and proba is not null"
        " and item_id = any(%(items)s::bigint[]))",
        {"model": model.pk, "items": items.tolist()},
    )
    return bool(found)


def align_proba(
    proba: NDArray[Any], classes: Sequence[int], wanted: Sequence[int], *, is_several: bool = False
) -> NDArray[np.float64]:
    """Probabilities over `classes` as probabilities over `wanted`, the choices of today.

    A choice that left gives its share to the others, one that is new gets 0; a row that keeps nothing becomes uniform.
    Where several may hold (`is_several`) each choice keeps its own.
    """
    if list(classes) == list(wanted):
        return np.asarray(proba, np.float64)
    aligned = np.zeros((len(proba), len(wanted)))
    for column, choice in enumerate(wanted):
        if choice in classes:
            aligned[:, column] = proba[:, list(classes).index(choice)]
    if is_several:
        return aligned
    sums = aligned.sum(axis=1, keepdims=True)
    aligned[(sums == 0).ravel()] = 1 / len(wanted)
    return np.asarray(aligned / aligned.sum(axis=1, keepdims=True), np.float64)


def _fetch(sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
