"""Sounds decoded by soundfile (libsndfile), which is an extra: WAV, FLAC, Ogg and MP3."""

from __future__ import annotations

import io
from collections.abc import Iterator

import soundfile

from annotation.media_child.limits import RefusedError
from annotation.media_child.outlines import BLOCK, Samples, outline


def make_peaks(data: bytes) -> tuple[float, bytes]:
    """Return the length and the outline (`outlines.outline`) of the sound. RefusedError where it cannot be decoded."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            return outline(_read_blocks(sound), sound.samplerate)
    except (RefusedError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder does on hostile bytes, the answer is the same
        raise RefusedError("damaged") from error


def _read_blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
        yield block
