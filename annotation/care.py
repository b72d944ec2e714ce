"""What a person has set for themselves about content that is hard to look at, and what is in force for them.

Only the person themselves is shown any of it: these functions are called for who asks, never for somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from annotation import queue
from annotation.errors import InvalidError
from annotation.hints import MAX_HARM, is_harm
from annotation.models import CareProfile, Organisation, QueueLane, User

MAX_OPTED_OUT = 100
LIMITS = ("severe_items", "severe_minutes", "severe_in_a_row", "severe_pause_seconds")
_MOST = {"severe_items": 100_000, "severe_minutes": 24 * 60, "severe_in_a_row": 1000, "severe_pause_seconds": 24 * 3600}


def find_profile(person: User) -> CareProfile:
    """The person's settings, as they are stored or as they are before anything is."""
    return CareProfile.objects.filter(person=person).first() or CareProfile(person=person)


def list_harms(person: User) -> list[str]:
    """The harms that occur in the person's projects, and those that they opted out of, in order."""
    theirs = QueueLane.objects.exclude(harms="")
    if not person.is_superuser:
        theirs = theirs.filter(project__members__user=person, project__members__is_active=True)
    found = {harm for harms in theirs.values_list("harms", flat=True).distinct() for harm in harms.split(",")}
    return sorted(found | set(find_profile(person).opted_out))


def show_care(person: User) -> dict[str, Any]:
    """A person's own care, as the API gives it to them."""
    organisation = Organisation.objects.get()
    exposure = queue.exposure(person_id=person.pk)
    return {
        "opted_out": find_profile(person).opted_out,
        "harms": list_harms(person),
        "exposure": {
            "items": exposure.n,
            "minutes": round(exposure.seconds / 60, 1),
            "most_items": organisation.severe_items,
            "most_minutes": organisation.severe_minutes,
        },
    }


def parse_care(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a person sets for themselves and return the columns; only what is named. Raises InvalidError."""
    faults: dict[str, str] = {}
    columns: dict[str, Any] = {}
    for name, value in sent.items():
        if name != "opted_out":
            faults[name] = _("There is no such setting. Known: %(known)s.") % {"known": "opted_out"}
        elif not isinstance(value, list) or len(value) > MAX_OPTED_OUT or not all(is_harm(one) for one in value):
            faults[name] = _(
                "A list of at most %(most)d short names such as violence, each of at most %(long)d letters."
            ) % {
                "most": MAX_OPTED_OUT,
                "long": MAX_HARM,
            }
        else:
            columns[name] = sorted(set(value))
    if faults:
        raise InvalidError(fields=faults)
    return columns


def show_limits(organisation: Organisation) -> dict[str, Any]:
    """The organisation's limits on severe items, which no project passes."""
    return {name: getattr(organisation, name) for name in LIMITS}


def parse_limits(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Check new limits of the organisation and return the columns; only what is named. Raises InvalidError."""
    faults: dict[str, str] = {}
    columns: dict[str, Any] = {}
    for name, value in sent.items():
        low, high = int(name == "severe_in_a_row"), _MOST.get(name, 0)
        if name not in LIMITS:
            faults[name] = _("There is no such setting. Known: %(known)s.") % {"known": ", ".join(LIMITS)}
        elif isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            faults[name] = _("A whole number from %(low)d to %(high)d.") % {"low": low, "high": high}
        else:
            columns[name] = value
    if faults:
        raise InvalidError(fields=faults)
    return columns
