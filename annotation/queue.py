"""The queue, as callers see it: leases in, leases out. The statements are in `sql/queue.sql`; here they have names.

Nothing here reads a clock (Q12): time is the database's. Chance comes in as `rng`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from time import sleep
from typing import Any, cast

from django.db import IntegrityError, connection, transaction

from annotation.commitments import commit, commit_answer
from annotation.deadlocks import in_turn
from annotation.errors import (
    AbsentError,
    AlreadySubmittedError,
    InvalidError,
    KeyReusedError,
    LeaseGoneError,
    UndoTooLateError,
)
from annotation.models import QueueLane, QueueRow

KINDS = {kind.name.lower(): kind.value for kind in QueueLane.Kind}
STATES = {state.value: state.name.lower() for state in QueueRow.State}
REASONS = ("ambiguous", "missing_context", "language", "technical", "harmful", "other")
SKIPPED, RELEASED = 3, 4
DECIDED = QueueRow.State.ADJUDICATED


@dataclass(frozen=True, slots=True)
class Leases:
    """What a person holds after asking: raw leases (see `serializers.show_lease`), and why there are no more.

    `limit` says which one where the reason is a limit that spares the person severe items: `exposure` (the day's budget
    is used up), `in_a_row` (time for a pause), `opted_out` (what is left is of harms that they opted out of).
    """

    leases: list[dict[str, Any]]
    reason: str | None = None
    retry_after: int | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a lease id stands for: all that was fixed when the seat was taken. It never changes."""

    seat_id: int
    generation: int
    person_id: int
    project_id: int
    item_id: int
    kind: int
    schema_id: int
    guideline_id: int | None


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submit did. `is_replay`: this key was answered before, and this is the same answer."""

    annotation_id: int
    item_state: str
    leases: list[dict[str, Any]]
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A validated answer, ready to store: typed labels and what came with them.

    `labels` are `{"q": question id, ...the columns of the value}`; `texts` are text answers by question id (as text),
    whose labels hold a commitment and are made here.
    """

    labels: Sequence[Mapping[str, Any]]
    seconds: float | None = None
    is_unsure: bool = False
    flag: str = ""
    clauses: Sequence[str] = ()
    comment: str = ""
    texts: Mapping[str, str] | None = None


# Stamps of the leases that this process handed out: most answers come back to where their lease was fetched.
_stamps: dict[tuple[int, int], Stamp] = {}
_MOST_STAMPS = 10_000


def find_stamp(*, seat_id: int, generation: int, person_id: int) -> Stamp:
    """The stamp of a person's own lease; where the seat was held anew since, that of its current lease.

    Raises AbsentError where the person has no such seat.
    """
    stamp = _stamps.get((seat_id, generation))
    if stamp is None:
        with connection.cursor() as cursor:
            cursor.execute(
                "select id, generation, person_id, project_id, item_id, kind, schema_id, guideline_id"
                " from annotation_seat where id = %s",
                [seat_id],
            )
            row = cursor.fetchone()
        if row is None:
            raise AbsentError
        stamp = Stamp(*row)
        _keep([stamp])
    if stamp.person_id != person_id:
        raise AbsentError
    return stamp


def _keep(stamps: Sequence[Stamp]) -> None:
    if len(_stamps) > _MOST_STAMPS:
        _stamps.clear()
    _stamps.update(((stamp.seat_id, stamp.generation), stamp) for stamp in stamps)


def _stamp(raws: list[dict[str, Any]], person_id: int) -> list[dict[str, Any]]:
    """Keep the stamps of raw leases that are handed to a person."""
    _keep(
        [
            Stamp(
                raw["seat"],
                raw["generation"],
                person_id,
                raw["project"],
                raw["item"],
                raw["kind"],
                raw["schema"],
                raw["guideline"],
            )
            for raw in raws
        ]
    )
    return raws


