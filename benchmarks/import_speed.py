"""How fast a file of rows comes in, beside a bare COPY of the very same rows into the same tables, in turns.

    python -m benchmarks.import_speed --rows 1000000
    python -m benchmarks.import_speed --rows 1000000 --labelling   # what people at work in the same project feel of it

The first starts a PostgreSQL of its own in a temporary home, with the settings of a real installation (every commit is
flushed to disk). Each round imports a file of JSON lines into a new project by `manage.py import_items`, then writes
what it became (items, payloads, queue rows, offers) to files and copies those into tables of the same columns, indexes,
checks, foreign keys and settings in a schema of their own: one COPY and one commit a table, by one connection that does
nothing else. Both sides find their tables as full as the rounds before have left them, and each follows a checkpoint.

The second starts a whole installation. People label without rest in a project of 20,000 items, first alone, then while
the worker imports the file into the same project.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.measuring import Check, Measurement, in_ms, median, read_tree, say
from config.embedded import Servers, open_servers
from config.home import ROOT

TABLES = ("annotation_item", "annotation_itempayload", "annotation_queuerow", "annotation_offer")
FEW_ROWS = 1000  # an import whose memory is nobody's fault
SAMPLED_EVERY = 0.05
FED_BYTES = 2**20
SCHEMA = {
    "questions": [
        {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "spam"}, {"value": "none"}]}
    ]
}

# --- The file --------------------------------------------------------------------------------------------------------


def write_rows(path: Path, n: int) -> None:
    """Write `n` JSON lines with an id, a text of about 200 bytes and one column of metadata; the same ones each time.

    Words are drawn from 20,000 made ones, the k-th as often as 1/k: as in a language, a few are everywhere.
    """
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(20_000)]
    shares = list(itertools.accumulate(1 / k for k in range(1, len(words) + 1)))
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            text = " ".join(chance.choices(words, cum_weights=shares, k=28))
            row = {"external_id": f"row-{number:07d}", "text": text, "topic": chance.choice("abcd")}
            file.write(json.dumps(row) + "\n")


# --- A server of its own ---------------------------------------------------------------------------------------------


def run_python(*arguments: str) -> None:
    """Run a module or script of this project to its end, quietly; raises CalledProcessError."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def open_database() -> Iterator[Servers]:
    """A database of its own, durable as an installation's, with the tables and one superuser; taken away at the end."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-bench-"))
    os.environ["TOUCHSTONE_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    for name in ("DATABASE_URL", "BROKER_URL"):
        os.environ.pop(name, None)
    try:
        with open_servers(home) as servers:
            run_python("-m", "config.prepare")
            run_python("manage.py", "create_user", "owner", "--superuser", "--password", "correct horse battery staple")
            (home / "schema.json").write_text(json.dumps(SCHEMA))
            yield servers
    finally:
        shutil.rmtree(home, ignore_errors=True)


def connect(servers: Servers) -> psycopg.Connection[Any]:
    """A new connection in autocommit mode."""
    return psycopg.connect(servers.get_conninfo(), autocommit=True)


def settle_down(connection: psycopg.Connection[Any]) -> None:
    """Wait until the server cleans up no more, and write a checkpoint: nobody pays for what was there before."""
    busy = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
    deadline = time.monotonic() + 120
    while connection.execute(busy).fetchone() != (0,) and time.monotonic() < deadline:
        time.sleep(0.2)
    connection.execute("checkpoint")


def read_server_cpu(servers: Servers) -> float:
    """CPU seconds of the server's processes so far, ended ones too."""
    (folder,) = servers.home.glob("pg*/postmaster.pid")
    processes = read_tree(int(folder.read_text().splitlines()[0])).values()
    return sum(process.own + process.ended_children for process in processes)


# --- The import ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Import:
    """One run of `manage.py import_items`, as seen from outside."""

    seconds: float = 0.0  # from the start of the command to its end
    visible_after: float = 0.0  # from the start of the command until the items could be listed and served
    peak_mib: float = 0.0
    cpu: float = 0.0
    server_cpu: float = 0.0
    longest_transaction: float = 0.0
    longest_statement: float = 0.0
    statement: str = ""  # how the longest one begins
    progress: list[tuple[float, int]] = field(default_factory=list)  # (seconds, rows), each change

    @property
    def longest_silence(self) -> float:
        """The longest time between two steps of the progress while the file was read."""
        times = [moment for moment, _done in self.progress]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    @property
    def flip(self) -> float:
        """From the last row that was counted until the items were there."""
        return self.visible_after - (self.progress[-1][0] if self.progress else 0.0)


