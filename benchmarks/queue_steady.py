"""An hour at fifty labels a second: whether tables, indexes and memory stay as large as what is in them.

And, for development, where PostgreSQL's time goes by function.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.clients import Plan
from benchmarks.installation import FLUSH_SECONDS, Site, check_audit
from benchmarks.measuring import Check, in_ms, say
from benchmarks.queue_labels import Bench

# What one label adds rows to, and what only changes or loses rows.
GROWING = ("annotation_seat", "annotation_annotation", "annotation_label", "annotation_event", "reviewers_resolution")
CONSTANT = ("annotation_queuerow", "annotation_offer", "annotation_queuecursor", "annotation_queuelane")
SMALL = 2**20  # bytes; below this a ratio says nothing

SIZES = """
    select c.relname, c.relkind = 'i', coalesce(t.relname, c.relname),
      case c.relkind when 'i' then pg_relation_size(c.oid) else pg_table_size(c.oid) end, coalesce(s.n_dead_tup, 0)
    from pg_class c left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.oid = i.indrelid
    left join pg_stat_user_tables s on s.relid = c.oid
    where c.relkind in ('r', 'i') and coalesce(t.relname, c.relname) = any(%s)
      and c.relnamespace = 'public'::regnamespace
    order by 3, 2, 1
"""


def read_sizes(site: Site) -> dict[str, dict[str, Any]]:
    """Bytes of each of these tables, of each of its indexes, and its dead rows."""
    with site.connect() as connection:
        rows = connection.execute(SIZES, [[*GROWING, *CONSTANT]]).fetchall()
    found: dict[str, dict[str, Any]] = {}
    for name, is_index, table, size, dead in rows:
        entry = found.setdefault(table, {"total": 0, "heap": 0, "dead": 0, "indexes": {}})
        entry["total"] += size
        if is_index:
            entry["indexes"][name] = size
        else:
            entry["heap"], entry["dead"] = size, dead
    return found


def _count_rows(site: Site) -> dict[str, int]:
    with site.connect() as connection:
        return {
            table: int((connection.execute(f"select count(*) from {table}").fetchone() or [0])[0])  # noqa: S608
            for table in (*GROWING, *CONSTANT)
        }


def _measure_rows(site: Site) -> dict[str, float]:
    """Bytes that a row needs: the row and its line pointer, and its part of indexes that were just built."""
    needed = {}
    with site.connect() as connection:
        for table in (*GROWING, *CONSTANT):
            connection.execute(f"vacuum full {table}")
            row = connection.execute(
                f"""
                select coalesce(avg(pg_column_size(t.*)), 0) + 4, pg_indexes_size('{table}'),
                  (select count(*) from {table})
                from (select * from {table} order by ctid desc limit 20000) t
                """  # noqa: S608
            ).fetchone()
            assert row is not None
            needed[table] = float(row[0]) + (row[1] / row[2] if row[2] else 0.0)
    return needed


def measure_steady(bench: Bench) -> bool:
    """Fifty labels a second at fixed moments, for `--minutes`; sizes and memory each minute."""
    site = bench.site
    minutes, rate = bench.args.minutes or 60.0, 50.0
    project = bench.million()
    bench.fleet.run(Plan("next", project.slug, most=400))
    time.sleep(FLUSH_SECONDS)
    measurement = bench.start("steady")
    rows_before = _count_rows(site)
    samples: list[dict[str, Any]] = []
    every = min(60.0, minutes * 60 / 6)
    started = time.monotonic()
    bench.fleet.start(Plan("next", project.slug, seconds=minutes * 60, rate=rate))
    while True:
        minute = round((time.monotonic() - started) / 60, 2)
        samples.append({"minute": minute, "tables": read_sizes(site), "memory_mb": site.parts.read_memory()})
        if time.monotonic() - started >= minutes * 60:
            break
        time.sleep(max(0.0, min(started + every * len(samples), started + minutes * 60) - time.monotonic()))
    load = bench.fleet.collect()
    rows_after = _count_rows(site)
    check_audit()
    say("building tables and indexes anew, to see what their rows need ...")
    needed = _measure_rows(site)
    first, last = samples[0], samples[-1]
    middle = samples[len(samples) // 2]
    growth = {table: _grown(table, first, last) / load.labels for table in GROWING}
    need = {table: needed[table] * (rows_after[table] - rows_before[table]) / load.labels for table in GROWING}
    halves = [_grown_all(first, middle) / _labels(load.ended["submit"], 0, 0.5), 0.0]
    halves[1] = _grown_all(middle, last) / _labels(load.ended["submit"], 0.5, 1)
    figures: dict[str, Any] = {
        **bench.setting(),
        "items": bench.args.items,
        "minutes": minutes,
        **load.as_json(),
        "bytes_per_label": {table: round(value) for table, value in growth.items()},
        "bytes_needed_per_label": {table: round(value) for table, value in need.items()},
        "bytes_per_label_by_half": [round(half) for half in halves],
        "bytes_at_the_start": _totals(first),
        "bytes_at_the_end": _totals(last),
        "index_bytes_at_the_start": _indexes(first),
        "index_bytes_at_the_end": _indexes(last),
        "most_dead_rows": {table: max(s["tables"][table]["dead"] for s in samples) for table in (*GROWING, *CONSTANT)},
        "dead_rows_by_sample": {table: [s["tables"][table]["dead"] for s in samples] for table in CONSTANT},
        "latency_ms": in_ms(load.latencies["submit"]),
    }
    checks = [
        Check("labels a second", round(load.rate, 2), ">=", 0.99 * rate),
        Check(
            "bytes a label beside what its rows need", round(sum(growth.values()) / sum(need.values()), 2), "<=", 2.0
        ),
        Check("bytes a label in the second half beside the first", round(halves[1] / halves[0], 2), "<=", 1.25),
    ]
    for table in CONSTANT:
        before, after = first["tables"][table]["total"], last["tables"][table]["total"]
        checks.append(
            Check(f"size of {table} beside its start", round(max(after, SMALL) / max(before, SMALL), 3), "<=", 1.25)
        )
    figures["memory_mb"] = {}
    for part in ("web", "postgres", "worker", "beat"):
        # PostgreSQL's shared memory fills up once, as pages are first touched; what its processes have of their own
        # counts.
        kind = "anon" if part == "postgres" else "pss"
        series = [sample["memory_mb"][part][kind] for sample in samples]
        early, late = _mean(series[1 : 1 + _sixth(series)]), _mean(series[-_sixth(series) :])
        figures["memory_mb"][part] = {"kind": kind, "first_sixth": early, "last_sixth": late, "series": series}
        checks.append(
            Check(f"memory of {part}, last sixth beside the first", round(late / max(1.0, early), 3), "<=", 1.1)
        )
    return measurement.finish(figures, checks)


def _sixth(series: Sequence[float]) -> int:
    return max(1, len(series) // 6)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 1)


def _grown(table: str, first: dict[str, Any], last: dict[str, Any]) -> int:
    return int(last["tables"][table]["total"] - first["tables"][table]["total"])


def _grown_all(first: dict[str, Any], last: dict[str, Any]) -> int:
    return sum(_grown(table, first, last) for table in GROWING)


def _labels(ended: Sequence[float], start: float, end: float) -> int:
    """How many requests ended in this part of the run's time."""
    low, high = min(ended), max(ended)
    return max(1, sum(start <= (moment - low) / max(1e-9, high - low) <= end for moment in ended))


