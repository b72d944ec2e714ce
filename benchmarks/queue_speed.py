"""How fast the queue is: each figure of the queue in `docs/performance.md`, measured on an installation of its own.

    .venv/bin/python -m benchmarks.queue_speed pair next think             # some of them, one after the other
    .venv/bin/python -m benchmarks.queue_speed all --out figures.jsonl     # all but an hour of `steady`
    .venv/bin/python -m benchmarks.queue_speed pair --items 20000 --seconds 3 --turns 2   # while developing

| | |
|---|---|
| pair | lease and submit as two requests, at a million items and at 10,000 in turns: CPU, rate, latency |
| next | submit that brings the next lease, overlap 1 and 3: CPU, row writes, HOT updates, rate beside pgbench |
| ahead | claims of one person 100,000 labels ahead of two colleagues, and after a round raised 1,000 priorities |
| open-transaction | labels while a transaction stands open elsewhere |
| think | twenty annotators who think two seconds |
| steady | fifty labels a second for an hour: sizes of tables and indexes, dead rows, memory |
| statements | where the server's time goes, by function: for development |

Each prints one JSON line; the exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from benchmarks.installation import add_options, open_site
from benchmarks.queue_labels import Bench, measure_next, measure_pair, measure_think
from benchmarks.queue_steady import measure_steady, show_statements
from benchmarks.queue_traps import measure_ahead, measure_open_transaction

MEASUREMENTS: dict[str, Callable[[Bench], bool]] = {
    "pair": measure_pair,
    "next": measure_next,
    "think": measure_think,
    "ahead": measure_ahead,
    "open-transaction": measure_open_transaction,
    "steady": measure_steady,
    "statements": show_statements,
}
ALONE = ("steady", "statements")  # only where asked for by name


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="+", choices=[*MEASUREMENTS, "all"])
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000, help="of the large queue")
    parser.add_argument("--seconds", type=float, default=15.0, help="of one turn")
    parser.add_argument("--turns", type=int, default=4, help="of each of the two things that take turns")
    parser.add_argument("--minutes", type=float, default=None, help="of think, open-transaction, steady")
    parser.add_argument("--ahead", type=int, default=100_000, help="labels that the person of `ahead` is ahead")
    parser.add_argument("--labels", type=int, default=100_000, help="that arrive during `open-transaction`")
    parser.add_argument("--processes", type=int, default=2, help="of the clients")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = read_arguments(argv)
    wanted = [name for name in MEASUREMENTS if name in args.only or ("all" in args.only and name not in ALONE)]
    holds = True
    with open_site(args) as site:
        bench = Bench(site, args)
        try:
            for name in wanted:
                holds &= MEASUREMENTS[name](bench)
        finally:
            bench.fleet.end()
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
