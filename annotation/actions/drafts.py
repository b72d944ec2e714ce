"""What an owner is editing, kept until it is published or given up."""

from __future__ import annotations

import json
from typing import Any

from django.utils.translation import gettext as _

from annotation.errors import TooLargeError
from annotation.models import Draft, Project, User

MOST_BYTES = 2_000_000


def keep_draft(*, project: Project, user: User, kind: str, content: Any, base_version: int) -> Draft:
    """Store a draft in the place of the one before. Raises TooLargeError above 2 MB of JSON."""
    if len(json.dumps(content)) > MOST_BYTES:
        raise TooLargeError(_("This is more than a draft may hold. Publish it by the API instead."))
    draft, _is_new = Draft.objects.update_or_create(
        project=project, user=user, kind=kind, defaults={"content": content, "base_version": base_version}
    )
    return draft


def drop_draft(*, project: Project, user: User, kind: str) -> None:
    """Forget a draft; nothing happens where there is none."""
    Draft.objects.filter(project=project, user=user, kind=kind).delete()
