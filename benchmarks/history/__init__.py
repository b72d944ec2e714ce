"""The history of many clients on one queue, and the checker that finds what no correct queue could have done.

An `Operation` is one call: when it was sent, when its end was seen, and whether it was carried out (`ok`), refused
(`fail`) or nobody knows (`unknown`: cut off, or an answer of 5xx). `check` compares all of them with each other and
with the rows that are stored in the end, and names each invariant of the queue (Q1 to Q11, Q14) that is broken, with
the operations that show it. Nothing here talks to a server or a database.

What it takes for granted
    - An operation takes effect at one moment between `invoked_at` and `ended_at`; an unknown one at one moment after
      `invoked_at`, or never. A refused one has no effect.
    - Times are seconds on one clock, which is the database's own (one machine). `Settings.slack` is what it may be off.
    - Stored rows were read when nothing was under way. All work on the projects is in the history.

It never blames a correct queue: where the order of two operations is not certain, the order that excuses the queue
counts. An expired lease may have been taken over or not; it counts as taken only where somebody was told so.

What it can see
    Q1   More people in places than the overlap allows, at a moment when each of them certainly held or had answered.
    Q2   An item offered again to who answered or skipped it; two answers of one person that both stand.
    Q3   An acknowledged answer that is not stored as it was told, or does not stand though nobody took it back.
    Q4   One key with two annotations, two bodies or leases; a replay that is refused, tells something else or brings a
         lease that the first answer had not; an effect of a request that was refused; a lease that nobody asked for.
    Q5   A lease that runs longer than the project's leases do.
    Q6   An answer, renewal or return refused though the lease ran, or though nobody can have taken the place since.
    Q7   "Nothing left" told to somebody while one and the same item was certainly open to them from the beginning of
         the call to its end: a free place, or a lease that had run out. In the quiet at the end: told whatever the
         reason, compared with the rows.
    Q8   A lease with two ends; one that lives on after its end, its holder's leaving or its item's quarantine; a held
         lease left out of an answer that had room for it.
    Q9   An undo that was refused without a reason, or carried out after a decision, a quarantine or the window's end,
         or twice.
    Q10  A stored answer that is not what was sent.
    Q11  Counts of places (free, submitted) that differ from the seats.
    Q14  An overlap that is below the places taken, or above all that was ever asked for.
    And answers that the API does not name ("answer"), and people who still get in after they were taken out ("access").

What it cannot see
    Places lost or doubled between two moments that no client can tell apart (the CHECKs and `touchstone audit` are for
    those); serving order; Q12 and Q13; Q15 (there are no reviewers' leases here); whether "all leased" was right while
    others were at work (a locked row is told as that), and any of Q7 where an item's own calls overlapped all the time.
    What a queue does only when it is long (cursors, floors) is hardly touched by histories of small projects.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.history.known import Known
from benchmarks.history.record import FinalRows, Operation, Settings, Violation
from benchmarks.history.rules import RULES


def check(history: Sequence[Operation], final_rows: FinalRows, settings: Settings) -> list[Violation]:
    """Return every violation that the history and the stored rows show; an empty history shows none.

    Raises KeyError for a project that `settings` does not have.
    """
    known = Known(history, final_rows, settings)
    return [violation for rule in RULES for violation in rule(known)]
