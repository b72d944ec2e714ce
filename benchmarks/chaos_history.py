"""The queue over HTTP under everything at once, every call written down, and the history checked afterwards.

    python -m benchmarks.chaos history --seeds 10 --operations 20000 --clients 32

Starts an installation of its own (`touchstone up` in a temporary home). For each seed many small projects are worked
on, a few at a time, by half as many people as there are clients: leases, answers, repeats, other bodies under a used
key, late answers (leases run out in seconds), renewals, skips, returns, undos; and around them changed overlaps, people
taken out and put back, raised priorities, quarantines and decisions. Some calls are cut off; they are repeated with the
same key until they are answered. Then what is left is answered, everybody asks once more in the quiet, the rows are
read, and `benchmarks.history.check` and `touchstone audit` say what is wrong. Exit status 1 where anything is.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.history import check
from benchmarks.history.record import (
    FinalRows,
    Operation,
    ProjectSettings,
    Settings,
    StoredAnnotation,
    StoredRow,
    StoredSeat,
    Violation,
    count_outcomes,
    count_resolved,
)
from benchmarks.history_clients import Client, Plan, ProjectPlan, run_clients
from benchmarks.installation import Site, add_server_options
from config.home import ROOT
from tests.installation import TOUCHSTONE, make_environment

LEASE_SECONDS = 2
ITEMS = 40
OPERATIONS_PER_PROJECT = 400  # so many calls use up a project of this size
MOST_CLOCK_DRIFT = 0.01  # seconds: how far the wall clock may move against the steady one before a history is void


@dataclass(frozen=True)
class Shape:
    """A kind of project. `n_people`: how many of the people work there; 0: all of them."""

    overlap: tuple[int, int]
    n_people: int = 0
    other_overlaps: tuple[int, ...] = ()
    holdout_share: float = 0.0
    skips_to_dispute: int = 3

    @property
    def settings(self) -> dict[str, Any]:
        """As the API takes them."""
        return {
            "overlap": {"min": self.overlap[0], "max": self.overlap[1]},
            "lease_seconds": LEASE_SECONDS,
            "skips_to_dispute": self.skips_to_dispute,
            "learning": {"holdout_share": self.holdout_share, "every": None},
        }


# Where everybody works, places are scarce; where four people do, what is left is often done by oneself.
SHAPES = (
    Shape((1, 1)),
    Shape((3, 3), n_people=4),
    Shape((2, 2), holdout_share=0.3, skips_to_dispute=2),
    Shape((1, 3), n_people=4, holdout_share=0.3),
    Shape((2, 2), other_overlaps=(1, 2, 3), holdout_share=0.3),
    Shape((2, 2), n_people=3),
)

# Makes people and projects, and prints their tokens. Arguments: prefix, people, projects as JSON, items.
SETUP = """
import json, sys
import django
django.setup()
from annotation.actions.people import create_token, create_user
from annotation.actions.projects import create_project, set_member
from tests.cast import CHOICE_SCHEMA, import_rows
prefix, n_people, projects, n_items = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
def make_person(name):
    user = create_user(username=name)
    return user, create_token(user=user, scopes=None, actor=user)[1]
owner, owner_token = make_person(f"{prefix}-owner")
people = [make_person(f"{prefix}-{n}") for n in range(n_people)]
for slug, (settings, team) in projects.items():
    project = create_project(slug=slug, name=slug, schema=CHOICE_SCHEMA, settings=settings, owner=owner)
    import_rows(project, [{"external_id": f"t-{i}", "text": f"text {i}"} for i in range(n_items)])
    for user in [user for user, _ in people if user.username in team]:
        set_member(project=project, user=user, role="annotator", actor=owner)
print(json.dumps({"owner": owner_token, "people": [[user.username, token] for user, token in people]}))
"""

READ_ITEMS = """
    select p.slug, i.id::text, i.external_id from annotation_item i join annotation_project p on p.id = i.project_id
    where p.slug like %s order by p.id, i.id"""
READ_ANNOTATIONS = """
    select a.id::text, u.username, p.slug, a.item_id::text, a.seat_id || '-' || a.lease_generation, a.key,
      (select c ->> 'value' from jsonb_array_elements(s.compiled -> 'questions' -> 0 -> 'choices') c
        where (c ->> 'id')::int = l.choice),
      coalesce(e.n, 0)
    from annotation_annotation a join annotation_user u on u.id = a.person_id
    join annotation_project p on p.id = a.project_id join annotation_labelschema s on s.id = a.schema_id
    left join annotation_label l on l.annotation_id = a.id
    left join (select ref_id, count(*) as n from annotation_event where kind = 'annotation.undone' group by ref_id) e
      on e.ref_id = a.id
    where p.slug like %s"""
READ_SEATS = """
    select s.id::text, u.username, p.slug, s.item_id::text, s.state, s.generation,
      extract(epoch from s.expires_at)::float8, coalesce(s.annotation_id::text, '')
    from annotation_seat s join annotation_user u on u.id = s.person_id join annotation_project p on p.id = s.project_id
    where p.slug like %s and s.kind = 1"""
READ_ROWS = """
    select p.slug, q.item_id::text, q.overlap, coalesce(o.n_free, 0), q.n_submitted, q.is_closed
    from annotation_queuerow q join annotation_project p on p.id = q.project_id
    left join annotation_offer o on o.queue_row_id = q.id where p.slug like %s and q.kind = 1"""
COUNT_JOBS = "select count(*) from annotation_job where state in ('queued', 'running')"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `history`."""
    parser.add_argument("--seeds", type=int, default=10, help="how many histories")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--operations", type=int, default=20_000, help="calls in each history, before the rest is done")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--processes", type=int, default=4, help="that the clients are spread over")
    add_server_options(parser)
    parser.add_argument("--keep", type=Path, help="write each history with violations into this folder, as JSON lines")


