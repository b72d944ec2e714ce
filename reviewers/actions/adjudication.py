"""Every change that a reviewer makes: one keyword-only, atomic function each, with its event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation import queue
from annotation.access import Access
from annotation.actions.carrying import Batch, Way
from annotation.actions.events import write_event
from annotation.carrying import Carried, Fate, carry_decision
from annotation.commitments import commit, commit_answer, make_salt
from annotation.errors import InvalidError, StateError
from annotation.kinds import KINDS, LabelValue, Question
from annotation.models import Item, Member, Project, QueueLane, QueueRow, Seat
from annotation.parts import read_parts
from annotation.plain_text import find_text_fault
from annotation.schema import asked, parse_answers
from reviewers.answers import questions_by_id, read_value
from reviewers.errors import HeldError, OwnWorkError, StaleDecisionError
from reviewers.models import Adjudication, AdjudicationNote, Resolution
from reviewers.reports import show_adjudication, show_resolutions

LABELLING = (QueueLane.Kind.LABEL, QueueLane.Kind.RELABEL)
ACCEPTED = (Resolution.State.AGREED, Resolution.State.ADJUDICATED)
METHOD = "adjudication"
MOST_NOTE = 10_000


@transaction.atomic
def adjudicate(
    *,
    access: Access,
    item: Item,
    answers: Mapping[str, Any],
    reason: str,
    note: str = "",
    precedent: bool = False,
    expected_version: int | None = None,
) -> Adjudication:
    """Decide an item: disputed, agreed, decided before, or still open. The votes stay as they are.

    `answers` (question name -> value) must hold every required question that has no accepted value; others keep theirs.
    A text is never required here: what annotators wrote stands, as nobody votes on it.
    A question that the accepted values do not ask for may have no answer, and loses the one that it had.
    `expected_version` is the highest `version` among the item's resolutions that the reviewer saw (0: there were none);
    afterwards every resolution of the item carries that number plus one. Left out, it means "nobody else has decided
    this yet".

    Raises InvalidError, AnswersError, StateError, OwnWorkError, HeldError, StaleDecisionError.
    """
    _check(reason, note, precedent, expected_version)
    project, reviewer = access.project, access.user
    # From here on the item's queue row is locked: no vote and no other decision comes in between.
    seat_id = queue.take_dispute(project_id=project.pk, item_id=item.pk, person_id=reviewer.pk)
    if seat_id is None:
        raise HeldError
    seat = Seat.objects.select_related("queue_row", "schema", "guideline").get(pk=seat_id)
    _check_state(project, item)
    is_own_work = Seat.objects.filter(
        item=item, person=reviewer, kind__in=LABELLING, state=Seat.State.SUBMITTED
    ).exists()
    if is_own_work and access.own_role != Member.Role.OWNER:
        raise OwnWorkError
    rows = list(Resolution.objects.filter(item=item, pass_no=seat.queue_row.pass_no))
    seen = max((row.version for row in rows), default=0)
    _check_fresh(access, item, seat, seen, expected_version)

    compiled = seat.schema.compiled
    known = {row.question: value for row in rows if row.state in ACCEPTED and (value := read_value(row)) is not None}
    required = [q["id"] for q in compiled["questions"] if q["required"] and KINDS[q["kind"]].COLUMN != "text"]
    decided = parse_answers(
        compiled, dict(answers), known=known, required=required, read_parts=lambda: read_parts(item.pk)
    )
    _accept(project, seat, decided, asked(compiled, {**known, **decided}), seen + 1)
    salt = make_salt()
    texts = {str(question): value.text for question, value in decided.items() if value.text is not None}
    adjudication = Adjudication(
        project=project,
        item=item,
        seat=seat,
        pass_no=seat.queue_row.pass_no,
        reviewer=reviewer,
        answers={str(question): _store_value(question, value, salt) for question, value in decided.items()},
        reason=reason,
        is_precedent=precedent,
        is_own_work=is_own_work,
        guideline_version=seat.guideline.version if seat.guideline else None,
    )
    if note:
        adjudication.note_commitment = commit(note, salt)
    adjudication.save(force_insert=True)
    if note or texts:
        AdjudicationNote.objects.create(adjudication=adjudication, text=note, answers=texts, salt=salt)
    write_event(
        project=project,
        kind="item.adjudicated",
        actor=reviewer,
        item_id=item.pk,
        ref_id=adjudication.pk,
        data={
            "state": "adjudicated",
            "questions": sorted(decided),
            "reason": reason,
            "precedent": precedent,
            "own_work": is_own_work,
        },
    )
    return adjudication


def _store_value(question: int, value: LabelValue, salt: bytes) -> dict[str, Any]:
    """The one column that a value sets; of a text its commitment."""
    if value.text is None:
        return value.columns()
    return {"text_commitment": commit_answer(question, value.text, salt).hex()}


@transaction.atomic
def carry_decisions(*, project: Project, way: Way, batch: Batch, is_late: bool = False) -> int:
    """What becomes of resolutions when answers are carried over to a breaking schema; returns how many decisions are
    asked again.

    The vote rule has looked at the rows that were touched; what it leaves behind of questions that left goes here. A
    reviewer's decision is carried as an answer is: its values are mapped, or the reviewers are asked again. Part of the
    batch's transaction, which holds the rows, and done once for a version: where answers came late, decisions were
    carried before, or were made under the version.
    """
    if way.target is None:
        return 0
    compiled = way.versions[-1][1].new
    questions = questions_by_id(compiled)
    rows = {row.pk: row for row in QueueRow.objects.filter(pk__in={*batch.touched_rows, *batch.decided_rows})}
    by_place = {(row.item_id, row.pass_no): row for row in rows.values()}
    found: dict[int, dict[int, Resolution]] = {pk: {} for pk in rows}
    for resolution in Resolution.objects.filter(item__in=[row.item_id for row in rows.values()]).order_by("pk"):
        row = by_place.get((resolution.item_id, resolution.pass_no))
        if row is None:
            continue
        if resolution.question in questions:
            found[row.pk][resolution.question] = resolution
        else:
            Resolution.objects.filter(pk=resolution.pk).delete()
    seats = {}
    for seat in Seat.objects.filter(
        item__in=[row.item_id for row in rows.values()], kind=QueueLane.Kind.ADJUDICATE, state=Seat.State.SUBMITTED
    ).order_by("ended_at", "pk"):
        seats[seat.item_id] = seat
    again: list[int] = []
    for pk in batch.decided_rows:
        row = rows[pk]
        decided_on = seats.get(row.item_id)
        values = {number: value for number, one in found[pk].items() if (value := read_value(one)) is not None}
        # Decisions are made under the version of now, and were carried to every breaking one since.
        is_old = not is_late and decided_on is not None and decided_on.schema_id < way.target
        carried = carry_decision(way.versions[-1][1], values) if is_old else Carried(values, {})
        _carry_decision(project, row, found[pk], carried)
        if carried.is_asked_again:
            again.append(pk)
        if pk in batch.touched_rows or carried.is_changed:
            _count_anew(row, questions)
    queue.ask_reviewers_again(row_ids=again)
    for pk in again:
        write_event(
            project=project,
            kind="item.settled",
            actor=None,
            item_id=rows[pk].item_id,
            ref_id=pk,
            data={"state": "disputed"},
        )
    # What is sealed or erased stays closed, whatever its votes say now.
    sealed = Item.objects.filter(pk__in=[row.item_id for row in rows.values()]).exclude(lifecycle=Item.Lifecycle.OPEN)
    queue.close_items(item_ids=list(sealed.values_list("pk", flat=True)))
    return len(again)


def _carry_decision(project: Project, row: QueueRow, known: Mapping[int, Resolution], carried: Carried) -> None:
    """Write what becomes of one decided item's resolutions. All of them get the next version where one changes."""
    if not carried.is_changed:
        return
    version = max((one.version for one in known.values()), default=0) + 1
    for question, fate in carried.fates.items():
        place: dict[str, Any] = {"item_id": row.item_id, "question": question, "pass_no": row.pass_no}
        rows = Resolution.objects.filter(**place)
        if fate == Fate.DROPPED:
            rows.delete()
        elif fate == Fate.ASKED:
            empty = {"choice": None, "choices": None, "number": None, "data": None}
            columns = {"state": Resolution.State.DISPUTED, "method": METHOD, "confidence": None, **empty}
            Resolution.objects.update_or_create(**place, defaults={"project": project, "changed_at": Now(), **columns})
        elif fate == Fate.MAPPED:
            value = carried.values[question]
            rows.update(choice=value.choice, choices=value.choices, number=value.number, data=value.data)
    Resolution.objects.filter(item_id=row.item_id, pass_no=row.pass_no).update(version=version, changed_at=Now())


