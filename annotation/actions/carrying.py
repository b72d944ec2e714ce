"""Answers are carried over to a breaking label schema: a changed one is new, one that does not stand is asked again.

Annotations and labels are never changed. An answer with other values under the new version gets a new annotation, of
the same person, time and source, to which the seat points from then on. Of an answer that does not stand, the seat is
released: its place is on offer again, to the same person too. An answer that stands as it is is left alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation import queue
from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.carrying import Carried, Fate, Passage, carry_through, make_passage
from annotation.errors import StateError
from annotation.kinds import LabelValue
from annotation.models import Event, Job, LabelSchema, Project, User

KIND = "schema"
EVENT = "labels.carried"
COUNTS = ("carried", "asked_again", "reopened", "decisions")
_COLUMNS = ("choice", "choices", "number", "data", "text_commitment")


@dataclass(frozen=True, slots=True)
class Way:
    """All breaking versions of a project, oldest first, each with its passage from the version before."""

    versions: tuple[tuple[int, Passage], ...]  # (the schema's id, its passage)

    @property
    def target(self) -> int | None:
        """The id of the newest breaking version: what counts is valid under it and all after it."""
        return self.versions[-1][0] if self.versions else None

    def carry(self, schema_id: int, values: Mapping[int, LabelValue]) -> Carried:
        """An answer that was given under a version, under the newest one."""
        return carry_through((passage for pk, passage in self.versions if pk > schema_id), values)


def find_way(project: Project) -> Way:
    """The way that answers of a project take, whatever version they were given under."""
    before: LabelSchema | None = None
    versions = []
    # Versions are made one after the other under the project's lock, so their ids are in order.
    for row in LabelSchema.objects.filter(project=project).order_by("version"):
        if row.change == LabelSchema.Change.BREAKING and before is not None:
            versions.append((row.pk, make_passage(before.compiled, row.compiled, row.map or {})))
        before = row
    return Way(tuple(versions))


def find_target(project_id: int) -> int | None:
    """The id of a project's newest breaking version, None where there is none: what counts is valid under it."""
    rows = LabelSchema.objects.filter(project=project_id, change=LabelSchema.Change.BREAKING)
    return rows.order_by("-version").values_list("pk", flat=True).first()


def is_carrying(project: Project) -> bool:
    """Whether some labels of a project may still be of a version before the newest breaking one.

    So while such a job waits or runs, and after one for all labels was given up, until it is started again and done.
    """
    jobs = Job.objects.filter(project=project, kind=KIND)
    last = jobs.filter(args={}).order_by("-pk").values_list("state", flat=True).first()
    return last in (Job.State.FAILED, Job.State.DEAD) or (
        jobs.filter(state__in=(Job.State.QUEUED, Job.State.RUNNING)).exists()
    )


def refuse_while_carrying(project: Project) -> None:
    """Raise StateError where labels of a project are of two versions just now."""
    if is_carrying(project):
        raise StateError(
            _("Labels are being carried over to a new version of the label schema. Try again when that is done.")
        )


