"""What publishing a breaking schema would do to the labels and decisions of a project: counted, nothing changed.

Answers with the same values have the same fate, so the database groups them and each kind of answer is carried once.
Numbers and other values that no schema lists matter only as being there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from annotation.carrying import Fate, Passage, carry, carry_decision
from annotation.kinds import LabelValue
from annotation.models import Project
from annotation.schema import Compiled

LISTED = ("choice", "choices", "rating")


@dataclass(frozen=True, slots=True)
class QuestionForecast:
    """One question: how many labels it has, and what becomes of them. `n_asked` also counts answers that lack it."""

    name: str
    n_labels: int
    n_kept: int
    n_mapped: int
    n_asked: int
    n_dropped: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a job for this passage would report, and more: an answer is asked again as a whole."""

    questions: list[QuestionForecast]
    n_answers: int
    n_carried: int
    n_asked_again: int
    n_reopened: int
    n_decisions: int
    n_decisions_again: int


_ANSWERS = """
    select s.item_id, q.state = 3 as is_decided, coalesce(jsonb_object_agg(l.question,
        case when l.question = any(%(listed)s::smallint[])
          then jsonb_build_array(l.choice, to_jsonb(l.choices), l.number) end)
        filter (where l.question is not null), '{}') as given
    from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
    left join annotation_label l on l.annotation_id = s.annotation_id
    where s.project_id = %(project)s and s.state = 2 and s.kind in (1, 4)
      and not exists (select 1 from annotation_queuerow n
                      where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no)
    group by s.id, s.item_id, q.state
"""
_DECISIONS = """
    select coalesce(jsonb_object_agg(r.question, jsonb_build_array(r.choice, to_jsonb(r.choices), r.number))
        filter (where num_nonnulls(r.choice, r.choices, r.number, r.data) > 0), '{}') as given
    from annotation_queuerow q left join reviewers_resolution r on r.item_id = q.item_id and r.pass_no = q.pass_no
    where q.project_id = %(project)s and q.kind in (1, 4) and q.state = 3
    group by q.id
"""


def make_forecast(project: Project, passage: Passage) -> Forecast:
    """Count what a passage would do to all that counts now."""
    params: dict[str, Any] = {
        "project": project.pk,
        "listed": [number for number, step in passage.steps.items() if step.old["kind"] in LISTED],
    }
    answers = _fetch(f"select given::text, is_decided, count(*) from ({_ANSWERS}) a group by 1, 2", params)  # noqa: S608
    fates: dict[int, Counter[Fate]] = {}
    totals: Counter[str] = Counter()
    asked_again: list[str] = []
    for given, is_decided, n in answers:
        result = carry(passage, _values_of(given))
        for number, fate in result.fates.items():
            fates.setdefault(number, Counter())[fate] += n
        totals["answers"] += n
        if result.is_asked_again:
            totals["asked_again"] += n
            if not is_decided:
                asked_again.append(given)
        elif result.is_changed:
            totals["carried"] += n
    n_reopened = 0
    if asked_again:
        reopened = (
            f"select count(distinct item_id) from ({_ANSWERS}) a where not is_decided and given::text = any(%(again)s)"  # noqa: S608
        )
        [(n_reopened,)] = _fetch(reopened, params | {"again": asked_again})
    decisions = _fetch(f"select given::text, count(*) from ({_DECISIONS}) d group by 1", params)  # noqa: S608
    n_again = sum(n for given, n in decisions if carry_decision(passage, _values_of(given)).is_asked_again)
    return Forecast(
        questions=_by_question(passage, fates),
        n_answers=totals["answers"],
        n_carried=totals["carried"],
        n_asked_again=totals["asked_again"],
        n_reopened=n_reopened,
        n_decisions=sum(n for _given, n in decisions),
        n_decisions_again=n_again,
    )


def _by_question(passage: Passage, fates: Mapping[int, Counter[Fate]]) -> list[QuestionForecast]:
    names = {number: step.old["name"] for number, step in passage.steps.items()}
    names |= {question["id"]: question["name"] for question in passage.new["questions"]}
    found = []
    for number, name in names.items():
        n = fates.get(number, Counter())
        is_new = number not in passage.steps
        found.append(
            QuestionForecast(
                name=name,
                n_labels=0 if is_new else sum(n.values()),
                n_kept=n[Fate.KEPT],
                n_mapped=n[Fate.MAPPED],
                n_asked=n[Fate.ASKED],
                n_dropped=n[Fate.DROPPED],
            )
        )
    return found


def count_values(project: Project, compiled: Compiled) -> dict[int, Counter[int]]:
    """How many labels that count each listed value has: question -> code -> n."""
    listed = [question["id"] for question in compiled["questions"] if question["kind"] in LISTED]
    rows = _fetch(
        """
        select l.question, coalesce(c, l.choice, l.number::int), count(*) from annotation_seat s
        join annotation_label l on l.annotation_id = s.annotation_id left join lateral unnest(l.choices) c on true
        where s.project_id = %(project)s and s.state = 2 and s.kind in (1, 4)
          and l.question = any(%(listed)s::smallint[]) and coalesce(c, l.choice, l.number::int) is not null
        group by 1, 2
        """,
        {"project": project.pk, "listed": listed},
    )
    counts: dict[int, Counter[int]] = {}
    for question, code, n in rows:
        counts.setdefault(question, Counter())[code] = n
    return counts


def _values_of(given: str) -> dict[int, LabelValue]:
    values = {}
    for number, stored in json.loads(given).items():
        choice, choices, value = stored or (None, None, None)
        values[int(number)] = LabelValue(choice=choice, choices=choices, number=value)
    return values


def _fetch(sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
