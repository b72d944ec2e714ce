"""What is made out of a kept file, once, by the worker: small and blurred pictures, contact sheets, outlines of sounds.

| Kind | Made |
|---|---|
| image | `thumb` (320 pixels along the longest side), `blurred` |
| video | `poster` (960), `thumb`, `blurred`, `sheet` (up to 12 frames in rows of four) |
| audio | `peaks` (JSON: `seconds`, and up to 1,000 pairs of lowest and highest from -127 to 127) |

They lie beside their file, as <sha256>.<name>: backup takes them along, and they go when it goes. What cannot be made
is left out with a reason; the file itself is shown all the same. No rows are written here.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from annotation.durable import write_whole
from annotation.ffmpeg import SOUND_RATE, Ffmpeg, FfmpegError, FfmpegLimits, find_ffmpeg
from annotation.media import media_path
from annotation.media_child.limits import CELL, POSTER, RefusedError
from annotation.media_child.outlines import BLOCK, outline
from annotation.media_reading import Derived, MediaReader, ReadingError

NAMES = {
    "image": ("thumb", "blurred"),
    "video": ("poster", "thumb", "blurred", "sheet"),
    "audio": ("peaks",),
}
MIMES = {"peaks": "application/json"}  # the others are WebP
FRAMES = 12
FRAMES_SECONDS = 60.0  # after which a sheet stays as short as it is

_ABOUT = ("width", "height", "columns", "rows")
_DECODED = ("audio/wav", "audio/flac", "audio/ogg", "audio/mpeg")  # by soundfile
_FRAME_LIMITS = FfmpegLimits(output_bytes=64 * 1024**2)


@dataclass(slots=True)
class Derivation:
    """What came out of one file. `made`: name -> what is told about it; `left_out`: name -> a code of `explain`."""

    made: list[Derived] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, derived: list[Derived], **about: Any) -> None:
        """Take what the child made. Nothing that it says is believed but numbers: it had a stranger's file in hand."""
        for one in derived:
            try:
                told: dict[str, Any] = {key: int(one.about[key]) for key in _ABOUT if key in one.about}
                if "seconds" in one.about:
                    told["seconds"] = int(one.about["seconds"] * 1000) / 1000  # refuses what is not finite
            except (TypeError, ValueError, OverflowError) as error:
                raise ReadingError("died") from error
            known = {"mime": MIMES.get(one.name, "image/webp"), "size": len(one.content)}
            self.made.append(Derived(one.name, known | told | about, one.content))

    def as_json(self) -> dict[str, Any]:
        """What `Media.derivatives` holds: name -> what is told about it, or `{"left_out": CODE}`."""
        left_out = {name: {"left_out": code} for name, code in self.left_out.items()}
        return {one.name: one.about for one in self.made} | left_out


def derivative_path(project_id: int, sha256: str, name: str) -> Path:
    """Return where a derivative lies, whether it is there or not. ValueError for a name that there is not."""
    if not any(name in names for names in NAMES.values()):
        raise ValueError("not a derivative")
    path = media_path(project_id, sha256)
    return path.with_name(f"{path.name}.{name}")


def unlink_derivatives(project_id: int, sha256: str) -> None:
    """Remove the derivatives of a file, whatever there is of them."""
    for name in {name for names in NAMES.values() for name in names}:
        derivative_path(project_id, sha256, name).unlink(missing_ok=True)


def write_derivatives(project_id: int, sha256: str, derivation: Derivation) -> None:
    """Put everything that was made on disk, each file whole or not at all, mode 0600."""
    for one in derivation.made:
        write_whole(derivative_path(project_id, sha256, one.name), one.content)


