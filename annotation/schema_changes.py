"""What a new version of a label schema changes, sentence by sentence. Nothing here reads the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import KINDS, Question
from annotation.kinds.choice_tree import walk
from annotation.plain_text import quote
from annotation.schema import Compiled


def describe_changes(old: Compiled, new: Compiled) -> list[str]:
    """A sentence for each change that leaves every label as it is; what breaks is said by `classify_change`."""
    before = {question["id"]: question for question in old["questions"]}
    after = {question["id"]: question for question in new["questions"]}
    sentences: list[str] = []
    for number, question in after.items():
        if number not in before:
            if not question["required"]:
                sentences.append(_("Question %(name)s is new; it is optional") % _named(question))
        else:
            sentences += _describe_question(before[number], question)
    kept = [number for number in after if number in before]
    if kept != [number for number in before if number in after]:
        sentences.append(_("The questions come in another order"))
    return sentences


def _named(question: Question, **more: Any) -> dict[str, Any]:
    return {"name": quote(question["name"]), **more}


def _describe_question(old: Question, new: Question) -> Iterator[str]:
    if old.get("text") != new.get("text"):
        yield _("%(name)s has another text") % _named(new)
    if old["required"] and not new["required"]:
        yield _("%(name)s becomes optional") % _named(new)
    if (old["when"] or {}).get("choice_ids") != (new["when"] or {}).get("choice_ids") and not new["required"]:
        yield _("%(name)s is asked under another condition") % _named(new)
    if old["kind"] != new["kind"]:
        return
    if "choices" in new:
        yield from _describe_choices(old, new)
    shown, before = (KINDS[new["kind"]].show_question(one) for one in (new, old))
    for key in sorted((shown.keys() | before.keys()) - {"choices", "labels"}):
        if shown.get(key) != before.get(key):
            yield _("%(name)s: `%(key)s` is %(new)s instead of %(old)s") % _named(
                new, key=key, new=_tell(shown.get(key)), old=_tell(before.get(key))
            )


def _tell(value: object) -> str:
    return _("not set") if value is None else quote(value)


_KEY_WORDS: dict[str, Callable[[], str]] = {
    "text": lambda: _("text"),
    "key": lambda: _("key"),
    "clause": lambda: _("clause"),
    "severity": lambda: _("severity"),
    "codes": lambda: _("codes"),
}


def _describe_choices(old: Question, new: Question) -> Iterator[str]:
    before = {choice["id"]: choice for choice in walk(old["choices"])}
    after = {choice["id"]: choice for choice in walk(new["choices"])}
    for number, choice in after.items():
        if number not in before:
            yield _("%(name)s offers %(value)s too") % _named(new, value=quote(choice["value"]))
            continue
        changed = [word() for key, word in _KEY_WORDS.items() if choice.get(key) != before[number].get(key)]
        if changed:
            yield _("%(name)s, choice %(value)s: another %(what)s") % _named(
                new, value=quote(choice["value"]), what=", ".join(changed)
            )
    if _order(old["choices"], after) != _order(new["choices"], before):
        yield _("The choices of %(name)s stand in another order") % _named(new)


def _order(choices: list[Question], known: dict[int, Any], parent: int = 0) -> list[tuple[int, int]]:
    """Which choice stands below which, in order; only those that both versions have."""
    found: list[tuple[int, int]] = []
    for choice in choices:
        if choice["id"] in known:
            found.append((parent, choice["id"]))
        found += _order(choice.get("children", []), known, choice["id"])
    return found
