"""Labelling while annotators' skills are found out anew: what people notice of a fit, and of its verdicts.

    python -m benchmarks.refit_latency                       # 20 minutes, half of them to fill the installation
    python -m benchmarks.refit_latency --home /tmp/refit     # keeps it for the next run
    python -m benchmarks.refit_latency --items 200000 --open 5000 --seconds 10 --turns 1     # while developing

A project under the posterior rule, with three labels on each of a million items, and behind these some that people
label now; every second one of those has two answers already. Twenty annotators over HTTP, each thinking 0.2 to 0.5 s
over an item, so that the machine is not saturated. In each turn they label for a while without anything else, through a
fit, and without it again; what counts is the ratio within the turn, and of the turns the middle one, because other work
on the machine comes and goes. A fit is asked for as an owner asks for it, and done by the installation's
worker. Its two parts are told apart: labels are read, the annotators' skills found and the items looked up of which
something else is accepted (`fit`); then these are settled anew, batch by batch (`verdicts`). That is nearly all of
them, as nothing has been accepted yet: a turn ends after `--seconds` of it, by failing the job.
"""

from __future__ import annotations

import argparse
import sys
import time
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.answers import label_by_skill
from benchmarks.clients import Fleet, Load, Plan
from benchmarks.installation import Site, add_options, make_people, make_project, open_site
from benchmarks.measuring import Check, Measurement, in_ms, median, say

if TYPE_CHECKING:
    from annotation.models import Job, Project

SLUG, N_PEOPLE, N_CLIENTS, OVERLAP = "refit", 40, 20, 3
THINK = 0.35  # uniform from half to one and a half of it
STRETCH, HERD = 10.0, 1.0  # seconds of one plan of the clients, and of its start, when all ask at once
KINDS = ("lease", "submit")
PERCENTILES = ("p50", "p95", "p99")
TARGET = 1.5


