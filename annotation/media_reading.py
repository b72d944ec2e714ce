"""The parent's side of `annotation/media_child`: start it, hand it a file, and say in words why a file is refused.

The child knows no secret: it gets an empty environment, a pipe each way, and a clock that ends its whole process group.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError, UnavailableError
from annotation.media_child.limits import Limits

AT_ONCE = 2  # readers at work in one process, each of which may take `Limits.memory_bytes`

_ROOT = Path(__file__).resolve().parent.parent
_CPU_STATUS = 64 + signal.SIGXCPU  # `annotation.media_child.__main__` tells the signal by its status
_SECONDS_TO_END = 2
_places = threading.BoundedSemaphore(AT_ONCE)
# A child dies with the thread that started it: PR_SET_PDEATHSIG means the thread, not the process. The threads of a web
# server come and go; this one stays as long as the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="media-reader")
_idle: list[MediaReader] = []  # at most AT_ONCE, for whoever has none of their own


def _forget_parent() -> None:
    """After a fork: the thread and the readers are the parent's."""
    global _starter
    _starter = ThreadPoolExecutor(1, thread_name_prefix="media-reader")
    _idle.clear()


def _close_kept() -> None:
    while _idle:
        _idle.pop().close()


os.register_at_fork(after_in_child=_forget_parent)
atexit.register(_close_kept)


class MediaError(TouchstoneError):
    """The file cannot be kept: JPEG, PNG, WebP and GIF, MP3, Ogg, WAV, FLAC, MP4 and WebM are accepted."""

    code = "invalid_media"


@dataclass(frozen=True, slots=True)
class ReadMedia:
    """A file that was read as a whole. `content` is what is to be kept of it, None where it stays as it is.

    `width` and `height` in pixels as shown, after EXIF orientation; None for audio and video.
    """

    mime: str
    width: int | None
    height: int | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Derived:
    """What was made out of a file. `about`: what the child tells about it, such as `width` and `height`."""

    name: str
    about: dict[str, Any]
    content: bytes


