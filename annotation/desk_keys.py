"""A person's own keys for the answers on their desk, laid over those that a schema gives. Read only.

Own keys are kept by question name and the choice's value: `{"verdict": {"spam": "x"}}`. They hold in every version of
the schema that still has both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.kinds.hotkeys import DESK_KEYS, assign_keys
from annotation.models import DeskKeys, Project, User

OwnKeys = Mapping[str, Mapping[str, str]]
Rendered = Mapping[str, Any]


def with_own_keys(questions: Sequence[Rendered], own: OwnKeys) -> list[dict[str, Any]]:
    """Rendered questions (`render_schema`) with a person's keys on their options.

    An option whose key somebody gave to another one gets the first key that is free.
    """
    return [
        {**question, "options": _lay_over(question["options"], own.get(question["name"], {}))}
        if "options" in question
        else dict(question)
        for question in questions
    ]


def _lay_over(options: Sequence[Rendered], own: Mapping[str, str]) -> list[dict[str, Any]]:
    chosen = [own.get(str(option["value"])) if option["is_leaf"] else None for option in options]
    taken = {key for key in chosen if key is not None}
    wanted = [
        key if key is not None else (option["key"] if option["key"] not in taken else None)
        for option, key in zip(options, chosen, strict=True)
    ]
    leaves = [place for place, option in enumerate(options) if option["is_leaf"]]
    used_by_branches = [
        wanted[place] for place, option in enumerate(options) if not option["is_leaf"] and wanted[place]
    ]
    given = assign_keys([*used_by_branches, *(wanted[place] for place in leaves)])[len(used_by_branches) :]
    by_place = dict(zip(leaves, given, strict=True))
    return [{**option, "key": by_place.get(place, wanted[place])} for place, option in enumerate(options)]


def check_own_keys(questions: Sequence[Rendered], sent: OwnKeys) -> dict[str, dict[str, str]]:
    """Own keys as they are kept: lower case, without those left empty and those that are the schema's own.

    Raises InvalidError with a sentence for each question whose keys do not fit: a key is one visible character, and
    within a question no two answers have the same one.
    """
    kept: dict[str, dict[str, str]] = {}
    faults: dict[str, str] = {}
    for question in questions:
        name = question["name"]
        options = {str(option["value"]): option for option in question.get("options", ()) if option["is_leaf"]}
        own = {value: key.strip().lower() for value, key in sent.get(name, {}).items() if key.strip()}
        unknown = sorted(own.keys() - options.keys())
        odd = [key for key in own.values() if len(key) != 1 or not key.isprintable()]
        if unknown:
            faults[name] = _("There is no answer “%(value)s”.") % {"value": unknown[0][:100]}
        elif odd:
            faults[name] = _("“%(key)s” is no key: give one letter, digit or sign.") % {"key": odd[0][:10]}
        elif twice := _find_twice(options, own):
            faults[name] = twice
        else:
            own = {value: key for value, key in own.items() if key != options[value]["key"]}
            kept |= {name: own} if own else {}
    if faults:
        raise InvalidError(fields=faults)
    return kept


def _find_twice(options: Mapping[str, Rendered], own: Mapping[str, str]) -> str:
    """The sentence for two answers of a question that are given one key; "" where there are none."""
    seen: dict[str, str] = {}
    for value, key in own.items():
        if key in seen:
            return _("“%(one)s” and “%(other)s” would both have the key %(key)s.") % {
                "one": options[seen[key]]["text"],
                "other": options[value]["text"],
                "key": key.upper(),
            }
        seen[key] = value
    return ""


def find_shared(questions: Sequence[Rendered]) -> list[str]:
    """Sentences about keys that do two things: several questions have them, or the desk itself. Allowed, and told.

    A digit belongs to the question where the eye is, so that digits are not told.
    """
    sentences = []
    owners: dict[str, list[str]] = {}
    for question in questions:
        for option in question.get("options", ()):
            if option["is_leaf"] and option["key"] and not option["key"].isdigit():
                owners.setdefault(option["key"], []).append(option["text"])
    for key, texts in sorted(owners.items()):
        if len(texts) > 1:
            sentences.append(
                _("%(key)s answers “%(one)s” and “%(other)s”: the question that is marked comes first.")
                % {"key": key.upper(), "one": texts[0], "other": texts[1]}
            )
        if key in DESK_KEYS:
            sentences.append(
                _("%(key)s answers “%(text)s”; what the page does by that key is on Shift and %(key)s.")
                % {"key": key.upper(), "text": texts[0]}
            )
    return sentences


def own_keys_of(project: Project, person: User) -> OwnKeys:
    """The keys that a person keeps in a project; {} where they have none of their own."""
    found = DeskKeys.objects.filter(project=project, person=person).values_list("keys", flat=True).first()
    return found or {}