def _call(sql: str, params: Sequence[Any]) -> Any:
    """The one value that a statement returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return row[0] if row else None


def _call_json(sql: str, params: Sequence[Any]) -> Any:
    """The one jsonb value that a statement returns, parsed; None for null. (Django hands jsonb out as text.)"""
    value = _call(sql, params)
    return None if value is None else json.loads(value)


def _call_hot(sql: str, params: Sequence[Any]) -> Any:
    """The same for what is called with every answer: prepared. Types stand in the statement, so that there is one."""
    with cast(Any, connection).prepared_cursor() as cursor:  # of this project's database backend
        cursor.execute(sql, params)
        return json.loads(cursor.fetchone()[0])


def lease(
    *, project_id: int, person_id: int, kind: str = "label", n: int, languages: Collection[str] = (), rng: Random
) -> Leases:
    """Top up to `n` held seats of a kind, best first; the ones already held come first.

    Where all that is left is locked by other people's requests at this moment, it comes back a few times, each time in
    a transaction of its own: nobody waits for a row while holding another one.
    """
    pause = 0.002
    while True:
        found = _call_hot(
            "select queue_lease(%s::bigint, %s::bigint, %s::smallint, %s::int, %s::text[], %s::float8[])",
            [project_id, person_id, KINDS[kind], n, _lower(languages), _chances(rng, n)],
        )
        leases = _stamp(found["leases"], person_id)
        if found["reason"] != "busy":
            return Leases(leases, found["reason"], found["retry_after"], found.get("limit"))
        if leases or pause > 0.3:
            return Leases(leases, "all_leased", 1)
        sleep(pause * (0.5 + rng.random()))
        pause *= 2


def _lower(languages: Collection[str]) -> list[str]:
    """Lanes are named in lower case; a language tag is the same however it is written."""
    return [language.lower() for language in languages]


def _chances(rng: Random, n: int) -> list[float]:
    """Two numbers in [0, 1) for each of up to `n` new seats: from the holdout or not, suggestion withheld or not."""
    return [rng.random() for _ in range(2 * max(1, n))]


def held(*, project_id: int, person_id: int) -> list[dict[str, Any]]:
    """The seats that a person holds in a project, of any kind, oldest first."""
    return list(
        _call_json(
            """
            select queue_show(array(select id from annotation_seat
              where person_id = %s and project_id = %s and state = 1 and expires_at >= clock_timestamp()))
            """,
            [person_id, project_id],
        )
    )


def submit(
    *,
    seat_id: int,
    generation: int,
    person_id: int,
    key: str,
    body_digest: bytes,
    source: str,
    answer: Answer,
    salt: bytes,
    lease_next: int = 0,
    languages: Collection[str] = (),
    rng: Random,
) -> Submission:
    """Store an answer and top up to `lease_next` leases, in one transaction; it is durable when this returns (Q3).

    Raises AbsentError, KeyReusedError, AlreadySubmittedError, LeaseGoneError.
    """
    texts = dict(answer.texts or {})
    committed = [{"q": int(q), "text_commitment": commit_answer(int(q), text, salt).hex()} for q, text in texts.items()]
    commitment = commit({"comment": answer.comment, "answers": texts}, salt) if answer.comment or texts else None
    stored = [
        seat_id,
        generation,
        person_id,
        key,
        body_digest,
        source,
        json.dumps([*answer.labels, *committed]),
        answer.seconds,
        answer.is_unsure,
        answer.flag,
        list(answer.clauses),
        answer.comment,
        json.dumps(texts),
        salt,
        commitment,
    ]
    wanted = [lease_next, _lower(languages), _chances(rng, lease_next)]
    try:
        done = _call_hot(_ANSWER, [*stored, *wanted])
    except IntegrityError as error:
        # One person, one key, two projects, the same moment: only the constraint sees that. Now the other one is there.
        if "annotation_key_once" not in str(error):
            raise
        done = _call_hot(_ANSWER, [*stored, *wanted])
    _raise_for(done["status"])
    return Submission(
        annotation_id=done["annotation"],
        item_state=done["item_state"],
        leases=_stamp(done["leases"], person_id),
        is_replay=done["status"] == "replay",
    )


_ANSWER = """
    select queue_answer(%s::bigint, %s::int, %s::bigint, %s::text, %s::bytea, %s::text, %s::jsonb, %s::float8,
                        %s::boolean, %s::text, %s::text[], %s::text, %s::jsonb, %s::bytea, %s::bytea,
                        %s::int, %s::text[], %s::float8[])
"""


def _raise_for(status: str) -> None:
    match status:
        case "absent":
            raise AbsentError
        case "key_reused":
            raise KeyReusedError
        case "already":
            raise AlreadySubmittedError
        case "gone":
            raise LeaseGoneError


def item_state(item_id: int) -> str:
    """The item's state as callers see it: its lifecycle if that is not open, else its worst required question's."""
    return str(_call("select queue_item_state(%s)", [item_id]))


def renew(*, seat_id: int, generation: int, person_id: int) -> dict[str, Any]:
    """Start the lease's time anew, late too while nobody took the place. Raises LeaseGoneError."""
    shown = _call_json("select queue_renew(%s, %s, %s)", [seat_id, generation, person_id])
    if shown is None:
        raise LeaseGoneError
    return dict(shown)


