"""A history arranged: what is certain, and what is possible, of each lease, key, place and item."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from benchmarks.history.record import USES, FinalRows, Operation, ProjectSettings, Settings


@dataclass(slots=True)
class LeaseFacts:
    """All that the history says about one lease id."""

    id: str
    person: str
    project: str
    item: str
    shows: list[tuple[Operation, float]] = field(default_factory=list)  # who was shown it, and its end as shown
    uses: list[Operation] = field(default_factory=list)

    @property
    def generation(self) -> int:
        return int(self.id.partition("-")[2])

    @property
    def first_shown(self) -> Operation:
        return min((operation for operation, _ in self.shows), key=lambda operation: operation.ended_at)

    @property
    def last_shown(self) -> Operation:
        return max((operation for operation, _ in self.shows), key=lambda operation: operation.invoked_at)

    def runs_until(self, at: float = math.inf) -> float:
        """The latest end that was shown by a call sent before `at`."""
        return max((until for operation, until in self.shows if operation.invoked_at <= at), default=-math.inf)

    def used(self, *kinds: str) -> Iterator[Operation]:
        """The calls of these kinds that used it and may have had an effect."""
        return (use for use in self.uses if use.kind in kinds and use.is_possible)

    @property
    def answers(self) -> set[str]:
        """The annotations that were acknowledged under it."""
        return {use.answer.annotation for use in self.uses if use.kind == "submit" and use.is_ok}


Standing = Literal["out", "skipped", "expired", "maybe"]


class Known:
    """A history arranged: by lease, by key, by person and item, by project."""

    def __init__(self, history: Sequence[Operation], final: FinalRows, settings: Settings) -> None:
        self.history = sorted(history, key=lambda operation: operation.invoked_at)
        self.final = final
        self.settings = settings
        self.slack = settings.slack
        self.by_kind: dict[str, list[Operation]] = defaultdict(list)
        self.leases: dict[str, LeaseFacts] = {}
        self.misplaced: list[tuple[Operation, str]] = []  # a lease id shown to two people or for two items
        self.by_key: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        self.undos: dict[str, list[Operation]] = defaultdict(list)  # annotation -> undos that may have had an effect
        self.seats = {(seat.person, seat.item): seat for seat in final.seats}
        self.stored = {annotation.id: annotation for annotation in final.annotations}
        for operation in self.history:
            self._add(operation)
        for operation in self.history:
            if operation.kind in USES and operation.request.lease in self.leases:
                self.leases[operation.request.lease].uses.append(operation)

    def _add(self, operation: Operation) -> None:
        self.by_kind[operation.kind].append(operation)
        request = operation.request
        if operation.kind == "submit":
            self.by_key[request.person, request.key].append(operation)
        if operation.kind == "undo" and operation.is_possible:
            self.undos[request.annotation].append(operation)
        for shown in operation.answer.leases if operation.is_ok else ():
            facts = self.leases.setdefault(shown.id, LeaseFacts(shown.id, request.person, request.project, shown.item))
            if (facts.person, facts.item) != (request.person, shown.item):
                self.misplaced.append((operation, shown.id))
            else:
                facts.shows.append((operation, shown.expires_at))

    def project_of(self, facts: LeaseFacts) -> ProjectSettings:
        return self.settings.projects[facts.project]

    @cached_property
    def by_seat(self) -> dict[tuple[str, str], dict[int, LeaseFacts]]:
        """(person, item) -> generation -> what is known of that lease."""
        found: dict[tuple[str, str], dict[int, LeaseFacts]] = defaultdict(dict)
        for facts in self.leases.values():
            found[facts.person, facts.item][facts.generation] = facts
        return found

    @cached_property
    def people_on(self) -> dict[str, list[str]]:
        """item -> everybody who ever had a place there."""
        found: dict[str, set[str]] = defaultdict(set)
        for person, item in [*self.by_seat, *self.seats]:
            found[item].add(person)
        return {item: sorted(people) for item, people in found.items()}

    @cached_property
    def first_unknown(self) -> dict[tuple[str, str], float]:
        """(project, person) -> when the first call was sent that may have brought a lease nobody was shown."""
        found: dict[tuple[str, str], float] = {}
        for operation in self.history:
            brings = operation.kind in ("lease", "undo") or (operation.kind == "submit" and operation.request.n > 0)
            if operation.outcome == "unknown" and brings:
                found.setdefault((operation.request.project, operation.request.person), operation.invoked_at)
        return found

    @cached_property
    def _starts(self) -> dict[tuple[str, str], list[tuple[int, float, bool]]]:
        """(person, item) -> its generations: number, a moment before which it had not begun, whether it began then."""
        found = {}
        for person, item in {*self.by_seat, *self.seats}:
            shown = self.by_seat.get((person, item), {})
            seat = self.seats.get((person, item))
            project = seat.project if seat else next(iter(shown.values())).project
            unknown = self.first_unknown.get((project, person), math.inf)
            starts: list[tuple[int, float, bool]] = []
            for generation in range(1, max([*shown, seat.generation if seat else 0]) + 1):
                before = starts[-1][1] if starts else -math.inf
                begun, is_exact = self._began(shown[generation]) if generation in shown else (unknown, False)
                starts.append((generation, max(before, begun), is_exact))
            found[person, item] = starts
        return found

    def _began(self, facts: LeaseFacts) -> tuple[float, bool]:
        """A moment before which the lease was not held (its end less its length), and whether it began just then."""
        first = facts.first_shown
        if any(
            use.invoked_at < first.ended_at for use in facts.used("renew")
        ):  # the end that was shown may be a later one
            unknown = self.first_unknown.get((facts.project, facts.person), math.inf)
            return min(unknown, *(operation.invoked_at for operation, _ in facts.shows)), False
        until = min(until for operation, until in facts.shows if operation is first)
        return until - self.project_of(facts).lease_seconds - self.slack, True

    def began_within(self, person: str, item: str, since: float, until: float, above: int = 0) -> bool:
        """Whether a lease of a generation above `above` can have begun for the person in this time."""
        return any(
            start <= until and (not is_exact or start >= since)
            for generation, start, is_exact in self._starts.get((person, item), ())
            if generation > above
        )

    def standing(self, person: str, item: str, since: float, until: float) -> Standing:
        """How a person stands to an item from `since` to `until`, as far as it is certain.

        `out`: no place and none refused; `skipped`; `expired`: a lease that had run out before and was not used in that
        time, or given back; `maybe`: anything else.
        """
        begun = [generation for generation, start, _ in self._starts.get((person, item), ()) if start <= until]
        if not begun:
            return "out"
        facts = self.by_seat.get((person, item), {}).get(begun[-1])
        if facts is None:
            return "maybe"
        ended: Standing = "maybe"
        for use in facts.used("submit", "skip", "release", "renew"):
            if use.invoked_at > until:
                continue
            if use.kind == "submit" or not use.is_ok:
                return "maybe"
            if use.kind == "skip" and use.ended_at > since:
                return "maybe"
            if use.kind != "renew" and use.ended_at <= since:
                ended = "skipped" if use.kind == "skip" else "out"
        if ended != "maybe":
            return ended
        is_over = -math.inf < facts.runs_until(until) < since - self.slack  # -inf: perhaps it only began afterwards
        return "expired" if is_over else "maybe"

    # --- What changes under a lease -----------------------------------------------------------------------------------

    @cached_property
    def item_changes(self) -> dict[str, list[Operation]]:
        """item -> quarantines and decisions that may have had an effect."""
        found: dict[str, list[Operation]] = defaultdict(list)
        for operation in [*self.by_kind["quarantine"], *self.by_kind["adjudicate"]]:
            if operation.is_possible:
                found[operation.request.item].append(operation)
        return found

    @cached_property
    def removals(self) -> dict[tuple[str, str], list[Operation]]:
        """(project, person) -> when they may have been taken out."""
        return self._changes_of_members("remove_member")

    @cached_property
    def returns(self) -> dict[tuple[str, str], list[Operation]]:
        """(project, person) -> when they may have been put back."""
        return self._changes_of_members("set_member")

    def _changes_of_members(self, kind: str) -> dict[tuple[str, str], list[Operation]]:
        found: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in self.by_kind[kind]:
            if operation.is_possible:
                found[operation.request.project, operation.request.person].append(operation)
        return found

    def withdrawals(self, facts: LeaseFacts) -> list[Operation]:
        """What may have ended a held lease beside its holder: a quarantine, its holder's leaving."""
        sealed = [change for change in self.item_changes.get(facts.item, ()) if change.kind == "quarantine"]
        return [*sealed, *self.removals.get((facts.project, facts.person), ())]

    def overlaps(self, project: str, until: float = math.inf) -> list[int]:
        """Every overlap that the project may have had by then."""
        low, high = self.settings.projects[project].overlap
        changed = (
            operation.request.overlap
            for operation in self._overlap_changes.get(project, ())
            if operation.invoked_at <= until
        )
        return [low, high, *changed]

    @cached_property
    def _overlap_changes(self) -> dict[str, list[Operation]]:
        found: dict[str, list[Operation]] = defaultdict(list)
        for operation in self.by_kind["overlap"]:
            if operation.is_possible:
                found[operation.request.project].append(operation)
        return found

    @cached_property
    def skips(self) -> dict[str, list[Operation]]:
        """item -> the skips that may have had an effect."""
        found: dict[str, list[Operation]] = defaultdict(list)
        for facts in self.leases.values():
            found[facts.item].extend(facts.used("skip"))
        return found
