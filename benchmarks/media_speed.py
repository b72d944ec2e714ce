"""What media cost: the reading of one file after another, and what the worker makes out of a picture, sound or video.

    .venv/bin/python -m benchmarks.media_speed

Each line is the median and the longest of a few runs, in milliseconds of the clock. Pictures are noise laid over a
gradient, which is harder to pack than most photographs; the sound is ten minutes of noise; the video (only where there
is an ffmpeg, which also makes it) a minute of a moving test picture. Neither a database nor a server is needed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("SECRET_KEY", "only to time what needs no secret, and long enough for any check of that")

import django
from django.conf import settings

django.setup()

from annotation.derivatives import make_derivatives  # noqa: E402  (Django comes first)
from annotation.ffmpeg import find_ffmpeg  # noqa: E402
from annotation.media import store_media  # noqa: E402
from annotation.media_reading import MediaReader  # noqa: E402
from benchmarks.measuring import describe_machine, gauge_noise, in_ms  # noqa: E402


def make_picture(width: int, height: int, seed: int = 1) -> bytes:
    """A JPEG of noise over a gradient."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 200, width)[np.newaxis, :, np.newaxis]
    pixels = (slope + rng.integers(0, 40, (height, width, 3))).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def make_sound(seconds: int) -> bytes:
    """A WAV of noise, two channels at 44,100 Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.random.default_rng(1).integers(-9000, 9000, 2 * 44_100 * seconds, np.int16).tobytes())
    return out.getvalue()


def make_video(program: str, path: Path, seconds: int) -> bytes:
    """An MP4 of 1,280 by 720 pixels at 25 frames a second."""
    source = f"testsrc2=size=1280x720:rate=25:duration={seconds}"
    command = [program, "-v", "error", "-y", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def clock(name: str, rounds: int, run: Callable[[int], object]) -> None:
    """Time `run`, which is told the number of the round, and print a line."""
    times = []
    for number in range(rounds):
        started = time.perf_counter()
        run(number)
        times.append(time.perf_counter() - started)
    told = in_ms(times)
    print(f"{name:<62} median {told['p50']:9.1f} ms   longest {told['max']:9.1f} ms   n {rounds}", flush=True)


def main() -> None:
    """Make the files, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds: int = parser.parse_args().rounds
    print(json.dumps(describe_machine() | gauge_noise()))
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as name, MediaReader() as reader:
        folder = Path(name)
        settings.MEDIA_DIR = folder / "media"
        small = [make_picture(320, 240, seed) for seed in range(rounds + 1)]
        store_media(io.BytesIO(small[rounds]), 1)
        clock("keep a picture of 320 x 240, as an upload does", rounds, lambda i: store_media(io.BytesIO(small[i]), 1))
        store_media(io.BytesIO(small[rounds]), 2, reader=reader)
        clock(
            "keep the same with one reader for all, as an import does",
            rounds,
            lambda i: store_media(io.BytesIO(small[i]), 2, reader=reader),
        )
        files = [
            ("thumbnail and blurred picture of a JPEG of 320 x 240", small[0], "image/jpeg"),
            ("thumbnail and blurred picture of a JPEG of 4,000 x 3,000", make_picture(4000, 3000), "image/jpeg"),
            ("waveform of 10 minutes of WAV, two channels, 44.1 kHz", make_sound(600), "audio/wav"),
        ]
        program = find_ffmpeg()
        if program is not None:
            video = make_video(program, folder / "made.mp4", 60)
            files.append(("poster, previews and sheet of a minute of MP4, 1,280 x 720", video, "video/mp4"))
        for title, data, mime in files:
            path = folder / "file"
            path.write_bytes(data)
            left_out = make_derivatives(path, mime, reader).left_out
            if left_out:
                print(f"{title:<62} left out: {', '.join(sorted(set(left_out.values())))}")
            else:
                clock(title, max(3, rounds // 4), lambda _i, p=path, m=mime: make_derivatives(p, m, reader))  # type: ignore[misc]


if __name__ == "__main__":
    main()