def make_derivatives(path: Path, mime: str, reader: MediaReader) -> Derivation:
    """Make everything that belongs to a kept file of this type. What fails is left out with its reason, never raised.

    UnavailableError where the reader gets no turn.
    """
    done = Derivation()
    kind = mime.partition("/")[0]
    try:
        if kind == "image":
            done.add(reader.derive("previews", mime, path.read_bytes(), names=list(NAMES["image"])))
        elif kind == "audio":
            _add_peaks(done, path, mime, reader)
        else:
            _add_frames(done, path, mime, reader)
    except (ReadingError, FfmpegError, RefusedError) as error:
        _leave_out(done, kind, error.fault)
    except FileNotFoundError:
        _leave_out(done, kind, "absent")
    return done


def _leave_out(done: Derivation, kind: str, fault: str) -> None:
    made = {one.name for one in done.made}
    done.left_out = {name: fault for name in NAMES[kind] if name not in made}


def _add_peaks(done: Derivation, path: Path, mime: str, reader: MediaReader) -> None:
    program = find_ffmpeg()
    if mime in _DECODED and importlib.util.find_spec("soundfile") is not None:
        try:
            done.add(reader.derive("peaks", mime, path.read_bytes()))
            return
        except ReadingError:
            if program is None:
                raise
    if program is None:
        _leave_out(done, "audio", "no_decoder")
        return
    with Ffmpeg(program, path, mime).decode_sound() as pieces:
        seconds, peaks = outline(_as_samples(pieces), SOUND_RATE)
    done.add([Derived("peaks", {"seconds": seconds}, peaks)])


def _as_samples(pieces: Iterator[bytes]) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of `BLOCK` frames out of pieces of any length."""
    waiting = b""
    for piece in pieces:
        waiting += piece
        while len(waiting) >= 2 * BLOCK:
            block, waiting = waiting[: 2 * BLOCK], waiting[2 * BLOCK :]
            yield _scale(block)
    if len(waiting) >= 2:
        yield _scale(waiting[: len(waiting) // 2 * 2])


def _scale(block: bytes) -> npt.NDArray[np.float32]:
    return (np.frombuffer(block, dtype="<i2").astype(np.float32) / np.float32(32768)).reshape(-1, 1)


def _add_frames(done: Derivation, path: Path, mime: str, reader: MediaReader) -> None:
    program = find_ffmpeg()
    if program is None:
        _leave_out(done, "video", "no_ffmpeg")
        return
    video = Ffmpeg(program, path, mime, _FRAME_LIMITS)
    seconds = video.measure()
    first = video.grab(min(seconds / 10, 5.0), POSTER)  # the very first frame is black often enough
    names = [name for name in NAMES["video"] if name != "sheet"]
    done.add(reader.derive("previews", "image/png", first, names=names), seconds=round(seconds, 3))
    frames: list[tuple[float, bytes]] = []
    deadline = time.monotonic() + FRAMES_SECONDS
    for place in range(FRAMES):
        if time.monotonic() > deadline:
            break
        at = seconds * (place + 0.5) / FRAMES
        with suppress(FfmpegError):  # a damaged stretch, or one that is too slow to decode
            frames.append((at, video.grab(at, CELL)))
    if len(frames) < 2:
        _leave_out(done, "video", "short")
        return
    pictures = [frame for _at, frame in frames]
    sheet = reader.derive("sheet", "image/png", b"".join(pictures), sizes=[len(one) for one in pictures])
    done.add(sheet, seconds=[round(at, 3) for at, _frame in frames])


def explain_left_out(code: str) -> str:
    """A sentence for a reason why something was left out: what it is, and the next step where there is one."""
    sentences = {
        "no_ffmpeg": _(
            "There is no ffmpeg on the server, so there is no still picture of this video. It plays as it is."
        ),
        "no_decoder": _("Nothing on the server can decode this sound, so there is no waveform. It plays as it is."),
        "absent": _("The file is not on the server's disk."),
        "short": _("The video has too few frames for a contact sheet."),
        "time": _("Decoding the file takes too long. It plays as it is."),
        "memory": _("Decoding the file takes too much memory. It plays as it is."),
        "output": _("Decoded, the file is too large. It plays as it is."),
    }
    return sentences.get(code) or _("The file could not be decoded on the server. Your browser may still play it.")
