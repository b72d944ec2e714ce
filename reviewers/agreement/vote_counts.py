"""The votes on a question, counted: from the histogram beside the labels, or now where that takes no time.

The histogram (`AgreementCount`) is folded from events, about a second behind, and read at once at any size. Where it is
behind and a project is small, the votes are counted from the labels themselves, so that a figure is of this moment.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import connection

from annotation.actions.carrying import EVENT as CARRIED
from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import LabelSchema, Project, User
from reviewers.algorithms.labels import CountVectors

CONSUMER = "agreement"
# What can change which labels stand. Each says at which items to look.
VOTED = ("annotation.submitted", "annotation.undone", "annotation.asked_again", "annotations.imported", CARRIED)
COUNTED_KINDS = ("choice", "choices", "rating")
FEW_LABELS = 20_000  # counted now rather than a moment ago: some 50 ms
UNREAD_LOOKED_AT = 5_000
# Beyond it, vectors of sets that all differ are no histogram any more.
MOST_CELLS = 20_000_000

Value = int | tuple[int, ...]  # a choice's id, a rating, or the ids of a set of choices


@dataclass(frozen=True, slots=True, eq=False)
class VoteCounts:
    """The votes on one question.

    `values`: what each column of the vectors stands for. `vectors` is None where they are too many to be worked with.
    `behind_seconds`: how long ago the first answer came that is not counted yet; 0 where all are. `digest` names the
    counts: the same one stands for the same figures.
    """

    vectors: CountVectors | None
    values: tuple[Value, ...]
    n_simulated: int
    behind_seconds: float
    digest: str


def counted_ids(project_id: int) -> list[int]:
    """The ids of the questions, of the schema in force, whose votes are counted."""
    schema = LabelSchema.objects.filter(project=project_id).order_by("-version").first()
    questions = schema.compiled["questions"] if schema else []
    return [question["id"] for question in questions if question["kind"] in COUNTED_KINDS]


def read_votes(project: Project, question: Question) -> VoteCounts:
    """The votes that stand on a question of a counted kind."""
    behind = seconds_behind(project)
    if behind > 0 and is_small(project, question, FEW_LABELS):
        return _count_now(project, question)
    with connection.cursor() as cursor:
        cursor.execute(
            "select votes, n_items from reviewers_agreementcount"
            " where project_id = %s and question = %s and n_items > 0",
            [project.pk, question["id"]],
        )
        counts = dict(cursor.fetchall())
        cursor.execute(
            """
            select count(*) filter (where v.n_shared > 0), count(*) filter (where u.kind = %s)
            from reviewers_agreementvoter v join annotation_user u on u.id = v.person_id
            where v.project_id = %s and v.question = %s and v.n_labels > 0
            """,
            [User.Kind.SIMULATED, project.pk, question["id"]],
        )
        n_annotators, n_simulated = cursor.fetchone()
    return _gather(question, counts, n_annotators, n_simulated, behind)


def _count_now(project: Project, question: Question) -> VoteCounts:
    params = {"project": project.pk, "question": question["id"]}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select v.votes, v.persons from agreement_votes(%(project)s, array(select distinct l.item_id
              from annotation_label l where l.project_id = %(project)s and l.question = %(question)s),
              array[%(question)s]::smallint[]) v
            """,
            params,
        )
        rows = cursor.fetchall()
    people = {person for _votes, persons in rows for person in persons}
    sharing = {person for _votes, persons in rows if len(persons) > 1 for person in persons}
    n_simulated = User.objects.filter(pk__in=people, kind=User.Kind.SIMULATED).count()
    return _gather(question, Counter(votes for votes, _persons in rows), len(sharing), n_simulated, 0.0)


def _gather(
    question: Question, counts: Mapping[str, int], n_annotators: int, n_simulated: int, behind: float
) -> VoteCounts:
    told = repr((sorted(counts.items()), n_annotators, question))
    digest = hashlib.sha256(told.encode()).hexdigest()[:32]
    values = list_values(question, values_in(question, counts))
    return VoteCounts(gather_votes(question, counts, values, n_annotators), values, n_simulated, behind, digest)


def values_in(question: Question, votes: Iterable[str]) -> set[Value]:
    """Every value that was given, from votes as they are spelt."""
    return {_value_of(question, text) for one in set(votes) for text in read_spelling(one)}


