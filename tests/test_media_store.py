"""Media: what is kept and how, what is refused, and who may fetch it for how long."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import stat
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from annotation.media import (
    MAX_IMAGE_BYTES,
    MediaError,
    MediaTooLargeError,
    check_media_token,
    media_path,
    sign_media,
    store_media,
)

NOW = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def media_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return tmp_path / "media"


def make_image(kind: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def make_turned_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return make_image("JPEG", exif=exif)


def make_png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds nearly nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def kept_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("kind", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_image_is_kept_under_its_hash_and_readable_by_the_owner_alone(media_dir: Path, kind: str, mime: str) -> None:
    data = make_image(kind)
    sha256 = hashlib.sha256(data).hexdigest()
    stored = store_media(io.BytesIO(data), 7, sha256)
    assert (stored.sha256, stored.size, stored.mime) == (sha256, len(data), mime)
    assert (stored.width, stored.height, stored.is_new) == (40, 30, True)
    path = media_dir / "7" / sha256[:2] / sha256
    assert media_path(7, sha256) == path
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_files(media_dir) == [path]


def test_same_bytes_again_are_fine_and_not_new(media_dir: Path) -> None:
    data = make_image("PNG")
    assert store_media(io.BytesIO(data), 1).is_new
    assert not store_media(io.BytesIO(data), 1).is_new
    assert store_media(io.BytesIO(data), 2).is_new
    assert len(kept_files(media_dir)) == 2


def test_size_is_that_of_the_picture_as_shown() -> None:
    stored = store_media(io.BytesIO(make_turned_jpeg()), 1)
    assert (stored.width, stored.height) == (30, 40)


def test_animated_images_are_kept() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP"):
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:])
        assert store_media(io.BytesIO(out.getvalue()), 1).width == 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><p>", "SVG"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "Audio and video"),
        (b"\x00\x00\x00\x18ftypmp42", "Audio and video"),
        (b"#EXTM3U\nhttp://127.0.0.1/", "Audio and video"),
        (b"%PDF-1.7", "not a JPEG"),
        (b"BM" + b"\0" * 60, "not a JPEG"),
        (b"GIF89a/*" + b"x" * 50 + b"*/=1;alert(1)", "begins like an image"),
        (b"\xff\xd8\xff" + b"\0" * 100, "begins like an image"),
        (make_image("PNG")[:-30], "damaged"),
        (make_image("JPEG", (200, 200))[:-400], "damaged"),
        (make_image("PNG") + b"<script>alert(1)</script>", "follow after the end"),
        (make_image("GIF") + b"*/=1;alert(1)", "follow after the end"),
        (make_image("WEBP") + b"PK\x03\x04", "follow after the end"),
        (make_png_header(30_000, 30_000), "million pixels"),
        (make_png_header(8_000, 8_000), "million pixels"),
        (make_png_header(2**31 - 1, 2**31 - 1), "million pixels"),
        (make_png_header(1_000, 1_000), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_what_is_no_sound_image_is_refused_and_nothing_stays(media_dir: Path, data: bytes, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        store_media(io.BytesIO(data), 1)
    assert kept_files(media_dir) == []


def test_bytes_other_than_the_address_names_are_refused(media_dir: Path) -> None:
    with pytest.raises(MediaError, match="SHA-256"):
        store_media(io.BytesIO(make_image("PNG")), 1, "0" * 64)
    assert kept_files(media_dir) == []


def test_too_many_bytes_are_refused_without_reading_on(media_dir: Path) -> None:
    source = io.BytesIO(b"\xff\xd8\xff" + b"\0" * (2 * MAX_IMAGE_BYTES))
    with pytest.raises(MediaTooLargeError) as caught:
        store_media(source, 1)
    assert caught.value.status == 413
    assert source.tell() < MAX_IMAGE_BYTES + 1024**2
    assert kept_files(media_dir) == []


@pytest.mark.parametrize("sha256", ["", "../" * 22, "A" * 64, "0" * 63, "0" * 65])
def test_path_is_made_only_from_a_hash(sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        media_path(1, sha256)


def test_link_opens_for_its_person_and_file_until_it_ends() -> None:
    token = sign_media(5, 9, NOW)
    later = NOW + dt.timedelta(seconds=299)
    assert check_media_token(token, 5, 9, 300, now=later)
    assert not check_media_token(token, 5, 9, 300, now=NOW + dt.timedelta(seconds=301))
    assert not check_media_token(token, 5, 9, 300, now=NOW - dt.timedelta(seconds=60))
    assert not check_media_token(token, 6, 9, 300, now=later)
    assert not check_media_token(token, 5, 8, 300, now=later)


@pytest.mark.parametrize("token", ["", ".", "x", "1.2.3", "9" * 400 + ".a", "²." + "a" * 43, "-1.a", "1740830400."])
def test_forged_token_is_no_token(token: str) -> None:
    assert not check_media_token(token, 5, 9, 300, now=NOW)


def test_token_with_a_later_time_is_forged() -> None:
    issued, _dot, signature = sign_media(5, 9, NOW).partition(".")
    assert not check_media_token(f"{int(issued) + 100}.{signature}", 5, 9, 300, now=NOW)
