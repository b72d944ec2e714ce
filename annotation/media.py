"""Media: files kept by their SHA-256, checked before they are kept, and short-lived signed links to them.

A file lies at MEDIA_DIR/<project pk>/<first two hex digits>/<sha256>, mode 0600. The bytes are those that were sent:
what a browser is told about them is what `sniff` found, never a name or a header. No rows are written here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.signing import Signer
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from annotation.errors import TouchstoneError

MAX_IMAGE_BYTES = 25 * 1024**2
MAX_PIXELS = 50_000_000  # under Pillow's own MAX_IMAGE_PIXELS, which stays as it is
MAX_FRAMES = 1000
TOKEN_SECONDS = 300

_CHUNK = 256 * 1024
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the image by a quarter
_AUDIO_VIDEO = (b"ID3", b"OggS", b"fLaC", b"\x1a\x45\xdf\xa3", b"\xff\xfb", b"\xff\xf1", b"FLV", b"#EXTM3U")


class MediaError(TouchstoneError):
    """The file is not an image that can be kept: JPEG, PNG, WebP and GIF are accepted."""

    code = "invalid_media"


class MediaTooLargeError(MediaError):
    """The file is too large."""

    code = "too_large"
    status = 413


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A kept file. `size` in bytes; `width` and `height` in pixels as shown, after EXIF orientation.

    `is_new` is False where the same bytes were there before.
    """

    sha256: str
    size: int
    mime: str
    width: int
    height: int
    is_new: bool = True


