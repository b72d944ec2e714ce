"""Who runs the servers of a home: whoever holds the lock on one file in it.

The kernel drops the lock when its holder ends, however it ends, so there is no stale lock to clear.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Ownership:
    """A lock on the file `path` (made with its folder); held by at most one process, and one object, at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether it is held now. Never waits."""
        if self._descriptor is not None:
            return True
        # Not inherited by children (Python's default), else a surviving child would keep the lock.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
