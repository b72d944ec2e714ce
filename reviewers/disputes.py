"""Disputes as a reviewer sees them: the item, who said what, what earlier decisions say. Times are datetimes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.kinds import KINDS, LabelValue, Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import Annotation, Item, Label, Member, Project, QueueLane, QueueRow, Seat, User
from annotation.schema import Compiled, asked, render_schema, text_of
from annotation.serializers import show_part
from reviewers.answers import (
    choice_clauses,
    compiled_schema,
    has_votes_by_value,
    named_choices,
    questions_by_id,
    read_value,
    restore_texts,
    spell_answers,
    spell_value,
    spell_votes,
    tell_values,
)
from reviewers.consensus.weighing import SUFFIX
from reviewers.models import Adjudication, Resolution
from reviewers.reports import STATE_NAMES, Row, show_adjudication

LABELLING = (QueueLane.Kind.LABEL, QueueLane.Kind.RELABEL)
ACCEPTED = (Resolution.State.AGREED, Resolution.State.ADJUDICATED)
DISPUTED = Resolution.State.DISPUTED
READABLE = (Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED)
MOST_SIMILAR = 5
LOOKED_THROUGH = 200
Position = tuple[float, int]


def count_disputes(project: Project) -> int:
    """How many items wait for a reviewer."""
    return int(_waiting(project).count())


def dispute_list(
    project: Project, viewer: User | None = None, after: Position | None = None, limit: int = 30
) -> tuple[list[Row], Position | None]:
    """One page of the items that wait for a reviewer, most urgent first, and where the next page begins.

    A row is `{"item": {"id", "external_id", "parts"}, "questions": [...disputed only], "answers": [...],
    "skips": [...], "since": datetime, "held_by": name or None, "is_own_work"}`, as in `dispute_detail`; parts are as
    stored. `viewer`: whose own work to mark. `after`: the position that the page before returned.
    """
    compiled = compiled_schema(project)
    waiting = _waiting(project).order_by("rank", "item_id")
    if after is not None:
        rank, item_id = after
        waiting = waiting.filter(Q(rank__gt=rank) | Q(rank=rank, item_id__gt=item_id))
    found = list(waiting.select_related("item__payload")[: limit + 1])
    page = found[:limit]
    item_ids = [row.item_id for row in page]
    passes = _newest_passes(item_ids)
    said = _answers(compiled, passes)
    skips = _skips(passes)
    held = _holders(item_ids)
    resolutions = _resolutions(passes)
    results = [
        {
            "item": {
                "id": str(row.item_id),
                "external_id": row.item.external_id,
                "parts": row.item.payload.parts if hasattr(row.item, "payload") else [],
            },
            "questions": [
                _show_question(question, resolutions[row.item_id][number])
                for number, question in questions_by_id(compiled).items()
                if number in resolutions[row.item_id] and resolutions[row.item_id][number].state == DISPUTED
            ],
            "answers": said[row.item_id],
            "skips": skips[row.item_id],
            "since": max(
                (r.changed_at for r in resolutions[row.item_id].values() if r.state == DISPUTED), default=None
            ),
            "held_by": held.get(row.item_id),
            "is_own_work": viewer is not None and any(a["person_id"] == viewer.pk for a in said[row.item_id]),
        }
        for row in page
    ]
    return results, (page[-1].rank, page[-1].item_id) if len(found) > limit else None


def dispute_detail(access: Access, item: Item) -> Row:
    """All that a reviewer needs to decide one item, in whatever state it is.

    `{"item", "state", "version", "questions", "known", "answers", "skips", "clauses", "precedents", "decisions",
    "held_by", "is_own_work", "may_decide"}`. `version` is what to send as `expected_version`. Questions come in schema
    order with what was accepted, the votes, and whether the accepted values ask for them. Parts are empty where the
    item is quarantined or erased.
    """
    project = access.project
    compiled = compiled_schema(project)
    passes = _newest_passes([item.pk])
    row = passes[item.pk]
    answers = _answers(compiled, passes, with_texts=item.lifecycle in READABLE)[item.pk]
    resolutions = _resolutions(passes)[item.pk]
    known = {n: v for n, r in resolutions.items() if r.state in ACCEPTED and (v := read_value(r)) is not None}
    is_own_work = any(answer["person_id"] == access.user.pk for answer in answers)
    decisions = Adjudication.objects.filter(item=item).select_related("reviewer", "note").order_by("-pk")
    held_by = _holders([item.pk], but=access.user).get(item.pk)
    clause_ids = _mentioned_clauses(compiled, resolutions, answers)
    return {
        "item": _show_item(access, item),
        "state": STATE_NAMES[row.state],
        "version": max((resolution.version for resolution in resolutions.values()), default=0),
        "questions": _show_questions(compiled, resolutions, known, answers),
        "known": spell_answers(questions_by_id(compiled), known),
        "answers": answers,
        "skips": _skips(passes)[item.pk],
        "clauses": _show_clauses(project, clause_ids),
        "precedents": similar_precedents(project, item, resolutions, clause_ids),
        "decisions": [show_adjudication(one, compiled) | {"at": one.created_at} for one in decisions],
        "held_by": held_by,
        "is_own_work": is_own_work,
        "may_decide": held_by is None
        and item.lifecycle == Item.Lifecycle.OPEN
        and (not is_own_work or access.own_role == Member.Role.OWNER),
    }


def similar_precedents(
    project: Project, item: Item, resolutions: Mapping[int, Resolution], clause_ids: Collection[str]
) -> list[Row]:
    """The newest precedents (at most 5) that bear on an item.

    One bears on it that decided a question on which the same two values (or more) were voted for, or that touches a
    clause in `clause_ids`. The newest 200 are looked through.
    """
    compiled = compiled_schema(project)
    candidates = list(
        Adjudication.objects.filter(project=project, is_precedent=True, item__lifecycle__in=READABLE)
        .exclude(item=item)
        .select_related("item__payload", "reviewer", "note")
        .order_by("-pk")[:LOOKED_THROUGH]
    )
    voted: defaultdict[int, dict[int, Resolution]] = defaultdict(dict)
    for resolution in Resolution.objects.filter(item_id__in=[c.item_id for c in candidates]).order_by("pass_no"):
        voted[resolution.item_id][resolution.question] = resolution
    similar: list[Row] = []
    for candidate in candidates:
        theirs = voted[candidate.item_id]
        decided = [int(number) for number in candidate.answers]
        has_pair = any(
            len(set(resolutions[n].votes) & set(theirs[n].votes)) >= 2
            for n in decided
            if n in resolutions and n in theirs
        )
        clauses = _mentioned_clauses(compiled, {n: theirs[n] for n in decided if n in theirs}, ())
        if (has_pair or not clauses.isdisjoint(clause_ids)) and hasattr(candidate.item, "payload"):
            shown = show_adjudication(candidate, compiled)
            similar.append(shown | {"parts": candidate.item.payload.parts, "has_same_votes": has_pair})
        if len(similar) == MOST_SIMILAR:
            break
    return similar


def _waiting(project: Project) -> Any:
    return QueueRow.objects.filter(
        project=project, kind=QueueLane.Kind.ADJUDICATE, is_closed=False, item__lifecycle=Item.Lifecycle.OPEN
    )


def _newest_passes(item_ids: Collection[int]) -> dict[int, QueueRow]:
    """The queue row of each item's newest pass of labelling."""
    rows = QueueRow.objects.filter(item_id__in=item_ids, kind__in=LABELLING).order_by("pass_no")
    return {row.item_id: row for row in rows}


