"""What a person has set for themselves about content that is hard to look at, and what is in force for them.

Only the person themselves is shown their settings and their exposure: these functions are called for who asks, never
for somebody else. What the organisation sets holds for everybody, and a project may add to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from annotation import queue
from annotation.errors import InvalidError
from annotation.hints import MAX_HARM, is_harm
from annotation.models import CareProfile, Organisation, Project, QueueLane, User
from annotation.plain_text import find_storage_fault
from annotation.viewing import DEFAULT_FLOOR, parse_level, parse_views, views_in_force

MAX_OPTED_OUT = 100
MAX_SUPPORT = 2000
MAX_WORDS, MAX_WORD = 1000, 60
BREAK_MINUTES = (5, 8 * 60)

LIMITS = ("severe_items", "severe_minutes", "severe_in_a_row", "severe_pause_seconds")
_RANGES = {
    "severe_items": (0, 100_000),
    "severe_minutes": (0, 24 * 60),
    "severe_in_a_row": (1, 1000),
    "severe_pause_seconds": (0, 24 * 3600),
    "break_minutes": BREAK_MINUTES,
}
OWN = ("opted_out", "views", "break_minutes")
ORGANISATION = (*LIMITS, "break_minutes", "support", "masked_words", "floor")


def find_profile(person: User) -> CareProfile:
    """The person's settings, as they are stored or as they are before anything is."""
    return CareProfile.objects.filter(person=person).first() or CareProfile(person=person)


def quotes_texts(person: User) -> bool:
    """Whether a person is shown words of ordinary items beside other ones: not where such texts come to them hidden."""
    return not views_in_force(find_profile(person).views, {})["ordinary"]["text"]["hidden"]


def list_harms(person: User) -> list[str]:
    """The harms that occur in the person's projects, and those that they opted out of, in order."""
    theirs = QueueLane.objects.exclude(harms="")
    if not person.is_superuser:
        theirs = theirs.filter(project__members__user=person, project__members__is_active=True)
    found = {harm for harms in theirs.values_list("harms", flat=True).distinct() for harm in harms.split(",")}
    return sorted(found | set(find_profile(person).opted_out))


def show_care(person: User) -> dict[str, Any]:
    """A person's own care, as the API gives it to them. `views` is what they set, `in_force` what follows of it."""
    organisation, profile = Organisation.objects.get(), find_profile(person)
    exposure = queue.exposure(person_id=person.pk)
    return {
        "opted_out": profile.opted_out,
        "harms": list_harms(person),
        "views": profile.views,
        "in_force": views_in_force(profile.views, floor_of(organisation)),
        "break_minutes": profile.break_minutes,
        "support": organisation.support,
        "exposure": {
            "items": exposure.n,
            "minutes": round(exposure.seconds / 60, 1),
            "most_items": organisation.severe_items,
            "most_minutes": organisation.severe_minutes,
        },
    }


def show_desk_care(person: User, project: Project) -> dict[str, Any]:
    """What the desk of a project applies for this person (described in `annotation/views/desk.py`)."""
    organisation, profile = Organisation.objects.get(), find_profile(person)
    own = project.care or {}
    return {
        "views": views_in_force(profile.views, floor_of(organisation)),
        "masked_words": sorted({*organisation.masked_words, *own.get("masked_words", ())}),
        "support": "\n\n".join(text for text in (own.get("support"), organisation.support) if text),
        "breaks": {"severe_minutes": organisation.break_minutes, "own_minutes": profile.break_minutes},
    }


def floor_of(organisation: Organisation) -> dict[str, Any]:
    """How severe items are shown at least: kind -> view."""
    return DEFAULT_FLOOR if organisation.view_floor is None else organisation.view_floor


def show_organisation_care(organisation: Organisation) -> dict[str, Any]:
    """What the organisation sets for everybody, in the shape in which it is sent."""
    return {
        **{name: getattr(organisation, name) for name in (*LIMITS, "break_minutes")},
        "support": organisation.support,
        "masked_words": organisation.masked_words,
        "floor": floor_of(organisation),
    }


def parse_care(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a person sets for themselves and return the columns; only what is named. Raises InvalidError."""
    _refuse_unknown(sent, OWN)
    columns = dict(sent)
    if "opted_out" in sent:
        value = sent["opted_out"]
        if not isinstance(value, list) or len(value) > MAX_OPTED_OUT or not all(is_harm(one) for one in value):
            raise InvalidError(
                fields={
                    "opted_out": _(
                        "A list of at most %(most)d short names such as violence, of at most %(long)d letters."
                    )
                    % {"most": MAX_OPTED_OUT, "long": MAX_HARM}
                }
            )
        columns["opted_out"] = sorted(set(value))
    if "views" in sent:
        columns["views"] = parse_views(sent["views"])
    if sent.get("break_minutes") is not None:
        columns["break_minutes"] = _whole("break_minutes", sent["break_minutes"])
    return columns


def parse_organisation_care(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Check what the organisation sets and return the columns; only what is named. Raises InvalidError."""
    _refuse_unknown(sent, ORGANISATION)
    columns: dict[str, Any] = {}
    for name, value in sent.items():
        if name == "support":
            columns["support"] = parse_support(value)
        elif name == "masked_words":
            columns["masked_words"] = parse_words(value)
        elif name == "floor":
            columns["view_floor"] = parse_level(value, "floor")
        else:
            columns[name] = _whole(name, value)
    return columns


def parse_support(value: object) -> str:
    """Where people find support, in the organisation's words. Raises InvalidError."""
    if not isinstance(value, str) or len(value) > MAX_SUPPORT or find_storage_fault(value):
        raise InvalidError(fields={"support": _("A text of at most %(most)d characters.") % {"most": MAX_SUPPORT}})
    return value.strip()


def parse_words(value: object) -> list[str]:
    """Words to cover in texts, in lower case and in order. Raises InvalidError."""
    if not isinstance(value, list) or len(value) > MAX_WORDS or not all(_is_word(one) for one in value):
        raise InvalidError(
            fields={
                "masked_words": _("A list of at most %(most)d words, each of at most %(long)d characters.")
                % {"most": MAX_WORDS, "long": MAX_WORD}
            }
        )
    return sorted({re.sub(r"\s+", " ", one.strip().lower()) for one in value})


def _is_word(word: object) -> bool:
    return isinstance(word, str) and 1 <= len(word.strip()) <= MAX_WORD and not find_storage_fault(word)


def _refuse_unknown(sent: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = {name: _("There is no such setting. Known: %(known)s.") % {"known": ", ".join(known)} for name in sent}
    faults = {name: text for name, text in unknown.items() if name not in known}
    if faults:
        raise InvalidError(fields=faults)


def _whole(name: str, value: object) -> int:
    low, high = _RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidError(fields={name: _("A whole number from %(low)d to %(high)d.") % {"low": low, "high": high}})
    return value