@transaction.atomic
def start_carrying(*, project: Project, actor: User | None, late: Mapping[str, Any] | None = None) -> Job:
    """Queue the carrying over of a project's labels; one such job runs at a time.

    `late` names answers that were given under an older version after the newest one was published: `{"items": [id]}`,
    or `{"import": id}` for those that came with an import.
    """
    return start_job(kind=KIND, project=project, created_by=actor, args=late or {}, lock=f"schema:{project.pk}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that counts: its place, and its labels by question."""

    seat_id: int
    row_id: int
    item_id: int
    annotation_id: int
    schema_id: int
    values: dict[int, LabelValue]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was done to the answers on some items."""

    n_carried: int
    n_asked_again: int
    n_reopened: int  # items on which somebody is asked again
    touched_rows: list[int]  # queue rows of which an answer was changed or taken out
    decided_rows: list[int]  # queue rows that a reviewer has decided, whatever became of their answers


@transaction.atomic
def carry_items(*, project: Project, way: Way, item_ids: Sequence[int], actor: User | None) -> Batch:
    """Carry the answers on some items, and let the vote rule look at what changed. Doing it twice changes nothing.

    A decided item stays decided here and asks no annotator again: what becomes of the decision is the reviewers'.
    """
    target = way.target
    rows = queue.lock_answers(item_ids=item_ids)
    if target is None or not rows:
        return Batch(0, 0, 0, [], [])
    answers = _read_answers(list(rows), target)
    carried: list[tuple[Answer, Carried]] = []
    reopened: list[Answer] = []
    for answer in answers:
        result = way.carry(answer.schema_id, answer.values)
        if result.is_asked_again:
            reopened.append(answer)
        elif result.is_changed:
            carried.append((answer, result))
    _store_carried(target, carried)
    counts: defaultdict[int, int] = defaultdict(int)
    for answer, _result in carried:
        counts[answer.row_id] += 0
    for answer in reopened:
        counts[answer.row_id] += 1
    queue.ask_again(seat_ids=[answer.seat_id for answer in reopened], rows=dict(counts))
    for answer in reopened:
        write_event(
            project=project,
            kind="annotation.asked_again",
            actor=actor,
            item_id=answer.item_id,
            ref_id=answer.annotation_id,
        )
    decided = [row_id for row_id, state in rows.items() if state == queue.DECIDED]
    return Batch(
        n_carried=len(carried),
        n_asked_again=len(reopened),
        n_reopened=len({answer.item_id for answer in reopened if rows[answer.row_id] != queue.DECIDED}),
        touched_rows=sorted(counts),
        decided_rows=decided,
    )


def _read_answers(row_ids: list[int], target: int) -> list[Answer]:
    """The answers on these rows that were given under a version before `target`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select s.id, s.queue_row_id, s.item_id, a.id, a.schema_id from annotation_seat s
            join annotation_annotation a on a.id = s.annotation_id
            where s.queue_row_id = any(%s) and s.state = 2 and a.schema_id < %s order by s.id
            """,
            [row_ids, target],
        )
        answers = {row[3]: Answer(row[0], row[1], row[2], row[3], row[4], {}) for row in cursor.fetchall()}
        cursor.execute(
            "select annotation_id, question, choice, choices, number from annotation_label"
            " where annotation_id = any(%s)",
            [list(answers)],
        )
        for annotation_id, question, choice, choices, number in cursor.fetchall():
            answers[annotation_id].values[question] = LabelValue(choice=choice, choices=choices, number=number)
    return list(answers.values())


def _store_carried(target: int, carried: list[tuple[Answer, Carried]]) -> None:
    """Write the new annotations, with the labels that they keep and those of another value, and point to them."""
    if not carried:
        return
    olds = [answer.annotation_id for answer, _result in carried]
    kept = [
        (answer.annotation_id, question)
        for answer, result in carried
        for question, fate in result.fates.items()
        if fate == Fate.KEPT
    ]
    mapped = [
        (answer.annotation_id, question, result.values[question])
        for answer, result in carried
        for question, fate in result.fates.items()
        if fate == Fate.MAPPED
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "select nextval(pg_get_serial_sequence('annotation_annotation', 'id')) from generate_series(1, %s)",
            [len(olds)],
        )
        news = [row[0] for row in cursor.fetchall()]
        # The key is one that no caller can send (it is not printable), and one for each answer and version.
        cursor.execute(
            """
            insert into annotation_annotation (id, seat_id, project_id, item_id, person_id, schema_id, guideline_id,
                source, created_at, seconds, is_unsure, flag, clauses, text_commitment, key, body_digest,
                lease_generation, leases)
              overriding system value
              select n.new, a.seat_id, a.project_id, a.item_id, a.person_id, %(target)s, a.guideline_id, a.source,
                a.created_at, a.seconds, a.is_unsure, a.flag, a.clauses, a.text_commitment,
                chr(31) || 'schema-' || %(target)s || '-' || a.id, ''::bytea, a.lease_generation, '{}'
              from unnest(%(old)s::bigint[], %(new)s::bigint[]) as n(old, new)
              join annotation_annotation a on a.id = n.old
            """,
            {"target": target, "old": olds, "new": news},
        )
        cursor.execute(
            """
            insert into annotation_annotationtext (annotation_id, comment, answers, salt)
              select n.new, t.comment, t.answers, t.salt from unnest(%s::bigint[], %s::bigint[]) as n(old, new)
              join annotation_annotationtext t on t.annotation_id = n.old
            """,
            [olds, news],
        )
        by_old = dict(zip(olds, news, strict=True))
        columns = ", ".join(_COLUMNS)
        cursor.execute(
            f"""
            insert into annotation_label (annotation_id, question, project_id, item_id, person_id, {columns})
              select n.new, l.question, l.project_id, l.item_id, l.person_id, {", ".join(f"l.{c}" for c in _COLUMNS)}
              from unnest(%s::bigint[], %s::bigint[], %s::smallint[]) as n(old, new, question)
              join annotation_label l on l.annotation_id = n.old and l.question = n.question
            """,  # noqa: S608  (constants)
            [[old for old, _q in kept], [by_old[old] for old, _q in kept], [question for _old, question in kept]],
        )
        cursor.execute(
            """
            insert into annotation_label (annotation_id, question, project_id, item_id, person_id,
                choice, choices, number)
              select n.id, m.q, n.project_id, n.item_id, n.person_id, m.choice, m.choices, m.number
              from jsonb_to_recordset(%s) as m(a bigint, q smallint, choice int, choices int[], number float8)
              join annotation_annotation n on n.id = m.a
            """,
            [json.dumps([{"a": by_old[old], "q": question} | _columns_of(value) for old, question, value in mapped])],
        )
    queue.point_to(annotations={answer.seat_id: by_old[answer.annotation_id] for answer, _result in carried})


def _columns_of(value: LabelValue) -> dict[str, object]:
    return {"choice": value.choice, "choices": value.choices, "number": value.number}


@transaction.atomic
def tell_carried(
    *, project: Project, way: Way, actor: User | None, batch: Batch, n_decisions: int, up_to: int | None
) -> None:
    """Write down what was done to a batch, in its transaction; `up_to` is the last item that needs no second look."""
    counts = (batch.n_carried, batch.n_asked_again, batch.n_reopened, n_decisions)
    data: dict[str, Any] = {**dict(zip(COUNTS, counts, strict=True)), "rows": batch.touched_rows}
    if up_to is not None:
        data["up_to"] = up_to
    write_event(project=project, kind=EVENT, actor=actor, ref_id=way.target, data=data)


def carried_up_to(project: Project, target: int | None) -> int | None:
    """The last item that was carried over to a version, in the order of their ids; None: none yet."""
    last = _batches(project, target).filter(data__has_key="up_to").order_by("-pk").first()
    return None if last is None or last.data is None else int(last.data["up_to"])


def count_carried(project: Project, target: int | None) -> dict[str, int]:
    """What was done for a version so far: `COUNTS`, by name."""
    totals = dict.fromkeys(COUNTS, 0)
    for data in _batches(project, target).values_list("data", flat=True):
        for name in COUNTS:
            totals[name] += (data or {}).get(name, 0)
    return totals


def _batches(project: Project, target: int | None) -> QuerySet[Event]:
    """The events of the batches for a version: all later than its publication, which is found from the newest on."""
    published = Event.objects.filter(project=project, kind="schema.published", ref_id=target).order_by("-pk")
    began = published.values_list("pk", flat=True).first() or 0
    return Event.objects.filter(project=project, kind=EVENT, ref_id=target, pk__gt=began)
