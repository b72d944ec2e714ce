"""How many rows a transaction has read and written so far, by table: counters subtract, `rows_read() - before`."""

from __future__ import annotations

from collections import Counter

from django.db import connection

# How far somebody has come in a lane, and in what they hold: written only where finding it out took long.
WRITTEN_SELDOM = ("annotation_queuecursor", "annotation_member")


def rows_read() -> Counter[str]:
    """Rows that scans went through, and rows that an index led to. Only of tables where there are any."""
    return _count("seq_tup_read + coalesce(idx_tup_fetch, 0)")


def rows_scanned() -> Counter[str]:
    """Rows that scans went through. Only of tables where there are any."""
    return _count("seq_tup_read")


def rows_written() -> Counter[str]:
    """Rows inserted, updated and deleted. Only of tables where there are any."""
    return _count("n_tup_ins + n_tup_upd + n_tup_del")


def count_written() -> int:
    """Rows inserted, updated and deleted, without those that only a slow machine writes."""
    return sum(n for table, n in rows_written().items() if table not in WRITTEN_SELDOM)


def _count(what: str) -> Counter[str]:
    with connection.cursor() as cursor:
        cursor.execute("select pg_stat_clear_snapshot()")
        cursor.execute(f"select relname, {what} from pg_stat_xact_user_tables where {what} > 0")
        return Counter(dict(cursor.fetchall()))