def _resolutions(passes: Mapping[int, QueueRow]) -> dict[int, dict[int, Resolution]]:
    """Item -> question -> resolution, in the item's newest pass."""
    found: dict[int, dict[int, Resolution]] = {item_id: {} for item_id in passes}
    for row in Resolution.objects.filter(item_id__in=list(passes)):
        if row.pass_no == passes[row.item_id].pass_no:
            found[row.item_id][row.question] = row
    return found


def _answers(compiled: Compiled, passes: Mapping[int, QueueRow], *, with_texts: bool = True) -> dict[int, list[Row]]:
    """Item -> who said what, in the order in which they said it; only answers that count."""
    seats = (
        Seat.objects.filter(queue_row__in=[row.pk for row in passes.values()], state=Seat.State.SUBMITTED)
        .select_related("person", "annotation__text", "annotation__guideline")
        .order_by("ended_at", "pk")
    )
    found: dict[int, list[Row]] = {item_id: [] for item_id in passes}
    questions = questions_by_id(compiled)
    values: defaultdict[int, dict[int, LabelValue]] = defaultdict(dict)
    for label in Label.objects.filter(annotation__in=[seat.annotation_id for seat in seats]):
        value = read_value(label)
        if value is not None:
            values[label.annotation_id][label.question] = value
    for seat in seats:
        annotation = seat.annotation
        if annotation is None:  # a CHECK sees to it that a submitted seat has one
            continue
        found[seat.item_id].append(
            {
                **_show_person(seat.person, annotation.source),
                "annotation": str(annotation.pk),
                "answers": spell_answers(questions, values[annotation.pk] | (_texts(annotation) if with_texts else {})),
                "unsure": annotation.is_unsure,
                "flag": annotation.flag or None,
                "comment": _comment(annotation),
                "clauses": list(annotation.clauses),
                "seconds": annotation.seconds,
                "guideline_version": annotation.guideline.version if annotation.guideline else None,
                "at": annotation.created_at,
            }
        )
    return found