def fill(args: argparse.Namespace) -> Project:
    """The project; what is there already is taken as it is."""
    from annotation.models import Item, Label

    people = [user for user, _token in make_people(N_PEOPLE)]
    rule = {"kind": "posterior", "threshold": 0.95, "method": "dawid_skene"}
    settings: dict[str, Any] = {"overlap": {"min": 2, "max": OVERLAP}, "rule": rule}
    project = make_project(SLUG, people, args.items + args.open, **settings)
    if Label.objects.filter(project=project).exists():
        return project
    ids = list(Item.objects.filter(project=project).order_by("pk").values_list("pk", flat=True))
    known = [user.pk for user in people]
    begun = set(ids[:: max(1, len(ids) // args.open)][: args.open])
    seconds = label_by_skill(project, known, [pk for pk in ids if pk not in begun], OVERLAP, has_events=False)
    seconds += label_by_skill(project, known, sorted(begun)[::2], OVERLAP, 2, has_events=False)
    say(f"labels written in {seconds:.0f} s")
    return project


def start(project: Project) -> Job:
    """Ask for a fit, and wait until the worker has begun."""
    from reviewers.actions.consensus import start_fit

    job = start_fit(project=project, actor=None)
    while job.state == "queued":
        time.sleep(0.05)
        job.refresh_from_db()
    return job


def part_of(job: Job) -> str:
    """What the job is at: "fit", "verdicts", or "over"."""
    job.refresh_from_db()
    if job.state != "running":
        assert job.state == "done", (job.state, job.error)
        return "over"
    return "fit" if job.total is None else "verdicts"


def stop(job: Job) -> None:
    """End the job where it is; a batch that is under way is not stored."""
    from annotation.actions.jobs import fail_job

    if part_of(job) != "over":
        fail_job(job_id=job.pk, attempt=job.attempt, error="The benchmark has seen enough of it.")


class Seen:
    """What clients saw: seconds of each request by part and kind, and what was refused."""

    def __init__(self) -> None:
        self.times: dict[str, dict[str, list[float]]] = {
            part: {kind: [] for kind in KINDS} for part in ("calm", "fit", "verdicts")
        }
        self.errors: Counter[str] = Counter()

    def add(self, load: Load, parts: Sequence[tuple[float, str]]) -> None:
        """Take a stretch, by the parts that began at these moments. At its start all ask at once; that is left out."""
        moments = [moment for moment, _part in parts]
        for kind in KINDS:
            ended = load.ended.get(kind, ())
            for moment, seconds in zip(ended, load.latencies.get(kind, ()), strict=True):
                if moment > load.started + HERD:
                    part = parts[max(0, bisect(moments, moment) - 1)][1]
                    if part in self.times:
                        self.times[part][kind].append(seconds)
        self.errors.update(load.errors)


def label_alone(fleet: Fleet, seconds: float, seen: Seen) -> None:
    """Label without a fit."""
    load = fleet.run(Plan("pair", SLUG, seconds=seconds, think=THINK))
    seen.add(load, [(load.started, "calm")])


def measure_turn(fleet: Fleet, job: Job, seconds: float, seen: Seen) -> dict[str, float]:
    """Label until `seconds` of the verdicts are over; how long the fit took, and how many items were settled."""
    plan = Plan("pair", SLUG, seconds=STRETCH, think=THINK)
    parts = [(time.monotonic(), part_of(job))]
    while parts[-1][1] == "fit" or (parts[-1][1] == "verdicts" and time.monotonic() < parts[-1][0] + seconds):
        fleet.start(plan)
        over = time.monotonic() + STRETCH
        while time.monotonic() < over:
            if (part := part_of(job)) != parts[-1][1]:
                parts.append((time.monotonic(), part))
            time.sleep(0.1)
        seen.add(fleet.collect(), parts)
    told = {"fit_s": round(parts[1][0] - parts[0][0], 1), "settled": job.done}
    stop(job)
    return told


def measure(site: Site, args: argparse.Namespace) -> bool:
    """Turns without and with a fit."""
    from annotation.actions.projects import set_member
    from annotation.models import Label, User

    project = fill(args)
    owner = User.objects.get(username="owner")
    # New people each time: the keys of the clients are those of the run before.
    workers = make_people(N_CLIENTS, f"at-{time.time_ns()}")
    for user, _token in workers:
        set_member(project=project, user=user, role="annotator", actor=owner)
    site.settle_down()
    first = start(project)  # so that the turns without one have something to weigh by, and no other fit is due
    while part_of(first) == "fit":
        time.sleep(0.2)
    stop(first)
    fleet = Fleet(site.port, [token for _user, token in workers])
    seen: list[Seen] = []
    turns = []
    try:
        fleet.run(Plan("pair", SLUG, seconds=5, think=THINK))
        site.settle_down()
        measurement = Measurement("refit_latency", args.out)
        for turn in range(args.turns):
            say(f"turn {turn + 1} of {args.turns}")
            seen.append(Seen())
            label_alone(fleet, args.seconds / 2, seen[-1])
            turns.append(measure_turn(fleet, start(project), args.seconds, seen[-1]))
            label_alone(fleet, args.seconds / 2, seen[-1])
    finally:
        fleet.end()
    by_turn = [
        {part: {kind: in_ms(times) for kind, times in kinds.items()} for part, kinds in one.times.items()}
        for one in seen
    ]
    found = {
        part: {
            kind: {p: [round(ms[part][kind][p] / ms["calm"][kind][p], 2) for ms in by_turn] for p in PERCENTILES}
            for kind in KINDS
            if all(ms[part][kind]["n"] for ms in by_turn)  # of a small project the fit is over at once
        }
        for part in ("fit", "verdicts")
    }
    ratios = {
        part: {kind: {p: median(turns) for p, turns in one.items()} for kind, one in kinds.items()}
        for part, kinds in found.items()
    }
    errors = sum((one.errors for one in seen), Counter[str]())
    figures = {
        **site.server,
        "items": args.items,
        "open": args.open,
        "labels": Label.objects.filter(project=project).count(),
        "clients": N_CLIENTS,
        "turns": turns,
        "ms": by_turn,
        "ratios_by_turn": found,
        "ratios": ratios,
        "errors": dict(errors),
    }
    checks = [
        Check(f"{part}: p95 of a {kind} beside that without", one["p95"], "<=", TARGET)
        for part, kinds in ratios.items()
        for kind, one in kinds.items()
    ]
    checks.append(Check("requests that were refused", float(errors.total()), "<=", 0.0))
    return measurement.finish(figures, checks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000, help="with three labels each")
    parser.add_argument("--open", type=int, default=100_000, help="items that people label now")
    parser.add_argument("--seconds", type=float, default=30.0, help="of a turn without a fit, and of verdicts")
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    with open_site(args) as site:
        return 0 if measure(site, args) else 1


if __name__ == "__main__":
    sys.exit(main())
