"""The queue as it should be, in plain Python: what each request must do and answer, without a database.

Nothing here knows how the real queue finds work (cursors, floors, offers, epochs): a model looks at every item each
time, so it cannot hide one. Where the real queue may choose (which of several expired places on one item it takes),
the model is told what was chosen and refuses what is not allowed. Time is a count of requests; a lease ends when
somebody says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

LABEL, ADJUDICATE = "label", "adjudicate"
HELD, SUBMITTED, SKIPPED, RELEASED, WITHDRAWN = "held", "submitted", "skipped", "released", "withdrawn"
OPEN, AGREED, DISPUTED, ADJUDICATED = "open", "agreed", "disputed", "adjudicated"
POOL, HOLDOUT = "pool", "holdout"


class Refusal(Exception):
    """A request that must be refused; `code` is the one that callers are told."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Mismatch(AssertionError):
    """The real queue chose what it may not choose."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a person was handed: the place and the generation that the lease's id names."""

    person: str
    kind: str
    item: str
    generation: int

    def __repr__(self) -> str:
        return f"<{self.person} {self.kind} {self.item} #{self.generation}>"


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent with an answer."""

    choice: str
    lease_next: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was stored, under its key, and the leases that came back with it."""

    key: str
    lease: Lease
    body: Body
    leases: tuple[Lease, ...]

    def __repr__(self) -> str:
        return f"<answer {self.key} to {self.lease}>"


@dataclass(frozen=True, slots=True)
class Offered:
    """The answer to asking for leases."""

    leases: tuple[Lease, ...]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submit."""

    key: str
    item_state: str
    leases: tuple[Lease, ...]
    is_replay: bool


@dataclass(slots=True)
class Seat:
    """One person's place on one row. `made` is the order in which seats came to be, `leased` the last time it was."""

    made: int
    leased: int
    state: str = HELD
    generation: int = 1
    is_late: bool = False
    key: str | None = None
    choice: str | None = None


@dataclass(slots=True)
class Row:
    """An item to be labelled, or a dispute to be decided. The lowest (`rank`, `tiebreak`) is served first."""

    kind: str
    item: str
    stream: str
    language: str
    tiebreak: int
    overlap: int
    rank: float = 0.0
    state: str = OPEN
    is_closed: bool = False
    seats: dict[str, Seat] = field(default_factory=dict)

    def count(self, *states: str) -> int:
        """How many seats are in one of these states."""
        return sum(seat.state in states for seat in self.seats.values())

    @property
    def n_free(self) -> int:
        """Places that anybody may take who has none yet."""
        return 0 if self.is_closed else self.overlap - self.count(HELD, SUBMITTED)


@dataclass(frozen=True, slots=True)
class Place:
    """Something that a person may take: a free place, or one whose lease ran out (`loser`: whose; maybe their own)."""

    order: tuple[float, int]
    row: Row
    loser: str | None


@dataclass(slots=True)
class Person:
    """A member. No languages: all of them."""

    languages: tuple[str, ...] = ()
    is_member: bool = True


@dataclass(slots=True)
class Settings:
    """A project's settings, as far as the queue heeds them. `holdout_first`: the whole share comes from the holdout."""

    overlap_min: int
    overlap_max: int
    max_held: int
    skips_to_dispute: int
    is_paused: bool = False
    holdout_first: bool = False


