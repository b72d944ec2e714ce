"""Random days of work on the queue against a model of it (`tests/queue_machine.py`), many more than the tests play.

    .venv/bin/python -m benchmarks.chaos states [--examples 2000] [--steps 50] [--seed N]
    .venv/bin/python -m benchmarks.chaos states --broken [--examples 300]

The second breaks the queue's SQL on purpose, in one way after the other, and says after how many examples each was
found. Servers of its own, thrown away at the end. Exit status 1 where the queue did what the model forbids, or where a
break was not found.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.queue_worlds import World

EVERY = 100  # examples between two lines of progress
Tally = Counter[tuple[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `states`."""
    parser.add_argument("--examples", type=int, default=None, help="how many (2000; with --broken at most 300 a break)")
    parser.add_argument("--steps", type=int, default=50, help="requests in an example (50)")
    parser.add_argument("--seed", type=int, default=None, help="what decides which examples are played (drawn)")
    parser.add_argument("--broken", action="store_true", help="break the queue on purpose, one way after the other")


def run(options: argparse.Namespace) -> int:
    """Play, and print what was played and what went wrong. Returns the exit status."""
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    with _open_database() as worlds:
        if options.broken:
            return _play_broken(worlds, options.examples or 300, options.steps, seed)
        return _play(worlds, options.examples or 2000, options.steps, seed)


@contextmanager
def _open_database() -> Iterator[Mapping[str, World]]:
    """A database of its own with the projects that examples play in."""
    home = Path(tempfile.mkdtemp(prefix="ts-states-"))
    for name in ("DATABASE_URL", "BROKER_URL"):
        os.environ.pop(name, None)
    os.environ |= {"TOUCHSTONE_HOME": str(home), "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "WARNING"}

    from config.embedded import Servers
    from config.home import get_socket_folder

    servers = Servers(home, is_throwaway=True)
    try:
        servers.open()

        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from tests.queue_worlds import make_worlds, move_cursors_always

        call_command("migrate", verbosity=0)
        worlds = make_worlds()
        move_cursors_always()
        try:
            yield worlds
        finally:
            connections.close_all()
    finally:
        servers.close()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(get_socket_folder(home), ignore_errors=True)


def _play(worlds: Mapping[str, World], examples: int, steps: int, seed: int) -> int:
    from hypothesis import Phase, settings

    from tests.queue_machine import QUICKLY, play

    tally: Tally = Counter()
    played = 0
    began = time.monotonic()

    def count() -> None:
        nonlocal played
        played += 1
        if played % EVERY == 0:
            _say(f"{played} examples, {tally.total()} requests, {time.monotonic() - began:.0f} s")

    _say(f"{examples} examples of {steps} steps, seed {seed}")
    fault: BaseException | None = None
    how = settings(QUICKLY, max_examples=examples, stateful_step_count=steps, phases=[Phase.generate, Phase.shrink])
    try:
        play(worlds, how, seed=seed, tally=tally, on_example=count)
    except Exception as error:
        fault = error
    _print_tally(tally)
    # More than were asked for: hypothesis gives some up at once, and does not count them.
    _say(f"{played} examples, {tally.total()} requests in {time.monotonic() - began:.0f} s")
    if fault is None:
        _say("0 violations")
        return 0
    _print_fault(fault)
    return 1


def _play_broken(worlds: Mapping[str, World], examples: int, steps: int, seed: int) -> int:
    from tests.queue_breaks import BREAKS
    from tests.queue_machine import play_until_found

    whole = play_until_found(worlds, None, examples=examples, steps=steps, seed=seed)
    if whole is not None:
        _say(f"VIOLATION, with nothing broken: {whole.why}")
        return 1
    missed = 0
    for broken in BREAKS:
        began = time.monotonic()
        found = play_until_found(worlds, broken, examples=examples, steps=steps, seed=seed)
        missed += found is None
        after = "NOT FOUND" if found is None else f"example {found.example}: {found.why.splitlines()[0][:150]}"
        _say(f"{broken.name:55} {time.monotonic() - began:4.1f} s   {after}")
    _say(
        f"{len(BREAKS) - missed} of {len(BREAKS)} breaks found within {examples} examples of {steps} steps, seed {seed}"
    )
    return 1 if missed else 0


def _print_tally(tally: Tally) -> None:
    """Each kind of request with its answers, and how often."""
    for name in sorted({name for name, _answer in tally}):
        answers = {answer: n for (one, answer), n in sorted(tally.items()) if one == name}
        _say(f"  {name:24} {sum(answers.values()):8}   " + ", ".join(f"{n} {answer}" for answer, n in answers.items()))


def _print_fault(fault: BaseException) -> None:
    """What was violated, and the shortest way there."""
    for one in fault.exceptions if isinstance(fault, BaseExceptionGroup) else (fault,):
        _say(f"VIOLATION: {type(one).__name__}: {one}")
        for note in getattr(one, "__notes__", ()):
            _say(note)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