def _show_person(person: User, source: str) -> Row:
    return {
        "person_id": person.pk,
        "person": person.name,
        "source": source,
        "is_simulated": Annotation.Source.SIMULATED in (source, person.kind),
    }


def _texts(annotation: Annotation) -> dict[int, LabelValue]:
    text = getattr(annotation, "text", None)
    return restore_texts(text.answers) if text else {}


def _comment(annotation: Annotation) -> str:
    text = getattr(annotation, "text", None)
    return text.comment if text else ""


def _skips(passes: Mapping[int, QueueRow]) -> dict[int, list[Row]]:
    """Item -> who skipped it, and why."""
    seats = Seat.objects.filter(queue_row__in=[row.pk for row in passes.values()], state=Seat.State.SKIPPED)
    found: dict[int, list[Row]] = {item_id: [] for item_id in passes}
    for seat in seats.select_related("person").order_by("ended_at", "pk"):
        found[seat.item_id].append(
            {**_show_person(seat.person, seat.person.kind), "reason": seat.reason, "at": seat.ended_at}
        )
    return found


def _holders(item_ids: Collection[int], but: User | None = None) -> dict[int, str]:
    """Item -> the name of the reviewer who is deciding it right now, where somebody (other than `but`) is."""
    # The database's clock says whether a lease has ended, as everywhere in the queue.
    live = Seat.objects.filter(
        item_id__in=item_ids, kind=QueueLane.Kind.ADJUDICATE, state=Seat.State.HELD, expires_at__gte=Now()
    )
    seats = live.select_related("person")
    return {seat.item_id: seat.person.name for seat in seats if but is None or seat.person_id != but.pk}


def _show_item(access: Access, item: Item) -> Row:
    payload = getattr(item, "payload", None) if item.lifecycle in READABLE else None
    return {
        "id": str(item.pk),
        "external_id": item.external_id,
        "parts": [show_part(part, access) for part in payload.parts] if payload else [],
        "metadata": item.metadata if item.lifecycle in READABLE else {},
        "lifecycle": Item.Lifecycle(item.lifecycle).name.lower(),
    }


