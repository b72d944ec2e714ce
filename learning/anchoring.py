"""How far people follow a model: answers where its suggestion was shown beside those where chance withheld it.

Read only. Each place of a project that shows suggestions is put into one of the two arms by chance when it is opened,
and keeps what the model said then. So both arms hold like items and like people, and a difference in how often the
answer is the model's is the work of showing it.
"""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.kinds import Question
from annotation.models import Project, Seat
from annotation.serializers import show_time
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import newcombe, wilson

MIN_PER_ARM = 30  # answers; with fewer the interval would say nothing

# The answers that stand, of people. A model's own or a simulated answer follows nobody.
_ARMS = """
    select s.arm, count(*), count(*) filter (where case when l.choices is null
        then coalesce(l.choice, l.number::int) = t.choice else l.choices = t.choices end),
      count(distinct s.item_id), count(distinct s.person_id)
    from annotation_seat s
    join annotation_annotation a on a.id = s.annotation_id and a.source = 'human'
    join annotation_label l on l.annotation_id = s.annotation_id and l.question = %(question)s
    cross join lateral (
      select (x ->> 'choice')::int as choice,
        (select coalesce(array_agg(c::int order by c::int), '{}') from jsonb_array_elements_text(
          case jsonb_typeof(x -> 'choices') when 'array' then x -> 'choices' else '[]' end) c) as choices
      from jsonb_array_elements(s.suggestion) x
      where (x ->> 'question')::int = %(question)s) t
    where s.project_id = %(project)s and s.arm > 0 and s.state = 2
    group by grouping sets ((s.arm), ())
"""
_NOBODY = (0, 0, 0, 0)


def anchoring(project: Project, question: Question) -> dict[str, Any]:
    """How often answers to one question are the suggested one, where it was shown and where it was withheld.

    Of several choices the whole set must be the suggested one. `{"question", "metrics", "computed_at"}`; the metrics:
    `anchoring` (the share where shown less the share where withheld, -1 to 1: 0.1 is ten more answers in a hundred that
    are the model's because it was seen), `agreement_shown` and `agreement_withheld`, each with its interval and n, or a
    refusal below 30 answers in an arm.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ARMS, {"project": project.pk, "question": question["id"]})
        found = {arm: tuple(numbers) for arm, *numbers in cursor.fetchall()}
    shown, withheld = found.get(Seat.Arm.SHOWN, _NOBODY), found.get(Seat.Arm.WITHHELD, _NOBODY)
    n_both, _k, n_items, n_people = found.get(None, _NOBODY)
    counts = {"n_items": n_items, "n_labels": n_both, "n_annotators": n_people}
    if min(shown[0], withheld[0]) < MIN_PER_ARM:
        difference = Figure.refused("anchoring", _told_few(project, shown[0], withheld[0]), **counts)
    else:
        difference = Figure(
            metric="anchoring",
            value=shown[1] / shown[0] - withheld[1] / withheld[0],
            interval=newcombe(shown[1], shown[0], withheld[1], withheld[0]),
            method="difference of two shares, Newcombe's interval",
            **counts,
        )
    figures = [difference, _agreement("agreement_shown", *shown), _agreement("agreement_withheld", *withheld)]
    return {
        "question": question["name"],
        "metrics": [figure.as_dict() for figure in figures],
        "computed_at": show_time(timezone.now()),
    }


def _agreement(metric: str, n: int, k: int, n_items: int, n_people: int) -> Figure:
    if n < MIN_PER_ARM:
        refusal = _("%(n)d answers so far, %(needed)d needed") % {"n": n, "needed": MIN_PER_ARM}
        return Figure.refused(metric, refusal, n_items=n_items, n_labels=n, n_annotators=n_people)
    return Figure(
        metric=metric,
        value=k / n,
        interval=wilson(k, n),
        method="share of answers, Wilson's interval",
        n_items=n_items,
        n_labels=n,
        n_annotators=n_people,
    )


def _told_few(project: Project, n_shown: int, n_withheld: int) -> str:
    if not n_shown and not n_withheld and not project.suggestions:
        return _("this project shows no suggestions; its settings can turn them on")
    return _(
        "%(shown)d answers with the suggestion shown and %(withheld)d with it withheld, %(needed)d each needed"
    ) % {
        "shown": n_shown,
        "withheld": n_withheld,
        "needed": MIN_PER_ARM,
    }
