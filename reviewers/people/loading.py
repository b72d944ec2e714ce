"""Rows to arrays, for figures about people: who gave which label when, how fast, and what it can be held against.

Only answers that count are loaded, as in `reviewers/loading.py`: those that a submitted seat points to now, of each
item's newest pass. Of a large project a sample is loaded: the items with the lowest ids, which are random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project, QueueLane

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Enough for an interval of three points on each of 300 people; more would be waited for.
MOST_LABELS = 200_000

# What stands for a value, by kind: two labels are equal where it is. Sets of choices are told apart by a hash.
_VALUES = {
    "choice": "{row}.choice::int8",
    "rating": "{row}.number::int8",
    "choices": "hashtextextended({row}.choices::text, 0)",
}
_GOLD = {
    "choice": "(i.gold -> %(name)s ->> 'choice')::int8",
    "rating": "(i.gold -> %(name)s ->> 'number')::float8::int8",
    "choices": "hashtextextended(translate(i.gold -> %(name)s ->> 'choices', '[] ', '{}'), 0)",
}
MEASURED_KINDS = frozenset(_VALUES)
AGREED, DECIDED = 1, 3


@dataclass(frozen=True, eq=False)
class PeopleRows:
    """The labels of one question, one entry a label, in no order: (n_labels,) each; and what they are held against.

    `value` is 0 throughout where answers of the kind are not compared. `at` is in seconds since 1970, `seconds` nan
    where nothing was measured. `decided` and `gold` are item ids with values; `own_decisions` item ids with the ids of
    the reviewers who decided what they had labelled. `is_sample`: there are more labels than these.
    """

    item: IntArray
    person: IntArray
    value: IntArray
    at: FloatArray
    seconds: FloatArray
    agreed_items: IntArray
    decided: tuple[IntArray, IntArray]
    gold: tuple[IntArray, IntArray]
    own_decisions: tuple[IntArray, IntArray]
    is_sample: bool


def load_people(project: Project, question: Question, most: int = MOST_LABELS) -> PeopleRows:
    """Load the labels of a question, of about `most` at most, and what is accepted and known of their items."""
    params: dict[str, Any] = {"project": project.pk, "question": question["id"], "name": str(question["id"])}
    params["relabel"] = int(QueueLane.Kind.RELABEL)
    kind = question["kind"]
    value = _VALUES.get(kind, "0::int8")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local work_mem = '64MB'")  # so that a large join stays in memory
        params["bound"] = bound = _find_bound(params, most)
        parts = _PASSES if _is_relabelled(params) else _ONE_PASS
        labels = _copy(_LABELS.format(value=value.format(row="l"), **parts), params, 5)
        times = _copy(_SECONDS, params, 2)
        resolved = _copy(_RESOLVED.format(value=value.format(row="r"), **parts), params, 3)
        gold = _copy(_KNOWN.format(value=_GOLD[kind]), params, 2) if kind in _GOLD else resolved[:0, :2]
        own = _copy(_OWN, params, 2)
    state = resolved[:, 1]
    is_decided = state == DECIDED
    return PeopleRows(
        item=labels[:, 0],
        person=labels[:, 1],
        value=labels[:, 2],
        at=labels[:, 3].view(np.float64),
        seconds=_look_up(labels[:, 4], times),
        agreed_items=resolved[state == AGREED, 0],
        decided=(resolved[is_decided, 0], resolved[is_decided, 2]),
        gold=(gold[:, 0], gold[:, 1]),
        own_decisions=(own[:, 0], own[:, 1]),
        is_sample=bound is not None,
    )


def _look_up(annotation: IntArray, times: IntArray) -> FloatArray:
    """The seconds of each annotation, from rows of id and seconds; nan for those without a row."""
    found = np.full(len(annotation), np.nan)
    if len(times):
        order = np.argsort(times[:, 0], kind="stable")
        ids = times[order, 0]
        place = np.minimum(np.searchsorted(ids, annotation), len(ids) - 1)
        has = ids[place] == annotation
        found[has] = times[order, 1].view(np.float64)[place[has]]
    return found


def _is_relabelled(params: dict[str, Any]) -> bool:
    """Whether any item of the project was opened for a further pass."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select 1 from annotation_queuerow where project_id = %(project)s and kind = %(relabel)s)",
            params,
        )
        return bool(cursor.fetchone()[0])