class Queue:
    """A project's queue. Every method is one request; what must be refused raises Refusal and changes nothing.

    `lost` says on which places of other people (kind, item, person) the real queue ended an expired lease during the
    request. Methods that hand out leases raise Mismatch where that is not what serving order allows.
    """

    def __init__(self, settings: Settings, people: dict[str, Person], rows: Sequence[Row], owner: str) -> None:
        self.settings = settings
        self.people = people
        self.owner = owner
        self.rows = {(row.kind, row.item): row for row in rows}
        self.sealed: set[str] = set()
        self.deciders: dict[str, str] = {}
        self.answers: dict[tuple[str, str], Answer] = {}
        self._now = 0
        self._n_seats = 0

    # What there is

    def row(self, lease: Lease) -> Row:
        """The row that a lease is about."""
        return self.rows[lease.kind, lease.item]

    def seats(self) -> Iterator[tuple[Row, str, Seat]]:
        """Every seat, with its row and its person."""
        for row in self.rows.values():
            for person, seat in row.seats.items():
                yield row, person, seat

    def held(self, person: str, kind: str | None = None) -> list[Lease]:
        """What a person holds (of a kind), in the order in which it is shown."""
        found = sorted(
            (seat.leased, seat.made, Lease(person, row.kind, row.item, seat.generation))
            for row, holder, seat in self.seats()
            if holder == person and seat.state == HELD and not seat.is_late and kind in (None, row.kind)
        )
        return [lease for _leased, _made, lease in found]

    def item_state(self, item: str) -> str:
        """The item's state, as callers are told."""
        return "quarantined" if item in self.sealed else self.rows[LABEL, item].state

    def places(self, person: str, kind: str, streams: Collection[str] = (POOL, HOLDOUT)) -> list[Place]:
        """Everything that a person may take now."""
        found = []
        for row in self._rows_for(person, kind, streams):
            if row.is_closed or self._is_own_dispute(person, row):
                continue
            if not self._is_barred(person, row):
                if row.n_free:
                    found.append(Place((row.rank, row.tiebreak), row, None))
                late = [(name, seat) for name, seat in row.seats.items() if seat.state == HELD and seat.is_late]
            else:
                late = [(person, row.seats[person])] if self._is_late(row.seats[person]) else []
            found += [Place((row.rank, row.tiebreak), row, name) for name, _seat in late]
        return found

    # Requests

    def lease(self, person: str, kind: str, n: int, lost: Collection[tuple[str, str, str]] = ()) -> Offered:
        """Top up to `n` held leases of a kind."""
        self._now += 1
        return self._top_up(person, kind, n, lost)

    def submit(
        self, lease: Lease, key: str, body: Body, lost: Collection[tuple[str, str, str]] = ()
    ) -> tuple[Submitted, Answer | None]:
        """Store an answer, once for each key. The second is what was stored now.

        A repeat stores nothing (None) and takes no lease: it shows those of the first time that are held still.
        """
        self._now += 1
        before = self.answers.get((lease.person, key))
        if before is not None:
            if (before.lease, before.body) != (lease, body):
                raise Refusal("key_reused")
            held = self.held(lease.person)
            kept = tuple(one for one in before.leases if one in held)
            return Submitted(key, self.item_state(lease.item), kept, True), None
        row = self.row(lease)
        seat = row.seats[lease.person]
        if seat.state == SUBMITTED:
            raise Refusal("already_submitted")
        self._require_held(lease)
        seat.state, seat.key, seat.choice, seat.is_late = SUBMITTED, key, body.choice, False
        self._settle(row)
        leases = self._top_up(lease.person, row.kind, body.lease_next, lost).leases if body.lease_next else ()
        answer = Answer(key, lease, body, leases)
        self.answers[lease.person, key] = answer
        return Submitted(key, self.item_state(lease.item), leases, False), answer

    def renew(self, lease: Lease) -> Lease:
        """Start the lease's time anew, late too."""
        self._require_held(lease).is_late = False
        return lease

    def skip(self, lease: Lease) -> None:
        """Give the place back, and never be offered it again."""
        self._give_back(lease, SKIPPED)

    def release(self, lease: Lease) -> None:
        """Give the place back."""
        self._give_back(lease, RELEASED)

    def undo(self, answer: Answer) -> Lease:
        """Take an answer back; the place stays its author's."""
        self._now += 1
        lease = answer.lease
        row = self.row(lease)
        seat = row.seats[lease.person]
        dispute = self.rows.get((ADJUDICATE, row.item))
        is_in_review = dispute is not None and any(
            one.state == SUBMITTED or (one.state == HELD and not one.is_late) for one in dispute.seats.values()
        )
        if (
            (seat.state, seat.key) != (SUBMITTED, answer.key)
            or row.state == ADJUDICATED
            or row.item in self.sealed
            or is_in_review
        ):
            raise Refusal("undo_too_late")
        seat.state, seat.key, seat.choice, seat.is_late = HELD, None, None, False
        seat.generation += 1
        seat.leased = self._now
        self._settle(row)
        return Lease(lease.person, row.kind, row.item, seat.generation)

    def adjudicate(self, person: str, item: str) -> None:
        """Decide an item."""
        self._now += 1
        label = self.rows[LABEL, item]
        dispute = self.rows.get((ADJUDICATE, item))
        others = {} if dispute is None else {n: s for n, s in dispute.seats.items() if n != person and s.state == HELD}
        if any(not seat.is_late for seat in others.values()):
            raise Refusal("held")
        if item in self.sealed:
            raise Refusal("wrong_state")
        if person in label.seats and label.seats[person].state == SUBMITTED and person != self.owner:
            raise Refusal("own_work")
        if self.deciders.get(item, person) != person:
            raise Refusal("stale")
        dispute = dispute or self._open_dispute(label)
        for seat in others.values():
            seat.state, seat.is_late = RELEASED, False
        mine = dispute.seats.get(person)
        if mine is None:
            mine = dispute.seats[person] = self._new_seat(dispute)
        mine.state, mine.is_late = SUBMITTED, False
        dispute.overlap = max(dispute.overlap, dispute.count(HELD, SUBMITTED))
        dispute.is_closed = label.is_closed = True
        label.state = ADJUDICATED
        self.deciders[item] = person

    def expire(self, lease: Lease) -> None:
        """The lease's time is over."""
        self._require_held(lease).is_late = True

    def expire_all(self) -> None:
        """The time of every lease is over."""
        for _row, _person, seat in self.seats():
            seat.is_late = seat.state == HELD

    def set_overlap(self, low: int, high: int) -> None:
        """Ask for more or fewer answers: what waits follows, as far as places are not taken."""
        is_new = low != self.settings.overlap_min
        self.settings.overlap_min, self.settings.overlap_max = low, high
        if not is_new:
            return
        for row in self._waiting():
            row.overlap = max(low, row.count(HELD, SUBMITTED))
        for row in self._waiting():
            if row.count(SUBMITTED) >= row.overlap:
                self._settle(row)

    def set_priority(self, item: str, priority: float) -> None:
        """Serve an item sooner or later."""
        self.rows[LABEL, item].rank = -priority

    def pause(self, is_paused: bool) -> None:
        """Hand nothing out for a while, or go on."""
        self.settings.is_paused = is_paused

    def serve_holdout_first(self, is_first: bool) -> None:
        """Take all work from the holdout while there is some, or only when there is no other."""
        self.settings.holdout_first = is_first

    def seal(self, item: str) -> bool:
        """Quarantine an item: nobody keeps a place on it that they have not used. Whether it was open."""
        if item in self.sealed:
            return False
        self.sealed.add(item)
        for row in self.rows.values():
            if row.item == item:
                row.is_closed = True
                for seat in row.seats.values():
                    if seat.state == HELD:
                        seat.state, seat.is_late = WITHDRAWN, False
        return True

    def let_out(self, item: str) -> None:
        """End the quarantine of an item: work on it goes on where it stood, for those too who had to leave it."""
        self.sealed.remove(item)
        label = self.rows[LABEL, item]
        label.is_closed = label.state in (DISPUTED, ADJUDICATED)
        if dispute := self.rows.get((ADJUDICATE, item)):
            dispute.is_closed = label.state != DISPUTED
        for row in self.rows.values():
            for seat in row.seats.values():
                if row.item == item and seat.state == WITHDRAWN:
                    seat.state = RELEASED

    def leave(self, person: str) -> None:
        """A member is taken out: what they hold opens again."""
        self.people[person].is_member = False
        for row, holder, seat in list(self.seats()):
            if holder == person and seat.state == HELD:
                seat.state, seat.is_late = RELEASED, False
                self._settle(row)

    def come_back(self, person: str) -> None:
        """A member is let in again."""
        self.people[person].is_member = True

    # How

    def _waiting(self) -> list[Row]:
        return [row for row in self.rows.values() if row.kind == LABEL and row.state == OPEN and not row.is_closed]

    def _rows_for(self, person: str, kind: str, streams: Collection[str]) -> list[Row]:
        spoken = self.people[person].languages
        return [
            row
            for row in self.rows.values()
            if row.kind == kind
            and row.stream in streams
            and (not spoken or row.language == "" or row.language in spoken)
        ]

    def _is_barred(self, person: str, row: Row) -> bool:
        """Whether they have, or had, a place there that they did not release."""
        return person in row.seats and row.seats[person].state != RELEASED

    def _is_late(self, seat: Seat) -> bool:
        return seat.state == HELD and seat.is_late

    def _is_own_dispute(self, person: str, row: Row) -> bool:
        labels = self.rows[LABEL, row.item].seats
        return row.kind == ADJUDICATE and person in labels and labels[person].state == SUBMITTED

    def _require_held(self, lease: Lease) -> Seat:
        seat = self.row(lease).seats[lease.person]
        if seat.state != HELD or seat.generation != lease.generation:
            raise Refusal("lease_gone")
        return seat

    def _new_seat(self, row: Row) -> Seat:
        self._n_seats += 1
        return Seat(made=self._n_seats, leased=self._now)

    def _give_back(self, lease: Lease, state: str) -> None:
        self._now += 1
        seat = self._require_held(lease)
        seat.state, seat.is_late = state, False
        self._settle(self.row(lease))

    def _top_up(self, person: str, kind: str, n: int, lost: Collection[tuple[str, str, str]]) -> Offered:
        shown = self.held(person, kind)
        if len(shown) >= n:
            return Offered(tuple(shown[:n]), None)
        if self.settings.is_paused:
            return Offered(tuple(shown), "paused")
        first, second = (HOLDOUT, POOL) if self.settings.holdout_first else (POOL, HOLDOUT)
        streams = [(first,), (second,)] if kind == LABEL else [(POOL, HOLDOUT)]
        reason = None
        while len(self.held(person, kind)) < n and reason is None:
            if len(self.held(person)) >= self.settings.max_held:
                reason = "limit"
                break
            found = next((found for some in streams if (found := self.places(person, kind, some))), [])
            if found:
                self._take(person, found, lost)
            else:
                reason = self._why_nothing(person, kind)
        return Offered(tuple(self.held(person, kind)), reason)

    def _take(self, person: str, found: Sequence[Place], lost: Collection[tuple[str, str, str]]) -> None:
        row = min(found, key=lambda place: place.order).row
        losers = [place.loser for place in found if place.row is row]
        gone = [name for name in losers if name is not None and (row.kind, row.item, name) in lost]
        loser = gone[0] if gone else next((name for name in losers if name in (None, person)), "nobody")
        if len(gone) > 1 or loser == "nobody":
            raise Mismatch(f"{person} got {row.kind} {row.item}, and of {losers} these lost their place: {gone}")
        if loser is not None and loser != person:
            row.seats[loser].state, row.seats[loser].is_late = RELEASED, False
        seat = row.seats.get(person)
        if seat is None:
            row.seats[person] = self._new_seat(row)
            return
        seat.generation += 1
        seat.state, seat.is_late, seat.leased = HELD, False, self._now

    def _why_nothing(self, person: str, kind: str) -> str:
        """Only asked where there is nothing to take."""
        mine = self._rows_for(person, kind, (POOL, HOLDOUT))
        for row in mine:
            is_takeable = not (row.is_closed or self._is_barred(person, row) or self._is_own_dispute(person, row))
            if is_takeable and row.count(HELD):
                return "all_leased"
        if any(row.n_free for row in mine):
            return "done_by_you"
        return "not_qualified" if any(row.n_free for row in self.rows.values() if row.kind == kind) else "empty"

    def _open_dispute(self, label: Row) -> Row:
        dispute = self.rows.get((ADJUDICATE, label.item))
        if dispute is None:
            dispute = Row(
                ADJUDICATE, label.item, label.stream, label.language, label.tiebreak, overlap=1, rank=label.rank
            )
            self.rows[ADJUDICATE, label.item] = dispute
        dispute.is_closed = False
        return dispute

    def _settle(self, row: Row) -> None:
        """The vote rule: a majority of as many answers as are wanted; one more where there is none; else a dispute."""
        if row.kind != LABEL or row.state == ADJUDICATED:
            return
        votes = Counter(seat.choice for seat in row.seats.values() if seat.state == SUBMITTED)
        n = votes.total()
        if n < row.overlap:
            state = DISPUTED if row.count(SKIPPED) >= self.settings.skips_to_dispute else OPEN
        elif 2 * max(votes.values()) > n:
            state = AGREED
        elif row.overlap < self.settings.overlap_max:
            row.overlap += 1
            state = OPEN
        else:
            state = DISPUTED
        before, row.state = row.state, state
        if state == DISPUTED:
            row.is_closed = True
            if before != DISPUTED:
                self._open_dispute(row)
        elif before == DISPUTED:
            row.is_closed = False
            self.rows[ADJUDICATE, row.item].is_closed = True
