"""Media: what is kept and how, what is refused, and who may fetch it for how long."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import stat
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from annotation.media import (
    MAX_BYTES,
    MAX_IMAGE_BYTES,
    MediaTooLargeError,
    check_media_token,
    media_path,
    sign_media,
    store_media,
)
from annotation.media_reading import MediaError
from tests.media_files import make_image, make_png_header, make_wav

NOW = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def media_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return tmp_path / "media"


def make_turned_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return make_image("JPEG", exif=exif)


def kept_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("kind", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")]
)
def test_image_is_kept_under_its_hash_and_readable_by_the_owner_alone(media_dir: Path, kind: str, mime: str) -> None:
    data = make_image(kind)
    sha256 = hashlib.sha256(data).hexdigest()
    stored = store_media(io.BytesIO(data), 7, sha256)
    path = media_dir / "7" / sha256[:2] / sha256
    assert media_path(7, sha256) == path
    assert (stored.sha256, stored.size, stored.mime) == (sha256, path.stat().st_size, mime)
    assert (stored.width, stored.height, stored.is_new) == (40, 30, True)
    with Image.open(path) as image:
        assert (Image.MIME[image.format or ""], image.size) == (mime, (40, 30))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_files(media_dir) == [path]


def test_same_bytes_again_are_fine_and_not_new(media_dir: Path) -> None:
    data = make_image("PNG")
    first = store_media(io.BytesIO(data), 1)
    assert first.is_new
    path = media_path(1, first.sha256)
    path.write_bytes(path.read_bytes() + b"as an older version wrote it")
    again = store_media(io.BytesIO(data), 1)
    assert (again.is_new, again.size) == (False, path.stat().st_size)
    assert path.read_bytes().endswith(b"as an older version wrote it")
    assert store_media(io.BytesIO(data), 2).is_new
    assert len(kept_files(media_dir)) == 2


def test_size_is_that_of_the_picture_as_shown() -> None:
    stored = store_media(io.BytesIO(make_turned_jpeg()), 1)
    assert (stored.width, stored.height) == (30, 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><p>", "SVG"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "other bytes follow"),
        (b"\x00\x00\x00\x18ftypmp42", "not sound"),
        (b"#EXTM3U\nhttp://127.0.0.1/", "Playlists"),
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


@pytest.mark.parametrize(
    ("head", "most"), [(b"\xff\xd8\xff", MAX_IMAGE_BYTES), (b"hello", MAX_IMAGE_BYTES), (b"fLaC", MAX_BYTES)]
)
def test_too_many_bytes_are_refused_without_reading_on(media_dir: Path, head: bytes, most: int) -> None:
    source = io.BytesIO(head + b"\0" * (most + 2 * 1024**2))
    with pytest.raises(MediaTooLargeError) as caught:
        store_media(source, 1)
    assert caught.value.status == 413
    assert source.tell() < most + 1024**2
    assert kept_files(media_dir) == []


def test_where_an_image_is_wanted_audio_is_refused(media_dir: Path) -> None:
    with pytest.raises(MediaError, match="is audio/wav, not an image"):
        store_media(io.BytesIO(make_wav()), 1, is_image=True)
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
