"""A person's own keys for the answers on their desk, laid over those that a schema gives, and for the page. Read only.

Own keys are kept by question name and the choice's value: `{"verdict": {"spam": "x"}}`. They hold in every version of
the schema that still has both. Those for what the page does are kept by action: `{"skip": "w"}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from annotation.errors import InvalidError
from annotation.kinds.hotkeys import MOVING_KEYS, PAGE_KEYS, assign_keys
from annotation.models import DeskKeys, Project, User

OwnKeys = Mapping[str, Mapping[str, str]]
PageKeys = Mapping[str, str]  # action -> key
Rendered = Mapping[str, Any]

# What the page does by key, in the order in which it is listed.
PAGE_ACTIONS = {
    "unsure": _lazy("I am unsure"),
    "skip": _lazy("Skip the item"),
    "undo": _lazy("Undo the last answer"),
    "history": _lazy("Last answers"),
    "comment": _lazy("Comment"),
    "flag": _lazy("Flag the item"),
    "reveal": _lazy("Reveal what is hidden"),
    "quarantine": _lazy("Seal the item"),
    "guideline": _lazy("Guideline"),
    "view": _lazy("Go to what is to be judged"),
    "hidden": _lazy("Hidden characters"),
    "help": _lazy("Keys"),
}
QUESTION_KEYS = MOVING_KEYS | frozenset("npt")  # questions of some kinds: mark, play, write
FIELD = "page-"  # before an action's name: no question is called so


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


def check_page_keys(questions: Sequence[Rendered], sent: PageKeys) -> dict[str, str]:
    """A person's keys for what the page does, as they are kept: lower case, without those that are the page's own.

    `questions` are rendered, with the person's keys (`with_own_keys`). Raises InvalidError with a sentence for each
    action, under `FIELD` and its name, whose key does not fit: a key is one letter, no two actions have the same one,
    and one that a person chose is no answer's. (One that the page has by itself may be an answer's: see `find_shared`.)
    """
    given = {action: sent.get(action, "").strip().lower() or key for action, key in PAGE_KEYS.items()}
    answers = {
        option["key"]: option["text"]
        for question in questions
        for option in question.get("options", ())
        if option["key"] is not None
    }
    faults = {FIELD + action: _("The page does nothing of this name.") for action in sent.keys() - PAGE_KEYS.keys()}
    owners: dict[str, str] = {}
    for action, key in given.items():
        what = PAGE_ACTIONS[action]
        if len(key) != 1 or not key.isalpha():
            fault = _("“%(key)s” is no key for “%(what)s”: give one letter.") % {"key": key[:10], "what": what}
        elif key in QUESTION_KEYS:
            fault = _("%(key)s belongs to the questions: “%(what)s” needs another letter.") % {
                "key": key.upper(),
                "what": what,
            }
        elif key in owners:
            fault = _("“%(one)s” and “%(other)s” would both have the key %(key)s.") % {
                "one": PAGE_ACTIONS[owners[key]],
                "other": what,
                "key": key.upper(),
            }
        elif key != PAGE_KEYS[action] and key in answers:
            fault = _("“%(one)s” and the answer “%(other)s” would both have the key %(key)s.") % {
                "one": what,
                "other": answers[key],
                "key": key.upper(),
            }
        else:
            owners[key] = action
            continue
        faults[FIELD + action] = fault
    if faults:
        raise InvalidError(fields=faults)
    return {action: key for action, key in given.items() if key != PAGE_KEYS[action]}


def find_shared(questions: Sequence[Rendered], page: PageKeys = PAGE_KEYS) -> list[str]:
    """Sentences about keys that do two things: several questions have them, or the desk itself. Allowed, and told.

    `page` are the keys in force for what the page does. A digit belongs to the question where the eye is, so that
    digits are not told.
    """
    sentences = []
    taken = {*page.values(), *MOVING_KEYS, "?"}
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
        if key in taken:
            sentences.append(
                _("%(key)s answers “%(text)s”; what the page does by that key is on Shift and %(key)s.")
                % {"key": key.upper(), "text": texts[0]}
            )
    return sentences


def find_own_keys(project: Project, person: User) -> DeskKeys:
    """The keys that a person keeps in a project, as they are stored or as they are before any are."""
    found = DeskKeys.objects.filter(project=project, person=person).first()
    return found or DeskKeys(project=project, person=person, keys={})


def page_keys_of(own: DeskKeys) -> dict[str, str]:
    """The keys in force for what the page does, by action."""
    return {**PAGE_KEYS, **own.page}