def read_peak(pid: int) -> float:
    """The most memory that a process has had, in MiB; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


_WATCHED = """
    select extract(epoch from clock_timestamp() - a.xact_start)::float8,
      case a.state when 'active' then extract(epoch from clock_timestamp() - a.query_start)::float8 else 0 end,
      left(btrim(a.query, E' \\n'), 60)
    from pg_stat_activity a
    where a.application_name = 'touchstone' and a.backend_type = 'client backend' and a.xact_start is not null
"""
_LAST = "select coalesce((select max(id) from annotation_job), 0), coalesce((select max(id) from annotation_import), 0)"
_DONE = "select done from annotation_job where kind = 'import' and id > %s order by id desc limit 1"
_VISIBLE = "select 1 from annotation_import where is_visible and id > %s"


def run_import(servers: Servers, slug: str, file: Path) -> Import:
    """Import a file into a new project and watch the command and its transactions."""
    found = Import()
    with connect(servers) as connection:
        last_job, last_import = connection.execute(_LAST).fetchone() or (0, 0)
        before, started = read_server_cpu(servers), time.monotonic()
        schema = str(servers.home / "schema.json")
        command = ["manage.py", "import_items", slug, str(file), "--create", "--schema", schema]
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            time.sleep(SAMPLED_EVERY)
            now = time.monotonic() - started
            found.peak_mib = max(found.peak_mib, read_peak(process.pid))
            found.cpu = max(found.cpu, sum(stat.own + stat.ended_children for stat in read_tree(process.pid).values()))
            for transaction, statement, text in connection.execute(_WATCHED):
                found.longest_transaction = max(found.longest_transaction, transaction)
                if statement > found.longest_statement:
                    found.longest_statement, found.statement = statement, text
            row = connection.execute(_DONE, [last_job]).fetchone()
            if row is not None and (not found.progress or row[0] != found.progress[-1][1]):
                found.progress.append((now, row[0]))
            if not found.visible_after and connection.execute(_VISIBLE, [last_import]).fetchone():
                found.visible_after = now
        found.seconds = time.monotonic() - started
        found.server_cpu = read_server_cpu(servers) - before
        out = process.communicate()[0]
        assert process.returncode == 0, out
        found.visible_after = found.visible_after or found.seconds
    return found


# --- The bare COPY ---------------------------------------------------------------------------------------------------


def make_bare_tables(connection: psycopg.Connection[Any]) -> None:
    """Empty tables in the schema `bare`: columns, defaults, checks, indexes, foreign keys and settings of ours."""
    connection.execute("create schema bare")
    for table in TABLES:
        connection.execute(f"create table bare.{table} (like public.{table} including all)")
        settings = connection.execute("select reloptions from pg_class where oid = %s::regclass", [f"public.{table}"])
        for (options,) in settings:
            if options:
                connection.execute(f"alter table bare.{table} set ({', '.join(options)})")
        keys = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where contype = 'f' and conrelid = %s::regclass",
            [f"public.{table}"],
        ).fetchall()
        for (key,) in keys:
            for name in TABLES:
                key = key.replace(f"REFERENCES {name}(", f"REFERENCES bare.{name}(")
            connection.execute(f"alter table bare.{table} add {key}")
    ours, theirs = (
        connection.execute(
            "select count(*), (select count(*) from pg_constraint c where c.connamespace = %s::regnamespace"
            " and split_part(c.conrelid::regclass::text, '.', 2) = any(%s) or c.conrelid::regclass::text = any(%s)"
            " and c.connamespace = %s::regnamespace) from pg_indexes where schemaname = %s and tablename = any(%s)",
            [schema, list(TABLES), list(TABLES), schema, schema, list(TABLES)],
        ).fetchone()
        for schema in ("public", "bare")
    )
    assert ours == theirs, f"the copies are not like the tables: {theirs} indexes and constraints, not {ours}"


def write_out(connection: psycopg.Connection[Any], slug: str, folder: Path) -> dict[str, Path]:
    """Write what a project's import became into a file for each table, in the text format of COPY."""
    files = {}
    for table in TABLES:
        files[table] = folder / table
        key = "id" if table == "annotation_item" else "item_id"
        of_project = "select i.id from annotation_item i join annotation_project p on p.id = i.project_id"
        select = (
            f"select {_columns(connection, table)} from {table}"  # noqa: S608  (our own names)
            f" where {key} in ({of_project} where p.slug = '{slug}')"
        )
        with files[table].open("wb") as file, connection.cursor().copy(f"copy ({select}) to stdout") as copy:
            for data in copy:
                file.write(data)
    return files


