"""What goes wrong around an installation, each fault on an installation of its own:

broker    the broker goes with all its data for a minute
worker    a worker is stopped past its heartbeat, its job is taken over, and it is woken again
data      the disk with the tables is full
disk      the disk with everything is full, so that PostgreSQL cannot write its log and stops
database  the connection to the database is cut anywhere, also between a COMMIT and its answer
client    whoever sent an answer hangs up before they hear of it
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults import broker, cuts, disk, worker
from benchmarks.faults.outcome import Outcome

FAULTS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "broker": broker.run,
    "worker": worker.run,
    "data": disk.run_data,
    "disk": disk.run_all,
    "database": cuts.run_database,
    "client": cuts.run_client,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `chaos faults`."""
    parser.add_argument("--only", choices=list(FAULTS), action="append", help="these alone; may be given again")
    parser.add_argument("--seconds", type=float, default=60, help="how long the broker is gone")
    parser.add_argument("--full-seconds", type=float, default=20, help="how long the disk is full")
    parser.add_argument("--pauses", type=int, default=3, help="how often the worker is stopped")
    parser.add_argument("--cuts", type=int, default=200, help="how many connections are cut, of each kind")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between a person's requests")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="append each result to this file as a line of JSON")


def run(options: argparse.Namespace) -> int:
    """Do what is wanted; 0 where nothing was lost, doubled or told wrongly, and all healed by itself."""
    n_bad = 0
    for name in options.only or list(FAULTS):
        print(f"{name}:", flush=True)
        began = time.monotonic()
        outcome = FAULTS[name](options)
        end = "as promised" if not outcome.faults else "BROKEN"
        load = os.getloadavg()[0]
        print(f"{name}: {end}, after {time.monotonic() - began:.0f} s; load average {load:.1f}\n", flush=True)
        n_bad += bool(outcome.faults)
        if options.out:
            with options.out.open("a") as out:
                record = {"chaos": "faults", "fault": name, "facts": outcome.facts, "wrong": outcome.faults}
                out.write(json.dumps(record, default=str) + "\n")
    return 1 if n_bad else 0