def _count_anew(row: QueueRow, questions: Mapping[int, Question]) -> None:
    """Count the votes on a decided item again: they stand beside the decision and change nothing of it.

    What they were weighed by was of other values.
    """
    for number, question in questions.items():
        votes, n_votes, disagreement = count_votes(row.item_id, row.pass_no, question)
        Resolution.objects.filter(item_id=row.item_id, pass_no=row.pass_no, question=number).update(
            votes=votes, n_votes=n_votes, disagreement=disagreement, posterior=None, fit=None
        )


def erase_notes(*, item_ids: Sequence[int]) -> int:
    """Erase what reviewers wrote about erased items; decisions and commitments stay. Returns how many notes."""
    return AdjudicationNote.objects.filter(adjudication__item_id__in=item_ids).delete()[0]


def _check(reason: object, note: object, precedent: object, expected_version: object) -> None:
    faults: dict[str, str] = {}
    if reason not in Adjudication.Reason.values:
        faults["reason"] = _("One of: %(known)s.") % {"known": ", ".join(Adjudication.Reason.values)}
    if not isinstance(note, str) or (note and find_text_fault(note, MOST_NOTE)):
        faults["note"] = _("A text of at most %(most)d characters.") % {"most": MOST_NOTE}
    if not isinstance(precedent, bool):
        faults["precedent"] = _("true or false.")
    is_number = isinstance(expected_version, int) and not isinstance(expected_version, bool) and expected_version >= 0
    if expected_version is not None and not is_number:
        faults["expected_version"] = _("The highest version among the item's resolutions: a whole number from 0.")
    if faults:
        raise InvalidError(fields=faults)