def _columns(connection: psycopg.Connection[Any], table: str) -> str:
    """The columns that can be written, in order."""
    rows = connection.execute(
        "select quote_ident(attname) from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and attgenerated = '' and not attisdropped order by attnum",
        [f"public.{table}"],
    )
    return ", ".join(name for (name,) in rows)


def run_copy(connection: psycopg.Connection[Any], files: dict[str, Path]) -> dict[str, float]:
    """Seconds of the COPY into each table, with its commit."""
    seconds = {}
    for table, path in files.items():
        columns = _columns(connection, table)
        started = time.monotonic()
        into = f"copy bare.{table} ({columns}) from stdin"
        with path.open("rb") as file, connection.cursor().copy(into) as copy:
            while data := file.read(FED_BYTES):
                copy.write(data)
        seconds[table] = time.monotonic() - started
    return seconds


# --- In turns --------------------------------------------------------------------------------------------------------


def measure_import(args: argparse.Namespace) -> bool:
    """Import and COPY in turns, `--rounds` times."""
    with open_database() as servers, connect(servers) as connection:
        folder = servers.home / "bench"
        folder.mkdir()
        file, small = folder / "rows.jsonl", folder / "few.jsonl"
        say(f"writing {args.rows:,} rows ...")
        write_rows(file, args.rows)
        write_rows(small, FEW_ROWS)
        few = run_import(servers, "few", small)
        make_bare_tables(connection)
        measurement = Measurement("import", args.out)
        imports: list[Import] = []
        copies: list[dict[str, float]] = []
        copy_cpu: list[float] = []
        for number in range(1, args.rounds + 1):
            settle_down(connection)
            imports.append(run_import(servers, f"rows-{number}", file))
            say(f"round {number}: import {imports[-1].seconds:.1f} s, load {os.getloadavg()[0]:.1f}")
            files = write_out(connection, f"rows-{number}", folder)
            settle_down(connection)
            before = read_server_cpu(servers)
            copies.append(run_copy(connection, files))
            copy_cpu.append(read_server_cpu(servers) - before)
            say(f"round {number}: COPY {sum(copies[-1].values()):.1f} s, load {os.getloadavg()[0]:.1f}")
            for path in files.values():
                path.unlink()
        ratios = [sum(copy.values()) / run.seconds for run, copy in zip(imports, copies, strict=True)]
        growth = max(run.peak_mib for run in imports) - few.peak_mib
        silence = max(run.longest_silence for run in imports)
        figures = {
            "rows": args.rows,
            "bytes": file.stat().st_size,
            "import_s": [round(run.seconds, 1) for run in imports],
            "copy_s": [round(sum(copy.values()), 1) for copy in copies],
            "copy_s_by_table": [{name: round(s, 1) for name, s in copy.items()} for copy in copies],
            "ratio": [round(ratio, 3) for ratio in ratios],
            "rows_per_s": [round(args.rows / run.seconds) for run in imports],
            "visible_after_s": [round(run.visible_after, 1) for run in imports],
            "last_row_to_visible_s": [round(run.flip, 1) for run in imports],
            "longest_transaction_s": [round(run.longest_transaction, 2) for run in imports],
            "longest_statement_s": [round(run.longest_statement, 2) for run in imports],
            "longest_statement": [run.statement for run in imports],
            "cpu_s_command": [round(run.cpu, 1) for run in imports],
            "cpu_s_server": [round(run.server_cpu, 1) for run in imports],
            "cpu_s_server_copy": [round(cpu, 1) for cpu in copy_cpu],
            "peak_mib": [round(run.peak_mib, 1) for run in imports],
            "peak_mib_of_few_rows": round(few.peak_mib, 1),
            "progress_steps": [len(run.progress) for run in imports],
            "progress_longest_silence_s": [round(run.longest_silence, 2) for run in imports],
        }
        holds = measurement.finish(
            figures,
            [
                Check("import beside bare COPY", round(median(ratios), 3), ">=", 0.5),
                Check("growth of memory, MiB", round(growth, 1), "<=", 200.0),
                Check("longest time between two steps of the progress, s", round(silence, 2), "<=", 5.0),
            ],
        )
        say(
            f"| {args.rows:,} rows of JSON lines, {args.rounds} rounds in turn with a bare COPY |"
            f" {median([run.seconds for run in imports]):.0f} s ({median(figures['rows_per_s']):,.0f} rows a second),"
            f" COPY {median([sum(copy.values()) for copy in copies]):.0f} s: {median(ratios):.0%}; memory grows by"
            f" {growth:.0f} MiB; longest transaction {max(run.longest_transaction for run in imports):.1f} s |"
        )
        return holds


