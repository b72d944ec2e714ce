"""What one file may cost, and the answer that a file is refused with."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS = (
    "pixels",  # more pixels than `Limits.pixels`
    "frames",  # more frames than `Limits.frames`
    "frame_pixels",  # frames times pixels over `Limits.frame_pixels`
    "none",  # begins like its format and is nothing that its decoder knows
    "damaged",  # cannot be read as a whole
    "writing",  # was read, and cannot be written anew: mostly a packer that reports a lack of memory in its own way
    "trailing",  # bytes follow after the end
    "external",  # refers to data outside the file
    "codec",  # a sound container with something in it that is not accepted
    "memory",  # more than `Limits.memory_bytes`
    "output",  # what would be kept is larger than `Limits.output_bytes`
    "time",  # more than `Limits.cpu_seconds` or `Limits.wall_seconds`
    "died",  # the reader ended without an answer
)

POSTER, THUMB, CELL = 960, 320, 240  # pixels along the longest side of what is made out of a picture


@dataclass(frozen=True, slots=True)
class Limits:
    """For one file. `pixels` of one frame, `frame_pixels` of all frames together, seconds of CPU and of the clock.

    `idle_seconds` is how long the child waits for a further file before it ends.
    """

    pixels: int = 50_000_000
    frames: int = 1000
    frame_pixels: int = 150_000_000
    memory_bytes: int = 1536 * 1024**2
    output_bytes: int = 100 * 1024**2
    cpu_seconds: int = 30
    wall_seconds: float = 60.0
    idle_seconds: float = 60.0


class RefusedError(Exception):
    """The file is refused; `fault` is one of FAULTS."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault
