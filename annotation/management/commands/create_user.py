"""`manage.py create_user NAME [--password P] [--superuser] [--token]`."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.actions.people import create_token, create_user
from annotation.management.sentences import plain_errors


class Command(BaseCommand):
    """Add a person, on the terminal's authority."""

    help = "Add a person with a login. Without --password one is asked for on a terminal; elsewhere there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--password", help="at least 10 characters; other users of this machine may see it here")
        parser.add_argument("--superuser", action="store_true", help="an administrator of the whole installation")
        parser.add_argument("--token", action="store_true", help="print a new API token alone on the last line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Store the person and the token together, or neither."""
        name: str = options["name"]
        password: str | None = options["password"]
        if password is None and sys.stdin.isatty():
            password = ask_password()
        with plain_errors(), transaction.atomic():
            user = create_user(username=name, password=password, is_superuser=options["superuser"])
            token = create_token(user=user, actor=user)[1] if options["token"] else None
        self.stdout.write(_("The user %(name)s was added.") % {"name": name})
        if token is not None:
            self.stdout.write(token)


def ask_password() -> str | None:
    """Ask twice; None where nothing is typed. Raises CommandError where the two differ."""
    first = getpass.getpass(_("Password (empty for none): "))
    if first and getpass.getpass(_("Once more: ")) != first:
        raise CommandError(_("The two passwords differ. Nobody was added."))
    return first or None
