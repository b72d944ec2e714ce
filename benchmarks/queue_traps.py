"""Two situations that make a naive queue slow: somebody far ahead of the others, and a transaction that stands open."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.bare_transactions import LABELS, run_pgbench
from benchmarks.clients import Plan
from benchmarks.installation import Site, check_audit, make_people, make_project
from benchmarks.measuring import Check, in_ms, median, percentile, read_exact_cpu, say
from benchmarks.queue_labels import Bench

if TYPE_CHECKING:
    from annotation.models import Project, User

ROUND = 1000  # items that a round raises
LEASE = "select queue_lease(%s, %s, 1::smallint, 1, '{}'::text[], array[0.5]::float8[])"
ANSWER = """
    select queue_answer(%s, %s, %s, gen_random_uuid()::text, '\\x01'::bytea, 'human', %s::jsonb, 2.5, false, '',
      '{}'::text[], '', '{}'::jsonb, '\\x01'::bytea, null, 0, '{}'::text[], '{}'::float8[])
"""


class Claimer:
    """One person on a connection of their own, whose server process's CPU is read around each claim."""

    def __init__(self, site: Site, project: Project, person: User) -> None:
        self.connection = site.connect()
        self.connection.prepare_threshold = 0
        self.project, self.person = project, person
        self.pid = self.connection.info.backend_pid
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def label(self) -> None:
        """Claim the next item (measured) and answer it (not measured)."""
        time.sleep(0.002)  # the process has gone to sleep, and its CPU is counted to the end
        before, started = read_exact_cpu(self.pid), time.perf_counter()
        row = self.connection.execute(LEASE, [self.project.pk, self.person.pk]).fetchone()
        self.wall.append(time.perf_counter() - started)
        time.sleep(0.002)
        self.cpu.append(read_exact_cpu(self.pid) - before)
        assert row is not None
        assert row[0]["leases"], row
        lease = row[0]["leases"][0]
        self.connection.execute(ANSWER, [lease["seat"], lease["generation"], self.person.pk, LABELS])

    def forget(self) -> None:
        """Start the figures anew."""
        self.cpu, self.wall = [], []

    def as_json(self) -> dict[str, Any]:
        return {
            "claims": len(self.cpu),
            "cpu_ms_mean": round(1000 * sum(self.cpu) / len(self.cpu), 3),
            "cpu_ms_median": round(1000 * median(self.cpu), 3),
            "wall_ms": in_ms(self.wall),
        }