def _check_state(project: Project, item: Item) -> None:
    """Both read anew: the item may have been sealed while the row's lock was waited for."""
    if Project.objects.get(pk=project.pk).state == Project.State.ARCHIVED:
        raise StateError(_("This project is archived. Its labels and history stay as they are."))
    if Item.objects.get(pk=item.pk).lifecycle != Item.Lifecycle.OPEN:
        raise StateError(_("This item is archived, quarantined or erased. It can no longer be decided."))


def _check_fresh(access: Access, item: Item, seat: Seat, seen: int, expected_version: int | None) -> None:
    """Raise StaleDecisionError, with what the reviewer has not seen, where they decide on an old picture."""
    last = Adjudication.objects.filter(item=item, pass_no=seat.queue_row.pass_no).order_by("-id").first()
    if expected_version is None:
        is_stale = last is not None and last.reviewer_id != access.user.pk
    else:
        is_stale = expected_version != seen
    if is_stale:
        raise StaleDecisionError(
            fields={
                "version": seen,
                "decision": None if last is None else show_adjudication(last, seat.schema.compiled),
                "resolutions": show_resolutions(item, seat.schema.compiled),
            }
        )


def _accept(project: Project, seat: Seat, decided: Mapping[int, LabelValue], asked_ids: set[int], version: int) -> None:
    """Write what is accepted now. `version` is one more than any that the item's resolutions had."""
    rows = Resolution.objects.filter(item_id=seat.item_id, pass_no=seat.queue_row.pass_no)
    questions = questions_by_id(seat.schema.compiled)
    rows.filter(question__in=[number for number in questions if number not in asked_ids]).delete()
    # A disputed question that was not required and got no answer has none.
    rows.filter(state=Resolution.State.DISPUTED).exclude(question__in=list(decided)).update(
        state=Resolution.State.OPEN, method=METHOD
    )
    rows.update(version=version, changed_at=Now())
    for number, value in decided.items():
        columns = {
            "state": Resolution.State.ADJUDICATED,
            "choice": value.choice,
            "choices": value.choices,
            "number": value.number,
            "data": value.data,
            "confidence": None,
            "method": METHOD,
            "version": version,
            "changed_at": Now(),
        }
        if not rows.filter(question=number).update(**columns):
            votes, n_votes, disagreement = count_votes(seat.item_id, seat.queue_row.pass_no, questions[number])
            Resolution.objects.create(
                project=project,
                item_id=seat.item_id,
                question=number,
                pass_no=seat.queue_row.pass_no,
                votes=votes,
                n_votes=n_votes,
                disagreement=disagreement,
                **columns,
            )


_VERDICTS = {
    "data": "reviewers_match(q.id, %(question)s::jsonb, 'majority')",
    "text": "(select 0 as disagreement)",
}
_BY_VALUE = "reviewers_decide(%(kind)s, 'majority', v.votes, v.n, %(tolerance)s::numeric)"


def count_votes(item_id: int, pass_no: int, question: Question) -> tuple[dict[str, int], int, float]:
    """The votes on a question that the vote rule does not look at: few votes, not asked until now, or decided."""
    verdict = _VERDICTS.get(KINDS[question["kind"]].COLUMN, _BY_VALUE)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select v.votes::text, v.n, d.disagreement
            from annotation_queuerow q
            cross join lateral reviewers_count(q.id, %(id)s::smallint, %(kind)s) v
            cross join lateral {verdict} d
            where q.item_id = %(item)s and q.kind in (1, 4) and q.pass_no = %(pass_no)s
            """,  # noqa: S608 - constants of this module
            {
                "id": question["id"],
                "kind": question["kind"],
                "tolerance": str(question.get("tolerance", 0)),
                "question": json.dumps(question),
                "item": item_id,
                "pass_no": pass_no,
            },
        )
        votes, n_votes, disagreement = cursor.fetchone()
    return json.loads(votes), n_votes, disagreement
