"""A person's own keys on the desk."""

from __future__ import annotations

from django.db import transaction

from annotation.actions.events import write_event
from annotation.desk_keys import OwnKeys, check_own_keys
from annotation.errors import AbsentError
from annotation.models import DeskKeys, Project, User
from annotation.schema import render_schema


@transaction.atomic
def set_own_keys(*, project: Project, person: User, keys: OwnKeys) -> dict[str, dict[str, str]]:
    """Keep a person's keys in a project, by question name and choice; {} goes back to the schema's.

    Returns what is kept. Raises InvalidError with a sentence for each question.
    """
    if project.schema is None:
        raise AbsentError
    kept = check_own_keys(render_schema(project.schema.compiled), keys)
    if kept:
        DeskKeys.objects.update_or_create(project=project, person=person, defaults={"keys": kept})
    else:
        DeskKeys.objects.filter(project=project, person=person).delete()
    write_event(project=project, kind="keys.set", actor=person)
    return kept