def media_path(project_id: int, sha256: str) -> Path:
    """Return where a file lies, whether it is there or not. ValueError unless `sha256` is 64 lower-case hex digits."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return Path(settings.MEDIA_DIR) / str(int(project_id)) / sha256[:2] / sha256


def store_media(source: BinaryIO, project_id: int, expected_sha256: str | None = None) -> StoredMedia:
    """Read `source` to its end, check it, and keep it; it is on disk, whole, once this returns.

    MediaTooLargeError over 25 MB; MediaError where the SHA-256 is not `expected_sha256`, or the bytes are no image that
    decodes as a whole. Nothing stays behind then. The same bytes again are fine. At most 50 million pixels.
    """
    base = Path(settings.MEDIA_DIR) / str(int(project_id))
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=base)  # mode 0600 from the first byte
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            sha256, size = _copy(source, out)
            out.flush()
            os.fsync(out.fileno())
        if expected_sha256 is not None and sha256 != expected_sha256:
            raise MediaError(
                _("The bytes have the SHA-256 %(found)s, not the one that the address names.") % {"found": sha256}
            )
        mime = sniff(temporary)
        width, height = decode_image(temporary, mime)
        target = media_path(project_id, sha256)
        is_new = not target.exists()
        target.parent.mkdir(exist_ok=True, mode=0o700)
        temporary.replace(target)
        _sync_folder(target.parent)
        _sync_folder(base)
    finally:
        temporary.unlink(missing_ok=True)
    return StoredMedia(sha256=sha256, size=size, mime=mime, width=width, height=height, is_new=is_new)


def _copy(source: BinaryIO, out: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > MAX_IMAGE_BYTES:
            raise MediaTooLargeError(
                _("The image is larger than %(most)d MB. Send a smaller one.") % {"most": MAX_IMAGE_BYTES // 1024**2}
            )
        digest.update(chunk)
        out.write(chunk)
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sniff(path: Path) -> str:
    """Return image/jpeg, image/png, image/webp or image/gif, by the first bytes alone; else MediaError."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if not head:
        raise MediaError(_("The file is empty."))
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise MediaError(_("SVG, HTML and XML are not accepted, because they can carry scripts. Send a PNG instead."))
    if (
        head.startswith(_AUDIO_VIDEO)
        or head[4:8] == b"ftyp"
        or (head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "))
    ):
        raise MediaError(_("Audio and video are not accepted yet. JPEG, PNG, WebP and GIF images are."))
    raise MediaError(_("The file is not a JPEG, PNG, WebP or GIF image."))


def decode_image(path: Path, mime: str) -> tuple[int, int]:
    """Decode the whole (first) image and return its width and height after EXIF orientation; else MediaError.

    Refused: over 50 million pixels, over 1,000 frames, cut-off or broken data, and bytes after the image's end in the
    formats that have no use for them (PNG, GIF, WebP): there a second file hides in a polyglot.
    """
    too_many = _("The image has more than %(most)d million pixels. Send a smaller one.") % {
        "most": MAX_PIXELS // 1_000_000
    }
    try:
        with Image.open(path, formats=[_FORMATS[mime]]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise MediaError(too_many)
            if getattr(image, "n_frames", 1) > MAX_FRAMES:
                raise MediaError(_("The image has more than %(most)d frames.") % {"most": MAX_FRAMES})
            image.seek(0)
            image.load()
            width, height = image.size
            orientation = 1
            with contextlib.suppress(Exception):  # broken EXIF does not make the picture worse
                orientation = image.getexif().get(_ORIENTATION, 1)
    except MediaError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(too_many) from error
    except UnidentifiedImageError as error:
        raise MediaError(_("The file begins like an image, and is none.")) from error
    except Exception as error:  # whatever a decoder does on hostile bytes, the answer is the same
        raise MediaError(_("The image is damaged: it cannot be decoded as a whole.")) from error
    if _has_trailing_bytes(path, mime):
        raise MediaError(_("More bytes follow after the end of the image. Save it anew and send that."))
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _has_trailing_bytes(path: Path, mime: str) -> bool:
    data = path.read_bytes()  # at most MAX_IMAGE_BYTES
    try:
        if mime == "image/png":
            end = _find_png_end(data)
        elif mime == "image/gif":
            end = _find_gif_end(data)
        elif mime == "image/webp":
            length = int(struct.unpack_from("<L", data, 4)[0])
            end = 8 + length + length % 2
        else:
            return False  # cameras append previews and clips to a JPEG
    except (struct.error, IndexError):
        return True  # its own structure leads nowhere
    return end < len(data)


def _find_png_end(data: bytes) -> int:
    at = 8
    while True:
        length, name = struct.unpack_from(">L4s", data, at)
        at += 12 + int(length)
        if name == b"IEND":
            return at


def _find_gif_end(data: bytes) -> int:
    at = 13 + _gif_palette_bytes(data[10])
    while data[at] != 0x3B:  # trailer
        if data[at] == 0x2C:  # image: descriptor, palette, one byte of code size, blocks
            at += 10 + _gif_palette_bytes(data[at + 9]) + 1
        elif data[at] == 0x21:  # extension: label, blocks
            at += 2
        else:
            raise IndexError
        while data[at]:
            at += 1 + data[at]
        at += 1
    return at + 1


def _gif_palette_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def sign_media(media_id: object, user_id: object, now: dt.datetime) -> str:
    """Return a token that lets this person, and nobody else, fetch this file for a while from `now` on (aware)."""
    issued = str(int(now.timestamp()))
    return f"{issued}.{_sign(media_id, user_id, issued)}"


def check_media_token(
    token: str, media_id: object, user_id: object, max_age: float = TOKEN_SECONDS, *, now: dt.datetime
) -> bool:
    """Say whether `sign_media` gave this token for this file and person at most `max_age` seconds before `now`."""
    issued, _dot, signature = token.partition(".")
    if not (issued.isascii() and issued.isdigit() and len(issued) <= 12):
        return False
    if not constant_time_compare(signature, _sign(media_id, user_id, issued)):
        return False
    return -5 <= now.timestamp() - int(issued) <= max_age  # clocks of two hosts may differ a little


def _sign(media_id: object, user_id: object, issued: str) -> str:
    return Signer(salt="touchstone.media").signature(f"{media_id}|{user_id}|{issued}")