def run(options: argparse.Namespace) -> int:
    """Run the histories and print what they show; 1 where anything is wrong."""
    home = Path(tempfile.mkdtemp(prefix="touchstone-history-"))
    try:
        site = Site(home, options.web_workers, options.web_threads)
        try:
            n_wrong = 0
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                found = run_seed(site, seed, options.operations, options.clients, options.processes)
                report(found)
                n_wrong += found.is_wrong
                if options.keep and found.violations:
                    write_history(options.keep / f"seed-{seed}.jsonl", found.history)
            print(f"{options.seeds} histories, {n_wrong} with violations")
            return 1 if n_wrong else 0
        finally:
            site.end()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run_python(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the installation's settings."""
    environment = make_environment(site.home, site.port)
    return subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def make_plan(site: Site, seed: int, operations: int, clients: int) -> tuple[Plan, Settings]:
    """Make the projects and people of one history."""
    prefix = f"h{seed}"
    n_projects = max(len(SHAPES), operations // OPERATIONS_PER_PROJECT)
    n_people = max(2, clients // 2)
    names = [f"{prefix}-{n}" for n in range(n_people)]
    rng = Random(seed)
    shapes = {f"{prefix}-p{n}": SHAPES[n % len(SHAPES)] for n in range(n_projects)}
    teams = {
        slug: tuple(rng.sample(names, min(shape.n_people or n_people, n_people))) for slug, shape in shapes.items()
    }
    wanted = {slug: [shape.settings, teams[slug]] for slug, shape in shapes.items()}
    made = run_python(site, sys.executable, "-c", SETUP, prefix, str(n_people), json.dumps(wanted), str(ITEMS))
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    items: dict[str, dict[str, str]] = {slug: {} for slug in shapes}
    with site.connect() as connection:
        for slug, item, external_id in connection.execute(READ_ITEMS, [f"{prefix}-%"]).fetchall():
            items[slug][item] = external_id
    plan = Plan(
        port=site.port,
        seed=seed,
        projects=tuple(
            ProjectPlan(slug, items[slug], teams[slug], shape.other_overlaps) for slug, shape in shapes.items()
        ),
        people=tuple((name, token) for name, token in told["people"]),
        owner_token=told["owner"],
        operations=operations // clients,
        clients=clients,
    )
    settings = Settings(
        {
            slug: ProjectSettings(
                items=frozenset(items[slug]),
                overlap=shape.overlap,
                lease_seconds=LEASE_SECONDS,
                skips_to_dispute=shape.skips_to_dispute,
            )
            for slug, shape in shapes.items()
        }
    )
    return plan, settings


def wait_for_jobs(site: Site, seconds: float = 120.0) -> None:
    """Wait until the worker has nothing more to do."""
    deadline = time.monotonic() + seconds
    with site.connect() as connection:
        while (row := connection.execute(COUNT_JOBS).fetchone()) and row[0]:
            assert time.monotonic() < deadline, f"{row[0]} jobs are not done"
            time.sleep(0.1)


def read_rows(site: Site, seed: int) -> FinalRows:
    """Everything that is stored about the projects of one history."""
    like = [f"h{seed}-%"]
    with site.connect() as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        return FinalRows(
            annotations=[StoredAnnotation(*row) for row in connection.execute(READ_ANNOTATIONS, like).fetchall()],
            seats=[StoredSeat(*row) for row in connection.execute(READ_SEATS, like).fetchall()],
            rows=[StoredRow(*row) for row in connection.execute(READ_ROWS, like).fetchall()],
        )


def read_items(plan: Plan) -> dict[str, int]:
    """How many answers the API's list of items tells of, by item."""
    shown: dict[str, int] = {}
    for project in plan.projects:
        connection = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=30)
        path = f"/api/v1/projects/{project.slug}/items?limit=500"
        connection.request("GET", path, headers={"Authorization": f"Bearer {plan.owner_token}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        shown |= {row["id"]: row["n_annotations"] for row in json.load(answer)["results"]}
        connection.close()
    return shown


def audit(site: Site) -> str:
    """What `touchstone audit` finds wrong; empty: nothing."""
    audited = run_python(site, *TOUCHSTONE, "audit")
    return "" if audited.returncode == 0 else audited.stdout + audited.stderr


@dataclass(frozen=True)
class Found:
    """What one seed showed. Seconds: of the mixture, of the rest, of the check."""

    seed: int
    history: list[Operation]
    n_mixed: int
    violations: list[Violation]
    audit: str
    clock_drift: float
    seconds: tuple[float, float, float]

    @property
    def is_wrong(self) -> bool:
        return bool(self.violations or self.audit or self.clock_drift > MOST_CLOCK_DRIFT)


def run_seed(site: Site, seed: int, operations: int, clients: int, processes: int, late_seconds: float = 5.0) -> Found:
    """Make one history and check it. `late_seconds`: how long to wait for what was cut off to be over."""
    plan, settings = make_plan(site, seed, operations, clients)
    settings = replace(settings, late_seconds=late_seconds)
    clock = time.time() - time.monotonic()
    started = time.monotonic()
    mixed = run_phase(plan, "run", clients, 0, processes)
    mixed_at = time.monotonic()
    wait_for_jobs(site)
    time.sleep(LEASE_SECONDS + 0.5)
    history = [*mixed, *run_phase(plan, "drain", len(plan.people), 1000, processes)]
    time.sleep(late_seconds)
    history += ask_once_more(plan, 2000)
    stored = read_rows(site, seed)
    shown = read_items(plan)
    drift = abs(time.time() - time.monotonic() - clock)
    final = replace(stored, rows=[replace(row, n_shown=shown.get(row.item)) for row in stored.rows])
    broken = audit(site)
    rest_at = time.monotonic()
    violations = check(history, final, settings)
    seconds = (mixed_at - started, rest_at - mixed_at, time.monotonic() - rest_at)
    return Found(seed, history, len(mixed), violations, broken, drift, seconds)


def run_phase(plan: Plan, phase: str, clients: int, first: int, processes: int) -> list[Operation]:
    """Run clients numbered from `first`, spread over processes, and return all that they did."""
    if processes == 1:
        return run_clients(plan, list(range(first, first + clients)), phase)
    numbers = [list(range(first + n, first + clients, processes)) for n in range(min(processes, clients))]
    with ProcessPoolExecutor(len(numbers), mp_context=multiprocessing.get_context("spawn")) as pool:
        done = pool.map(run_clients, [plan] * len(numbers), numbers, [phase] * len(numbers))
        return [operation for history in done for operation in history]


def ask_once_more(plan: Plan, first: int) -> list[Operation]:
    """Let everybody ask for one lease in each project, one after the other; twice, as the first may still find some."""
    people = [Client(plan, first + number) for number in range(len(plan.people))]
    for _ in range(2):
        for person in people:
            for project in person.projects:
                person.ask(project.slug)
    for person in people:
        person.close()
    return [operation for person in people for operation in person.history]


def report(found: Found) -> None:
    """Print what a seed showed."""
    mixed, rest, checked = found.seconds
    n_unknown, n_resolved = count_resolved(found.history)
    print(f"seed {found.seed}: {found.n_mixed} calls in {mixed:.1f} s ({found.n_mixed / mixed:.0f}/s),", end=" ")
    print(f"{len(found.history) - found.n_mixed} at the end in {rest:.1f} s, checked in {checked:.1f} s")
    for kind, outcomes in count_outcomes(found.history).items():
        codes = Counter(
            o.answer.code or o.answer.reason or ("replay" if o.answer.is_replay else "")
            for o in found.history
            if o.kind == kind
        )
        told = ", ".join(f"{code} {n}" for code, n in sorted(codes.items()) if code)
        line = "  ".join(f"{outcome} {outcomes[outcome]:6}" for outcome in ("ok", "fail", "unknown"))
        print(f"  {kind:14} {line}  {told}")
    print(f"  answers that were cut off: {n_unknown}, told in the end by a repeat: {n_resolved}")
    if found.clock_drift > MOST_CLOCK_DRIFT:
        print(f"  VOID: the wall clock moved by {found.clock_drift:.3f} s meanwhile")
    print(f"  audit: {found.audit or 'all holds'}")
    print(f"  violations: {len(found.violations)}")
    by_number = {operation.number: operation for operation in found.history}
    for violation in found.violations[:20]:
        print(f"    {violation}")
        for number in violation.operations[:6]:
            print(f"      {by_number[number]}")
    sys.stdout.flush()


def write_history(path: Path, history: Sequence[Operation]) -> None:
    """Write a history down, one operation a line."""
    from dataclasses import asdict

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(operation)) + "\n" for operation in history))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
