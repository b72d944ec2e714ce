"""Rows to arrays, for figures about people: who gave which label when, how fast, and what it can be held against.

Of a large project a sample is loaded: the items with the lowest ids, which are random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from reviewers.columns import Columns, ColumnType, read_columns
from reviewers.standing import END, LEAST, Standing, of_items

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Enough for an interval of three points on each of 300 people; more would be waited for.
MOST_LABELS = 200_000

# What stands for a value, by kind: two labels are equal where it is. Sets of choices are told apart by a hash.
_VALUES = {
    "choice": "{row}.choice",
    "rating": "{row}.number",
    "choices": "hashtextextended({row}.choices::text, 0)",
}
_GOLD = {
    "choice": "(i.gold -> %(name)s ->> 'choice')",
    "rating": "(i.gold -> %(name)s ->> 'number')::float8",
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
    kind = question["kind"]
    value = _VALUES.get(kind, "0")
    params: dict[str, Any] = {"project": project.pk, "question": question["id"], "name": str(question["id"])}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local work_mem = '64MB'")  # so that a large join stays in memory
        end = _find_end(params, most)
        params |= {"first": LEAST, "end": end}
        standing = Standing.of(project, is_part=end != END)

        beside, newest = standing.beside("a"), standing.newest("r")

        def read(sql: str, said: str = "", /, **columns: ColumnType) -> Columns:
            whole = sql.format(value=said, standing=standing, beside=beside, newest=newest)
            return read_columns(whole, params, **columns)

        labels = read(_LABELS, value.format(row="l"), item="int8", person="int8", value="int8", annotation="int8")
        times = read(_TIMES, annotation="int8", at="float8", seconds="float8")
        resolved = read(_RESOLVED, value.format(row="r"), item="int8", state="int8", value="int8")
        gold = read(_KNOWN, _GOLD.get(kind, "null"), item="int8", value="int8")
        own = read(_OWN, item="int8", person="int8")
    order = np.argsort(times["annotation"])
    place = order[np.searchsorted(times["annotation"], labels["annotation"], sorter=order)]
    is_decided = resolved["state"] == DECIDED
    return PeopleRows(
        item=labels["item"],
        person=labels["person"],
        value=labels["value"],
        at=times["at"][place],
        seconds=times["seconds"][place],
        agreed_items=resolved["item"][resolved["state"] == AGREED],
        decided=(resolved["item"][is_decided], resolved["value"][is_decided]),
        gold=(gold["item"], gold["value"]),
        own_decisions=(own["item"], own["person"]),
        is_sample=end != END,
    )


def _find_end(params: dict[str, Any], most: int) -> int:
    """The item id before which there are `most` labels; END where there are no more than that in all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select item_id from annotation_label where project_id = %(project)s and question = %(question)s"
            " order by item_id offset %(most)s limit 1",
            params | {"most": most},
        )
        row = cursor.fetchone()
    return END if row is None else int(row[0])


_OF_LABELS = f"l.project_id = %(project)s and l.question = %(question)s and {of_items('l.item_id')}"
# Two statements, because of three joins of what lies in so many items PostgreSQL expects a few rows to be left.
_LABELS = f"""
    select l.item_id as item, l.person_id as person, {{value}} as value, l.annotation_id as annotation
    from annotation_label l
    {{standing.seats}}
    where {_OF_LABELS} and {{standing.is_newest}}
"""  # noqa: S608  (our own names)
_TIMES = f"""
    select a.id as annotation, extract(epoch from a.created_at) as at, coalesce(a.seconds, 'nan') as seconds
    from annotation_label l
    join annotation_annotation a on a.id = l.annotation_id and {{beside}}
    where {_OF_LABELS}
"""  # noqa: S608
_RESOLVED = f"""
    select r.item_id as item, r.state, {{value}} as value
    from reviewers_resolution r
    {{newest}}
    where r.project_id = %(project)s and r.question = %(question)s and r.state in (1, 3) and {{value}} is not null
      and {of_items("r.item_id")} and r.pass_no = {{standing.newest_pass}}
"""  # noqa: S608
_KNOWN = f"""
    select i.id as item, {{value}} as value from annotation_item i
    where i.project_id = %(project)s and i.gold is not null and {{value}} is not null and {of_items("i.id")}
"""  # noqa: S608
_OWN = """
    select item_id as item, reviewer_id as person from reviewers_adjudication
    where project_id = %(project)s and is_own_work
"""
