"""ffmpeg, where there is one: as a process of its own, under limits, with the file on stdin and its answer on stdout.

It is told which container to expect, so that it takes nothing for a playlist, and may use no protocol but files and
pipes. What goes in has passed `annotation/media_child/containers.py`. Nothing of what it prints is shown to anybody.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

_ROOT = Path(__file__).resolve().parent.parent
_CONTAINERS = {
    "video/mp4": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "audio/webm": "matroska",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/flac": "flac",
}
_PROGRESS = re.compile(rb"^out_time_us=(\d+)$", re.MULTILINE)
_CHUNK = 256 * 1024
SOUND_RATE = 8000  # frames a second of a decoded sound: enough for an outline


class FfmpegError(Exception):
    """The file could not be decoded within the limits: `fault` is `time`, `output` or `damaged`."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class FfmpegLimits:
    """For one start. Seconds of CPU and of the clock; `output_bytes` as it comes out of the pipe."""

    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 30
    wall_seconds: float = 60.0
    output_bytes: int = 512 * 1024**2


def find_ffmpeg() -> str | None:
    """Return the path of the ffmpeg to use: that of the setting FFMPEG, the system's, or an extra's; None without."""
    if settings.FFMPEG:
        return shutil.which(str(settings.FFMPEG))
    if found := shutil.which("ffmpeg"):
        return found
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return None
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # a package without a binary for this machine
        return None


class Ffmpeg:
    """One ffmpeg and one file. Raises FfmpegError from each method where the file cannot be decoded as asked."""

    def __init__(self, program: str, path: Path, mime: str, limits: FfmpegLimits | None = None) -> None:
        self._program, self._path, self._container = program, path, _CONTAINERS[mime]
        self.limits = limits or FfmpegLimits()

    def measure(self) -> float:
        """Return the seconds of the picture track, by a walk over its packets without decoding them; 0.0 for none."""
        told = self._collect([], ["-map", "0:v:0", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"])
        found = _PROGRESS.findall(told)
        return int(found[-1]) / 1_000_000 if found else 0.0

    def grab(self, seconds: float, longest: int) -> bytes:
        """Return the frame at that time as a PNG of at most `longest` pixels along its longest side, as it is shown."""
        scale = (
            "scale=w='max(2,trunc(iw*sar))':h=ih,setsar=1,"  # pixels that are not square
            f"scale=w='min({longest},iw)':h='min({longest},ih)':force_original_aspect_ratio=decrease"
        )
        frame = ["-map", "0:v:0", "-frames:v", "1", "-vf", scale, "-c:v", "png", "-f", "image2pipe", "pipe:1"]
        found = self._collect(["-ss", f"{seconds:.3f}"], frame)
        if not found:
            raise FfmpegError("damaged")
        return found

    @contextlib.contextmanager
    def decode_sound(self) -> Iterator[Iterator[bytes]]:
        """Give the sound track, in pieces: one channel, `SOUND_RATE` frames a second, 16 bits each, little-endian."""
        sound = ["-map", "0:a:0", "-ac", "1", "-ar", str(SOUND_RATE), "-f", "s16le", "pipe:1"]
        with contextlib.closing(self._run([], sound)) as pieces:
            yield pieces

    def _collect(self, before: list[str], after: list[str]) -> bytes:
        return b"".join(self._run(before, after))

    def _run(self, before: list[str], after: list[str]) -> Generator[bytes]:
        """Yield what ffmpeg writes. FfmpegError at the end where it broke off, was too slow or wrote too much."""
        told = ["-v", "quiet", "-nostdin", "-nostats", "-protocol_whitelist", "file,pipe", "-threads", "1"]
        reading = [*before, "-f", self._container, "-i", "file:/dev/stdin"]
        limits = json.dumps({"memory_bytes": self.limits.memory_bytes, "cpu_seconds": self.limits.cpu_seconds})
        inner = [self._program, *told, *reading, "-map_metadata", "-1", *after]
        with self._path.open("rb") as source:
            process = subprocess.Popen(
                [sys.executable, "-sPB", "-m", "annotation.media_child.program", limits, *inner],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        assert process.stdout is not None
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            process.kill()

        clock = threading.Timer(self.limits.wall_seconds, stop)
        clock.daemon = True
        clock.start()
        n_bytes = 0
        try:
            while piece := process.stdout.read(_CHUNK):
                n_bytes += len(piece)
                if n_bytes > self.limits.output_bytes:
                    raise FfmpegError("output")
                yield piece
            process.wait()
        finally:
            clock.cancel()
            process.stdout.close()
            if process.poll() is None:
                process.kill()
                process.wait()
        if is_late.is_set() or process.returncode == -signal.SIGXCPU:
            raise FfmpegError("time")
        if process.returncode != 0:
            raise FfmpegError("damaged")
