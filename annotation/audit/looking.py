"""Asking every check of a living database, a short statement at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from annotation.audit.checks import CHECKS, RANGES, Check

MOST_EXAMPLES = 20  # of one check
END = 2**63 - 1

# One core, and an end: where an index is missing a statement could take hours. Then the audit fails, and its age shows.
_MODEST = "set local statement_timeout = '30s'; set local max_parallel_workers_per_gather = 0"

Progress = Callable[[int, int], object]  # statements done, of how many


@dataclass(slots=True)
class Findings:
    """What one audit found: how many rows break a check, by project (None: they belong to none), and some of them."""

    rows: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    seconds: float = 0
    longest_seconds: float = 0  # of a single statement

    @property
    def is_clean(self) -> bool:
        """Whether all holds."""
        return not self.rows


def audit(
    checks: Sequence[Check] = CHECKS, *, progress: Progress | None = None, rest: float = 0, patience: float = 1
) -> Findings:
    """Ask each check about all rows, each statement in a transaction of its own: it sees its own moment.

    `progress` is called about every `patience` seconds and at the end. `rest`: after each statement, pause for so many
    times as long as it took, so that people's requests come first. Raises OperationalError where a statement takes over
    30 seconds.
    """
    found = Findings()
    began = told = time.monotonic()
    steps = list(_steps(checks))
    for done, (check, first, last) in enumerate(steps, start=1):
        start = time.monotonic()
        _ask(check, first, last, found)
        took = time.monotonic() - start
        found.longest_seconds = max(found.longest_seconds, took)
        if progress and (done == len(steps) or time.monotonic() - told >= patience):
            progress(done, len(steps))
            told = time.monotonic()
        if rest:
            time.sleep(rest * took)
    found.seconds = time.monotonic() - began
    return found


def find_violations() -> dict[str, list[dict[str, Any]]]:
    """Every check that does not hold, in words, with up to 20 of the rows that break it. Empty: all hold."""
    found = audit()
    return {str(check): found.examples[check.name] for check in CHECKS if check.name in found.examples}


def _steps(checks: Sequence[Check]) -> Iterator[tuple[Check, int, int]]:
    """Range by range, all checks of a range one after the other: they read the same pages."""
    for check in checks:
        if not check.over:
            yield check, 0, END
    for table, size in RANGES.items():
        concerned = [check for check in checks if check.over == table]
        for first, last in _ranges(table, size) if concerned else ():
            for check in concerned:
                yield check, first, last


def _ranges(table: str, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of about `size` ids each, without a gap; the last one is open, for rows that come meanwhile."""
    first = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                f"select id from {table} where id >= %s order by id limit 1 offset %s",  # noqa: S608  (our own names)
                [first, size - 1],
            )
            row = cursor.fetchone()
            if row is None:
                break
            yield first, row[0]
            first = row[0] + 1
    yield first, END


def _ask(check: Check, first: int, last: int, found: Findings) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MODEST)
        cursor.execute(
            "select b.project_id, count(*), (array_agg(row_to_json(b)))[1:%(most)s]"  # noqa: S608  (our own text)
            f" from ({check.sql}) b group by b.project_id",
            {"first": first, "last": last, "most": MOST_EXAMPLES},
        )
        for project_id, n, rows in cursor.fetchall():
            found.rows[check.name, project_id] += n
            shown = found.examples.setdefault(check.name, [])
            shown += rows[: MOST_EXAMPLES - len(shown)]
