"""One person's answer to one lease: checked against the schema that the seat is pinned to, then stored by the queue."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from django.utils.translation import gettext as _

from annotation import queue
from annotation.access import Access
from annotation.commitments import make_salt
from annotation.errors import InvalidError, KeyMissingError
from annotation.models import Annotation, User
from annotation.parts import read_parts
from annotation.schema import AnswersError, parse_answers
from annotation.versions import read_guideline, read_schema

MAX_COMMENT = 10_000
MAX_LEASE_NEXT = 50
_KEYS = frozenset({"answers", "seconds", "unsure", "flag", "comment", "clauses", "lease_next"})
_SOURCES = {
    User.Kind.PERSON: Annotation.Source.HUMAN,
    User.Kind.SIMULATED: Annotation.Source.SIMULATED,
    User.Kind.IMPORTED: Annotation.Source.IMPORTED,
}


def answer_lease(
    *, access: Access, stamp: queue.Stamp, generation: int, key: str | None, body: Mapping[str, Any], rng: Random
) -> queue.Submission:
    """Store the answer in a request's body under its idempotency key, and top up leases as it asks.

    `stamp` is of the caller's own seat, `generation` as the lease id says. Raises KeyMissingError, InvalidError,
    AnswersError, KeyReusedError, LeaseGoneError, AlreadySubmittedError; then nothing was stored.
    """
    if not key or len(key) > 255 or not key.isprintable():
        raise KeyMissingError
    try:
        answer, lease_next = parse_body(body, stamp)
    except AnswersError:
        # What it points into may be known better now than when the same request was answered, which it then is again.
        if not Annotation.objects.filter(person=access.user, key=key).exists():
            raise
        answer, lease_next = queue.Answer(labels=()), 0
    return queue.submit(
        seat_id=stamp.seat_id,
        generation=generation,
        person_id=access.user.pk,
        key=key,
        body_digest=queue.digest_body(body),
        source=_SOURCES[User.Kind(access.user.kind)],
        answer=answer,
        salt=make_salt(),
        lease_next=lease_next,
        languages=access.languages,
        rng=rng,
    )


def parse_body(body: Mapping[str, Any], stamp: queue.Stamp) -> tuple[queue.Answer, int]:
    """The answer and `lease_next` in a body; all but `answers` may be missing. Raises InvalidError, AnswersError."""
    faults: dict[str, str] = {name: _("There is no such field.") for name in set(body) - _KEYS}
    answers = body.get("answers")
    if not isinstance(answers, dict):
        faults["answers"] = _("An object: question name -> answer.")
    seconds = body.get("seconds")
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 1e6
    ):
        faults["seconds"] = _("Active seconds, 0 or more.")
    unsure = body.get("unsure", False)
    if not isinstance(unsure, bool):
        faults["unsure"] = _("true or false.")
    flag = body.get("flag") or ""
    if flag and flag not in queue.REASONS:
        faults["flag"] = _("One of: %(known)s.") % {"known": ", ".join(queue.REASONS)}
    comment = body.get("comment") or ""
    if not isinstance(comment, str) or len(comment) > MAX_COMMENT or "\x00" in comment:
        faults["comment"] = _("A text of at most %(most)d characters.") % {"most": MAX_COMMENT}
    clauses = body.get("clauses") or []
    # Most answers cite none, and then the guideline is not read.
    cites = clauses and stamp.guideline_id is not None
    known = {clause["id"] for clause in read_guideline(stamp.guideline_id).clauses} if cites else set()
    if not isinstance(clauses, list) or any(not isinstance(c, str) or c not in known for c in clauses):
        faults["clauses"] = _("Ids of clauses of the guideline: %(known)s.") % {
            "known": ", ".join(sorted(known)) or "-"
        }
    lease_next = body.get("lease_next", 0)
    if isinstance(lease_next, bool) or not isinstance(lease_next, int) or not 0 <= lease_next <= MAX_LEASE_NEXT:
        faults["lease_next"] = _("A whole number from 0 to %(most)d.") % {"most": MAX_LEASE_NEXT}
    if faults:
        raise InvalidError(fields=faults)
    compiled = read_schema(stamp.schema_id).compiled
    values = parse_answers(compiled, answers, read_parts=lambda: read_parts(stamp.item_id))
    answer = queue.Answer(
        labels=[{"q": question, **value.columns()} for question, value in values.items() if value.text is None],
        texts={str(question): value.text for question, value in values.items() if value.text is not None},
        seconds=seconds,
        is_unsure=unsure,
        flag=flag,
        clauses=clauses,
        comment=comment,
    )
    return answer, lease_next
