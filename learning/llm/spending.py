"""What calls take, and who may make one: the threads that call ask here, one thread alone keeps the books.

No call is made before the books say that it is under way, with the most that it can take: so a limit of costs is held
call by call however many threads there are, and what a cut-off attempt had under way is counted by the next one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

# What a tally calls the counts of a usage.
_NAMES = {
    "n_calls": "n_calls",
    "n_guessed": "n_guessed",
    "n_in": "input_tokens",
    "n_out": "output_tokens",
    "spare_in": "spare_input_tokens",
    "spare_out": "spare_output_tokens",
}
_ROUNDING = 1e-9

# What so many tokens in and out cost; None where no price is known.
Cost = Callable[[float, float], float | None]


class LimitError(Exception):
    """The call is not made: it could cost more than is left."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls, and the tokens that they took.

    `n_guessed` of the calls did not say how many tokens they took; `spare_in` and `spare_out` are what those may have
    taken beyond what is counted.
    """

    n_calls: int = 0
    n_in: int = 0
    n_out: int = 0
    n_guessed: int = 0
    spare_in: int = 0
    spare_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def cost(self, cost: Cost) -> float:
        """What it may have cost at most; 0 where no price is known."""
        return cost(self.n_in + self.spare_in, self.n_out + self.spare_out) or 0.0

    @classmethod
    def of(cls, tally: Mapping[str, Any]) -> Usage:
        """As a tally holds it."""
        return cls(**{name: int(tally.get(told, 0)) for name, told in _NAMES.items()})

    def as_dict(self) -> dict[str, int]:
        """As a tally holds it."""
        return {told: getattr(self, name) for name, told in _NAMES.items()}


@dataclass(eq=False, slots=True)
class Claim:
    """A call that a thread wants to make. `lost`: what it counts as where nothing is heard of it again: the most."""

    lost: Usage
    used: Usage | None = None
    refusal: Exception | None = None
    is_answered: threading.Event = field(default_factory=threading.Event)

    def answer(self, refusal: Exception | None = None) -> None:
        """Let the thread call, or tell it why not."""
        self.refusal = refusal
        self.is_answered.set()


class Till(Protocol):
    """Whom a thread asks before a call, and tells after it."""

    def claim(self, lost: Usage) -> Claim:
        """Return once the call may be made; it must be settled then. Raises LimitError where it may not, StopError."""
        ...

    def settle(self, claim: Claim, used: Usage) -> None:
        """Say what the call took."""
        ...


class Counter:
    """Between the threads that call and the one that keeps the books: a box of claims, new ones and settled ones."""

    def __init__(self) -> None:
        self._box: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._closed_by: Exception | None = None

    def claim(self, lost: Usage) -> Claim:
        """As `Till` says."""
        claim = Claim(lost)
        self._box.put(claim)
        if self._closed_by is not None:
            raise self._closed_by
        claim.is_answered.wait()
        if claim.refusal is not None:
            raise claim.refusal
        return claim

    def settle(self, claim: Claim, used: Usage) -> None:
        """As `Till` says."""
        claim.used = used
        self._box.put(claim)

    def ring(self) -> None:
        """Wake whoever keeps the books: something ended."""
        self._box.put(None)

    def wait(self, seconds: float) -> list[Claim]:
        """What came since, after at most so long where nothing is there yet."""
        with suppress(queue.Empty):
            return [claim for claim in [self._box.get(timeout=seconds)] if claim is not None]
        return []

    def take(self) -> list[Claim]:
        """What came since, without waiting."""
        found: list[Claim] = []
        with suppress(queue.Empty):
            while True:
                claim = self._box.get_nowait()
                if claim is not None:
                    found.append(claim)
        return found

    def close(self, error: Exception) -> None:
        """Answer no claim any more but with this error."""
        self._closed_by = error
        for claim in self.take():
            if claim.used is None:
                claim.answer(error)


@dataclass(eq=False)
class Books:
    """What was asked and what it took: of the version, over all jobs, and of this job, over all its attempts.

    `limit`: what this job may cost. `cost`: by the prices in force. Not for several threads.
    """

    total: dict[str, Any]
    job: dict[str, Any]
    cost: Cost
    limit: float | None
    under_way: list[Claim] = field(default_factory=list)
    waiting: list[Claim] = field(default_factory=list)
    is_changed: bool = False

    @classmethod
    def open(cls, kept: Mapping[str, Any], job_id: int, cost: Cost, limit: float | None) -> Books:
        """Go on from what was stored (`as_dict`). What was under way then was cut off, and may have been paid for."""
        total = dict(kept)
        job = dict(total.pop("job", {}))
        lost = job.pop("under_way", None)
        books = cls(total, job if job.get("id") == job_id else {"id": job_id}, cost, limit)
        if lost is not None:
            of_whom = (total, books.job) if job.get("id") == job_id else (total,)
            books._add(Usage.of(lost).as_dict(), of_whom)
        return books

    def receive(self, claims: Sequence[Claim]) -> None:
        """Note what came: calls that are wanted, and what others took."""
        for claim in claims:
            if claim.used is None:
                self.waiting.append(claim)
                continue
            self.under_way.remove(claim)
            self._add(claim.used.as_dict(), (self.total, self.job))
            most = claim.lost.cost(self.cost)
            if most and not claim.used.n_guessed:
                self.job["dearer"] = max(self._dearer, claim.used.cost(self.cost) / most)

    def count(self, *, is_answered: bool, is_cut: bool, clause: str | None) -> None:
        """Note that an item was asked about, and whether an answer was accepted."""
        counts = {"n_asked": 1, "n_answered": int(is_answered), "n_cut": int(is_cut)}
        self._add(counts, (self.total, self.job))
        if clause is not None:
            used = self.total.setdefault("clauses", {})
            used[clause] = used.get(clause, 0) + 1

    def allow(self) -> list[Claim]:
        """Which of the waiting calls may be made: under way from now on, to be answered once that is stored.

        One that could cost more than is left waits while others are under way, which may turn out cheaper than the most
        that they could be; where none is, it is refused.
        """
        allowed: list[Claim] = []
        for claim in list(self.waiting):
            if self._fits(claim):
                self.waiting.remove(claim)
                self.under_way.append(claim)
                allowed.append(claim)
        if self.waiting and not self.under_way:
            self.refuse(LimitError())
        self.is_changed |= bool(allowed)
        return allowed

    def refuse(self, error: Exception) -> None:
        """Tell all that wait that their calls may not be made."""
        for claim in self.waiting:
            claim.answer(error)
        self.waiting.clear()

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: the version's tally with the `job`'s own in it, and what is `under_way` in that."""
        for tally in (self.total, self.job):
            usage = Usage.of(tally)
            tally["cost"] = self.cost(usage.n_in, usage.n_out)
            tally["most_cost"] = None if tally["cost"] is None else usage.cost(self.cost)
        job = dict(self.job)
        if self.under_way:
            job["under_way"] = sum((claim.lost for claim in self.under_way), Usage()).as_dict()
        return {**self.total, "job": job}

    @property
    def _dearer(self) -> float:
        """How many times the most that was reckoned a call has cost so far; 1 where none was dearer."""
        return float(self.job.get("dearer", 1.0))

    def _fits(self, claim: Claim) -> bool:
        if self.limit is None:
            return True
        bound = sum((one.lost for one in self.under_way), claim.lost).cost(self.cost) * self._dearer
        return Usage.of(self.job).cost(self.cost) + bound <= self.limit * (1 + _ROUNDING)

    def _add(self, counts: Mapping[str, int], tallies: Sequence[dict[str, Any]]) -> None:
        self.is_changed = True
        for tally in tallies:
            for name, n in counts.items():
                tally[name] = tally.get(name, 0) + n
