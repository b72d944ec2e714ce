"""Media: files kept under the SHA-256 of what was sent, read before that, and short-lived signed links to them.

A file lies at MEDIA_DIR/<project pk>/<first two hex digits>/<sha256>, mode 0600. Of an image that is the picture
written anew, without its metadata, by a child process (`annotation/media_reading.py`); audio and video lie there as
they were sent, with zeros where something told about them. What a browser is told about the bytes is what was found in
them, never a name or a header.

No rows are written here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.signing import Signer
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from annotation.durable import sync_path
from annotation.media_reading import MediaError, MediaReader, borrow_reader

MAX_IMAGE_BYTES = 25 * 1024**2
MAX_BYTES = 100 * 1024**2  # audio and video
TOKEN_SECONDS = 300

_CHUNK = 256 * 1024


class MediaTooLargeError(MediaError):
    """The file is too large."""

    code = "too_large"
    status = 413


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A kept file. `sha256` is that of the bytes as sent, `size` in bytes that of the file as kept.

    `width` and `height` in pixels as shown, after EXIF orientation; None for audio and video. `is_new` is False where
    the same bytes were there before.
    """

    sha256: str
    size: int
    mime: str
    width: int | None
    height: int | None
    is_new: bool = True


def media_path(project_id: int, sha256: str) -> Path:
    """Return where a file lies, whether it is there or not. ValueError unless `sha256` is 64 lower-case hex digits."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return Path(settings.MEDIA_DIR) / str(int(project_id)) / sha256[:2] / sha256


def store_media(
    source: BinaryIO,
    project_id: int,
    expected_sha256: str | None = None,
    *,
    reader: MediaReader | None = None,
    is_image: bool = False,
) -> StoredMedia:
    """Read `source` to its end, check it, and keep it; it is on disk, whole, once this returns.

    MediaTooLargeError over 25 MB (audio and video: 100 MB); MediaError where the SHA-256 is not `expected_sha256`, the
    bytes are not what they begin like, or are not an image though only one is wanted (`is_image`). Nothing stays behind
    then. The same bytes again are fine. `reader` is the caller's own, for many files in a row.
    """
    base = Path(settings.MEDIA_DIR) / str(int(project_id))
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=base)  # mode 0600 from the first byte
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            sha256 = _copy(source, out)
            out.flush()
            os.fsync(out.fileno())
        if expected_sha256 is not None and sha256 != expected_sha256:
            raise MediaError(
                _("The bytes have the SHA-256 %(found)s, not the one that the address names.") % {"found": sha256}
            )
        mime = sniff(temporary)
        if is_image and not mime.startswith("image/"):
            raise MediaError(_("The file is %(mime)s, not an image.") % {"mime": mime})
        with borrow_reader(reader) as one:
            found = one.read(temporary, mime)
        if found.content is not None:
            with temporary.open("wb") as out:
                out.write(found.content)
                out.flush()
                os.fsync(out.fileno())
        target = media_path(project_id, sha256)
        try:  # a file that people look at is not replaced under them, were it written a little differently now
            is_new, size = False, target.stat().st_size
        except FileNotFoundError:
            is_new, size = True, temporary.stat().st_size
            target.parent.mkdir(exist_ok=True, mode=0o700)
            temporary.replace(target)
            sync_path(target.parent)
            sync_path(base)
    finally:
        temporary.unlink(missing_ok=True)
    return StoredMedia(sha256=sha256, size=size, mime=found.mime, width=found.width, height=found.height, is_new=is_new)


def _copy(source: BinaryIO, out: BinaryIO) -> str:
    digest, size, most = hashlib.sha256(), 0, MAX_IMAGE_BYTES
    while chunk := source.read(_CHUNK):
        if size == 0 and _identify(chunk[:64]).partition("/")[0] in ("audio", "video"):
            most = MAX_BYTES
        size += len(chunk)
        if size > most:
            raise MediaTooLargeError(
                _("The file is larger than %(most)d MB. Send a smaller one.") % {"most": most // 1024**2}
            )
        digest.update(chunk)
        out.write(chunk)
    return digest.hexdigest()


def sniff(path: Path) -> str:
    """Return what the file is taken for by its first bytes alone (see `_identify`); else MediaError."""
    with path.open("rb") as file:
        head = file.read(64)
    if mime := _identify(head):
        return mime
    if not head:
        raise MediaError(_("The file is empty."))
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        raise MediaError(_("SVG, HTML and XML are not accepted, because they can carry scripts. Send a PNG instead."))
    if text.startswith((b"#EXTM3U", b"#EXT-X", b"[playlist]", b"ffconcat")):
        raise MediaError(_("Playlists are not accepted, because they name files elsewhere. Send the file itself."))
    raise MediaError(
        _("The file is not a JPEG, PNG, WebP or GIF image, nor MP3, Ogg, WAV or FLAC audio, nor MP4 or WebM video.")
    )


def _identify(head: bytes) -> str:
    """The type that a file's first bytes say, "" where it is none that is accepted. The child says whether it is so."""
    riff = head[8:12] if head[:4] == b"RIFF" else b""
    signs = (
        ("image/jpeg", head.startswith(b"\xff\xd8\xff")),
        ("image/png", head.startswith(b"\x89PNG\r\n\x1a\n")),
        ("image/gif", head.startswith((b"GIF87a", b"GIF89a"))),
        ("image/webp", riff == b"WEBP"),
        ("audio/wav", riff == b"WAVE"),
        ("audio/flac", head.startswith(b"fLaC")),
        ("audio/ogg", head.startswith(b"OggS")),
        (
            "audio/mpeg",
            head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] != b"" and head[1] & 0xE6 == 0xE2),
        ),
        ("video/mp4", head[4:8] == b"ftyp"),
        ("video/webm", head.startswith(b"\x1a\x45\xdf\xa3")),
    )
    return next((mime for mime, is_it in signs if is_it), "")


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