def gather_votes(
    question: Question, counts: Mapping[str, int], values: Sequence[Value], n_annotators: int
) -> CountVectors | None:
    """Spelt votes and on how many items they stand -> vectors, one column a value; None where they are too many."""
    if len(counts) * len(values) > MOST_CELLS:
        return None
    column = {value: number for number, value in enumerate(values)}
    table = np.zeros((len(counts), len(values)), np.int64)
    for row, votes in zip(table, counts, strict=True):
        for text, n in read_spelling(votes).items():
            row[column[_value_of(question, text)]] = n
    return replace(CountVectors.from_counts(table, list(counts.values())), n_annotators=n_annotators)


def read_spelling(votes: str) -> dict[str, int]:
    """`3:2;5:1` -> how often each value was given, as it is spelt."""
    pairs = (one.rpartition(":") for one in votes.split(";"))
    return {text: int(n) for text, _colon, n in pairs}


def _value_of(question: Question, text: str) -> Value:
    if question["kind"] == "choices":
        return tuple(int(code) for code in text.split(",")) if text else ()
    return int(text)


def list_values(question: Question, seen: set[Any]) -> tuple[Value, ...]:
    """What stands for which code: of a choice the leaves in their order and what left the schema behind them, of a
    rating all numbers, of choices the sets that occur.
    """
    if question["kind"] == "choice":
        leaves = list(question["leaf_ids"])
        return (*leaves, *sorted(seen - set(leaves)))
    if question["kind"] == "rating":
        return tuple(sorted({*range(question["min"], question["max"] + 1), *seen}))
    return tuple(sorted(seen)) or ((),)


def is_small(project: Project, question: Question, most: int) -> bool:
    """Whether a question has at most so many labels, counted or not; of a large one no label is looked at."""
    with connection.cursor() as cursor:
        params = {"project": project.pk, "question": question["id"], "few": most}
        cursor.execute(
            "select coalesce(sum(n_labels), 0) <= %(few)s from reviewers_agreementvoter"
            " where project_id = %(project)s and question = %(question)s",
            params,
        )
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(
            """
            select count(*) <= %(few)s from (select 1 from annotation_label
              where project_id = %(project)s and question = %(question)s limit %(few)s + 1) l
            """,
            params,
        )
        return bool(cursor.fetchone()[0])


# What the consumer has not read, in the two orders in which it reads (annotation/events.py). Most often nothing.
_BEHIND = """
    with at as (select coalesce(max(p.xid::text), '0')::xid8 as xid, coalesce(max(p.last_id), 0) as last_id,
      coalesce(max(p.boundary_id), 0) as boundary_id from annotation_eventposition p where p.consumer = %(consumer)s),
    unread as (
      select * from (select e.* from annotation_event e
        where e.xid >= (select xid from at) and e.id > (select boundary_id from at)
        order by e.xid, e.id limit %(most)s) x
      union all select * from (select e.* from annotation_event e
        where e.id > (select last_id from at) and e.id <= (select boundary_id from at) order by e.id limit %(most)s) y)
    select coalesce(extract(epoch from clock_timestamp() - min(u.at) filter (
      where (u.project_id = %(project)s or %(project)s::bigint is null) and u.kind = any(%(kinds)s)
        or n > %(most)s)), 0)::float8
    from (select unread.*, count(*) over () as n from unread) u
"""


def seconds_behind(project: Project | None) -> float:
    """How long ago the first answer in a project came that the histogram does not hold yet; 0 where it holds all.

    None is any project. Where very many events wait, what waits longest in any.
    """
    params: dict[str, Any] = {
        "consumer": CONSUMER,
        "project": None if project is None else project.pk,
        "kinds": list(VOTED),
        "most": UNREAD_LOOKED_AT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, params)
        return max(0.0, float(cursor.fetchone()[0]))


def find_spellings(project: Project, question: Question, wanted: Mapping[int, int]) -> list[str]:
    """The spelt votes in the histogram in which each wanted choice or rating was given so often at least."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select votes from reviewers_agreementcount where project_id = %s and question = %s and n_items > 0",
            [project.pk, question["id"]],
        )
        found = [row[0] for row in cursor.fetchall()]
    return [votes for votes in found if _holds(votes, wanted)]


def _holds(votes: str, wanted: Mapping[int, int]) -> bool:
    given: Counter[str] = Counter()
    for text, n in read_spelling(votes).items():
        for code in text.split(","):
            given[code] += n
    return all(given[str(value)] >= n for value, n in wanted.items())


def code_of(question: Question, text: str) -> int | None:
    """The choice's id or the rating that a caller spells so, choices that left the schema too; None: there is none."""
    if question["kind"] == "rating":
        return int(text) if re.fullmatch(r"-?[0-9]{1,4}", text) else None
    return next((code for code, name in name_choices(question).items() if name == text), None)
