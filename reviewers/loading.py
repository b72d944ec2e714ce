"""Rows to arrays: the labels of one question, as integers, straight out of the database.

Only answers that count are loaded: those that a submitted seat points to now (not superseded, not taken back), of each
item's newest pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Item, Label, Project, QueueLane, User
from reviewers.algorithms.agreement import LabelTable

Stratifier = Literal["split", "language", "guideline", "source"]
STRATIFIERS: tuple[Stratifier, ...] = ("split", "language", "guideline", "source")
_SOURCES = ["human", "imported", "simulated", "model"]

# One binary COPY row: a count of fields, then each field after its length. All columns are int8 (the value of a number
# is float8) and never null.
_FIELDS = ("item", "person", "value", "stratum")


def _row_type(value: str) -> np.dtype[Any]:
    formats = {"value": value}
    fields = ((part, fmt) for f in _FIELDS for part, fmt in ((f"{f}_size", ">i4"), (f, formats.get(f, ">i8"))))
    return np.dtype([("n", ">i2"), *fields])


_ROW, _NUMBER_ROW = _row_type(">i8"), _row_type(">f8")
_HEADER, _TRAILER = 19, 2


def load_labels(
    project: Project, question: Question, *, by: Stratifier | None = None, include_simulated: bool = True
) -> Iterator[tuple[str | None, LabelTable]]:
    """Yield the labels of a question as one table, or one table per stratum.

    Parameters
    ----------
    project, question
        A project and a compiled question of it.
    by : {"split", "language", "guideline", "source"}, optional
        Strata: the item's split or language; the guideline version or the source of the single label, so that an item
        labelled under two versions has part of its labels in each.
    include_simulated : bool
        Without it, the labels of simulated persons are left out: they never enter a person's figures.

    Yields
    ------
    (str or None, LabelTable)
        The stratum's name ("" where an item has no language, "0" for labels given without a guideline) and its labels,
        in the order of the names; without `by` one table under None. Values are: position among the question's leaves
        for `choice` (choices that left the schema come after them), number minus the least for `rating`, one code per
        distinct set for `choices`. Without labels: an empty table, or no strata at all.
    """
    names = _strata(project, question, by)
    rows = _fetch(project, question, by, names, include_simulated)
    values, n_values = _recode(question, rows["value"])
    if by is None:
        yield None, LabelTable.from_codes(rows["item"], rows["person"], values, n_values)
        return
    for code in sorted(set(np.unique(rows["stratum"]).tolist()), key=lambda code: _name(by, names, code)):
        chosen = rows["stratum"] == code
        table = LabelTable.from_codes(rows["item"][chosen], rows["person"][chosen], values[chosen], n_values)
        yield _name(by, names, code), table


@dataclass(frozen=True, eq=False)
class NumberTable:
    """Labels of one `number` question, one entry a label, at most one per annotator and item: (n_labels,) each."""

    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    number: NDArray[np.float64]


def load_numbers(
    project: Project, question: Question, *, by: Stratifier | None = None, include_simulated: bool = True
) -> Iterator[tuple[str | None, NumberTable]]:
    """Yield the labels of a question of kind `number`: parameters, strata and their order as in `load_labels`."""
    names = _strata(project, question, by)
    rows = _fetch(project, question, by, names, include_simulated)
    if by is None:
        yield None, _number_table(rows)
        return
    for code in sorted(set(np.unique(rows["stratum"]).tolist()), key=lambda code: _name(by, names, code)):
        yield _name(by, names, code), _number_table(rows[rows["stratum"] == code])


def _number_table(rows: NDArray[Any]) -> NumberTable:
    return NumberTable(*(rows[name].astype(fmt) for name, fmt in (("item", "i8"), ("person", "i8"), ("value", "f8"))))


def load_stored(project: Project, question: Question) -> NDArray[Any]:
    """The labels of a question of kind `choice` or `rating` as they are stored, one entry a label, in no order.

    A structured array with `item`, `person` and `value` (a choice's id, or the rating). Simulated persons' labels too.
    """
    return _fetch(project, question, None, [], True)


def count_simulated_persons(project: Project, question: Question) -> int:
    """How many simulated persons have labelled the question."""
    simulated = User.objects.filter(kind=User.Kind.SIMULATED)
    labels = Label.objects.filter(project=project, question=question["id"], person__in=simulated)
    return labels.values("person").distinct().count()


def least_value(question: Question) -> int:
    """The number that code 0 of a rating stands for."""
    return int(question["min"])


def _strata(project: Project, question: Question, by: Stratifier | None) -> list[str]:
    """The names behind the codes, where they are not the codes themselves."""
    if by == "source":
        return _SOURCES
    if by == "language":
        known = Item.objects.filter(project=project).values_list("metadata__language", flat=True).distinct()
        return sorted({language for language in known if isinstance(language, str)})
    return []


def _name(by: Stratifier, names: list[str], code: int) -> str:
    if by == "split":
        return Item.Split(code).name.lower()
    if by == "guideline":
        return str(code)
    return names[code - 1] if code else ""


_VALUE = {
    "choice": "l.choice",
    "rating": "l.number",
    "choices": "dense_rank() over (order by l.choices)",
    "number": "l.number",
}
_STRATUM = {
    None: "0",
    "split": "i.split",
    "language": "coalesce(array_position(%(names)s::text[], i.metadata ->> 'language'), 0)",
    "guideline": "coalesce(g.version, 0)",
    "source": "array_position(%(names)s::text[], a.source::text)",
}
_JOIN = {
    None: "",
    "split": "join annotation_item i on i.id = l.item_id",
    "language": "join annotation_item i on i.id = l.item_id",
    "guideline": """join annotation_annotation a on a.id = l.annotation_id
          left join annotation_guideline g on g.id = a.guideline_id""",
    "source": "join annotation_annotation a on a.id = l.annotation_id",
}


def _fetch(
    project: Project, question: Question, by: Stratifier | None, names: list[str], include_simulated: bool
) -> NDArray[Any]:
    """The rows as one structured array. Labels of pass 1 have seats of kind `label`, later ones of kind `relabel`."""
    conditions = ""
    is_number = question["kind"] == "number"
    value, row = ("float8", _NUMBER_ROW) if is_number else ("int8", _ROW)
    if not include_simulated:
        conditions = " and l.person_id not in (select u.id from annotation_user u where u.kind = 'simulated')"
    sql = f"""
        copy (
          select l.item_id::int8, l.person_id::int8, ({_VALUE[question["kind"]]})::{value}, ({_STRATUM[by]})::int8
          from annotation_label l
          join annotation_seat s on s.annotation_id = l.annotation_id and s.state = 2
          left join annotation_queuerow q on q.id = s.queue_row_id and s.kind = {QueueLane.Kind.RELABEL.value}
          left join (select item_id, max(pass_no) as pass_no from annotation_queuerow
                     where project_id = %(project)s and kind = {QueueLane.Kind.RELABEL.value} group by item_id) newest
            on newest.item_id = l.item_id
          {_JOIN[by]}
          where l.project_id = %(project)s and l.question = %(question)s
            and coalesce(newest.pass_no, 1) = coalesce(q.pass_no, 1){conditions}
        ) to stdout (format binary)
    """  # noqa: S608  (only constants of this module are put in)
    params = {"project": project.pk, "question": question["id"], "names": names}
    with connection.cursor() as cursor, cursor.copy(sql, params) as copy:
        data = b"".join(bytes(block) for block in copy)
    n_rows = (len(data) - _HEADER - _TRAILER) // row.itemsize
    return np.frombuffer(data, row, count=n_rows, offset=_HEADER)


def _recode(question: Question, stored: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Stored values -> codes from 0, and how many codes there are."""
    values = stored.astype(np.int64)
    if question["kind"] == "choice":
        leaves = list(question["leaf_ids"])
        known = np.array(leaves + sorted(set(np.unique(values).tolist()) - set(leaves)), np.int64)
        order = np.argsort(known)
        return order[np.searchsorted(known, values, sorter=order)].astype(np.int64), len(known)
    if question["kind"] == "rating":
        return values - least_value(question), int(question["max"] - question["min"]) + 1
    return values - 1, int(values.max(initial=1))
