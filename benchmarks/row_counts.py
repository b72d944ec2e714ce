"""PostgreSQL's own counts of a run: rows written by table, HOT updates, transactions, WAL.

Its processes tell their counts late (one that has gone idle: within ten seconds), so wait before reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.installation import Site

# What beat and the readers of events write afterwards for many requests together, and never a request.
AFTERWARDS = frozenset(
    {
        "annotation_eventposition",
        "annotation_queuelane",
        "reviewers_agreementcount",
        "reviewers_agreementitem",
        "reviewers_agreementvoter",
        "reviewers_consensuswatch",
    }
)
INSERTED, UPDATED, DELETED, HOT = range(4)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by table (inserted, updated, deleted, updated HOT); transactions that wrote, and all; bytes of WAL."""

    tables: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    writing: int = 0
    transactions: int = 0
    wal: int = 0

    def _combine(self, other: Counts, sign: int) -> Counts:
        nothing = (0, 0, 0, 0)
        tables = {}
        for name in self.tables.keys() | other.tables.keys():
            mine, theirs = self.tables.get(name, nothing), other.tables.get(name, nothing)
            a, b, c, d = (x + sign * y for x, y in zip(mine, theirs, strict=True))
            tables[name] = (a, b, c, d)
        return Counts(
            tables,
            self.writing + sign * other.writing,
            self.transactions + sign * other.transactions,
            self.wal + sign * other.wal,
        )

    def __sub__(self, other: Counts) -> Counts:
        return self._combine(other, -1)

    def __add__(self, other: Counts) -> Counts:
        return self._combine(other, 1)

    def writes_per(self, n: int) -> float:
        """Rows inserted, updated and deleted for each of `n` requests, without what is written afterwards."""
        written = sum(sum(row[:HOT]) for name, row in self.tables.items() if name not in AFTERWARDS)
        return round(written / max(1, n), 3)

    def by_table(self, n: int) -> dict[str, dict[str, float]]:
        """The same by table and kind of write, what comes afterwards too, the busiest first, without the very rare."""
        found = {
            name: {
                what: round(count / max(1, n), 4)
                for what, count in zip(("inserted", "updated", "deleted"), row, strict=False)
                if count / max(1, n) >= 0.0005
            }
            for name, row in sorted(self.tables.items(), key=lambda one: -sum(one[1][:HOT]))
        }
        return {name: kinds for name, kinds in found.items() if kinds}

    def hot_share(self, table: str) -> float | None:
        """The share of a table's updates that were HOT; None where there were none."""
        row = self.tables.get(table, (0, 0, 0, 0))
        return round(row[HOT] / row[UPDATED], 4) if row[UPDATED] else None


def read_counts(site: Site) -> Counts:
    """The counts as they stand."""
    with site.connect() as connection:
        tables = {
            str(name): (int(inserted), int(updated), int(deleted), int(hot))
            for name, inserted, updated, deleted, hot in connection.execute(
                "select relname, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd from pg_stat_user_tables"
            ).fetchall()
        }
        row = connection.execute(
            """
            select pg_snapshot_xmax(pg_current_snapshot())::text::bigint, xact_commit,
              pg_current_wal_lsn() - '0/0'::pg_lsn
            from pg_stat_database where datname = current_database()
            """
        ).fetchone()
    assert row is not None
    return Counts(tables, int(row[0]), int(row[1]), int(row[2]))
