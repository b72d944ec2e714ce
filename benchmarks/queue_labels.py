"""What a label costs: lease and submit as two requests or as one, at two sizes of the queue, beside the bare
transaction, and at people's pace.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from benchmarks.bare_transactions import run_pgbench
from benchmarks.clients import Fleet, Load, Plan
from benchmarks.installation import FLUSH_SECONDS, Site, check_audit, make_people, make_project
from benchmarks.measuring import Check, Cpu, Measurement, in_ms, say
from benchmarks.row_counts import Counts, read_counts

if TYPE_CHECKING:
    from annotation.models import Project, User

N_CLIENTS = 20
MILLION = "million"


class Bench:
    """One installation, its twenty annotators and their clients, shared by the measurements of one run."""

    def __init__(self, site: Site, args: argparse.Namespace) -> None:
        self.site = site
        self.args = args
        people = make_people(N_CLIENTS)
        self.people: list[User] = [user for user, _token in people]
        self.fleet = Fleet(site.port, [token for _user, token in people], args.processes)
        self.ceiling = self.fleet.measure_ceiling()
        self._million: Project | None = None

    def million(self) -> Project:
        """The project with `--items` items at overlap 1, filled on first use."""
        if self._million is None:
            say(f"filling a project with {self.args.items:,} items ...")
            self._million = make_project(f"{MILLION}-{self.args.items}", self.people, self.args.items)
            left = count_offers(self._million)
            assert left > self.args.items / 2, f"only {left:,} items are left in this home: take another one"
            self.site.settle_down()
        return self._million

    def project(self, name: str, items: int, overlap: int = 1) -> Project:
        """A new small project."""
        slug = f"{name}-{time.time_ns()}"
        project = make_project(slug, self.people, items, overlap)
        self.site.settle_down()
        return project

    def start(self, name: str) -> Measurement:
        return Measurement(name, self.args.out)

    def run(self, plan: Plan) -> tuple[Load, Cpu]:
        """Carry out a plan, and what it cost the server."""
        before = self.site.parts.read_cpu()
        load = self.fleet.run(plan)
        return load, self.site.parts.read_cpu() - before

    def setting(self) -> dict[str, Any]:
        """What every result says of the run."""
        return {
            "clients": N_CLIENTS,
            "client_processes": self.args.processes,
            "ceiling": self.ceiling,
            "server": self.site.server,
        }


def count_offers(project: Project) -> int:
    """How many items of a project have a free place."""
    from annotation.models import Offer

    return Offer.objects.filter(lane__project=project).count()


def _sum(parts: list[tuple[Load, Cpu]]) -> tuple[Load, Cpu]:
    """Several runs of one kind as one."""
    load, cpu = Load(), Cpu()
    for part, spent in parts:
        load.add(part)
        load.seconds += part.seconds
        cpu += spent
    return load, cpu


def measure_pair(bench: Bench) -> bool:
    """Lease and submit as two requests at `--items` items and at 10,000, taking turns.

    A turn ends after a number of labels, so that the small queue is never near its end; each of its turns has a queue
    of its own.
    """
    million = bench.million()
    n_turns = bench.args.turns
    per_turn = min(4000, max(200, int(bench.args.seconds * 150)))
    small = [bench.project("small", 10_000) for _ in range(n_turns)]
    measurement = bench.start("pair")
    for project in [million, small[0]]:  # the first requests open connections and read settings
        bench.run(Plan("pair", project.slug, most=200))
    runs: dict[str, list[tuple[Load, Cpu]]] = {"million": [], "small": []}
    for turn in range(n_turns):
        runs["million"].append(bench.run(Plan("pair", million.slug, most=per_turn)))
        runs["small"].append(bench.run(Plan("pair", small[turn].slug, most=per_turn)))
    figures: dict[str, Any] = {**bench.setting(), "turns": n_turns, "items": bench.args.items}
    totals = {}
    for name, parts in runs.items():
        load, cpu = _sum(parts)
        totals[name] = cpu.per(load.labels)["total"]
        turns = [spent.per(part.labels)["total"] for part, spent in parts]
        figures[name] = {**load.as_json(), "cpu_ms_per_pair": cpu.per(load.labels), "cpu_ms_by_turn": turns}
    figures["ratio"] = round(totals["million"] / totals["small"], 3)
    return measurement.finish(
        figures,
        [
            Check("CPU of web and PostgreSQL per pair, ms", totals["million"], "<=", 4.0),
            Check("CPU per pair beside that at 10,000 items", figures["ratio"], "<=", 1.2),
        ],
    )


def measure_next(bench: Bench) -> bool:
    """Submit with `lease_next` at overlap 1 and 3: CPU, row writes and commits, HOT updates, and pgbench's rate."""
    holds = True
    for overlap in (1, 3):
        holds &= _measure_next(bench, overlap)
    check_audit()
    return holds


