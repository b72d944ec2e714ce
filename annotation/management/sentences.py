"""What goes wrong in a command becomes one sentence on the terminal, and no traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.core.management import CommandError
from django.utils.translation import gettext as _

from annotation.errors import TouchstoneError
from annotation.models import Project, User
from annotation.plain_text import quote


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn a TouchstoneError into a CommandError that also says what is wrong with each field."""
    try:
        yield
    except TouchstoneError as error:
        fields = [f"{name}: {reason}" for name, reason in error.fields.items() if str(reason) != error.detail]
        raise CommandError(" ".join([error.detail, *fields])) from error


def find_project(slug: str) -> Project:
    """The project of this name. Raises CommandError."""
    project = Project.objects.select_related("schema").filter(slug=slug).first()
    if project is None:
        raise CommandError(_("There is no project named %(name)s.") % {"name": quote(slug)})
    return project


def find_person(name: str) -> User:
    """The person with this login. Raises CommandError."""
    user = User.objects.filter(username=name, kind=User.Kind.PERSON).first()
    if user is None:
        raise CommandError(
            _("There is no user named %(name)s. Make one: manage.py create_user NAME.") % {"name": quote(name)}
        )
    return user
