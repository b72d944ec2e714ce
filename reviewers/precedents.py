"""Earlier decisions on cases like one item, for those who label it: what was ruled, by whom and why. Read only.

Only decisions that a reviewer kept as a precedent, that no later decision replaced, and whose item can still be read.
Alike means: decided under a clause that is asked about, or words in common, rare words before frequent ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from math import log
from typing import Any

from django.db import connection

from annotation.models import Item, Project
from reviewers.answers import choice_clauses, compiled_schema, questions_by_id
from reviewers.models import Adjudication
from reviewers.reports import Row, show_adjudication

LOOKED_THROUGH = 200
MOST = 3
LEAST_WORDS = 2
COMPARED = 4000  # characters, of long texts the beginning
MAX_EXCERPT = 400

# The newest precedents are looked up by their keys and their first words compared with the item's: a bounded piece of
# work whatever the project's size, where the index of words would walk every item that has one frequent word. The item
# itself comes along, with id null.
_WORDS = """
    with kept as materialized (
      select a.id, a.item_id from reviewers_adjudication a
      where a.project_id = %(project)s and a.is_precedent and a.item_id <> %(item)s
      order by a.id desc limit %(most)s)
    select k.id, tsvector_to_array(to_tsvector('simple', left(x.texts, %(compared)s))), left(x.texts, %(excerpt)s)
    from (select id, item_id from kept union all select null, %(item)s) k
    join annotation_item i on i.id = k.item_id and i.lifecycle < %(sealed)s
    join annotation_itempayload p on p.item_id = k.item_id
    cross join lateral (
      select string_agg(y ->> 'text', ' ' order by (y ->> 'role') is not distinct from 'context') as texts
      from jsonb_array_elements(p.parts) y) x
    where not exists (select 1 from reviewers_adjudication b where b.item_id = k.item_id and b.id > k.id)
"""


def precedents_like(project: Project, item_id: int, clauses: Collection[str] = ()) -> list[Row]:
    """At most 3 precedents that bear on an item, those under a clause of `clauses` first, then the more alike ones.

    One bears on it that was decided under such a clause, or has at least two words in common with it. A row is that of
    `show_adjudication` with `excerpt` (how its text begins, None without text), `clauses` (those that it was decided
    under), `same_clauses` (those of them that were asked about) and `words` (at most 5 in common, the rarest first).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _WORDS,
            {
                "project": project.pk,
                "item": item_id,
                "sealed": int(Item.Lifecycle.QUARANTINED),
                "most": LOOKED_THROUGH,
                "compared": COMPARED,
                "excerpt": MAX_EXCERPT,
            },
        )
        texts = {pk: (_telling(words), excerpt) for pk, words, excerpt in cursor.fetchall()}
    mine, _excerpt = texts.pop(None, (set(), None))
    n_having = Counter(word for words, _excerpt in texts.values() for word in words & mine)
    compiled = compiled_schema(project)
    rows: list[tuple[Any, Row]] = []
    for one in Adjudication.objects.filter(pk__in=list(texts)).select_related("reviewer", "note"):
        words, excerpt = texts[one.pk]
        weights = {word: log(1 + len(texts) / n_having[word]) for word in words & mine}
        under = decided_under(compiled, one.answers)
        same = [clause for clause in under if clause in clauses]
        if same or len(weights) >= LEAST_WORDS:
            shown = {
                **show_adjudication(one, compiled),
                "decided_at": one.created_at,
                "excerpt": excerpt,
                "clauses": under,
                "same_clauses": same,
                "words": sorted(weights, key=lambda word: (-weights[word], word))[:5],
            }
            rows.append(((bool(same), sum(weights.values()), one.pk), shown))
    return [shown for _rank, shown in sorted(rows, key=lambda row: row[0], reverse=True)[:MOST]]


def _telling(words: Collection[str] | None) -> set[str]:
    """Words of three letters and less say little of what a text is about."""
    return {word for word in words or () if len(word) > 3}


def decided_under(compiled: dict[str, Any], answers: dict[str, Any]) -> list[str]:
    """The clauses of the guideline that the choices of a decision (as stored) stand for, in schema order, each once."""
    clauses: dict[str, None] = {}
    for number, question in questions_by_id(compiled).items():
        stored = answers.get(str(number), {})
        by_choice = choice_clauses(question)
        for choice in [stored.get("choice"), *(stored.get("choices") or ())]:
            if choice in by_choice:
                clauses[by_choice[choice]] = None
    return list(clauses)