def _measure_next(bench: Bench, overlap: int) -> bool:
    n_turns, seconds = bench.args.turns, bench.args.seconds
    # Enough for both, at more than any rate reached so far.
    items = int(3000 * seconds * n_turns * 2 / overlap) + 20_000
    project = bench.million() if overlap == 1 and bench.args.items >= items else bench.project("next", items, overlap)
    bare_people = make_people(N_CLIENTS, "bare")
    first = bare_people[0][0].pk
    assert [user.pk for user, _token in bare_people] == list(range(first, first + N_CLIENTS)), "ids with gaps"
    measurement = bench.start(f"next, overlap {overlap}")
    bench.run(Plan("next", project.slug, most=400))
    run_pgbench(bench.site, project.pk, first, N_CLIENTS, seconds=1)
    web: list[tuple[Load, Cpu]] = []
    bare, counts, shares = [], Counts(), []
    for _ in range(n_turns):
        time.sleep(FLUSH_SECONDS)
        before = read_counts(bench.site)
        web.append(bench.run(Plan("next", project.slug, seconds=seconds)))
        time.sleep(FLUSH_SECONDS)
        counts += read_counts(bench.site) - before
        bare.append(run_pgbench(bench.site, project.pk, first, N_CLIENTS, seconds=seconds))
        shares.append(round(web[-1][0].rate / bare[-1].rate, 3))
    load, cpu = _sum(web)
    per = cpu.per(load.labels)
    bare_rate = sum(one.transactions for one in bare) / sum(one.transactions / one.rate for one in bare)
    bare_cpu = sum(one.cpu.backends + one.cpu.background for one in bare)
    settled = load.settled / max(1, load.labels)
    writes = counts.writes_per(load.labels)
    hot = counts.hot_share("annotation_queuerow")
    share = round(load.rate / bare_rate, 3)
    figures = {
        **bench.setting(),
        "overlap": overlap,
        "items": items,
        "turns": n_turns,
        "web": {**load.as_json(), "cpu_ms_per_request": per},
        "settled_share": round(settled, 3),
        "row_writes_per_request": writes,
        "row_writes_by_table": counts.by_table(load.labels),
        "writing_transactions_per_request": round(counts.writing / max(1, load.labels), 3),
        "transactions_per_request": round(counts.transactions / max(1, load.labels), 3),
        "hot_share": {
            "annotation_queuerow": hot,
            "annotation_seat": counts.hot_share("annotation_seat"),
        },
        "wal_bytes_per_request": round(counts.wal / max(1, load.labels)),
        "pgbench": {
            "per_second": round(bare_rate, 1),
            "cpu_ms_per_transaction": round(1000 * bare_cpu / max(1, sum(one.transactions for one in bare)), 3),
        },
        "share_of_pgbench": share,
        "share_by_turn": shares,
    }
    return measurement.finish(
        figures,
        [
            Check("CPU of web and PostgreSQL per submit with lease_next, ms", per["total"], "<=", 3.0),
            Check("row writes per request (7, and 1 more where it settles)", writes, "<=", round(7.1 + settled, 2)),
            Check("transactions that write, per request", figures["writing_transactions_per_request"], "<=", 1.1),
            Check("rate as a share of pgbench's", share, ">=", 0.5),
            Check("HOT share of updates of the queue row", hot, ">=", 0.95),
        ],
    )


def measure_think(bench: Bench) -> bool:
    """Twenty annotators who think two seconds over each of a million items, by both ways of asking for the next one."""
    project = bench.million()
    measurement = bench.start("think")
    figures: dict[str, Any] = {**bench.setting(), "items": bench.args.items, "think_s": 2.0}
    half = 30 * (bench.args.minutes or 2.0)
    one = bench.fleet.run(Plan("next", project.slug, seconds=half, think=2.0))
    two = bench.fleet.run(Plan("pair", project.slug, seconds=half, think=2.0))
    figures["submit_with_lease_next"] = one.as_json()
    figures["lease_and_submit"] = two.as_json()
    p95 = {
        "submit that brings the next item": in_ms(one.latencies["submit"])["p95"],
        "lease": in_ms(two.latencies["lease"])["p95"],
    }
    return measurement.finish(figures, [Check(f"{what}, p95 ms", value, "<=", 50.0) for what, value in p95.items()])
