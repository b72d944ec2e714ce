"""The loop of the child: a request comes in on stdin, a fork reads it under its limits, the answer goes to stdout.

A request is a JSON line `{"task", "mime", "size"}` and `size` bytes. The answer is a JSON line, with `fault` or else
with `size`, and `size` bytes. The tasks:

| Task | Asks further | Answers |
|---|---|---|
| `keep` | | `mime`, `width`, `height`; the file as it is to be kept, nothing where that is as it is |
| `previews` | `names` | `made`, a list of `{"name", "width", "height", "size"}`; the pictures one after another |
| `sheet` | `sizes` of the frames, which are PNG | `made`, with `columns` and `rows` too; the sheet |
| `peaks` | | `made`, with `seconds`; the outline of the sound, as JSON |

Each file has a fork of its own, so that one file never sees what another one did, and a second file costs no second
start. Where a fork ends in any other way than by an answer, this process ends too, with a status of 64 + the signal; it
ends as well when stdin does, and when nothing was asked for a while.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import warnings
from typing import Any

from annotation.media_child import containers, images, previews
from annotation.media_child.limits import Limits, RefusedError

EXIT_SIGNALLED = 64

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def serve(limits: Limits) -> int:
    """Answer requests until stdin ends, or none comes for a while; the exit status."""
    source = sys.stdin.buffer
    # Nothing waits in the buffer: a request is sent when the one before it was answered.
    while select.select([source], [], [], limits.idle_seconds)[0] and (line := source.readline(10_000)):
        request = json.loads(line)
        data = source.read(request["size"])
        if len(data) < request["size"]:
            return 0
        if request["task"] == "peaks":  # loaded here, once: the fork may open no file
            os.environ["OPENBLAS_NUM_THREADS"] = "1"
            from annotation.media_child import sounds  # noqa: F401
        child = os.fork()
        if child == 0:
            _answer_and_exit(request, data, limits)
        del data
        _pid, status = os.waitpid(child, 0)
        if status != 0:
            return EXIT_SIGNALLED + (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
    return 0


def _answer_and_exit(request: dict[str, Any], data: bytes, limits: Limits) -> None:
    """Runs in the fork, and never returns."""
    try:
        _harden()
        _confine(limits)
        head, body = _do(request, data, limits)
        out = sys.stdout.buffer
        out.write(json.dumps({**head, "size": len(body)}).encode() + b"\n")
        out.write(body)
        out.flush()
    except BaseException:  # the parent is told by the status; nothing here may run on as a second server
        os._exit(1)
    os._exit(0)


def _do(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    try:
        head, body = _TASKS[request["task"]](request, data, limits)
        if len(body) > limits.output_bytes:
            raise RefusedError("output")
        return head, body
    except RefusedError as error:
        return {"fault": error.fault}, b""
    except MemoryError:
        return {"fault": "memory"}, b""


def _keep(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    mime = request["mime"]
    if not mime.startswith("image/"):
        found, kept = containers.check(data, mime)
        return {"mime": found, "width": None, "height": None}, kept
    width, height, body = images.reencode(data, mime, limits)
    return {"mime": mime, "width": width, "height": height}, body


def _make_previews(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    return _join(previews.make_previews(data, request["mime"], request["names"], limits))


def _make_sheet(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    frames, at = [], 0
    for size in request["sizes"]:
        frames.append(data[at : at + size])
        at += size
    return _join(previews.make_sheet(frames, limits))


def _make_peaks(request: dict[str, Any], data: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
    from annotation.media_child import sounds

    seconds, peaks = sounds.make_peaks(data)
    return _join([({"name": "peaks", "seconds": seconds}, peaks)])


def _join(made: list[previews.Made]) -> tuple[dict[str, Any], bytes]:
    return {"made": [{**about, "size": len(body)} for about, body in made]}, b"".join(body for _about, body in made)


_TASKS = {"keep": _keep, "previews": _make_previews, "sheet": _make_sheet, "peaks": _make_peaks}


def _harden() -> None:
    """Gain no rights by any exec, and die with the process above."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _confine(limits: Limits) -> None:
    """No file, no socket, no dump, no second process to speak of; so much memory and CPU time, and no more."""
    for name, soft, hard in (
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),  # SIGXCPU first, which says why
        (resource.RLIMIT_FSIZE, 0, 0),  # a pipe is not a file
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 3, 3),  # stdin, stdout, stderr: nothing more can be opened, not even a socket
    ):
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(name, (soft, hard))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _harden()
    sys.exit(serve(Limits(**json.loads(sys.argv[1]))))
