"""Files into rows: JSONL, CSV, TSV, Parquet, plain and packed, well made and hostile."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import lzma
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation.importing.formats import ImportFileError, Limits, RowProblem, Source, detect_source, read_rows
from annotation.importing.raw_rows import MAX_LINE_BYTES

DAVIDSON = Path(__file__).parents[2] / "shared" / "data" / "davidson_labeled_data.csv.xz"

ROWS = [{"text": 'a "quoted", text\nin two lines', "n": "1"}, {"text": "ünïcode 🙂", "n": "2"}]


def read(path: Path, content: bytes, limits: Limits | None = None) -> list[tuple[int, Any]]:
    path.write_bytes(content)
    return list(read_rows(path, detect_source(path.name), limits or Limits()))


def write_csv(path: Path, delimiter: str) -> bytes:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "n"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content_type", "encoding", "found"),
    [
        ("a.jsonl", None, None, Source("jsonl")),
        ("A.B.NDJSON.GZ", None, None, Source("jsonl", "gz")),
        ("folder.csv/a.tsv.xz", None, None, Source("tsv", "xz")),
        ("upload", "text/csv; charset=utf-8", "gzip", Source("csv", "gz")),
        (None, "application/x-ndjson", "identity", Source("jsonl")),
        (None, "application/vnd.apache.parquet", None, Source("parquet")),
    ],
)
def test_format_is_told_by_name_or_content_type(
    name: str | None, content_type: str | None, encoding: str | None, found: Source
) -> None:
    assert detect_source(name, content_type, encoding) == found


@pytest.mark.parametrize(
    ("name", "content_type", "encoding"),
    [
        ("a.exe", None, None),
        (None, None, None),
        ("gz", "application/octet-stream", None),
        ("a.csv", None, "br"),
        ("a.csv.gz", None, "gzip"),
    ],
)
def test_unknown_format_is_refused(name: str | None, content_type: str | None, encoding: str | None) -> None:
    with pytest.raises(ImportFileError):
        detect_source(name, content_type, encoding)


def test_jsonl_gives_rows_with_line_numbers(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n{"text": "b", "n": [1, 2.5, null]}'
    assert read(tmp_path / "a.jsonl", content) == [(1, {"text": "a"}), (4, {"text": "b", "n": [1, 2.5, None]})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too large"),
        (b'{"a": 9223372036854775808}', "too large"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "\xff"}', "not UTF-8 (byte 8)"),
        (b'{"a": "\x00"}', "NUL"),
        (b'{"a":' * 21 + b"1" + b"}" * 21, "deeper"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper"),
        (b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}', "longer than 10 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "line",
)
def test_bad_json_line_is_named_and_the_next_one_still_read(tmp_path: Path, line: bytes, reason: str) -> None:
    rows = read(tmp_path / "a.jsonl", b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    assert [number for number, _row in rows] == [1, 2, 3]
    assert isinstance(rows[1][1], RowProblem)
    assert reason in rows[1][1].reason
    assert rows[2][1] == {"text": "after"}


def test_json_may_be_nested_twenty_deep_and_what_is_empty_counts_for_nothing(tmp_path: Path) -> None:
    deep = b'{"a":' * 20 + b"1" + b"}" * 20
    empty = b'{"a":' * 20 + b"[]" + b"}" * 20
    rows = read(tmp_path / "a.jsonl", deep + b"\n" + empty + b"\n{}\n")
    assert [(number, isinstance(row, dict)) for number, row in rows] == [(1, True), (2, True), (3, True)]


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_tables_are_read_by_their_header(tmp_path: Path, name: str, delimiter: str) -> None:
    assert read(tmp_path / name, write_csv(tmp_path / "w", delimiter)) == [(2, ROWS[0]), (4, ROWS[1])]


def test_empty_cells_are_left_out_and_nameless_columns_numbered(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf,text,b\n\n0,hello,\n,x,y\n"
    assert read(tmp_path / "a.csv", content) == [(3, {"column_1": "0", "text": "hello"}), (4, {"text": "x", "b": "y"})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a", "1 cells"),
        (b"a,b,c", "3 cells"),
        (b"\xff,b", "not UTF-8"),
        (b'"a\xff\nb",b', "not UTF-8"),
        (b"a\x00,b", "NUL"),
        (b'"a"x,b', "cannot be read"),
    ],
)
def test_bad_table_row_is_named_and_the_next_one_still_read(tmp_path: Path, row: bytes, reason: str) -> None:
    rows = read(tmp_path / "a.csv", b"text,n\none,1\n" + row + b"\nlast,2\n")
    assert rows[1][0] == 3
    assert isinstance(rows[1][1], RowProblem)
    assert reason in rows[1][1].reason
    assert rows[-1][1] == {"text": "last", "n": "2"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text,text\na,b\n", "twice"),
        (b"text,b\xff\na,b\n", "not UTF-8"),
        ("text\na\n".encode("utf-16"), "UTF-16"),
        (b'text,n\n"open quote,1\nmore,2\nmore,3\nmore,4\n', "left open"),
        (b"text\n" + b"x" * (MAX_LINE_BYTES + 1), "Line 2"),
        (",".join(f"c{i}" for i in range(1001)).encode(), "1000 columns"),
    ],
    ids=["twice", "header bytes", "utf-16", "open quote", "long line", "columns"],
)
def test_table_that_cannot_be_told_apart_is_refused_whole(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ImportFileError, match=reason):
        read(tmp_path / "a.csv", content)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
def test_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, b"") == []
    assert read(tmp_path / name, b"\n\n") == []


def test_packed_files_read_like_plain_ones(tmp_path: Path) -> None:
    plain = b"".join(json.dumps({"text": f"row {i}"}).encode() + b"\n" for i in range(20_000))
    expected = read(tmp_path / "a.jsonl", plain)
    half = len(plain) // 2
    assert read(tmp_path / "a.jsonl.gz", gzip.compress(plain)) == expected
    assert read(tmp_path / "a.jsonl.xz", lzma.compress(plain)) == expected
    assert (
        read(tmp_path / "b.jsonl.gz", gzip.compress(plain[:half]) + gzip.compress(plain[half:]) + b"\0" * 9) == expected
    )
    assert read(tmp_path / "b.jsonl.xz", lzma.compress(plain[:half]) + lzma.compress(plain[half:])) == expected


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv.gz", gzip.compress(b"text\n" + b"abc\n" * 9999, mtime=0)[:-12], "ends early"),
        ("a.csv.xz", lzma.compress(b"text\nabc\n")[:-12], "ends early"),
        ("a.csv.gz", b"text\nabc\n", "not gz data"),
        ("a.csv.xz", b"", "not xz data"),
        ("a.csv.gz", gzip.compress(b"text\nabc\n", mtime=0) + b"rubbish", "not gz data"),
        ("a.csv.gz", gzip.compress(b"text\nabc\n", mtime=0)[:-8] + b"\0" * 8, "damaged"),
    ],
    ids=["cut gz", "cut xz", "plain as gz", "empty as xz", "rubbish after gz", "wrong checksum"],
)
def test_damaged_packed_file_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(ImportFileError, match=reason):
        read(tmp_path / name, content)


def test_bomb_is_stopped_early_in_little_memory(tmp_path: Path) -> None:
    bomb = lzma.compress((b"x" * 999 + b"\n") * 20_000)  # 20 MB out of some 3 kB
    path = tmp_path / "a.jsonl.xz"
    path.write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ImportFileError, match="far more than it is"):
            list(read_rows(path, Source("jsonl", "xz"), Limits(ratio_after=1024**2)))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2


def test_total_size_is_capped(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="far more than it is"):
        read(tmp_path / "a.csv.gz", gzip.compress(b"text\n" + b"abc\n" * 10_000), Limits(total_bytes=10_000))


def test_reading_holds_one_row_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = json.dumps({"text": "x" * 1000}).encode() + b"\n"
    with path.open("wb") as file:
        file.writelines(line for _number in range(30_000))
    tracemalloc.start()
    try:
        count = sum(1 for _row in read_rows(path, Source("jsonl")))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 30_000
    assert peak < 1024**2


def test_parquet_rows_nested_columns_and_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    rows = [
        {
            "external_id": 7,
            "parts": [{"kind": "text", "text": "hello", "media": None}],
            "score": float("nan"),
            "at": when,
        },
        {"external_id": 8, "parts": [{"kind": "text", "text": "ü", "media": None}], "score": 0.5, "at": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert list(read_rows(path, detect_source(path.name))) == [
        (1, {"external_id": 7, "parts": [{"kind": "text", "text": "hello"}], "at": "2024-05-01T12:00:00+00:00"}),
        (2, {"external_id": 8, "parts": [{"kind": "text", "text": "ü"}], "score": 0.5}),
    ]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_parquet_may_be_packed(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(1000)]}), path)
    packed = tmp_path / {gzip.compress: "b.parquet.gz", lzma.compress: "b.parquet.xz"}[pack]
    rows = read(packed, pack(path.read_bytes()))
    assert len(rows) == 1000
    assert rows[-1] == (1000, {"text": "row 999"})


def test_parquet_with_bytes_rejects_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "raw": [b"\xff", None]}), path)
    rows = list(read_rows(path, Source("parquet")))
    assert rows == [(1, RowProblem(rows[0][1].reason)), (2, {"text": "b"})]  # type: ignore[union-attr]


def test_parquet_text_shared_by_many_rows_stays_one_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = "x" * 5_000_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000), pa.array([text]))
    pq.write_table(pa.table({"text": column}), path, store_schema=False)
    tracemalloc.start()
    try:
        count = sum(1 for _row in read_rows(path, Source("parquet")))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 1000
    assert peak < 160 * 1024**2
    assert pa.default_memory_pool().max_memory() < 500 * 1024**2  # 256 copies would be 1.3 GB


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 200 + b"PAR1", b"text\nabc\n"])
def test_broken_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImportFileError, match="Parquet file cannot be read"):
        read(tmp_path / "a.parquet", content)


@pytest.mark.skipif(not DAVIDSON.exists(), reason="the shared data is not beside this checkout")
def test_davidson_tweets_are_read_whole() -> None:
    rows: list[Any] = [row for _line, row in read_rows(DAVIDSON, detect_source(DAVIDSON.name))]
    assert len(rows) == 24_783
    assert not [row for row in rows if isinstance(row, RowProblem)]
    assert set(rows[0]) == {"column_1", "count", "hate_speech", "offensive_language", "neither", "class", "tweet"}