def _find_bound(params: dict[str, Any], most: int) -> int | None:
    """The item id up to which there are `most` labels; None where there are no more than that in all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select item_id from annotation_label where project_id = %(project)s and question = %(question)s"
            " order by item_id offset %(most)s limit 1",
            params | {"most": most},
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


# Which labels and resolutions are of an item's newest pass; nothing has to be asked where there is one pass alone.
_ONE_PASS = {"label_passes": "", "label_is_newest": "true", "resolution_passes": "", "resolution_is_newest": "true"}
_NEWEST = """left join (select item_id, max(pass_no) as pass_no from annotation_queuerow
      where project_id = %(project)s and kind = %(relabel)s group by item_id) newest
    on newest.item_id = {row}.item_id"""
_PASSES = {
    "label_passes": "left join annotation_queuerow q on q.id = s.queue_row_id and s.kind = %(relabel)s "
    + _NEWEST.format(row="l"),
    "label_is_newest": "coalesce(newest.pass_no, 1) = coalesce(q.pass_no, 1)",
    "resolution_passes": _NEWEST.format(row="r"),
    "resolution_is_newest": "coalesce(newest.pass_no, 1) = r.pass_no",
}
_LABELS = """
    select l.item_id::int8, l.person_id::int8, {value},
      extract(epoch from coalesce(s.ended_at, s.leased_at))::float8, l.annotation_id::int8
    from annotation_label l
    join annotation_seat s on s.annotation_id = l.annotation_id and s.state = 2
    {label_passes}
    where l.project_id = %(project)s and l.question = %(question)s
      and (%(bound)s::int8 is null or l.item_id < %(bound)s::int8) and {label_is_newest}
"""
_SECONDS = """
    select a.id::int8, a.seconds from annotation_annotation a
    where a.project_id = %(project)s and a.seconds is not null
      and (%(bound)s::int8 is null or a.item_id < %(bound)s::int8)
"""
_RESOLVED = """
    select r.item_id::int8, r.state::int8, {value}
    from reviewers_resolution r
    {resolution_passes}
    where r.project_id = %(project)s and r.question = %(question)s and r.state in (1, 3) and {value} is not null
      and (%(bound)s::int8 is null or r.item_id < %(bound)s::int8) and {resolution_is_newest}
"""
_KNOWN = """
    select i.id::int8, {value} from annotation_item i
    where i.project_id = %(project)s and i.gold is not null and {value} is not null
      and (%(bound)s::int8 is null or i.id < %(bound)s::int8)
"""
_OWN = """
    select item_id::int8, reviewer_id::int8 from reviewers_adjudication
    where project_id = %(project)s and is_own_work
"""
# COPY's own header and a count of fields; then each field after its length: an array's header and its elements.
_FIELDS_BEGIN, _ARRAY_HEADER = 19 + 2, 20
_ELEMENT = np.dtype([("size", ">i4"), ("value", ">i8")])


def _copy(sql: str, params: dict[str, Any], n_columns: int) -> IntArray:
    """The rows of a query whose columns are all eight bytes and never null, (n_rows, n_columns).

    They come as one row of arrays: hundreds of thousands of rows would each be a message to take apart. A float8 column
    holds the same bits: `.view(np.float64)` reads it.
    """
    names = [f"c{n}" for n in range(n_columns)]
    arrays = ", ".join(f"array_agg({name})" for name in names)
    whole = f"copy (select {arrays} from ({sql}) x ({', '.join(names)})) to stdout (format binary)"  # noqa: S608
    with connection.cursor() as cursor, cursor.copy(whole, params) as copy:
        data = b"".join(bytes(block) for block in copy)
    columns: list[IntArray] = []
    place = _FIELDS_BEGIN
    for _name in names:
        size = int.from_bytes(data[place : place + 4], "big", signed=True)  # -1: null, as there was no row
        place += 4
        n_rows = max(0, size - _ARRAY_HEADER) // _ELEMENT.itemsize
        found = np.frombuffer(data, _ELEMENT, count=n_rows, offset=place + _ARRAY_HEADER if n_rows else 0)
        columns.append(found["value"].astype(np.int64))
        place += max(0, size)
    return np.stack(columns).T