class ReadingError(Exception):
    """The child refused the file, or broke off over it: `fault` is one of `annotation.media_child.limits.FAULTS`."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class MediaReader:
    """A child process that reads files one after another, each in a fork of its own; started when first needed.

    For one thread at a time. Use it as a context manager, or call `close`. A child that a file brought down, or that
    had nothing to do for `Limits.idle_seconds` and ended, is replaced by a new one for the next file.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MediaReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def read(self, path: Path, mime: str) -> ReadMedia:
        """Read the file, which `sniff` took for `mime`. Raises MediaError with the reason where it is refused.

        At most `AT_ONCE` files are read at once in a process; others wait for their turn, and get UnavailableError
        where none comes in `Limits.wall_seconds`.
        """
        try:
            answer, content = self._take_turn({"task": "keep", "mime": mime}, path.read_bytes)
        except ReadingError as error:
            raise MediaError(explain_fault(error.fault, mime, self.limits)) from error
        return ReadMedia(answer["mime"], answer["width"], answer["height"], content or None)

    def derive(self, task: str, mime: str, data: bytes, **asked: Any) -> list[Derived]:
        """Have the child do one of its other tasks (`annotation/media_child/__main__.py` lists them) on these bytes.

        Raises ReadingError where it cannot, UnavailableError as `read` does.
        """
        answer, content = self._take_turn({"task": task, "mime": mime, **asked}, lambda: data)
        made, at = [], 0
        try:
            for about in answer["made"]:
                end = at + int(about["size"])
                made.append(Derived(str(about["name"]), dict(about), content[at:end]))
                at = end
        except (KeyError, TypeError, ValueError) as error:
            raise ReadingError("died") from error
        return made

    def close(self) -> None:
        """End the child. Fine where there is none."""
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            try:
                process.wait(timeout=_SECONDS_TO_END)  # without stdin it ends by itself, after its last fork
            except subprocess.TimeoutExpired:
                _kill_group(process)
                process.wait()

    def _take_turn(self, request: dict[str, Any], data: Callable[[], bytes]) -> tuple[dict[str, Any], bytes]:
        if not _places.acquire(timeout=self.limits.wall_seconds):
            raise UnavailableError(_("Many files are being read at the moment. Send this one again in a minute."))
        try:
            return self._ask(request, data())
        finally:
            _places.release()

    def _ask(self, request: dict[str, Any], data: bytes, *, is_again: bool = False) -> tuple[dict[str, Any], bytes]:
        process = self._start()
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            _kill_group(process)

        clock = threading.Timer(self.limits.wall_seconds, stop)
        clock.daemon = True
        clock.start()
        try:
            answer, content = _exchange(process, request, data, self.limits.output_bytes)
        except (OSError, EOFError, ValueError) as error:
            clock.cancel()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            status = process.returncode
            self.close()
            if status == 0 and not is_late.is_set() and not is_again:  # it ended for want of work, at this very moment
                return self._ask(request, data, is_again=True)
            raise ReadingError("time" if is_late.is_set() or status == _CPU_STATUS else "died") from error
        finally:
            clock.cancel()
        if "fault" in answer:
            raise ReadingError(str(answer["fault"]))
        return answer, content

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = _starter.submit(
                subprocess.Popen[bytes],
                [sys.executable, "-sPB", "-m", "annotation.media_child", json.dumps(dataclasses.asdict(self.limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"},
                start_new_session=True,
            ).result()
        return self._process


@contextlib.contextmanager
def borrow_reader(reader: MediaReader | None) -> Iterator[MediaReader]:
    """The caller's own reader, left open; or one that this process keeps for whoever comes with a single file."""
    if reader is not None:
        yield reader
        return
    try:
        kept = _idle.pop()
    except IndexError:
        kept = MediaReader()
    try:
        yield kept
    finally:
        if len(_idle) < AT_ONCE:
            _idle.append(kept)
        else:
            kept.close()


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any], data: bytes, most: int
) -> tuple[dict[str, Any], bytes]:
    """One request and its answer. OSError, EOFError or ValueError where the child broke off."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**request, "size": len(data)}).encode() + b"\n")
    process.stdin.write(data)
    process.stdin.flush()
    line = process.stdout.readline(10_000)
    if not line.endswith(b"\n"):
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    size = int(answer["size"])
    if not 0 <= size <= most:
        raise ValueError("more than a child may send")
    content = process.stdout.read(size)
    if len(content) < size:
        raise EOFError
    return answer, content


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def explain_fault(fault: str, mime: str, limits: Limits) -> str:
    """A sentence for one of `annotation.media_child.limits.FAULTS`."""
    million, kind = 1_000_000, mime.partition("/")[2]
    if not mime.startswith("image/") and fault in _OF_STREAMS:
        return _OF_STREAMS[fault]() % {"kind": kind}
    sentences = {
        "pixels": _("The image has more than %(most)d million pixels. Send a smaller one.")
        % {"most": limits.pixels // million},
        "frames": _("The image has more than %(most)d frames. Send a shorter one.") % {"most": limits.frames},
        "frame_pixels": _(
            "The frames of the animation have more than %(most)d million pixels together. Send a smaller one."
        )
        % {"most": limits.frame_pixels // million},
        "none": _("The file begins like an image, and is none."),
        "damaged": _("The image is damaged: it cannot be decoded as a whole."),
        "writing": _("The image was read, but writing it anew takes too much memory. Send a smaller one."),
        "trailing": _("More bytes follow after the end of the image. Save it anew and send that."),
        "memory": _("Reading the file takes more than %(most)d MB of memory. Send a smaller one.")
        % {"most": limits.memory_bytes // 1024**2},
        "output": _("Written anew, the image is larger than %(most)d MB. Send a smaller one.")
        % {"most": limits.output_bytes // 1024**2},
        "time": _("Reading the file takes more than %(most)d seconds. Send a smaller one.")
        % {"most": limits.cpu_seconds},
    }
    return sentences.get(fault) or _("Reading the file broke off. Save it anew and send that, or a smaller one.")


_OF_STREAMS = {
    "damaged": lambda: _("The file begins like %(kind)s and is not sound: its own structure leads nowhere."),
    "trailing": lambda: _("The file begins like %(kind)s, and other bytes follow in it. Save it anew and send that."),
    "external": lambda: _("The file refers to data outside itself. Send one that holds everything."),
    "codec": lambda: _("What is inside this %(kind)s file is not accepted. See the import page for what is."),
}