def _totals(sample: dict[str, Any]) -> dict[str, int]:
    return {table: entry["total"] for table, entry in sample["tables"].items()}


def _indexes(sample: dict[str, Any]) -> dict[str, int]:
    return {name: size for entry in sample["tables"].values() for name, size in entry["indexes"].items()}


def show_statements(bench: Bench) -> bool:
    """Where PostgreSQL's time goes for a submit that brings the next lease: by function, and what it waits for."""
    site = bench.site
    project = bench.million()
    measurement = bench.start("statements")
    site.set_server("track_functions", "all")
    bench.fleet.run(Plan("next", project.slug, most=400))
    time.sleep(FLUSH_SECONDS)
    with site.connect() as connection:
        connection.execute("select pg_stat_reset()")
        waits: Counter[str] = Counter()
        before = site.parts.read_cpu()
        bench.fleet.start(Plan("next", project.slug, seconds=bench.args.seconds))
        stop = time.monotonic() + bench.args.seconds
        while time.monotonic() < stop:
            waits.update(
                str(state)
                for (state,) in connection.execute(
                    """
                    select case when state = 'active' then coalesce(wait_event_type || ' ' || wait_event, 'running')
                           else state end
                    from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
                    """
                ).fetchall()
            )
            time.sleep(0.02)
        load = bench.fleet.collect()
        spent = site.parts.read_cpu() - before
        time.sleep(FLUSH_SECONDS)
        rows = connection.execute(
            "select funcname, calls, total_time, self_time from pg_stat_user_functions order by self_time desc"
        ).fetchall()
    site.set_server("track_functions", "none")
    n = max(1, load.labels)
    functions = {
        str(name): {
            "calls_per_label": round(calls / n, 2),
            "ms_per_label": round(total / n, 3),
            "own_ms_per_label": round(own / n, 3),
        }
        for name, calls, total, own in rows
    }
    figures = {
        **bench.setting(),
        **load.as_json(),
        "cpu_ms_per_request": spent.per(n),
        "functions": functions,
        "processes_seen": {name: round(count / sum(waits.values()), 3) for name, count in waits.most_common(12)},
    }
    for name, row in functions.items():
        calls, total, own = row.values()
        say(f"{name:28} {calls:6} calls {total:8} ms {own:8} ms of its own")
    return measurement.finish(figures)
