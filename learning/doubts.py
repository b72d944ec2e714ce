"""The labels that the newest search doubted and that nobody has looked at since. Read only."""

from __future__ import annotations

from typing import Any

from django.db import connection

from annotation.actions.jobs import find_done
from annotation.kinds import Question
from annotation.models import Job, Project
from annotation.serializers import show_time
from learning.actions.label_errors import KIND
from learning.questions import class_names, classes_of, holds_several

# Still accepted as it was, by a vote: a reviewer's decision is not doubted.
_STANDING = """
    select d.place - 1, i.external_id from annotation_item i
    join reviewers_resolution r on r.item_id = i.id and r.question = %(question)s and r.state = 1
    join unnest(%(items)s::bigint[], %(given)s::int[], %(looks_like)s::int[]) with ordinality
      d(item, given, looks_like, place)
      on d.item = i.id and case when r.choices is null then d.given = coalesce(r.choice, r.number::int)
        when d.given is null then d.looks_like <> all(r.choices) else d.given = any(r.choices) end
    where i.project_id = %(project)s and i.lifecycle = 0
      and not exists (select 1 from reviewers_resolution n
                      where n.item_id = r.item_id and n.question = r.question and n.pass_no > r.pass_no)
"""


def newest_search(project: Project, question: Question) -> Job | None:
    """The newest search that came to its end; None where there is none."""
    return find_done(project=project, kind=KIND, args={"question": question["id"]})


def show_doubts(project: Project, question: Question) -> dict[str, Any]:
    """What the newest search found, as it stands now.

    `{"question", "searched_at": str or None, "n_labels", "n_doubted", "n_sure", "doubts": [{"item": {"id",
    "external_id"}, "given", "looks_like", "belief", "is_sure"}]}`, choices by their values, the least believed label
    first (of a scale: the most points off first), at most 500. Left out are those that have another label by now, that
    a reviewer has decided, and that were put away, and choices that the schema no longer has. Where several choices may
    hold a doubt is about one of them: `given` is None where it was not chosen, `looks_like` where it looks as if it did
    not hold. Nulls and an empty list before the first search.
    """
    job = newest_search(project, question)
    if job is None or job.result is None:
        empty: dict[str, Any] = {"searched_at": None, "n_labels": None, "n_doubted": None, "n_sure": None, "doubts": []}
        return {"question": question["name"]} | empty
    found = job.result
    values = dict(zip(classes_of(question), class_names(question), strict=True))
    if holds_several(question):  # of a choice: that it holds, or (None) that it does not
        known = [row for row in found["doubts"] if {row[1], row[2]} - values.keys() == {None}]
    else:
        known = [row for row in found["doubts"] if {row[1], row[2]} <= values.keys()]
    with connection.cursor() as cursor:
        about = {"project": project.pk, "question": question["id"]}
        rows = {name: [row[at] for row in known] for at, name in enumerate(("items", "given", "looks_like"))}
        cursor.execute(_STANDING, about | rows)
        names = dict(cursor.fetchall())
    return {
        "question": question["name"],
        "searched_at": show_time(job.ended_at) if job.ended_at else None,
        "n_labels": found["n_labels"],
        "n_doubted": found["n_doubted"],
        "n_sure": found["n_sure"],
        "doubts": [
            {
                "item": {"id": str(item), "external_id": names[place]},
                "given": values.get(given),
                "looks_like": values.get(looks_like),
                "belief": belief,
                "is_sure": is_sure,
            }
            for place, (item, given, looks_like, belief, is_sure) in enumerate(known)
            if place in names
        ],
    }
