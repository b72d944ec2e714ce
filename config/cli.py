"""The command `touchstone`. Each command imports what it needs when it runs: `pull` needs no Django and no database."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from config.home import HomeError, fix_home

# These parse their own arguments.
DELEGATED = {
    "pull": "download a snapshot over HTTP and verify it",
    "audit": "check the queue's invariants over the live database",
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="touchstone",
        description="People and models label content together, and the quality of those labels is measured.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="everything on this machine: servers, web, worker, beat; until Ctrl-C")
    commands.add_parser("web", help="the web server alone (DATABASE_URL, BROKER_URL, SECRET_KEY)")
    commands.add_parser("worker", help="a worker alone")
    commands.add_parser("beat", help="the clock alone; run one")
    commands.add_parser("owner-link", help="print a new one-time link that sets up an owner")
    backup = commands.add_parser("backup", help="write the database and all files into one archive")
    backup.add_argument("file", type=Path, metavar="FILE", help="the archive to write (tar)")
    restore = commands.add_parser("restore", help="bring back an archive that backup wrote")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.add_argument("--replace", action="store_true", help="throw away what the database and the folders hold now")
    for name, text in DELEGATED.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; faults that a person can mend are one sentence, not a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] == "pull":
        from learning.pull import main as pull

        return int(pull(given[1:]) or 0)
    from config.embedded import EmbeddedError

    try:
        if given and given[0] == "audit":
            return run_audit(given[1:])
        return run_command(make_parser().parse_args(given))
    except (EmbeddedError, HomeError) as error:
        print(f"touchstone: {error}", file=sys.stderr)
        return 1


def run_command(options: argparse.Namespace) -> int:
    """Run the command that was parsed."""
    home = fix_home()
    if options.command == "up":
        from config.up import run_up

        return run_up(home)
    if options.command == "owner-link":
        return print_owner_link(home)
    if options.command in {"backup", "restore"}:
        from config import backup

        if options.command == "backup":
            return backup.run_backup(home, options.file)
        return backup.run_restore(home, options.file, is_replacing=options.replace)
    from config.up import run_role

    return run_role(options.command, home)


def set_up_django() -> None:
    """Make Django ready in this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()


def print_owner_link(home: Path) -> int:
    """Print a new one-time link."""
    from config.embedded import open_servers
    from config.roles import get_address, get_reachable_host

    with open_servers(home):
        set_up_django()
        from annotation.actions.people import create_setup_link

        host, port = get_address()
        print(f"http://{get_reachable_host(host)}:{port}/setup/{create_setup_link()}")
    return 0


def run_audit(arguments: list[str]) -> int:
    """Check the queue's invariants; the exit status is the audit's."""
    from config.embedded import open_servers

    if {"-h", "--help"} & set(arguments):
        set_up_django()
        from annotation.audit import main as audit

        return int(audit(arguments) or 0)
    with open_servers(fix_home()):
        set_up_django()
        from annotation.audit import main as audit

        return int(audit(arguments) or 0)


if __name__ == "__main__":
    sys.exit(main())