# --- Beside people at work -------------------------------------------------------------------------------------------


def measure_labelling(args: argparse.Namespace) -> bool:
    """Label alone, then while the worker imports into the same project."""
    from benchmarks.clients import Fleet, Plan
    from benchmarks.installation import check_audit, make_people, make_project, open_site

    with open_site(args) as site:
        from django.conf import settings

        from annotation.actions.imports import start_import
        from annotation.models import Import as ImportRow
        from annotation.models import Job

        people = make_people(args.clients)
        project = make_project("beside", [user for user, _token in people], 20_000, overlap=3)
        file = Path(settings.UPLOAD_DIR) / "rows"
        write_rows(file, args.rows)
        site.settle_down()
        measurement = Measurement("import_labelling", args.out)
        fleet = Fleet(site.port, [token for _user, token in people])
        try:
            alone = fleet.run(Plan("next", project.slug, seconds=args.seconds, think=args.think))
            fleet.start(Plan("next", project.slug, seconds=args.beside_seconds, think=args.think))
            started = time.monotonic()
            job = start_import(project=project, actor=None, path=file, name="rows.jsonl")
            stop = threading.Event()
            pages: list[float] = []
            lister = threading.Thread(target=_list_pages, args=(project, stop, pages))
            lister.start()
            flipped = 0.0
            while not job.ended_at:
                time.sleep(0.05)
                job = Job.objects.get(pk=job.pk)
                if not flipped and ImportRow.objects.filter(job_id=job.pk, is_visible=True).exists():
                    flipped = time.monotonic()
            ended = time.monotonic()
            stop.set()
            lister.join()
            beside = fleet.collect()
        finally:
            fleet.end()
        assert job.state == "done", job.error
        check_audit()
        moments = list(zip(beside.ended["submit"], beside.latencies["submit"], strict=True))
        during = [seconds for moment, seconds in moments if started <= moment <= ended]
        at_flip = [seconds for moment, seconds in moments if flipped - 10 <= moment <= flipped + 2]
        figures = {
            "rows": args.rows,
            "clients": args.clients,
            "think_s": args.think,
            "import_s": round(ended - started, 1),
            "alone": alone.as_json(),
            "submit_ms_alone": in_ms(alone.latencies["submit"]),
            "submit_ms_during": in_ms(during),
            "submit_ms_around_the_flip": in_ms(at_flip),
            "items_page_ms_during": in_ms(pages),
            "beside": beside.as_json(),
        }
        return measurement.finish(figures, [Check("errors", sum(beside.errors.values()), "<=", 0)])


def _list_pages(project: Any, stop: threading.Event, pages: list[float]) -> None:
    """List items by priority, as the items page does, four times a second."""
    from django.db import connection

    from learning.items import list_items

    try:
        while not stop.wait(0.25):
            started = time.monotonic()
            list_items(project, order="-priority")
            pages.append(time.monotonic() - started)
    finally:
        connection.close()


def read_arguments() -> argparse.Namespace:
    from benchmarks.installation import add_options

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2, help="imports and COPYs, in turns")
    parser.add_argument("--labelling", action="store_true", help="measure people at work beside an import instead")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--think", type=float, default=0.1, help="seconds from item to answer, on average")
    parser.add_argument("--seconds", type=float, default=20.0, help="labelling alone")
    parser.add_argument("--beside-seconds", type=float, default=120.0, help="labelling beside the import")
    add_options(parser)
    return parser.parse_args()


def main() -> int:
    args = read_arguments()
    holds = measure_labelling(args) if args.labelling else measure_import(args)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
