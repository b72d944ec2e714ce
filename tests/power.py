"""A process that dies at a chosen moment: before its n-th commit or change of a folder, and nothing after that happens.

What it had begun is rolled back, as the database does for a client that is gone; no clean-up of its own runs, as none
does after `kill -9`: a `finally` that removes a file finds that it cannot. The moments are all those at which what is
kept changes, so that cutting at each of them in turn cuts between every two writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection

# Whether a call changes anything: folders that are there are asked for, and files removed that have been renamed.
FOLDER_CHANGES: dict[str, Callable[[Path], bool]] = {
    "mkdir": lambda path: not path.exists() and path.parent.is_dir(),
    "replace": lambda path: True,
    "unlink": lambda path: path.exists() or not path.is_absolute(),
    "rmdir": lambda path: True,
}
# Reads, and how far a job is, which nobody goes on from.
NO_CHANGES = ("SELECT", "SAVEPOINT", "UPDATE ANNOTATION_JOB SET DONE")


class PowerCutError(DatabaseError):
    """The process is gone. (Django rolls a transaction back for an error of the database's.)"""


class Power:
    """Counts moments; from the `cut_at`-th on (1 is the first; None: never) everything is refused."""

    def __init__(self, cut_at: int | None) -> None:
        self.moments: list[str] = []
        self.cut_at = cut_at
        self._depth = len(connection.savepoint_ids)

    @property
    def is_cut(self) -> bool:
        return self.cut_at is not None and len(self.moments) >= self.cut_at

    def pass_moment(self, what: str) -> None:
        """Before a change: note it, or refuse it."""
        if not self.is_cut:
            self.moments.append(what)
        if self.is_cut:
            raise PowerCutError(what)

    def execute(self, run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Around each statement, as `connection.execute_wrapper` wants it."""
        words = sql.strip().upper()
        if self.is_cut:
            if not words.startswith(("ROLLBACK TO", "RELEASE")):
                raise PowerCutError(sql)
        elif len(connection.savepoint_ids) == self._depth and not words.startswith(NO_CHANGES):
            self.pass_moment(" ".join(sql.split())[:60])
        return run(sql, *rest)


@contextmanager
def powered(cut_at: int | None = None) -> Iterator[Power]:
    """Run what is inside on power that goes at a moment."""
    power = Power(cut_at)
    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(power.execute):
        for name in FOLDER_CHANGES:
            patch.setattr(os, name, _guarded(power, name))
        patch.setattr(os, "open", _guarded_open(power))
        yield power


def _guarded(power: Power, name: str) -> Callable[..., Any]:
    before = getattr(os, name)

    def change(*given: Any, **named: Any) -> Any:
        if power.is_cut or FOLDER_CHANGES[name](Path(given[0])):
            power.pass_moment(f"{name} {os.fspath(given[0])[-40:]}")
        return before(*given, **named)

    return change


def _guarded_open(power: Power) -> Callable[..., int]:
    before = os.open

    def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            power.pass_moment(f"create {os.fspath(path)[-40:]}")
        return before(path, flags, *rest, **named)

    return open_
