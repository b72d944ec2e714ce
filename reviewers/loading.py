"""Rows to arrays: the labels of one question that count, as integers, straight out of the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Item, Label, Member, Project, User
from reviewers.agreement.vote_counts import Value, list_values
from reviewers.algorithms.agreement import LabelTable
from reviewers.columns import Columns, ColumnType, read_columns
from reviewers.standing import END, LEAST, Standing, of_items

STRATIFIERS = ("split", "language", "guideline", "source", "team", "week")
ITEM_STRATIFIERS = ("split", "language")  # and metadata: the same for all labels of an item, whenever they came
METADATA = "metadata:"  # and any key of the items' metadata
MOST_NAMES = 100  # values of a key that make strata of their own: those that most items have
_SOURCES = ["human", "imported", "simulated", "model"]
_WEEK = 7 * 24 * 3600
_MONDAY = datetime(1969, 12, 29, tzinfo=UTC)  # of the week of 1970-01-01, which is number 0 below
_TOO_MANY = -1
_ITEMS_AT_ONCE = 50_000
# Votes come as they were counted, a row an item: in about a second. In ranges of random ids each would read all pages.
_COUNTED_AT_ONCE = 1_000_000


def is_stratifier(by: str) -> bool:
    """Whether labels can be told apart in this way: one of STRATIFIERS, or `metadata:` and a key."""
    return by in STRATIFIERS or (by.startswith(METADATA) and len(by) > len(METADATA))


def is_of_items(by: str) -> bool:
    """Whether all labels of an item are in one stratum by what the item is."""
    return by in ITEM_STRATIFIERS or by.startswith(METADATA)


def load_labels(
    project: Project, question: Question, *, by: str | None = None, include_simulated: bool = True
) -> Iterator[tuple[str | None, LabelTable]]:
    """Yield the labels of a question as one table, or one table per stratum.

    Parameters
    ----------
    project, question
        A project and a compiled question of it.
    by : {"split", "language", "guideline", "source", "team", "week", "metadata:KEY"}, optional
        Strata: the item's split, its language or the value of any other key of its metadata (the 100 most frequent
        values); the week in which the item got its last label; the guideline version or the source of the single
        label, or its annotator's team, so that an item labelled under two versions has part of its labels in each.
    include_simulated : bool
        Without it, the labels of simulated persons are left out: they never enter a person's figures.

    Yields
    ------
    (str or None, LabelTable)
        The stratum's name ("" where an item has no such key or a person no team, "0" for labels given without a
        guideline, "2026-W47" for a week) and its labels, in the order of the names; without `by` one table under None.
        Values are codes of what `Labels.values` lists. Without labels: an empty table, or no strata at all.
    """
    labels = load_coded(project, question, by=by, include_simulated=include_simulated)
    if by is None:
        yield None, labels.table()
        return
    for name in labels.names:
        yield name, labels.table(name)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one question, one entry a label, (n_labels,) each; `values` says what a code stands for.

    `stratum` is the name of each label's stratum; `names` lists them in order (empty where there are none).
    """

    item: NDArray[np.int64]
    person: NDArray[np.int64]
    code: NDArray[np.int64]
    values: tuple[Value, ...]
    stratum: NDArray[np.int64]
    name_codes: dict[str, int]

    @property
    def names(self) -> list[str]:
        """The names of the strata, in order."""
        return list(self.name_codes)

    def table(self, name: str | None = None) -> LabelTable:
        """All labels, or those of one stratum."""
        chosen = slice(None) if name is None else self.stratum == self.name_codes[name]
        return LabelTable.from_codes(self.item[chosen], self.person[chosen], self.code[chosen], len(self.values))


def load_coded(
    project: Project, question: Question, *, by: str | None = None, include_simulated: bool = True
) -> Labels:
    """The labels of a question that is a choice, choices or a rating, as `load_labels` takes them apart."""
    names = _strata(project, by)
    sets = _distinct_sets(project, question) if question["kind"] == "choices" else []
    rows = _fetch(project, question, by, names, include_simulated, sets)
    if question["kind"] == "choices":
        is_known = rows["value"] > 0  # a set that came while this was read waits for the next look
        rows = {name: column[is_known] for name, column in rows.items()}
    stored, code = np.unique(rows["value"], return_inverse=True)
    seen = [sets[value - 1] if sets else value for value in stored.tolist()]
    values = list_values(question, set(seen))
    place = {value: number for number, value in enumerate(values)}
    codes = np.array([place[value] for value in seen], np.int64)[code.ravel()]
    stratum = _last_of_item(rows["item"], rows["stratum"]) if by == "week" else rows["stratum"]
    return Labels(rows["item"], rows["person"], codes, values, stratum, _named(by, names, stratum))


