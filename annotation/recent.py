"""What was looked up a moment ago, remembered by each process for at most a second.

The hottest requests (lease, submit) would otherwise read the same few rows each time: whose token this is, which role
they have in which project. A person who is disabled, or a member who is removed, is out within that second. All other
requests look anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

SECONDS = 1.0
MOST = 20_000  # kept answers; past it all are forgotten and looked up again

Found = TypeVar("Found")

_found: dict[Hashable, tuple[float, Any]] = {}


def remember(key: Hashable, find: Callable[[], Found]) -> Found:
    """What `find()` returned for this key within the last second, else what it returns now.

    The second begins before `find` does, so that an answer is never older than that. What `find` raises is raised, and
    not remembered.
    """
    now = time.monotonic()
    known = _found.get(key)
    if known is not None and now < known[0]:
        return cast(Found, known[1])
    value = find()
    if len(_found) >= MOST:
        _found.clear()
    _found[key] = (now + SECONDS, value)
    return value


def forget() -> None:
    """Look everything up again."""
    _found.clear()