def measure_ahead(bench: Bench) -> bool:
    """One person is `--ahead` labels ahead of two colleagues at overlap 3.

    Their claims and a colleague's take turns; then rounds raise priorities, and each time their first claim is timed:
    once of any items that are open, once (the worst case) of items that they have all labelled.
    """
    site, args = bench.site, bench.args
    people = [user for user, _token in make_people(3, f"ahead-{time.time_ns()}")]
    far, near = people[:2]
    say(f"one person labels {args.ahead:,} items ...")
    project = make_project(f"ahead-{time.time_ns()}", people, args.ahead + max(20_000, args.ahead // 5), overlap=3)
    site.settle_down()
    # The same statement as ever, one after the other; only that nobody waits for the disk.
    run_pgbench(site, project.pk, far.pk, 1, transactions=args.ahead + 1, is_durable=False)
    site.settle_down()
    measurement = bench.start("ahead")
    first, second = Claimer(site, project, far), Claimer(site, project, near)
    first.label()
    first_ms = round(1000 * first.wall[0], 2)
    for claimer in (first, second):
        for _ in range(20):
            claimer.label()
        claimer.forget()
    for _ in range(max(20, int(args.seconds * 15))):
        first.label()
        second.label()
    figures: dict[str, Any] = {
        **bench.setting(),
        "ahead": args.ahead,
        "first_claim_ms": first_ms,
        "person_ahead": first.as_json(),
        "fresh_person": second.as_json(),
    }
    ratio = round(sum(first.cpu) / sum(second.cpu), 3)
    figures["ratio"] = ratio
    checks = [Check("claim CPU of the person ahead beside a fresh person's", ratio, "<=", 1.5)]
    for name, labelled_by in [("any open items", None), ("items that the person has labelled", far.pk)]:
        after = _claim_after_rounds(site, project, first, second, labelled_by, is_each_alone=True)
        figures[f"after a round of {name}"] = after
        checks += [
            Check(f"first claim after a round raised {ROUND} of {name}, p95 ms", after["first_ms"]["p95"], "<=", 20.0),
            Check(f"claims after a round of {name}, CPU beside a fresh person's", after["ratio"], "<=", 1.5),
        ]
        figures[f"after up to 20 rounds of {name}"] = _claim_after_rounds(
            site, project, first, second, labelled_by, is_each_alone=False
        )
        _forget_rounds(site, project)
    check_audit()
    return measurement.finish(figures, checks)


HAS_LABEL = """
create or replace function has_label(p_row bigint, p_person bigint) returns boolean language sql stable as $$
  select exists (
    select 1 from annotation_seat s where s.queue_row_id = p_row and s.person_id = p_person and s.state = 2)
$$
"""


def _claim_after_rounds(
    site: Site, project: Project, first: Claimer, second: Claimer, labelled_by: int | None, *, is_each_alone: bool
) -> dict[str, Any]:
    """Raise 1,000 items twenty times, each time before all that was raised earlier; the first claim, and five more.

    `labelled_by`: only items that this person has labelled. `is_each_alone`: what a round raised goes back to where it
    was before the next one; else it stays, as the work of colleagues who are not there.
    """
    from annotation import queue

    chance = Random(1)
    with site.connect() as connection:
        connection.execute(HAS_LABEL)
        rows = connection.execute(
            """
            select q.item_id from annotation_queuerow q where q.project_id = %s and q.kind = 1 and q.state = 0
              and (%s::bigint is null or has_label(q.id, %s))
            """,
            [project.pk, labelled_by, labelled_by],
        ).fetchall()
    first_wall: list[float] = []
    first_cpu: list[float] = []
    later: list[float] = []
    fresh: list[float] = []
    for number in range(1, 21):
        items = [item for (item,) in chance.sample(rows, min(ROUND, len(rows)))]
        queue.set_ranks(
            project_id=project.pk, priorities={item: number + chance.random() for item in items}, draw_id=None
        )
        first.forget()
        first.label()
        first_wall += first.wall
        first_cpu += first.cpu
        second.label()
        second.forget()
        for _ in range(5):
            first.label()
            second.label()
        later += first.cpu[1:]
        fresh += second.cpu
        if is_each_alone:
            _forget_rounds(site, project)
    return {
        "first_ms": in_ms(first_wall),
        "first_cpu_ms": in_ms(first_cpu),
        "later_cpu_ms": in_ms(later),
        "fresh_person_cpu_ms": in_ms(fresh),
        "ratio": round(sum(later) / sum(fresh), 3),
    }


def _forget_rounds(site: Site, project: Project) -> None:
    """Put all priorities back to 0, and take away the marks that say that a place is to be found before any cursor."""
    from annotation import queue
    from annotation.models import QueueRow

    raised = list(QueueRow.objects.filter(project=project, kind=1).exclude(rank=0).values_list("item_id", flat=True))
    for start in range(0, len(raised), ROUND):  # a larger change would also send everybody back to the beginning
        part = raised[start : start + ROUND]
        queue.set_ranks(project_id=project.pk, priorities=dict.fromkeys(part, 0.0), draw_id=None)
    with site.connect() as connection:
        connection.execute(
            """
            update annotation_offer o set returned_by = null from annotation_queuelane l
            where l.id = o.lane_id and l.project_id = %s and o.returned_by is not null
              and (o.rank, o.tiebreak) >= (l.floor_rank, l.floor_tiebreak)
            """,
            [project.pk],
        )
        connection.execute("vacuum annotation_offer")  # what this left behind is not the queue's doing


def measure_open_transaction(bench: Bench) -> bool:
    """A transaction with a snapshot stands open for `--minutes` while `--labels` labels arrive at full speed.

    The rate before it, in the last part of those labels, at the end of its time, and after it.
    """
    args = bench.args
    minutes = args.minutes or 10.0
    project = bench.million()
    measurement = bench.start("open-transaction")
    figures: dict[str, Any] = {**bench.setting(), "items": args.items, "minutes": minutes}
    bench.fleet.run(Plan("pair", project.slug, most=400))

    def slice_now(name: str, seconds: float) -> tuple[float, float]:
        load, cpu = bench.run(Plan("pair", project.slug, seconds=seconds))
        figures[name] = {**load.as_json(), "cpu_ms_per_pair": cpu.per(load.labels)}
        return load.rate, percentile(load.latencies["lease"], 95) or 0.0

    before = slice_now("before", args.seconds)
    with bench.site.connect() as holder:
        holder.execute("set idle_in_transaction_session_timeout = 0")
        holder.autocommit = False
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("select count(*) from annotation_project")
        opened = time.monotonic()
        load, cpu = bench.run(Plan("pair", project.slug, most=args.labels))
        figures["while_labels_arrive"] = {**load.as_json(), "cpu_ms_per_pair": cpu.per(load.labels)}
        last = slice_now("after_these_labels", args.seconds)
        time.sleep(max(0.0, opened + minutes * 60 - args.seconds - time.monotonic()))
        end = slice_now("at_the_end", args.seconds)
        figures["open_for_s"] = round(time.monotonic() - opened)
        holder.rollback()
    slice_now("when_it_is_gone", args.seconds)
    figures["dead_rows"] = _count_dead(bench.site)
    check_audit()
    checks = []
    for name, (rate, p95) in {"after the labels": last, "at the end": end}.items():
        checks += [
            Check(f"rate {name} beside before", round(rate / before[0], 3), ">=", 0.8),
            Check(f"p95 of a claim {name} beside before", round(p95 / before[1], 3), "<=", 2.0),
        ]
    return measurement.finish(figures, checks)


def _count_dead(site: Site) -> dict[str, int]:
    with site.connect() as connection:
        rows = connection.execute(
            "select relname, n_dead_tup from pg_stat_user_tables where n_dead_tup > 100 order by n_dead_tup desc"
        ).fetchall()
    return {str(name): int(dead) for name, dead in rows}
