"""The child that reads media: what it keeps of a picture, what it refuses and why, and what that may cost."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from annotation import media_reading
from annotation.media import media_path, store_media
from annotation.media_child.limits import Limits
from annotation.media_reading import MediaError, MediaReader
from config.home import ROOT
from tests.media_files import (
    box,
    element,
    make_animation,
    make_apng_header,
    make_flac,
    make_flat_png,
    make_gif_bomb,
    make_image,
    make_jpeg_header,
    make_mp3,
    make_mp4,
    make_ogg,
    make_png_header,
    make_profile_bomb,
    make_wav,
    make_webm,
)
from tests.test_derivatives import ffmpeg
from tests.workers import wait_until

__all__ = ["ffmpeg"]

GPS = {1: "N", 2: (51.0, 30.0, 26.0), 3: "W", 4: (0.0, 7.0, 39.0)}
MARK = b"a-secret-in-the-metadata"
PAGE = b"<html><script>alert(1)</script></html>"


@pytest.fixture(autouse=True)
def media_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return tmp_path / "media"


def keep(data: bytes) -> bytes:
    """Store the bytes, and return what lies on disk for them."""
    return media_path(1, store_media(io.BytesIO(data), 1).sha256).read_bytes()


def reason_of(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        store_media(io.BytesIO(data), 1)
    return caught.value.detail


def read(path: Path, data: bytes, mime: str, **limits: Any) -> str:
    """The reason why a reader with these limits refuses the bytes."""
    path.write_bytes(data)
    with MediaReader(Limits(**limits)) as reader, pytest.raises(MediaError) as caught:
        reader.read(path, mime)
    return caught.value.detail


def nest(name: bytes, depth: int) -> bytes:
    """An MP4 box in a box in a box."""
    return b"".join(struct.pack(">L4s", 8 * n, name) for n in range(depth, 0, -1))


# --- What is kept of a picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_position_and_all_other_metadata_are_gone(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = MARK.decode()
    exif.get_ifd(0x8825).update(GPS)
    sent = make_image(kind, exif=exif)
    assert MARK in sent
    assert Image.open(io.BytesIO(sent)).getexif().get_ifd(0x8825)
    kept = keep(sent)
    assert MARK not in kept
    with Image.open(io.BytesIO(kept)) as image:
        assert not image.getexif()
        assert not image.getexif().get_ifd(0x8825)
        assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)


def test_comments_texts_and_what_follows_a_jpeg_are_gone() -> None:
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("Author", MARK.decode())
    text.add_itxt("XML:com.adobe.xmp", MARK.decode())
    sent = [
        make_image("JPEG", comment=MARK, xmp=MARK) + PAGE,
        make_image("PNG", pnginfo=text),
        make_image("GIF", comment=MARK),
        make_image("WEBP", xmp=MARK),
    ]
    assert all(MARK in data for data in sent)
    kept = [keep(data) for data in sent]
    assert not any(MARK in data or b"<script" in data for data in kept)


def test_a_page_in_a_comment_of_a_jpeg_is_gone() -> None:
    plain = make_image("JPEG")
    sent = plain[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(PAGE)) + PAGE + plain[2:]
    assert b"<script" not in keep(sent)


def test_orientation_is_applied_to_the_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste("black", (0, 0, 16, 16))  # top left, which a quarter turn brings to the top right
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, quality=95)
    with Image.open(io.BytesIO(keep(out.getvalue()))) as kept:
        assert kept.size == (32, 64)
        grey = kept.convert("L").tobytes()
        assert grey[8 * 32 + 24] < 20
        assert grey[8 * 32 + 8] > 235


@pytest.mark.parametrize("options", [{}, {"quality": 60, "subsampling": 2}, {"quality": 98, "subsampling": 0}])
def test_a_jpeg_loses_little_and_does_not_grow(options: dict[str, Any]) -> None:
    sent = make_image("JPEG", (400, 300), **options)
    kept = keep(sent)
    before, after = (Image.open(io.BytesIO(data)).convert("L").tobytes() for data in (sent, kept))
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) <= 3
    assert len(kept) < 1.2 * len(sent)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("GIF", "P")],
)
def test_a_lossless_picture_stays_as_it_was(kind: str, mode: str) -> None:
    picture = Image.linear_gradient("L").convert("I;16" if mode == "I;16" else "RGBA").convert(mode)
    out = io.BytesIO()
    picture.save(out, kind)
    with Image.open(io.BytesIO(out.getvalue())) as before, Image.open(io.BytesIO(keep(out.getvalue()))) as after:
        assert before.mode == after.mode
        assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()


def test_a_lossless_webp_stays_as_it_was() -> None:
    sent = make_image("WEBP", lossless=True)
    with Image.open(io.BytesIO(sent)) as before, Image.open(io.BytesIO(keep(sent))) as after:
        assert before.tobytes() == after.tobytes()


def test_a_print_jpeg_becomes_one_that_browsers_show() -> None:
    out = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(out, "JPEG")
    with Image.open(io.BytesIO(keep(out.getvalue()))) as kept:
        assert kept.mode == "RGB"
        red, green, blue = kept.getpixel((8, 8))  # type: ignore[misc]
        assert red > 200 > 80 > max(green, blue)


def test_colours_of_a_profile_are_brought_to_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = lab.tobytes().replace(b"s\0R\0G\0B\0", b"o\0t\0h\0e\0").replace(b"sRGB built-in", b"other profil")
    kept = keep(make_image("PNG", icc_profile=profile))
    with Image.open(io.BytesIO(kept)) as image:
        assert "icc_profile" not in image.info
        assert image.size == (40, 30)


@pytest.mark.parametrize(
    ("kind", "options", "most"),
    [("GIF", {}, 0), ("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("WEBP", {"quality": 95}, 80)],
)
def test_an_animation_stays_one(kind: str, options: dict[str, Any], most: int) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    frames[1].paste("white", (4, 4, 12, 12))
    sent = make_animation(kind, frames, **options)
    with Image.open(io.BytesIO(keep(sent))) as kept:
        assert kept.n_frames == 3  # type: ignore[attr-defined]
        for place, frame in enumerate(frames):
            kept.seek(place)
            kept.load()
            assert kept.info["duration"] == 100
            found = kept.convert("RGB").tobytes()
            assert max(abs(a - b) for a, b in zip(found, frame.tobytes(), strict=True)) <= most


def test_what_an_animation_shows_through_stays_clear() -> None:
    frames = [Image.new("RGBA", (16, 16)) for _ in range(3)]
    for place, frame in enumerate(frames):
        frame.paste("red", (4 * place, 0, 4 * place + 4, 16))
    sent = make_animation("GIF", frames, disposal=2)
    with Image.open(io.BytesIO(keep(sent))) as kept:
        kept.seek(2)
        shown = kept.convert("RGBA")
        assert [shown.getpixel((x, 8))[3] for x in (2, 6, 10, 14)] == [0, 0, 255, 0]  # type: ignore[index]


# --- What is refused, at what cost -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_png_header(50_000, 50_000), "million pixels"),
        (make_flat_png(9_000), "million pixels"),
        (make_gif_bomb(7_000, 7_000, 900), "frames of the animation"),
        (make_gif_bomb(60_000, 60_000, 2), "million pixels"),
        (make_gif_bomb(10, 10, 500_000), "more than 1000 frames"),
        (make_jpeg_header(65_500, 65_500), "million pixels"),
        (make_apng_header(1_000_000), "more than 1000 frames"),
        (make_apng_header(2**31 - 1), "more than 1000 frames"),
        (make_profile_bomb(200 * 1024**2), "damaged"),
        (make_image("JPEG", (400, 300))[:-500], "damaged"),
        (make_image("PNG") + PAGE, "follow after the end"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.mp3\n", "Playlists are not accepted"),
        (b"[playlist]\nFile1=file:///etc/passwd\n", "Playlists are not accepted"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "Playlists are not accepted"),
        (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"#EXTM3U\nhttp://127.0.0.1/", "not sound"),
        (make_mp3(2), "not sound"),
        (make_mp3() + PAGE, "other bytes follow"),
        (make_wav() + PAGE, "other bytes follow"),
        (make_wav()[:-10], "not sound"),
        (b"RIFF\x04\0\0\0WAVE", "not sound"),
        (b"RIFF\xff\xff\xff\xff" + make_wav()[8:], "not sound"),
        (make_wav(told=b"LIST\xff\xff\xff\x7f"), "not sound"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + make_mp3(), "not sound"),
        (b"fLaC\0\0\0\x22" + bytes(34) + b"\x04\xff\xff\xff" + bytes(50), "not sound"),
        (make_mp4(told=nest(b"trak", 100_000)), "not sound"),
        (make_mp4(told=struct.pack(">L4sQ", 1, b"udta", 2**63)), "not sound"),
        (make_ogg() + PAGE, "other bytes follow"),
        (make_ogg()[:-10], "not sound"),
        (make_ogg(b"\x80theora "), "not accepted"),
        (b"fLaC" + PAGE, "not sound"),
        (make_flac()[:42] + PAGE, "not sound"),
        (make_mp4() + PAGE, "not sound"),
        (make_mp4() + box(b"html", PAGE), "other bytes follow"),
        (make_mp4()[:-10], "not sound"),
        (make_mp4(is_inside=False), "data outside itself"),
        (make_mp4(brand=b"heic"), "not accepted"),
        (box(b"ftyp", b"isom" + bytes(8)) + box(b"mdat", bytes(50)), "not sound"),
        (make_webm() + PAGE, "other bytes follow"),
        (make_webm()[:-10], "not sound"),
        (make_webm(doc_type=b"matroska"), "not accepted"),
        (make_webm(codec=b"V_MPEG4/ISO/AVC"), "not accepted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_bad_huge_and_lying_files_are_refused_at_once_with_the_reason(
    media_dir: Path, data: bytes, reason: str
) -> None:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    assert reason in reason_of(data)
    assert time.perf_counter() - started < 5  # mostly the start of the child
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB, of this process
    assert [path for path in media_dir.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (make_wav(), "audio/wav"),
        (make_mp3(tag=bytes(50)), "audio/mpeg"),
        (make_mp3()[10:], "audio/mpeg"),
        (make_flac(), "audio/flac"),
        (make_ogg(), "audio/ogg"),
        (make_ogg(b"\x01vorbis\0"), "audio/ogg"),
        (make_mp4(), "video/mp4"),
        (make_mp4(brand=b"M4A ", kind=b"soun"), "audio/mp4"),
        (make_webm(), "video/webm"),
        (make_webm(codec=b"A_OPUS"), "audio/webm"),
    ],
)
def test_audio_and_video_are_known_by_their_bytes_and_kept_where_they_tell_nothing(data: bytes, mime: str) -> None:
    stored = store_media(io.BytesIO(data), 1)
    assert (stored.mime, stored.width, stored.height, stored.size) == (mime, None, None, len(data))
    assert media_path(1, stored.sha256).read_bytes() == data


TAG = b"TXXX" + struct.pack(">LH", 1 + len(MARK), 0) + b"\0" + MARK
TELLING = {
    "mp4, its position": make_mp4(told=box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(MARK), 0x15C7) + MARK))),
    "mp4, a track": make_mp4(track_told=box(b"udta", box(b"name", MARK))),
    "m4a, in keys": make_mp4(brand=b"M4A ", kind=b"soun", told=box(b"meta", box(b"ilst", MARK))),
    "mp4, xmp": make_mp4() + box(b"uuid", bytes(16) + MARK),
    "mp4, with a long size": make_mp4() + struct.pack(">L4sQ", 1, b"udta", 16 + len(MARK)) + MARK,
    "mp4, to the end": make_mp4() + b"\0\0\0\0udta" + MARK,
    "mp3, before": make_mp3(tag=TAG),
    "mp3, behind": make_mp3() + b"TAG" + MARK.ljust(125, b"\0"),
    "mp3, ape": make_mp3() + b"APETAGEX" + struct.pack("<LLLL", 2000, len(MARK), 1, 0) + bytes(8) + MARK,
    "wav": make_wav(told=b"LIST" + struct.pack("<L", len(MARK) + 4) + b"INFO" + MARK),
    "flac": make_flac(MARK),
    "webm": make_webm(told=element(0x1254C367, MARK)),
    "webm, short": make_webm(told=b"\x12\x54\xc3\x67" + bytes([0x80 | len(MARK)]) + MARK),
}


@pytest.mark.parametrize("sent", TELLING.values(), ids=TELLING.keys())
def test_what_tells_about_a_sound_or_video_is_gone_and_nothing_else_moves(sent: bytes) -> None:
    assert MARK in sent
    kept = keep(sent)
    assert MARK not in kept
    assert len(kept) == len(sent)
    assert keep(kept) == kept  # and is sound
    begin = sent.index(MARK)
    assert kept[begin + len(MARK) :] == sent[begin + len(MARK) :]
    changed = [at for at, (one, other) in enumerate(zip(sent, kept, strict=True)) if one != other]
    assert begin - min(changed) < 60


@pytest.mark.parametrize(
    ("ending", "made"),
    [
        ("mp4", ["-f", "lavfi", "-i", "testsrc=s=64x36:d=1", "-f", "lavfi", "-i", "sine=d=1"]),
        ("webm", ["-f", "lavfi", "-i", "testsrc=s=64x36:d=1"]),
        ("m4a", ["-f", "lavfi", "-i", "sine=d=1"]),
        ("mp3", ["-f", "lavfi", "-i", "sine=d=1"]),
        ("flac", ["-f", "lavfi", "-i", "sine=d=1"]),
        ("wav", ["-f", "lavfi", "-i", "sine=d=1"]),
    ],
)
def test_it_plays_as_before(tmp_path: Path, ffmpeg: str, ending: str, made: list[str]) -> None:
    path = tmp_path / f"one.{ending}"
    told = ["-metadata", f"title={MARK.decode()}", "-metadata", "location=+51.5073-000.1276/"]
    subprocess.run([ffmpeg, "-v", "error", *made, *told, str(path)], check=True)
    sent = path.read_bytes()
    kept = keep(sent)
    assert MARK in sent
    assert MARK not in kept
    assert b"+51.5073" not in kept

    def play(data: bytes) -> bytes:
        path.write_bytes(data)
        command = [ffmpeg, "-v", "error", "-xerror", "-i", str(path), "-f", "md5", "-"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    assert play(kept) == play(sent)


# --- The child, its limits and its end -------------------------------------------------------------------------------


def test_too_much_memory_is_a_reason_and_not_the_end(tmp_path: Path) -> None:
    reason = read(tmp_path / "a", make_flat_png(7_000), "image/png", memory_bytes=120 * 1024**2)
    assert "more than 120 MB of memory" in reason


def test_too_much_processor_time_is_a_reason(tmp_path: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((4_500, 4_500), 90).convert("RGB").save(noise, "PNG", compress_level=1)
    started = time.perf_counter()
    assert "more than 1 seconds" in read(tmp_path / "a", noise.getvalue(), "image/png", cpu_seconds=1)
    assert time.perf_counter() - started < 10


def test_the_clock_ends_a_child_that_does_not_answer(tmp_path: Path) -> None:
    started = time.perf_counter()
    reason = read(tmp_path / "a", make_flat_png(7_000), "image/png", wall_seconds=0.05)
    assert "Reading the file takes more than" in reason
    assert time.perf_counter() - started < 5


def test_too_much_output_is_a_reason(tmp_path: Path) -> None:
    assert "larger than 0 MB" in read(tmp_path / "a", make_image("PNG"), "image/png", output_bytes=10)


def test_a_reader_reads_on_after_a_file_brought_its_child_down(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with MediaReader() as reader:
        path.write_bytes(make_image("PNG"))
        assert reader.read(path, "image/png").width == 40
        assert reader._process is not None
        first = reader._process.pid
        os.kill(first, 9)
        reader._process.wait()
        assert reader.read(path, "image/png").height == 30
        assert reader._process.pid != first


def test_a_closed_reader_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make_image("PNG"))
    with MediaReader() as reader:
        reader.read(path, "image/png")
        assert reader._process is not None
        group = reader._process.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_the_child_loads_neither_django_nor_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make_image("PNG"))
    with MediaReader() as reader:
        reader.read(path, "image/png")
        assert reader._process is not None
        environ = Path(f"/proc/{reader._process.pid}/environ").read_bytes().split(b"\0")
    assert {one.partition(b"=")[0] for one in environ if one} <= {b"PYTHONPATH", b"LANG", b"LC_CTYPE"}
    code = "import sys, annotation.media_child.__main__; print('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def test_a_confined_fork_opens_no_file_and_no_socket() -> None:
    code = (
        "import socket, annotation.media_child.__main__ as child\n"
        "child._confine(child.Limits())\n"
        "for open_it in (lambda: open('/etc/passwd'), socket.socket, lambda: open('/tmp/x', 'w')):\n"
        "    try: open_it(); print('opened')\n"
        "    except OSError: print('refused')\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert out.split() == [b"refused"] * 3


# --- A child that is kept for the next file --------------------------------------------------------------------------


def kept_readers() -> list[MediaReader]:
    return list(media_reading._idle)


@pytest.fixture
def no_reader_kept() -> None:
    for reader in kept_readers():
        reader.close()
    media_reading._idle.clear()


def test_one_upload_after_another_finds_the_child_of_the_first(no_reader_kept: None) -> None:
    keep(make_image("PNG"))
    [reader] = kept_readers()
    first = reader._process
    keep(make_image("PNG", (20, 20)))
    assert kept_readers() == [reader]
    assert reader._process is first


def test_a_kept_child_outlives_the_thread_that_asked_for_it(no_reader_kept: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(keep, make_image("PNG")).result()
    [reader] = kept_readers()
    assert reader._process is not None
    with pytest.raises(subprocess.TimeoutExpired):  # the system would end it at once
        reader._process.wait(0.3)
    assert keep(make_image("PNG", (20, 20)))


def test_no_more_readers_are_kept_than_may_work_at_once(no_reader_kept: None) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, [make_image("PNG", (20 + i, 20)) for i in range(8)]))
    assert 1 <= len(kept_readers()) <= media_reading.AT_ONCE


def test_a_child_without_work_ends_and_the_next_file_finds_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(make_image("PNG"))
    with MediaReader(Limits(idle_seconds=0.2)) as reader:
        reader.read(path, "image/png")
        first = reader._process
        assert first is not None
        assert first.wait(5) == 0
        assert reader.read(path, "image/png").width == 40
        assert reader._process is not first


def start_late(reader: MediaReader, monkeypatch: pytest.MonkeyPatch, n_late: int) -> list[int]:
    """Let the first `n_late` children of a reader end for want of work before they are asked; returns their ids."""
    start, started = reader._start, list[int]()

    def start_and_wait() -> subprocess.Popen[bytes]:
        process = start()
        started.append(process.pid)
        process.wait() if len(started) <= n_late else None
        return process

    monkeypatch.setattr(reader, "_start", start_and_wait)
    return started


def test_a_child_that_ends_while_a_file_is_handed_to_it_costs_the_file_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(make_image("PNG"))
    with MediaReader(Limits(idle_seconds=0.5)) as reader:
        started = start_late(reader, monkeypatch, 1)
        assert reader.read(path, "image/png").width == 40
        assert len(started) == 2


def test_a_file_is_not_handed_on_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(make_image("PNG"))
    with MediaReader(Limits(idle_seconds=0.1)) as reader:
        started = start_late(reader, monkeypatch, 9)
        with pytest.raises(MediaError, match="broke off"):
            reader.read(path, "image/png")
        assert len(started) == 2


def test_a_process_that_keeps_a_child_ends_at_once_and_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make_image("PNG"))
    code = (
        "import os, pathlib, sys\n"
        "from annotation.media_reading import _idle, borrow_reader\n"
        "with borrow_reader(None) as reader: reader.read(pathlib.Path(sys.argv[1]), 'image/png')\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(len(_idle))\n"
        "print(_idle[0]._process.pid, os.waitpid(child, 0)[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, cwd=ROOT)
    pid, n_kept_by_fork = done.stdout.split()
    assert n_kept_by_fork == "0"
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
