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
from annotation.actions.events import write_event
from annotation.commitments import commit, commit_answer, make_salt
from annotation.errors import InvalidError, StateError
from annotation.kinds import KINDS, LabelValue
from annotation.models import Item, Member, Project, QueueLane, Seat
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
            votes, n_votes, disagreement = _count(seat, questions[number])
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
    "data": "reviewers_match(q.id, %(id)s::smallint, 'majority', %(overlap)s::numeric)",
    "text": "(select 0 as disagreement)",
}
_BY_VALUE = "reviewers_decide(%(kind)s, 'majority', v.votes, v.n, %(tolerance)s::numeric)"


def _count(seat: Seat, question: Mapping[str, Any]) -> tuple[dict[str, int], int, float]:
    """The votes on a question that the vote rule had not looked at (few votes, or not asked until now)."""
    verdict = _VERDICTS.get(KINDS[question["kind"]].COLUMN, _BY_VALUE)
    overlap = question.get("least_overlap")
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
                "overlap": None if overlap is None else str(overlap),
                "item": seat.item_id,
                "pass_no": seat.queue_row.pass_no,
            },
        )
        votes, n_votes, disagreement = cursor.fetchone()
    return json.loads(votes), n_votes, disagreement
