"""Parquet with every setting fixed, so that the same rows are the same bytes.

One thing is not ours to fix: the footer names the writer (`created_by`, the version of pyarrow), and its compressor
comes with it. The locked set pins pyarrow, and the manifest says which version wrote the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class TableWriter:
    """Writes rows in groups: each call of `write` is one row group. Close it, or use it as a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.n_rows = 0
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=3,
            use_dictionary=True,
            write_statistics=True,
            store_schema=False,  # Arrow's own copy of the schema would bring Arrow's version in
        )

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one row group; nothing for no rows."""
        if rows:
            table = pa.Table.from_pylist(list(rows), schema=self._schema)
            self._writer.write_table(table, row_group_size=len(rows))
            self.n_rows += len(rows)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
