"""Become another program (ffmpeg) under limits: `python -m annotation.media_child.program LIMITS PROGRAM ARGUMENT...`.

What it reads comes on stdin and what it makes goes to stdout. It may open files, because a program needs its libraries,
but write none; where the system lets a process give its network up (Linux with user namespaces), it has none.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_FILES = 64


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """So much memory and CPU time and no more, no file written, no network, no rights gained, no life of its own."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused in some containers: then the rest must do
        library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after unshare, which would clear it
    for name, soft, hard in (
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
    ):
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(name, (soft, hard))


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    confine(wanted["memory_bytes"], wanted["cpu_seconds"])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  (a shell would be one thing more to trust)