def skip(*, seat_id: int, generation: int, person_id: int, reason: str) -> None:
    """Give the place back and never be offered the item again in this pass. Raises LeaseGoneError, InvalidError."""
    if reason not in REASONS:
        raise InvalidError(fields={"reason": f"One of: {', '.join(REASONS)}."})
    _give_back(seat_id, generation, person_id, SKIPPED, reason)


def release(*, seat_id: int, generation: int, person_id: int) -> None:
    """Give the place back; the item may be offered again. Raises LeaseGoneError."""
    _give_back(seat_id, generation, person_id, RELEASED, "")


def _give_back(seat_id: int, generation: int, person_id: int, state: int, reason: str) -> None:
    with transaction.atomic():
        if (
            _call(
                "select queue_give_back(%s, %s, %s, %s::smallint, %s)", [seat_id, generation, person_id, state, reason]
            )
            is None
        ):
            raise LeaseGoneError


def undo(*, annotation_id: int, person_id: int) -> dict[str, Any]:
    """Take an answer back; the raw lease of the same place, to answer again. Raises AbsentError, UndoTooLateError."""
    with transaction.atomic():
        done = _call_json("select queue_undo(%s, %s)", [annotation_id, person_id])
        if done["status"] == "absent":
            raise AbsentError
        if done["status"] == "too_late":
            raise UndoTooLateError
    return dict(done["lease"])


def take_dispute(*, project_id: int, item_id: int, person_id: int) -> int | None:
    """The adjudicate seat on an item, used in the caller's transaction; None where another reviewer holds it."""
    seat: int | None = _call("select queue_take_dispute(%s, %s, %s)", [project_id, item_id, person_id])
    return seat


def close_items(*, item_ids: Sequence[int]) -> None:
    """Nobody is offered these items again, and places on them that were not used are withdrawn."""
    _call("select queue_close(%s::bigint[])::text", [list(item_ids)])


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a person was handed of severe items in the last 24 hours, over all projects: how many, how long."""

    n: int
    seconds: float


def exposure(*, person_id: int) -> Exposure:
    """A person's exposure to severe items now, as their budget counts it."""
    with connection.cursor() as cursor:
        cursor.execute("select n, seconds from queue_exposure(0, %s, clock_timestamp(), 1, interval '0')", [person_id])
        return Exposure(*cursor.fetchone())


def hold_exposure(*, person_id: int) -> None:
    """Wait for the person's requests that may be handed severe items, and let no other begin until the commit."""
    _call("select pg_advisory_xact_lock(hashtext('exposure'), %s)::text", [person_id])


def decline(*, person_id: int, harms: Collection[str]) -> int:
    """Give the places back that a person holds on items of these harms; returns how many. Not counted as skips."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select s.id, s.generation from annotation_seat s join annotation_queuelane l on l.id = s.lane_id
            where s.person_id = %s and s.state = 1 and string_to_array(l.harms, ',') && %s::text[]
            order by s.id
            """,
            [person_id, list(harms)],
        )
        seats = cursor.fetchall()
    n = 0
    for seat_id, generation in seats:
        with suppress(LeaseGoneError):  # used or taken meanwhile
            release(seat_id=seat_id, generation=generation, person_id=person_id)
            n += 1
    return n


def reopen_items(*, item_ids: Sequence[int]) -> None:
    """Work on items goes on that were closed by `close_items`, each in the state that its votes say."""
    _call("select queue_reopen(%s::bigint[])::text", [list(item_ids)])


def leave(*, project_id: int, person_id: int) -> int:
    """Open the places again that somebody holds who left the project. Returns how many."""
    return int(_call("select queue_leave(%s, %s)", [project_id, person_id]))


def set_ranks(*, project_id: int, priorities: Mapping[int, float], draw_id: int | None) -> int:
    """Give items new priorities, and the draw that says why. Returns how many rows were changed."""
    return int(
        _call(
            "select queue_set_ranks(%s, %s::bigint[], %s::float8[], %s)",
            [project_id, list(priorities), [-p for p in priorities.values()], draw_id],
        )
    )


