"""A person's own keys on the desk."""

from __future__ import annotations

from django.db import transaction

from annotation.actions.events import write_event
from annotation.desk_keys import OwnKeys, PageKeys, check_own_keys, check_page_keys, with_own_keys
from annotation.errors import AbsentError
from annotation.models import DeskKeys, Project, User
from annotation.schema import render_schema


@transaction.atomic
def set_own_keys(*, project: Project, person: User, keys: OwnKeys, page: PageKeys | None = None) -> None:
    """Keep a person's keys in a project: for answers by question name and choice, for the page by action.

    What is left out goes back to the schema's key, and to the page's. Raises InvalidError with a sentence for each
    question, or each action, whose keys do not fit; then nothing is kept.
    """
    if project.schema is None:
        raise AbsentError
    questions = render_schema(project.schema.compiled)
    kept = check_own_keys(questions, keys)
    kept_page = check_page_keys(with_own_keys(questions, kept), page or {})
    if kept or kept_page:
        DeskKeys.objects.update_or_create(project=project, person=person, defaults={"keys": kept, "page": kept_page})
    else:
        DeskKeys.objects.filter(project=project, person=person).delete()
    write_event(project=project, kind="keys.set", actor=person)
