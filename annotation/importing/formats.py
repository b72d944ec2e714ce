"""JSONL, CSV, TSV and Parquet files, plain or as .gz/.xz, read row by row in bounded memory.

`read_rows` yields `(line, row)`: `line` is the number of the physical line on which the row begins (for Parquet the
number of the row), counted from 1; `row` is a dict, or a `RowProblem` with a sentence where this row cannot be read.
What makes the whole file unreadable raises `ImportFileError`.

Limits: a line or cell of 10 MB, 1,000 columns, JSON nested 20 deep, integers of 64 bits, unpacking as `Limits` says.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO, Literal

from django.utils.translation import gettext as _

from annotation.importing.decompression import (
    DEFAULT_LIMITS,
    Compression,
    ImportFileError,
    Limits,
    open_unpacked,
)
from annotation.importing.raw_rows import MAX_COLUMNS, MAX_LINE_BYTES, RowProblem
from annotation.plain_text import quote
from annotation.strict_json import DECODER, StrictJsonError

__all__ = ["ImportFileError", "Limits", "RowProblem", "Source", "detect_source", "guess_delimiter", "read_rows"]

Format = Literal["jsonl", "csv", "tsv", "parquet"]

MAX_DEPTH = 20

_FORMATS: dict[str, Format] = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "csv": "csv",
    "tsv": "tsv",
    "parquet": "parquet",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {"gz": "gz", "gzip": "gz", "x-gzip": "gz", "xz": "xz", "x-xz": "xz"}


@dataclass(frozen=True, slots=True)
class Source:
    """How a file is to be read."""

    format: Format
    compression: Compression | None = None


def detect_source(
    file_name: str | None = None, content_type: str | None = None, content_encoding: str | None = None
) -> Source:
    """Tell format and compression by the file's name, else by its content type and encoding (headers as sent).

    ImportFileError names the known formats where neither says.
    """
    endings = [] if not file_name else file_name.lower().rsplit("/", 1)[-1].split(".")[1:]
    compression = _COMPRESSIONS.get(endings[-1]) if endings else None
    if compression:
        endings.pop()
    by_name = _FORMATS.get(endings[-1]) if endings else None
    header = Message()
    header["content-type"] = content_type or ""
    found = by_name or _FORMATS.get(header.get_content_type())
    if found is None:
        raise ImportFileError(
            _("The format of %(name)s is not known. Known are .jsonl, .csv, .tsv and .parquet, each also .gz or .xz.")
            % {"name": quote(file_name or content_type or "")}
        )
    encoding = (content_encoding or "").strip().lower()
    if encoding and encoding != "identity":
        if encoding not in _COMPRESSIONS or compression:
            raise ImportFileError(_("The content encoding %(name)s is not known here.") % {"name": quote(encoding)})
        compression = _COMPRESSIONS[encoding]
    return Source(found, compression)


def read_rows(
    path: Path, source: Source, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    """Yield `(line, row)` of a file. An empty file yields nothing. See the module's docstring for limits and errors.

    CSV and TSV: the first line names the columns, cells are texts, an empty cell is left out of the dict, quotes as
    in RFC 4180; in .csv the header tells whether comma, semicolon or tab separates. A column without a name is called
    `column_N`. Parquet: null and NaN are left out; dates and times become ISO 8601 texts, decimals texts.
    """
    if source.format == "parquet":
        from annotation.importing.parquet import read_parquet  # pyarrow takes 0.2 s to import

        yield from read_parquet(path, source.compression, limits)
        return
    with path.open("rb") as packed:
        stream = open_unpacked(packed, source.compression, limits)
        if source.format == "jsonl":
            yield from _read_jsonl(stream)
        else:
            yield from _read_csv(stream, "\t" if source.format == "tsv" else None)


def _read_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | RowProblem]]:
    """Yield numbered lines; a line over the limit is skipped to its end and yields a RowProblem."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ImportFileError(_("The file is UTF-16. Save it as UTF-8."))
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, RowProblem(_("The line is longer than %(most)d MB.") % {"most": MAX_LINE_BYTES // 1024**2})
        else:
            yield number, line


def _read_jsonl(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    for number, line in _read_lines(stream):
        if isinstance(line, RowProblem):
            yield number, line
        elif line.strip():
            yield number, parse_json_object(line)


def parse_json_object(line: bytes | str) -> dict[str, Any] | RowProblem:
    """Return the one JSON object of a line, or why there is none. Duplicate keys, NaN and such are refused."""
    try:
        if isinstance(line, bytes):
            line = line.decode("utf-8")
        if "\x00" in line:
            return RowProblem(_("The line holds a NUL byte."))
        value = DECODER.decode(line)
        if not isinstance(value, dict):
            return RowProblem(_("The line is not a JSON object."))
        # A value cannot be deeper than there are brackets: nearly every line is done with by counting them.
        if line.count("{") + line.count("[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
            return RowProblem(_("The JSON is nested deeper than %(most)d levels.") % {"most": MAX_DEPTH})
    except UnicodeDecodeError as error:
        return RowProblem(_("The line is not UTF-8 (byte %(byte)d).") % {"byte": error.start + 1})
    except json.JSONDecodeError as error:
        return RowProblem(
            _("The line is not JSON: %(reason)s at character %(character)d.")
            % {"reason": error.msg, "character": error.pos + 1}
        )
    except StrictJsonError as error:
        return RowProblem(str(error))
    except RecursionError:
        return RowProblem(_("The JSON is nested deeper than %(most)d levels.") % {"most": MAX_DEPTH})
    return value


def _is_deeper(value: object, levels: int) -> bool:
    """Say whether lists and objects are nested more than `levels` deep, a flat one counting 1, an empty one nothing."""
    layer: list[Any] = [value]
    for _level in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list)) and inner
        ]
        if not layer:
            return False
    return True


class _Lines:
    """Text lines for the csv module, which wants an iterator; remembers how far it is."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = _read_lines(stream)
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.number = number
        if isinstance(line, RowProblem):  # the csv module cannot step over a part of a row
            raise ImportFileError(_("Line %(line)d: %(reason)s") % {"line": number, "reason": line.reason})
        # Bad bytes become lone surrogates, so that the row which holds them can be named and the next one still read.
        return line.decode("utf-8", "surrogateescape")


def _read_csv(stream: BinaryIO, delimiter: str | None) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    # The limit is one per process; it is only ever raised, and only to ours.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = _Lines(stream)
    try:
        first = next(line for line in lines if line.strip())
    except StopIteration:
        return
    reader = csv.reader(_Again(first, lines), delimiter=delimiter or guess_delimiter(first), strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise ImportFileError(_("The header cannot be read: %(reason)s.") % {"reason": error}) from error
    columns = _check_header(header)
    while True:
        begin = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.number - begin > 1 or "field larger" in str(error):
                # An open quote has swallowed lines: what follows can no longer be told apart.
                raise ImportFileError(
                    _("The row at line %(line)d cannot be read: %(reason)s. Is a quote left open?")
                    % {"line": begin, "reason": error}
                ) from error
            yield begin, RowProblem(_("The row cannot be read: %(reason)s.") % {"reason": error})
            continue
        if cells:
            yield begin, _read_cells(columns, cells)


class _Again:
    """The first line once more, then the rest."""

    def __init__(self, first: str, lines: _Lines) -> None:
        self._first: str | None = first
        self._lines = lines

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> str:
        if self._first is not None:
            line, self._first = self._first, None
            return line
        return next(self._lines)


def guess_delimiter(header: str) -> str:
    """Return the separator that occurs most outside quotes; a comma where none does."""
    bare = "".join(header.split('"')[::2])
    return max(",;\t", key=bare.count) if any(c in bare for c in ",;\t") else ","


def _check_header(header: list[str]) -> list[str]:
    columns = [name.strip() or f"column_{position}" for position, name in enumerate(header, start=1)]
    if len(columns) > MAX_COLUMNS:
        raise ImportFileError(_("The file has more than %(most)d columns.") % {"most": MAX_COLUMNS})
    faulty = next((name for name in columns if _find_byte_fault(name)), None)
    if faulty is not None:
        raise ImportFileError(_("The header: %(reason)s") % {"reason": _find_byte_fault(faulty)})
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise ImportFileError(_("The column %(name)s stands there twice.") % {"name": quote(twice)})
    return columns


def _read_cells(columns: list[str], cells: list[str]) -> dict[str, Any] | RowProblem:
    if len(cells) != len(columns):
        return RowProblem(
            _("The row has %(found)d cells, the header has %(wanted)d.") % {"found": len(cells), "wanted": len(columns)}
        )
    fault = next((fault for cell in cells if (fault := _find_byte_fault(cell))), None)
    if fault is not None:
        return RowProblem(fault)
    return {name: cell for name, cell in zip(columns, cells, strict=True) if cell}


def _find_byte_fault(text: str) -> str | None:
    if "\x00" in text:
        return _("It holds a NUL byte.")
    if not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text):
        return _("It is not UTF-8.")
    return None