def set_overlap(*, project_id: int, wanted: int, after: int, limit: int) -> tuple[int | None, int]:
    """One batch of rows, of the items with ids above `after`, gets `max(wanted, taken)` places.

    Returns the last item looked at (None: done) and how many rows were changed.
    """

    def change() -> tuple[int | None, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "select last, changed from queue_set_overlap(%s, %s, %s, %s)", [project_id, wanted, after, limit]
            )
            last, changed = cursor.fetchone()
        return last, changed

    return in_turn(change)  # it holds many rows and offers at once


def settle(*, row_ids: Sequence[int]) -> None:
    """Let the vote rule look at rows whose seats were written in bulk (an import)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select queue_settle(id, 0, false, clock_timestamp(), null, null, null, null)
            from unnest(%s::bigint[]) as id order by id
            """,
            [list(row_ids)],
        )


def lock_answers(*, item_ids: Sequence[int]) -> dict[int, int]:
    """Hold the answers on some items, in their newest pass, until the caller's transaction ends.

    Returns the state of each of their queue rows by its id. Seats before rows, each in the order of their ids.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select id from annotation_seat where item_id = any(%s) and kind in (1, 4) and state in (1, 2)"
            " order by id for no key update",
            [list(item_ids)],
        )
        cursor.execute(
            """
            select q.id, q.state from annotation_queuerow q where q.item_id = any(%s) and q.kind in (1, 4)
              and not exists (select 1 from annotation_queuerow n
                              where n.item_id = q.item_id and n.kind in (1, 4) and n.pass_no > q.pass_no)
            order by q.id for no key update of q
            """,
            [list(item_ids)],
        )
        return dict(cursor.fetchall())


def point_to(*, annotations: Mapping[int, int]) -> None:
    """Let submitted seats (by id) point to a newer annotation of the same answer. The caller holds them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_seat s set annotation_id = n.annotation from unnest(%s::bigint[], %s::bigint[])"
            " as n(seat, annotation) where s.id = n.seat and s.state = 2",
            [list(annotations), list(annotations.values())],
        )


def ask_again(*, seat_ids: Sequence[int], rows: Mapping[int, int]) -> None:
    """Release submitted seats, whose answers count no more, and let the vote rule look at their rows.

    `rows`: queue row -> how many of these seats are on it; 0: its votes changed in another way. The caller holds them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_seat set state = 4, annotation_id = null, ended_at = clock_timestamp()"
            " where id = any(%s) and state = 2",
            [list(seat_ids)],
        )
        cursor.execute(
            """
            select queue_settle(r.id, -r.n, r.n > 0, clock_timestamp(), null, null, null, null)
            from (select * from unnest(%s::bigint[], %s::int[]) as u(id, n) order by id) r
            """,
            [list(rows), list(rows.values())],
        )


def ask_reviewers_again(*, row_ids: Sequence[int]) -> None:
    """Put decided rows before the reviewers again, with a place more. The caller holds them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update annotation_queuerow d set overlap = d.n_submitted + 1 from annotation_queuerow q
            where q.id = any(%s) and d.item_id = q.item_id and d.kind = 2 and d.pass_no = q.pass_no
            """,
            [list(row_ids)],
        )
        cursor.execute(
            "update annotation_queuerow set state = 2, is_closed = true where id = any(%s) and state = 3",
            [list(row_ids)],
        )
        cursor.execute(
            "select queue_open_dispute(q) from annotation_queuerow q where q.id = any(%s) and q.state = 2",
            [list(row_ids)],
        )


def put_offers(*, row_ids: Sequence[int]) -> None:
    """Offer the free places of rows that were written in bulk, and no others. The caller bumps the lanes."""
    _call("select queue_offer(%s::bigint[], false)::text", [list(row_ids)])


def bump_lanes(*, lane_ids: Sequence[int]) -> None:
    """Say that a bulk change may have put work before people's cursors."""
    _call("select queue_bump(%s::bigint[])::text", [list(lane_ids)])


def move_floors() -> int:
    """Move the lanes' floors up to where work begins; they only save time. Returns how many moved."""
    return int(_call("select queue_move_floors()", []))


def digest_body(body: Mapping[str, Any]) -> bytes:
    """What one idempotency key stands for: the body as parsed JSON, whatever its spacing and order of keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).digest()
