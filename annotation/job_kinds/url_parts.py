"""The files that an import names by address: fetched a few at a time, kept as media, remembered for the next attempt.

What is remembered lies beside the upload and goes with it: for each address, by its hash, the SHA-256 of the file or
the reason why there is none. So an attempt that was cut off, and the second pass of an import, ask nobody twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.utils.translation import gettext as _

from annotation.actions.media import add_media
from annotation.errors import TouchstoneError
from annotation.fetching import FetchError, fetch
from annotation.importing.formats import RowProblem
from annotation.importing.rows import ItemRow, PartRow
from annotation.importing.sorting import Numbered, Rows
from annotation.media import MAX_BYTES, MAX_IMAGE_BYTES
from annotation.media_reading import MediaReader
from annotation.models import Project
from annotation.plain_text import quote

AT_ONCE = 8
WINDOW = 16  # rows looked at together, and so the files on disk that are not looked at yet

Asked = tuple[str, str]  # the kind of the part, the address


class UrlPartsError(Exception):
    """The file names media by address, and they were not asked for."""


def memo_path(upload: Path) -> Path:
    """Where it is remembered what was fetched for an upload."""
    return upload.with_name(f"{upload.name}.urls")


def refuse_urls(rows: Rows) -> Rows:
    """The rows as they are. Raises UrlPartsError at the first that names a file by its address."""
    for line, row in rows:
        if isinstance(row, ItemRow) and any(part.url for part in row.parts):
            raise UrlPartsError
        yield line, row


class UrlFetcher:
    """Turns rows that name files by address into rows that name them by SHA-256, for one attempt at one import.

    `images` gets the SHA-256 of all that was fetched; `check` raises where the job is lost.
    """

    def __init__(self, *, project: Project, upload: Path, images: set[str], check: Callable[[], None]) -> None:
        self._project, self._images, self._check = project, images, check
        self._memo_path = memo_path(upload)
        self._memo: dict[str, dict[str, str]] = {}

    def replace(self, rows: Rows) -> Rows:
        """Yield the rows in order; one whose file cannot be had becomes a RowProblem that says which and why."""
        self._recall()
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch"))
            reader = stack.enter_context(MediaReader())
            memo = stack.enter_context(open(self._memo_path, "a", encoding="ascii", opener=_open_private))
            coming = iter(rows)
            while window := list(islice(coming, WINDOW)):
                self._fetch(_asked_by(window), pool, reader, memo)
                yield from (self._replace_one(line, row) for line, row in window)

    def _fetch(self, asked: Iterable[Asked], pool: ThreadPoolExecutor, reader: MediaReader, memo: IO[str]) -> None:
        wanted = [one for one in dict.fromkeys(asked) if _key(one) not in self._memo]
        if not wanted:
            return
        self._check()
        with ExitStack() as stack:
            folder = self._memo_path.parent
            files = [cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile(dir=folder))) for _one in wanted]
            for one, file, fault in zip(wanted, files, pool.map(_fetch_one, wanted, files), strict=True):
                found = {"fault": fault} if fault else self._keep(one, file, reader)
                self._memo[_key(one)] = found
                memo.write(json.dumps({"key": _key(one), **found}) + "\n")
                memo.flush()

    def _keep(self, one: Asked, file: BinaryIO, reader: MediaReader) -> dict[str, str]:
        kind, url = one
        file.seek(0)
        try:
            media, _is_new = add_media(
                project=self._project, source=file, actor=None, reader=reader, is_image=kind == "image"
            )
        except TouchstoneError as error:
            where = quote(url.partition("?")[0], 200)
            return {"fault": f"{where}: {error.detail}"}
        return {"sha256": media.sha256}

    def _replace_one(self, line: int, row: ItemRow | RowProblem) -> Numbered:
        if isinstance(row, RowProblem):
            return line, row
        parts: list[PartRow] = []
        for part in row.parts:
            if part.url is None:
                parts.append(part)
                continue
            found = self._memo[_key((part.kind, part.url))]
            if "fault" in found:
                return line, RowProblem(_("Part %(name)s: %(fault)s") % {"name": quote(part.name), **found})
            self._images.add(found["sha256"])
            parts.append(dataclasses.replace(part, url=None, media=found["sha256"]))
        return line, dataclasses.replace(row, parts=tuple(parts))

    def _recall(self) -> None:
        """What earlier attempts and passes found; a line that a kill cut short is left out."""
        if not self._memo_path.exists():
            return
        for line in self._memo_path.read_text(encoding="ascii").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            self._memo[found.pop("key")] = found


def _fetch_one(one: Asked, file: BinaryIO) -> str:
    """Fetch into the file; "" or the reason why not. Runs in a thread, and asks no database."""
    kind, url = one
    try:
        fetch(url, file, MAX_IMAGE_BYTES if kind == "image" else MAX_BYTES)
    except FetchError as error:
        return error.detail
    return ""


def _asked_by(window: list[Numbered]) -> Iterator[Asked]:
    for _line, row in window:
        if isinstance(row, ItemRow):
            yield from ((part.kind, part.url) for part in row.parts if part.url is not None)


def _key(one: Asked) -> str:
    return hashlib.sha256(" ".join(one).encode()).hexdigest()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