def _show_question(question: Question, resolution: Resolution | None) -> Row:
    """What is known of one question; without a resolution it is open."""
    if resolution is None:
        return (
            {"name": question["name"], "text": text_of(question), "state": "open"}
            | dict.fromkeys(("value", "confidence", "method"))
            | {"votes": {}, "n_votes": 0, "disagreement": 0.0, "posterior": {}, "voter": None}
        )
    return {
        "name": question["name"],
        "text": text_of(question),
        "state": STATE_NAMES[resolution.state],
        "value": spell_value(question, read_value(resolution)),
        "confidence": resolution.confidence,
        "method": resolution.method,
        "votes": spell_votes(question, resolution.votes),
        "n_votes": resolution.n_votes,
        "disagreement": resolution.disagreement,
        "posterior": spell_votes(question, resolution.posterior or {}),
        "voter": resolution.fit.voter if resolution.fit and resolution.method.endswith(SUFFIX) else None,
    }


def _show_questions(
    compiled: Compiled,
    resolutions: Mapping[int, Resolution],
    known: Mapping[int, LabelValue],
    answers: Collection[Row],
) -> list[Row]:
    """Every question with its resolution, its form (as its kind renders it), and who chose which value."""
    asked_ids = asked(compiled, known)
    shown = []
    for form, (number, question) in zip(render_schema(compiled), questions_by_id(compiled).items(), strict=True):
        row = _show_question(question, resolutions.get(number))
        said = [answer for answer in answers if question["name"] in answer["answers"]]
        if not row["votes"]:
            row["votes"] = _tally(question, said)
            row["n_votes"] = len(said)
        voters: defaultdict[str, list[str]] = defaultdict(list)
        for answer in said:
            for one in _single_values(question, answer):
                voters[one].append(answer["person"])
        shown.append(
            row
            | {
                "form": form,
                "is_asked": number in asked_ids,
                "needs_answer": number in asked_ids
                and number not in known
                and question["required"]
                and KINDS[question["kind"]].COLUMN != "text",
                "is_disputed": row["state"] == "disputed",
                "voters": dict(voters),
            }
        )
    return shown


def _tally(question: Question, said: Collection[Row]) -> dict[str, int]:
    """Votes of a question that the vote rule has not looked at yet: value -> how many said so, most first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for answer in said:
        for one in _single_values(question, answer):
            counts[one] += 1
    return dict(sorted(counts.items(), key=lambda vote: (-vote[1], vote[0])))


def _single_values(question: Question, answer: Row) -> list[str]:
    """What an answer counts for, by its short names; nothing for a kind whose answers have none."""
    return tell_values(answer["answers"][question["name"]]) if has_votes_by_value(question) else []


def _mentioned_clauses(compiled: Compiled, resolutions: Mapping[int, Resolution], answers: Collection[Row]) -> set[str]:
    """The clauses that annotators cited, and those of the choices that were voted for or accepted."""
    mentioned = {clause for answer in answers for clause in answer["clauses"]}
    for number, question in questions_by_id(compiled).items():
        clauses = choice_clauses(question)
        resolution = resolutions.get(number)
        if resolution is not None and clauses and has_votes_by_value(question):
            accepted = [resolution.choice, *(resolution.choices or ())]
            codes = {int(code) for code in resolution.votes} | {code for code in accepted if code is not None}
            mentioned |= {clauses[code] for code in codes if code in clauses}
        elif clauses:
            values = {v for answer in answers for v in named_choices(answer["answers"].get(question["name"]))}
            names = name_choices(question)
            mentioned |= {clause for code, clause in clauses.items() if names[code] in values}
    return mentioned


def _show_clauses(project: Project, clause_ids: Collection[str]) -> list[Row]:
    """These clauses in the order of the present guideline; one that it no longer has stands with a sentence."""
    current = list(project.guideline.clauses) if project.guideline else []
    found = [clause for clause in current if clause["id"] in clause_ids]
    gone = sorted(set(clause_ids) - {clause["id"] for clause in current})
    sentence = _("The present guideline has no such clause.")
    return [*found, *({"id": one, "title": one, "text": sentence, "examples": []} for one in gone)]
