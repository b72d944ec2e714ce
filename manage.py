#!/usr/bin/env python
"""Django's commands. They use the embedded servers that run for this home, or start them for their own duration."""

from __future__ import annotations

import contextlib
import os
import sys

# These say something about the code or about the command line; no database is asked.
COMMANDS_WITHOUT_DATABASE = {
    "help",
    "version",
    "compilemessages",
    "makemessages",
    "simulate",
    "collectstatic",
    "startapp",
    "diffsettings",
    "findstatic",
    "spectacular",
}


def needs_servers(arguments: list[str]) -> bool:
    """Say whether the command named in `arguments` (without the program's name) may ask the database."""
    return bool(
        arguments
        and not arguments[0].startswith("-")
        and arguments[0] not in COMMANDS_WITHOUT_DATABASE
        and not {"--help", "-h", "--version"} & set(arguments)
    )


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.embedded import EmbeddedError, open_servers
    from config.home import HomeError, fix_home

    home = fix_home()
    with contextlib.ExitStack() as stack:
        if needs_servers(sys.argv[1:]):
            try:
                stack.enter_context(open_servers(home))
            except (EmbeddedError, HomeError) as error:
                sys.exit(f"touchstone: {error}")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
