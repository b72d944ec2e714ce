"""Which version of a guideline a person last read."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.errors import InvalidError
from annotation.models import Guideline, GuidelineReading, Project, User


@transaction.atomic
def note_reading(*, project: Project, person: User, version: int) -> GuidelineReading:
    """Store that a person has read a version; an older one than they read already changes nothing.

    An event says so the first time. Raises InvalidError for a version that there is not.
    """
    guideline = Guideline.objects.filter(project=project, version=version).first()
    if guideline is None:
        raise InvalidError(fields={"version": _("There is no such version of the guideline.")})
    reading, is_first = GuidelineReading.objects.select_for_update(of=("self",)).get_or_create(
        project=project, person=person, defaults={"guideline": guideline}
    )
    if not is_first and reading.guideline.version >= version:
        return reading
    GuidelineReading.objects.filter(pk=reading.pk).update(guideline=guideline)
    reading.guideline = guideline
    write_event(project=project, kind="guideline.read", actor=person, ref_id=guideline.pk, data={"version": version})
    return reading
