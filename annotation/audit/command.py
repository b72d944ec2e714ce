"""`touchstone audit`: the same audit as beat's, now, with the rows."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import django
from django.db import DatabaseError


def main(argv: Sequence[str] = ()) -> int:
    """Print each check and whether it holds, with up to 20 of the rows that break it.

    0 where all hold, 1 where one is broken, 2 where the database did not answer.
    """
    parser = argparse.ArgumentParser(
        prog="touchstone audit",
        description="Checks the queue's invariants over the live database, in short statements that hold nobody up."
        " What it finds is shown to owners and in /metrics until an audit finds it gone.",
        epilog="Exit status: 0 where all hold; 1 where one is broken, with the rows (ids, never content); 2 where the"
        " database did not answer.",
    )
    parser.parse_args(list(argv))
    django.setup()
    from annotation.actions.audits import record_audit
    from annotation.audit.checks import CHECKS
    from annotation.audit.looking import audit

    try:
        found = audit(progress=_show if sys.stderr.isatty() else None, patience=2)
    except DatabaseError as error:
        sys.stderr.write(f"touchstone: the audit could not be finished: {error}\n")
        return 2
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    for check in CHECKS:
        n = sum(rows for (name, _project), rows in found.rows.items() if name == check.name)
        sys.stdout.write(f"BROKEN  {check}: {n:,} {'row' if n == 1 else 'rows'}\n" if n else f"ok      {check}\n")
        for row in found.examples.get(check.name, []):
            sys.stdout.write(f"        {'  '.join(f'{name}={value}' for name, value in row.items())}\n")
    sys.stdout.write(f"{found.seconds:.1f} s; the longest statement took {found.longest_seconds:.2f} s\n")
    logging.getLogger("annotation").setLevel(logging.WARNING)  # that a job is stored is no news on a terminal
    record_audit(found)
    return 0 if found.is_clean else 1


def _show(done: int, total: int) -> None:
    sys.stderr.write(f"\r\033[K{done:,} of {total:,} statements")
    sys.stderr.flush()