def _named(by: str | None, names: list[str], stratum: NDArray[np.int64]) -> dict[str, int]:
    if by is None:
        return {}
    return dict(sorted((_name(by, names, code), code) for code in np.unique(stratum).tolist() if code != _TOO_MANY))


def _last_of_item(item: NDArray[np.int64], week: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each label's item's last week: an item belongs to one, or nobody's labels would meet."""
    _, code = np.unique(item, return_inverse=True)
    last = np.full(int(code.max(initial=-1)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(last, code.ravel(), week)
    return last[code.ravel()]


@dataclass(frozen=True, eq=False)
class NumberTable:
    """Labels of one `number` question, one entry a label, at most one per annotator and item: (n_labels,) each."""

    item: NDArray[np.int64]
    annotator: NDArray[np.int64]
    number: NDArray[np.float64]


def load_numbers(
    project: Project, question: Question, *, by: str | None = None, include_simulated: bool = True
) -> Iterator[tuple[str | None, NumberTable]]:
    """Yield the labels of a question of kind `number`: parameters, strata and their order as in `load_labels`."""
    names = _strata(project, by)
    rows = _fetch(project, question, by, names, include_simulated)
    table = NumberTable(rows["item"], rows["person"], rows["value"])
    if by is None:
        yield None, table
        return
    stratum = _last_of_item(rows["item"], rows["stratum"]) if by == "week" else rows["stratum"]
    for name, code in _named(by, names, stratum).items():
        chosen = stratum == code
        yield name, NumberTable(table.item[chosen], table.annotator[chosen], table.number[chosen])


@dataclass(frozen=True, eq=False)
class CountedVotes:
    """The votes of one stratum as the histogram's items hold them: vectors as they are spelt, and on how many items.

    `persons`: who has a label on an item with two or more.
    """

    n_items: Counter[str]
    persons: set[int]


def load_counted(
    project: Project, question: Question, by: str, progress: Callable[[int], object]
) -> dict[str, CountedVotes]:
    """The votes of a question of a counted kind, by what sets its items apart: one of ITEM_STRATIFIERS or `metadata:`.

    From the votes that were counted from events (`AgreementItem`), so that no label is looked at: as of a second ago.
    Strata and their order as in `load_labels`. `progress` is told how many items were looked at.
    """
    names, key = _strata(project, by), _key_of(by)
    stratum, join = _STRATUM["metadata" if key else by]
    sql = f"""
        with x as materialized (
          select ({stratum})::int8 as stratum, l.votes, l.persons, count(*) as n from reviewers_agreementitem l
          {join.format(items=of_items("i.id"))}
          where l.project_id = %(project)s and l.question = %(question)s
            and {of_items("l.item_id")} group by 1, 2, 3)
        select x.stratum, x.votes, sum(x.n)::int8, null::bigint[] from x group by 1, 2
        union all
        select x.stratum, null, 0, array_agg(distinct p.id) from x cross join unnest(x.persons) p(id)
        where cardinality(x.persons) > 1 group by 1
    """  # noqa: S608  (only constants of this module are put in)
    params = {"project": project.pk, "question": question["id"], "names": names, "key": key}
    n_items: defaultdict[int, Counter[str]] = defaultdict(Counter)
    persons: defaultdict[int, set[int]] = defaultdict(set)
    for number, (first, end) in enumerate(_ranges(project, _COUNTED_AT_ONCE), start=1):
        with connection.cursor() as cursor:
            cursor.execute(sql, {**params, "first": first, "end": end})
            for code, votes, n, who in cursor.fetchall():
                if votes is None:
                    persons[code].update(who)
                else:
                    n_items[code][votes] += n
        progress(number * _COUNTED_AT_ONCE)
    codes = _named(by, names, np.array(list(n_items), np.int64))
    return {name: CountedVotes(n_items[code], persons[code]) for name, code in codes.items()}


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers that are marks or rankings, on items that two people answered, by item and then by person.

    Arrays of one entry an answer; `data` is JSON as it is stored. `stratum` and `name_codes` as in `Labels`; `n_items`:
    of how many items those here were drawn by chance, themselves among them.
    """

    item: NDArray[np.int64]
    person: NDArray[np.int64]
    stratum: NDArray[np.int64]
    data: list[str]
    name_codes: dict[str, int]
    n_items: int


def load_answers(project: Project, question: Question, *, most: int, by: str | None = None) -> Answers:
    """The answers to a question of a kind without few values, on at most so many items: the same ones at each call.

    `by` as in `load_labels`.
    """
    names, key = _strata(project, by), _key_of(by) if by else ""
    stratum, join = _STRATUM["metadata" if key else by]
    standing = Standing.of(project, is_part=False)
    labels = f"""
        where l.project_id = %(project)s and l.question = %(question)s and l.data is not null and {standing.is_newest}
    """
    drawn = f"""
        select l.item_id, count(*) over () from annotation_label l {standing.seats} {labels}
        group by 1 having count(*) > 1 order by hashtextextended(l.item_id::text, 1), 1 limit %(most)s
    """  # noqa: S608  (only constants of this app are put in)
    told = f"""
        select l.item_id, l.person_id, ({stratum})::int8, l.data::text
        from annotation_label l {standing.seats} {_beside(join, standing)} {labels} and l.item_id = any(%(items)s)
        order by 1, 2
    """  # noqa: S608  (only constants of this app are put in)
    params = {"project": project.pk, "question": question["id"], "most": most, "names": names, "key": key}
    with connection.cursor() as cursor:
        cursor.execute(drawn, params)
        chosen = cursor.fetchall()
        ids = [item for item, _n in chosen]
        cursor.execute(told, {**params, "items": ids, "first": LEAST, "end": END})
        rows = cursor.fetchall()
    item, person, code = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    code = _last_of_item(item, code) if by == "week" else code
    return Answers(item, person, code, [row[3] for row in rows], _named(by, names, code), chosen[0][1] if chosen else 0)


def load_stored(project: Project, question: Question) -> Columns:
    """The labels of a question of kind `choice` or `rating` as they are stored, one entry a label, in no order.

    Arrays `item`, `person` and `value` (a choice's id, or the rating). Simulated persons' labels too.
    """
    return _fetch(project, question, None, [], True)


def count_simulated_persons(project: Project, question: Question) -> int:
    """How many simulated persons have labelled the question."""
    simulated = User.objects.filter(kind=User.Kind.SIMULATED)
    labels = Label.objects.filter(project=project, question=question["id"], person__in=simulated)
    return labels.values("person").distinct().count()


def _strata(project: Project, by: str | None) -> list[str]:
    """The names behind the codes, where they are not the codes themselves."""
    if by == "source":
        return _SOURCES
    if by == "team":
        teams = Member.objects.filter(project=project).exclude(team="").values_list("team", flat=True)
        return sorted(set(teams))
    if by is not None and (key := _key_of(by)):
        with connection.cursor() as cursor:
            cursor.execute(
                """
                select i.metadata ->> %(key)s as value from annotation_item i
                where i.project_id = %(project)s
                  and jsonb_typeof(i.metadata -> %(key)s) in ('string', 'number', 'boolean')
                group by 1 order by count(*) desc, 1 limit %(most)s
                """,
                {"project": project.pk, "key": key, "most": MOST_NAMES},
            )
            return sorted(row[0] for row in cursor.fetchall())
    return []


def _key_of(by: str) -> str:
    """The key of the items' metadata that makes the strata; "" where something else does."""
    return "language" if by == "language" else by[len(METADATA) :] if by.startswith(METADATA) else ""


def _distinct_sets(project: Project, question: Question) -> list[tuple[int, ...]]:
    """Every set of choices that anybody ever ticked."""
    labels = Label.objects.filter(project=project, question=question["id"], choices__isnull=False)
    return sorted({tuple(choices or ()) for choices in labels.values_list("choices", flat=True).distinct()})


def _name(by: str, names: list[str], code: int) -> str:
    if by == "split":
        return Item.Split(code).name.lower()
    if by == "guideline":
        return str(code)
    if by == "week":
        year, week, _day = (_MONDAY + timedelta(weeks=code)).isocalendar()
        return f"{year}-W{week:02}"
    return names[code - 1] if code else ""


_VALUE = {
    "choice": "l.choice",
    "rating": "l.number",
    "choices": "coalesce(sets.code, 0)",
    "number": "l.number",
}
_NAMED = "left join unnest(%(names)s::text[]) with ordinality as named(name, code) on named.name"
# The range of items once more: the planner does not conclude it from the join, and would read the whole table.
_ITEM = "join annotation_item i on i.id = l.item_id and {items}"
_STRATUM = {
    None: ("0", ""),
    "split": ("i.split", _ITEM),
    "metadata": (
        # -1: one of the values that are too many for strata of their own
        """case when named.code is not null then named.code
          when jsonb_typeof(i.metadata -> %(key)s) in ('string', 'number', 'boolean') then -1 else 0 end""",
        f"{_ITEM} {_NAMED} = i.metadata ->> %(key)s",
    ),
    "guideline": (
        "coalesce(g.version, 0)",
        """join annotation_annotation a on a.id = l.annotation_id and {beside}
          left join annotation_guideline g on g.id = a.guideline_id""",
    ),
    "source": (
        "named.code",
        f"join annotation_annotation a on a.id = l.annotation_id and {{beside}} {_NAMED} = a.source",
    ),
    "team": (
        "coalesce(named.code, 0)",
        f"left join annotation_member m on m.project_id = l.project_id and m.user_id = l.person_id {_NAMED} = m.team",
    ),
    "week": (
        f"floor((extract(epoch from a.created_at) - {int(_MONDAY.timestamp())}) / {_WEEK})",
        "join annotation_annotation a on a.id = l.annotation_id and {beside}",
    ),
}


def _fetch(
    project: Project,
    question: Question,
    by: str | None,
    names: list[str],
    include_simulated: bool,
    sets: Sequence[tuple[int, ...]] = (),
) -> Columns:
    """One array a column, one entry a label.

    So many items a statement: a long one would hold back vacuum and the readers of events. An item's labels are all of
    one moment.
    """
    ranges = list(_ranges(project))
    standing = Standing.of(project, is_part=len(ranges) > 1)
    conditions = ""
    key = _key_of(by) if by else ""
    stratum, join = _STRATUM["metadata" if key else by]
    if question["kind"] == "choices":
        join += """ left join unnest(%(sets)s::text[]) with ordinality as sets(name, code)
            on sets.name = array_to_string(l.choices, ',')"""
    if not include_simulated:
        conditions = " and l.person_id not in (select u.id from annotation_user u where u.kind = 'simulated')"
    sql = f"""
        select l.item_id as item, l.person_id as person, {_VALUE[question["kind"]]} as value, {stratum} as stratum
        from annotation_label l
        {standing.seats}
        {_beside(join, standing)}
        where l.project_id = %(project)s and l.question = %(question)s and {of_items("l.item_id")}
          and {standing.is_newest}{conditions}
    """  # noqa: S608  (only constants of this module are put in)
    spelt = [",".join(map(str, choices)) for choices in sets]
    params = {"project": project.pk, "question": question["id"], "names": names, "key": key, "sets": spelt}
    value: ColumnType = "float8" if question["kind"] == "number" else "int8"
    parts = [
        read_columns(
            sql, {**params, "first": first, "end": end}, item="int8", person="int8", value=value, stratum="int8"
        )
        for first, end in ranges
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _beside(join: str, standing: Standing) -> str:
    """A join of _STRATUM for a statement of some items."""
    return join.format(beside=standing.beside("a"), items=of_items("i.id"))


def _ranges(project: Project, n: int = _ITEMS_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Ranges of so many items each, without a gap: the first id, and the one behind the last."""
    ids = Item.objects.filter(project=project).order_by("pk").values_list("pk", flat=True)
    first = LEAST
    while (end := ids.filter(pk__gte=first)[n : n + 1].first()) is not None:
        yield first, end
        first = end
    yield first, END
