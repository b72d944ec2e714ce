"""The rows of any table that somebody has: what an import reads, and what else such files are like.

Beyond `annotation.importing.formats`: JSON files of one list, other encodings than UTF-8, files without a first line of
names, and TSV whose quotes mean nothing. A row that cannot be read is passed over and told, unless there are many.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.importing.decompression import open_unpacked
from annotation.importing.formats import ImportFileError, RowProblem, Source, detect_source, guess_delimiter, read_rows
from annotation.strict_json import DECODER, StrictJsonError

Tell = Callable[[str], object]
FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
# More unreadable rows than one in twenty, and the file is another one than it is taken for.
MOST_FAULTY = 0.05
# So many faulty rows are told one by one.
TOLD = 3


class FileError(TouchstoneError):
    """The file, its rows, or what was asked of them, cannot be used."""

    code = "invalid_file"


def read_table(
    path: Path, tell: Tell, *, format: str | None = None, encoding: str | None = None, header: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line, row)` of a file.

    Parameters
    ----------
    path : Path
    tell : callable
        Told of rows that were passed over.
    format : str, optional
        One of `FORMATS`, where the file's name does not say.
    encoding : str, optional
        Of CSV, TSV and JSON; UTF-8 where left out.
    header : str, optional
        The columns of a CSV or TSV whose first line does not name them, separated by commas.

    Raises
    ------
    FileError
        Where the file cannot be read, or more than one row in twenty cannot: then of the first such row.
    """
    if path.is_dir():
        raise FileError(_("%(name)s is a folder: name one file.") % {"name": path})
    try:
        yield from _pass_over_faulty(_read(path, format, encoding, header), tell)
    except ImportFileError as error:
        raise FileError(f"{error.detail}{_advise(error.detail, encoding)}") from error
    except (OSError, LookupError) as error:  # no such file; no such encoding
        raise FileError(str(error)) from error


def _read(
    path: Path, format: str | None, encoding: str | None, header: str | None
) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    packed = path.suffix.lower() if path.suffix.lower() in (".gz", ".xz") else ""
    name = f"file.{format}{packed}" if format else path.name
    is_json = name.lower().removesuffix(packed).endswith(".json")
    source = detect_source(f"file.jsonl{packed}" if is_json else name)
    if header is not None and source.format not in ("csv", "tsv"):
        raise FileError(_("--header is for CSV and TSV: other files name their columns themselves."))
    with _rewritten(path, source, encoding, header) as (plain, found):
        if is_json and _first_byte(plain, found) == b"[":
            yield from _read_json_list(plain, found)
        elif found.format == "tsv" and has_plain_quotes(plain, found):
            yield from _read_plain_tsv(plain, found)
        else:
            n_before = 0 if header is None else 1
            for line, row in read_rows(plain, found):
                yield line - n_before, row


@contextmanager
def _rewritten(path: Path, source: Source, encoding: str | None, header: str | None) -> Iterator[tuple[Path, Source]]:
    """The file, or a copy of it as UTF-8 and with its columns named."""
    if (encoding is None and header is None) or source.format == "parquet":
        yield path, source
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        with path.open("rb") as packed, copy.open("w", encoding="utf-8", newline="") as file:
            text = io.TextIOWrapper(open_unpacked(packed, source.compression), encoding or "utf-8-sig", newline="")
            try:
                first = text.readline().removeprefix("\ufeff")
                if header is not None:
                    delimiter = "\t" if source.format == "tsv" else guess_delimiter(first)
                    file.write(delimiter.join(name.strip() for name in header.split(",")) + "\n")
                file.write(first)
                shutil.copyfileobj(text, file)
            except UnicodeError as error:
                raise FileError(
                    _("The file is not %(encoding)s: give another --encoding.") % {"encoding": encoding or "UTF-8"}
                ) from error
        yield copy, Source(source.format)


@contextmanager
def _open(path: Path, source: Source) -> Iterator[BinaryIO]:
    with path.open("rb") as packed:
        yield open_unpacked(packed, source.compression)


def _first_byte(path: Path, source: Source) -> bytes:
    with _open(path, source) as stream:
        return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _read_json_list(path: Path, source: Source) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    """The objects of one list, numbered from 1."""
    with _open(path, source) as stream:
        try:
            rows = DECODER.decode(stream.read().decode("utf-8-sig"))
        except (UnicodeDecodeError, json.JSONDecodeError, StrictJsonError, RecursionError) as error:
            raise ImportFileError(_("The file is not JSON: %(reason)s") % {"reason": error}) from error
    for number, row in enumerate(rows, start=1):
        yield number, row if isinstance(row, dict) else RowProblem(_("It is not a JSON object."))


def has_plain_quotes(path: Path, source: Source) -> bool:
    """Whether quotes in a TSV are only characters: each line is a row, and some cell begins with one that never ends.

    As in what is taken from posts and messages without care for quotes, where a reader of CSV loses rows.
    """
    width, is_plain = None, False
    with _open(path, source) as stream:
        for line in stream:
            cells = line.rstrip(b"\r\n").split(b"\t")
            if cells == [b""]:
                continue
            width = len(cells) if width is None else width
            if len(cells) != width:
                return False
            is_plain = is_plain or any(_is_open(cell) for cell in cells)
    return is_plain


def _is_open(cell: bytes) -> bool:
    """Whether a cell begins with a quote and is not one quoted text."""
    if not cell.startswith(b'"'):
        return False
    return len(cell) < 2 or not cell.endswith(b'"') or b'"' in cell[1:-1].replace(b'""', b"")


def _read_plain_tsv(path: Path, source: Source) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    names: Sequence[str] | None = None
    with _open(path, source) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                cells = line.rstrip(b"\r\n").decode("utf-8-sig" if names is None else "utf-8").split("\t")
            except UnicodeDecodeError:
                yield number, RowProblem(_("It is not UTF-8."))
                continue
            if cells == [""]:
                continue
            if names is None:
                names = [name.strip() or f"column_{place}" for place, name in enumerate(cells, start=1)]
            else:
                yield number, {name: cell for name, cell in zip(names, cells, strict=True) if cell}


def _pass_over_faulty(
    rows: Iterator[tuple[int, dict[str, Any] | RowProblem]], tell: Tell
) -> Iterator[tuple[int, dict[str, Any]]]:
    first, n_rows, n_faulty = "", 0, 0
    for line, row in rows:
        n_rows += 1
        if not isinstance(row, RowProblem):
            yield line, row
            continue
        n_faulty += 1
        said = _("Line %(line)d: %(reason)s") % {"line": line, "reason": row.reason}
        first = first or f"{said}{_advise(row.reason, None)}"
        if n_faulty <= TOLD:
            tell(_("Passed over. %(fault)s") % {"fault": said})
    if n_faulty > MOST_FAULTY * n_rows:
        raise FileError(
            first
            if n_faulty == 1
            else f"{first} " + _("So are %(n)d of %(rows)d rows.") % {"n": n_faulty, "rows": n_rows}
        )
    if n_faulty > TOLD:
        tell(_("Passed over: %(n)d rows in all that cannot be read.") % {"n": n_faulty})


def _advise(reason: str, encoding: str | None) -> str:
    """What to do where a file is not UTF-8, as CSV from a spreadsheet often is."""
    if encoding is None and ("UTF-8" in reason or "UTF-16" in reason):
        return " " + _("Or say what it is: --encoding cp1252 (Western Europe), utf-16, ...")
    return ""
