"""The rows of a query as arrays, one a column. Millions of rows take a few seconds, and no Python object each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from django.db import connection
from numpy.typing import NDArray

ColumnType = Literal["int8", "float8"]
Columns = dict[str, NDArray[Any]]

# COPY's own header and a count of fields; then each field after its length.
_FIELDS_BEGIN, _LENGTH = 19 + 2, 4
_STORED = {"int8": np.dtype(">i8"), "float8": np.dtype(">f8")}


def read_columns(sql: str, params: Mapping[str, Any], **columns: ColumnType) -> Columns:
    """Run a query; its columns as int64 and float64 arrays of one length, (n_rows,) each, in the query's order.

    Each column comes as one string of bytes: hundreds of thousands of rows would each be a message to take apart.

    Parameters
    ----------
    sql, params
        A select without a semicolon, and its parameters by name.
    columns
        The names of the columns to read and their types in the database. None of them may hold a null.

    Returns
    -------
    dict of str to ndarray
        One array a name; empty ones where there is no row.

    Raises
    ------
    ValueError
        If a column holds a null.
    """
    strings = ", ".join(f"string_agg({type_}send(x.{name}::{type_}), '')" for name, type_ in columns.items())
    whole = f"copy (select count(*), {strings} from ({sql}) x) to stdout (format binary)"  # noqa: S608  (our own names)
    # Django's cursor that logs statements takes no parameters here.
    with connection.cursor() as cursor, cursor.copy(cursor.mogrify(whole, params)) as copy:
        data = b"".join(bytes(block) for block in copy)
    fields = _fields(memoryview(data))
    n_rows = int.from_bytes(next(fields), "big")
    found: Columns = {}
    for (name, type_), field in zip(columns.items(), fields, strict=True):
        stored = np.frombuffer(field, _STORED[type_])
        if len(stored) != n_rows:
            raise ValueError(f"{n_rows - len(stored)} of {n_rows} rows have no {name}")
        found[name] = stored.astype(_STORED[type_].newbyteorder("="))
    return found


def _fields(data: memoryview) -> Iterator[memoryview]:
    """The fields of COPY's one row; that of a null is empty."""
    place = _FIELDS_BEGIN
    while place + _LENGTH < len(data):  # two bytes end it
        size = max(0, int.from_bytes(data[place : place + _LENGTH], "big", signed=True))
        place += _LENGTH
        yield data[place : place + size]
        place += size
