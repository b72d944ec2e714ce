"""`manage.py add_member PROJECT NAME ROLE`."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from annotation.actions.projects import set_member
from annotation.management.sentences import find_person, find_project, plain_errors
from annotation.models import Member


class Command(BaseCommand):
    """Add a person to a project, or change their role."""

    help = "Add a person to a project, or change their role in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what the command takes."""
        parser.add_argument("project", metavar="PROJECT")
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("role", metavar="ROLE", help=", ".join(Member.Role.values))

    def handle(self, *args: Any, **options: Any) -> None:
        """Store it and say so."""
        project, user = find_project(options["project"]), find_person(options["name"])
        with plain_errors():
            member = set_member(project=project, user=user, role=options["role"], actor=None)
        self.stdout.write(
            _("%(name)s is %(role)s in %(project)s.")
            % {"name": user.username, "role": member.role, "project": project.slug}
        )
