"""Parquet files, read a few hundred rows at a time."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from annotation.importing.decompression import Compression, ImportFileError, Limits, open_unpacked
from annotation.importing.raw_rows import MAX_COLUMNS, MAX_LINE_BYTES, RowProblem

BATCH_ROWS = 256
MAX_ROW_GROUP_BYTES = 2 * 1024**3
_SLICE_BYTES = 64 * 1024**2
_COPY_BYTES = 1024**2


def read_parquet(
    path: Path, compression: Compression | None, limits: Limits
) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    """Yield `(row number from 1, row)`. A compressed file is unpacked into a temporary one: Parquet needs seeks."""
    if compression is None:
        yield from _read_plain(path, limits)
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as plain:
        with path.open("rb") as packed:
            stream = open_unpacked(packed, compression, limits)
            while chunk := stream.read(_COPY_BYTES):
                plain.write(chunk)
        plain.flush()
        yield from _read_plain(Path(plain.name), limits)


def _read_plain(path: Path, limits: Limits) -> Iterator[tuple[int, dict[str, Any] | RowProblem]]:
    number = 0
    try:
        for batch in _read_batches(path, limits):
            for rows in _cut(batch):
                for row in rows:
                    number += 1
                    yield number, _convert_row(row)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ImportFileError(_("The Parquet file cannot be read: %(reason)s.") % {"reason": reason}) from error


def _read_batches(path: Path, limits: Limits) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as opened:
        metadata = opened.metadata
        schema = opened.schema_arrow
    if metadata.num_columns > MAX_COLUMNS:
        raise ImportFileError(_("The file has more than %(most)d columns.") % {"most": MAX_COLUMNS})
    if len(set(schema.names)) < len(schema.names):
        raise ImportFileError(_("Two columns have the same name."))
    sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    if any(size > MAX_ROW_GROUP_BYTES for size in sizes) or sum(sizes) > limits.total_bytes:
        raise ImportFileError(_("The file unpacks into too much at once. Write it in smaller row groups or files."))
    # Top-level texts stay in their dictionary form until cut: one long text that a million rows share is stored once.
    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    with pq.ParquetFile(path, read_dictionary=texts, pre_buffer=False, buffer_size=_COPY_BYTES) as opened:
        yield from opened.iter_batches(batch_size=BATCH_ROWS, use_threads=False)


def _cut(batch: pa.RecordBatch) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a batch in slices whose texts are together at most about 64 MB as Python objects."""
    longest = 1
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            length = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if length > MAX_LINE_BYTES:
                raise ImportFileError(_("A text is longer than %(most)d MB.") % {"most": MAX_LINE_BYTES // 1024**2})
            longest += length
    step = max(1, min(batch.num_rows, _SLICE_BYTES // longest))
    for begin in range(0, batch.num_rows, step):
        yield batch.slice(begin, step).to_pylist()


def _convert_row(row: dict[str, Any]) -> dict[str, Any] | RowProblem:
    try:
        return {key: value for key, raw in row.items() if (value := _convert(raw)) is not None}
    except TypeError as error:
        return RowProblem(
            _("A column holds values that cannot be stored as JSON (%(type)s).") % {"type": str(error)[:60]}
        )


def _convert(value: Any) -> Any:
    """Return a Parquet value as JSON has it; nulls inside structs are left out, as every row has every field there."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): inner for key, raw in value.items() if (inner := _convert(raw)) is not None}
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):  # a Parquet map
            return {str(key): _convert(raw) for key, raw in value}
        return [_convert(inner) for inner in value]
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(type(value).__name__)
