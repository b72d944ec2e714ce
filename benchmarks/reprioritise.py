"""Raising a batch of 1,000 among a million items while people label: how long it takes, and what they notice of it.

    python -m benchmarks.reprioritise
    python -m benchmarks.reprioritise --home /tmp/million --seconds 20 --turns 2   # on what a run before has filled

Twenty annotators over HTTP, each thinking 0.2 to 0.5 s over an item, so that the machine is not saturated. Turns
without anything else and turns in which a round puts a new batch in the place of the one before every two seconds
follow each other; what counts is their ratio. The batch is raised as a round raises it, by `raise_batch`, with the
whole pool as the frame that it was chosen from. One more annotator asks for an item right after each batch.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.clients import Fleet, Load, Plan
from benchmarks.installation import Site, add_options, check_audit, make_people, open_site
from benchmarks.measuring import Check, Measurement, in_ms, say

if TYPE_CHECKING:
    from annotation.models import Project

BATCH = 1000
THINK = 0.35  # uniform from half to one and a half of it
EVERY = 2.0
KINDS = ("lease", "submit")


class Asker:
    """An annotator who asks for an item and gives it back."""

    def __init__(self, port: int, project: Project, token: str) -> None:
        self.port = port
        self.project = project
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def _send(self, method: str, path: str, body: str | None = None) -> tuple[float, Any]:
        # A connection each time: between two batches the server may close one that is kept.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        started = time.perf_counter()
        connection.request(method, f"/api/v1/{path}", body, self.headers)
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - started
        connection.close()
        assert answer.status < 300, (path, answer.status, text[:300])
        return seconds, json.loads(text) if text else None

    def ask(self) -> float:
        """Seconds from asking to having an item."""
        seconds, found = self._send("POST", f"projects/{self.project.slug}/leases", '{"n": 1}')
        self._send("DELETE", f"leases/{found['leases'][0]['id']}")
        return seconds


def raise_in_turn(
    project: Project, seconds: float, frame: list[int], chance: random.Random, asker: Asker
) -> tuple[list[float], list[float]]:
    """Raise a batch every two seconds; how long each took, and the claim after it."""
    from benchmarks.million import raise_items

    raised, asked = [], []
    over = time.monotonic() + seconds
    while (began := time.monotonic()) < over:
        picks = chance.sample(frame, BATCH)
        started = time.perf_counter()
        raise_items(project, picks, frame)
        raised.append(time.perf_counter() - started)
        asked.append(asker.ask())
        time.sleep(max(0.0, began + EVERY - time.monotonic()))
    return raised, asked


def measure(site: Site, args: argparse.Namespace) -> bool:
    """Turns without and with new batches."""
    from annotation.actions.projects import set_member
    from benchmarks.million import fill
    from learning.loading import load_pool

    project, people = fill(args.items)
    # New people each time: the keys of the clients are those of the run before.
    workers = make_people(21, f"at-{time.time_ns()}")
    for user, _token in workers:
        set_member(project=project, user=user, role="annotator", actor=people[0][0])
    chance = random.Random(5)
    pool = load_pool(project)
    frame = pool.items[pool.has_place].tolist()
    asker = Asker(site.port, project, workers[0][1])
    fleet = Fleet(site.port, [token for _user, token in workers[1:]])
    plan = Plan("pair", project.slug, seconds=args.seconds, think=THINK)
    calm, busy = Load(), Load()
    raised: list[float] = []
    first: list[float] = []
    try:
        fleet.run(Plan("pair", project.slug, seconds=5, think=THINK))
        raise_in_turn(project, 1, frame, chance, asker)
        asker.ask()
        site.settle_down()
        measurement = Measurement("reprioritise", args.out)
        for turn in range(args.turns):
            say(f"turn {turn + 1} of {args.turns}")
            calm.add(fleet.run(plan))
            fleet.start(plan)
            times, asked = raise_in_turn(project, args.seconds, frame, chance, asker)
            raised += times
            first += asked
            busy.add(fleet.collect())
    finally:
        fleet.end()
    before, after = ({kind: in_ms(load.latencies[kind]) for kind in KINDS} for load in (calm, busy))
    ratios = {kind: round(after[kind]["p95"] / before[kind]["p95"], 2) for kind in KINDS}
    figures = {
        **site.server,
        "items": args.items,
        "frame": len(frame),
        "raise_batch": in_ms(raised),
        "first_claim_after_it": in_ms(first),
        "without": calm.as_json(),
        "with": busy.as_json(),
        "ratio_of_p95": ratios,
    }
    checks = [
        Check(f"raising {BATCH}, the longest, ms", in_ms(raised)["max"], "<=", 1000.0),
        Check("first claim after it, p95 ms", in_ms(first)["p95"], "<=", 20.0),
        *(Check(f"p95 of a {kind} beside that without", ratios[kind], "<=", 1.5) for kind in KINDS),
        Check("answers that were refused or lost", float(sum(busy.errors.values())), "<=", 0.0),
    ]
    fine = measurement.finish(figures, checks)
    check_audit()
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of one turn")
    parser.add_argument("--turns", type=int, default=4, help="without and with new batches, each")
    args = parser.parse_args()
    with open_site(args) as site:
        fine = measure(site, args)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
