"""Sending a file in whole or in part: one range of bytes (RFC 9110, section 14), for downloads and for players."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header

CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def send_range(
    request: Any,
    file: BinaryIO,
    size: int,
    *,
    name: str,
    etag: str,
    content_type: str,
    headers: Mapping[str, str],
) -> HttpResponseBase:
    """Answer with the open file, which is closed in the end: 200, 206 for one range, 416 for none that there is.

    304 where the caller has it already (If-None-Match). An If-Range of other bytes gets all of it anew. `etag` is a
    strong one, with its quotes; the file is an attachment called `name`; `headers` go with every answer.
    """
    headers = {**headers, "Accept-Ranges": "bytes", "ETag": etag}
    if etag in [one.strip() for one in request.headers.get("If-None-Match", "").split(",")]:
        file.close()
        return HttpResponse(status=304, headers=headers)
    wanted = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        wanted = ""  # begun with other bytes: all of it anew
    status, first, last = parse_range(wanted, size)
    if status == 416:
        file.close()
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    if status == 200:
        return FileResponse(file, as_attachment=True, filename=name, content_type=content_type, headers=headers)
    response = FileResponse(_Part(file, first, last), status=206, content_type=content_type, headers=headers)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Length"] = str(last - first + 1)
    response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return response


def parse_range(header: str, size: int) -> tuple[int, int, int]:
    """Return the status to answer a Range header with, and the first and last byte to send.

    206 for one range of bytes; 416 where it lies outside the file; 200 and all bytes for no header, or for one that is
    not a single range (it may be ignored, RFC 9110 section 14.2).
    """
    match = _RANGE.fullmatch(header.strip())
    begin, end = match.groups() if match else ("", "")
    if not (begin or end) or (begin and end and int(end) < int(begin)):
        return 200, 0, size - 1
    if begin:
        first, last = int(begin), min(int(end), size - 1) if end else size - 1
    else:
        first, last = max(0, size - int(end)), size - 1
    return (206, first, last) if first < size else (416, 0, 0)


class _Part:
    """Bytes `first` to `last` of an open file, in chunks."""

    def __init__(self, file: BinaryIO, first: int, last: int) -> None:
        self._file, self._left = file, last - first + 1
        file.seek(first)

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0 and (chunk := self._file.read(min(CHUNK, self._left))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()
