"""The record of a history: what was asked and told, what is stored in the end, and what was agreed at the start."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

HELD, SUBMITTED, SKIPPED, RELEASED = 1, 2, 3, 4
NOTHING_LEFT = frozenset({"empty", "done_by_you", "not_qualified"})
# kind of operation -> the codes with which it may be refused
REFUSALS: dict[str, frozenset[str]] = {
    "lease": frozenset({"not_found"}),
    "held": frozenset({"not_found"}),
    "submit": frozenset({"not_found", "lease_gone", "already_submitted", "key_reused"}),
    "renew": frozenset({"not_found", "lease_gone"}),
    "skip": frozenset({"not_found", "lease_gone"}),
    "release": frozenset({"not_found", "lease_gone"}),
    "undo": frozenset({"not_found", "undo_too_late"}),
    "remove_member": frozenset({"not_found"}),
    "adjudicate": frozenset({"held", "stale", "wrong_state"}),
}
USES = frozenset({"submit", "renew", "skip", "release"})  # of a lease
PERSONAL = USES | {"lease", "held", "undo"}


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was shown. `id` is SEAT-GENERATION; `expires_at` in seconds."""

    id: str
    item: str
    expires_at: float

    @property
    def seat(self) -> str:
        return self.id.partition("-")[0]

    @property
    def generation(self) -> int:
        return int(self.id.partition("-")[2])


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `person` is who asked, or who a change of members is about. What does not apply is empty."""

    project: str
    person: str = ""
    lease: str = ""
    item: str = ""
    annotation: str = ""
    key: str = ""
    body: str = ""  # of a submit, as JSON
    value: str = ""  # the answer in it
    n: int = 0  # leases wanted; of a submit `lease_next`
    overlap: int = 0  # the new one


@dataclass(frozen=True, slots=True)
class Answer:
    """What was told. `status` 0: nothing. `code` names a refusal, `reason` why there are fewer leases than wanted."""

    status: int = 0
    code: str = ""
    leases: tuple[Lease, ...] = ()
    reason: str = ""
    annotation: str = ""
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client. `ended_at` of an unknown one is when the client gave it up."""

    number: int
    client: str
    kind: str
    invoked_at: float
    ended_at: float
    outcome: Literal["ok", "fail", "unknown"]
    request: Request
    answer: Answer = Answer()

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def is_possible(self) -> bool:
        """Whether it may have had an effect."""
        return self.outcome != "fail"

    @property
    def done_by(self) -> float:
        """When its effect, if any, was certainly there."""
        return self.ended_at if self.is_ok else math.inf


@dataclass(frozen=True, slots=True)
class StoredAnnotation:
    """A stored answer; `n_undone`: how often it was taken back."""

    id: str
    person: str
    project: str
    item: str
    lease: str
    key: str
    value: str
    n_undone: int = 0


@dataclass(frozen=True, slots=True)
class StoredSeat:
    """A stored place of a person; `annotation` is empty where none stands."""

    id: str
    person: str
    project: str
    item: str
    state: int
    generation: int
    expires_at: float
    annotation: str = ""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A stored row of the queue (kind label). `n_free` is 0 where there is no offer.

    `n_shown`: how many answers the list of items tells of; None where it was not asked or leaves the item out.
    """

    project: str
    item: str
    overlap: int
    n_free: int
    n_submitted: int
    is_closed: bool
    n_shown: int | None = None


@dataclass(frozen=True, slots=True)
class FinalRows:
    """All that is stored about the projects in the end."""

    annotations: Sequence[StoredAnnotation] = ()
    seats: Sequence[StoredSeat] = ()
    rows: Sequence[StoredRow] = ()


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """A project as it was at the start. `overlap` is (least, most); items by id, visible from the start."""

    items: frozenset[str]
    overlap: tuple[int, int] = (1, 1)
    lease_seconds: float = 600.0
    skips_to_dispute: int = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """What was agreed, in seconds.

    `access_seconds`: how long who was taken out may still get in, and who was put back may still be refused.
    `late_seconds`: after so long what was cut off has had its effect or never will (only for the quiet at the end).
    `slack`: how far the clients' clock and the database's may be apart.
    """

    projects: Mapping[str, ProjectSettings]
    undo_seconds: float = 900.0
    access_seconds: float = 1.0
    late_seconds: float = 5.0
    slack: float = 0.02


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, in words, and the numbers of the operations that show it."""

    invariant: str
    rule: str
    detail: str
    operations: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = f" (operations {', '.join(map(str, self.operations))})" if self.operations else ""
        return f"{self.invariant} {self.rule}: {self.detail}{shown}"


def count_outcomes(history: Iterable[Operation]) -> dict[str, Counter[str]]:
    """Return how many operations of each kind ended in which way."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for operation in history:
        counted[operation.kind][operation.outcome] += 1
    return dict(sorted(counted.items()))


def count_resolved(history: Sequence[Operation]) -> tuple[int, int]:
    """Return how many submits ended unknown, and how many of those were repeated until there was an answer."""
    answered = {
        (operation.request.person, operation.request.key)
        for operation in history
        if operation.kind == "submit" and operation.outcome != "unknown"
    }
    unknown = [o for o in history if o.kind == "submit" and o.outcome == "unknown"]
    return len(unknown), sum((o.request.person, o.request.key) in answered for o in unknown)
