"""Try to break the queue: each subcommand exits with 1 where an answer was lost, doubled or wrong.

    python -m benchmarks.chaos states     # random operations against a pure model
    python -m benchmarks.chaos history    # random operations by many clients over HTTP, the history checked afterwards
    python -m benchmarks.chaos kill       # kill -9 of every part in random order while people label
    python -m benchmarks.chaos faults     # broker gone, worker paused, disk full, connections cut

`--help` after the subcommand tells its options. Each starts servers of its own in a temporary folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

NAMES = ("states", "history", "kill", "faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    first = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    first.add_argument("name", choices=NAMES)
    name = first.parse_args(given[:1]).name
    module = import_module(f"benchmarks.chaos_{name}")
    parser = argparse.ArgumentParser(
        prog=f"chaos {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(given[1:])))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])  # as a script, the folder of this file stands there
    sys.exit(main())
