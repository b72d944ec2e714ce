"""Reading what a request brings: a JSON object with known fields, or a file spooled to disk as a stream."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from annotation.api.exceptions import InvalidJsonError, LengthRequiredError
from annotation.errors import InvalidError, TooLargeError
from annotation.plain_text import quote
from annotation.strict_json import StrictJsonError, parse_json

MAX_JSON_BYTES = 10 * 2**20
_CHUNK = 2**20


class StrictJSONParser(BaseParser):
    """DRF's parser for every JSON body: `annotation.strict_json`, at most 10 MB."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value. Raises InvalidJsonError, TooLargeError."""
        raw = stream.read(MAX_JSON_BYTES + 1)
        return parse_body(raw)


def parse_body(raw: bytes) -> Any:
    """The JSON value of a body; an empty body is an empty object. Raises InvalidJsonError, TooLargeError."""
    if len(raw) > MAX_JSON_BYTES:
        raise TooLargeError
    if not raw.strip():
        return {}
    try:
        return parse_json(raw)
    except StrictJsonError as error:
        raise InvalidJsonError(_("The body cannot be read. %(reason)s") % {"reason": error}) from error


def read_object(data: Any, known: Collection[str] | None = None, required: Collection[str] = ()) -> dict[str, Any]:
    """A body as the object that it has to be. Raises InvalidError naming unknown and missing fields."""
    if not isinstance(data, dict):
        raise InvalidError(_("Send a JSON object."))
    faults = {name: _("This field is needed.") for name in required if name not in data}
    if known is not None:
        for name in sorted(set(data) - set(known))[:20]:
            faults[quote(name, 60)[1:-1]] = _("There is no such field. Known: %(known)s.") % {
                "known": ", ".join(known) or "-"
            }
    if faults:
        raise InvalidError(fields=faults)
    return data


def read_text(data: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A field that is a text; `default` where it is missing or null. Raises InvalidError."""
    value = data.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidError(fields={name: _("A text.")})
    return value


def read_whole(data: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A field that is a whole number from `low` to `high`; `default` where it is missing. Raises InvalidError."""
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidError(fields={name: _("A whole number from %(low)d to %(high)d.") % {"low": low, "high": high}})
    return value


def read_texts(data: Mapping[str, Any], name: str) -> list[str] | None:
    """A field that is a list of texts; None where it is missing or null. Raises InvalidError."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidError(fields={name: _("A list of texts.")})
    return value


def open_body(request: Request | HttpRequest) -> BinaryIO:
    """The body as a stream that ends where the body does, sent with a length or in chunks. Raises LengthRequiredError.

    Django itself takes a body without a length for an empty one; a server that says it ends the stream is believed.
    """
    plain: HttpRequest = getattr(request, "_request", request)
    environ: Mapping[str, Any] = getattr(plain, "environ", plain.META)
    if environ.get("CONTENT_LENGTH") or "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return cast(BinaryIO, plain)
    if not environ.get("wsgi.input_terminated"):
        raise LengthRequiredError
    return cast(BinaryIO, environ["wsgi.input"])


def _read_chunks(source: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """A stream in pieces of a megabyte, never by lines: a line may be as long as the whole; chunks as they are."""
    read = getattr(source, "read", None)
    yield from source if read is None else iter(lambda: read(_CHUNK), b"")


def spool(source: BinaryIO | Iterable[bytes], most: int) -> Path:
    """Write a stream, or chunks, to a new file of mode 0600 under UPLOAD_DIR; it is on disk once this returns its path.

    Raises TooLargeError over `most` bytes, InvalidError where there is nothing; nothing stays behind then.
    """
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / secrets.token_hex(16)
    size = 0
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for chunk in _read_chunks(source):
                size += len(chunk)
                if size > most:
                    raise TooLargeError
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if size == 0:
            raise InvalidError(_("The body is empty. Send the rows to import."))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path
