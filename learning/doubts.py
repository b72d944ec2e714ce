"""The labels that the newest search doubted and that nobody has looked at since. Read only."""

from __future__ import annotations

from typing import Any

from django.db import connection

from annotation.kinds import Question
from annotation.models import Job, Project
from annotation.serializers import show_time
from learning.actions.label_errors import KIND
from learning.questions import class_names, classes_of

# Still accepted as it was, by a vote: a reviewer's decision is not doubted.
_STANDING = """
    select i.id, i.external_id from annotation_item i
    join reviewers_resolution r on r.item_id = i.id and r.question = %(question)s and r.state = 1
    join unnest(%(items)s::bigint[], %(choices)s::int[]) d(item, choice) on d.item = i.id
      and d.choice = coalesce(r.choice, r.number::int)
    where i.project_id = %(project)s and i.lifecycle = 0
      and not exists (select 1 from reviewers_resolution n
                      where n.item_id = r.item_id and n.question = r.question and n.pass_no > r.pass_no)
"""


def newest_search(project: Project, question: Question) -> Job | None:
    """The newest search that came to its end; None where there is none."""
    done = Job.objects.filter(project=project, kind=KIND, state=Job.State.DONE, args={"question": question["id"]})
    return done.order_by("-pk").first()


def show_doubts(project: Project, question: Question) -> dict[str, Any]:
    """What the newest search found, as it stands now.

    `{"question", "searched_at": str or None, "n_labels", "n_doubted", "n_sure", "doubts": [{"item": {"id",
    "external_id"}, "given", "looks_like", "belief", "is_sure"}]}`, choices by their values, the least believed label
    first (of a scale: the most points off first), at most 500. Left out are those that have another label by now, that
    a reviewer has decided, and that were put away, and choices that the schema no longer has. Nulls and an empty list
    before the first search.
    """
    job = newest_search(project, question)
    if job is None or job.result is None:
        empty: dict[str, Any] = {"searched_at": None, "n_labels": None, "n_doubted": None, "n_sure": None, "doubts": []}
        return {"question": question["name"]} | empty
    found = job.result
    values = dict(zip(classes_of(question), class_names(question), strict=True))
    known = [row for row in found["doubts"] if row[1] in values and row[2] in values]
    with connection.cursor() as cursor:
        about = {"project": project.pk, "question": question["id"]}
        cursor.execute(_STANDING, about | {"items": [row[0] for row in known], "choices": [row[1] for row in known]})
        names = dict(cursor.fetchall())
    return {
        "question": question["name"],
        "searched_at": show_time(job.ended_at) if job.ended_at else None,
        "n_labels": found["n_labels"],
        "n_doubted": found["n_doubted"],
        "n_sure": found["n_sure"],
        "doubts": [
            {
                "item": {"id": str(item), "external_id": names[item]},
                "given": values[given],
                "looks_like": values[looks_like],
                "belief": belief,
                "is_sure": is_sure,
            }
            for item, given, looks_like, belief, is_sure in known
            if item in names
        ],
    }
