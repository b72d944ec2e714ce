"""The choices of a question, possibly nested: checked, given ids that last, flattened, shown.

A compiled choice is `{"id", "value"}` plus what was given of `text`, `key`, `severity`, `clause`, `codes`, `children`.
An id belongs to a value for ever: a value that left and came back has its old id, a new value never gets a used one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from annotation.kinds.hotkeys import assign_keys
from annotation.kinds.kind import Question, SchemaError
from annotation.plain_text import find_line_fault, find_text_fault, quote

MAX_CHOICES = 1000
MAX_DEPTH = 5
MAX_VALUE = 100
MAX_TEXT = 500
MAX_CODES = 50
_KEYS = frozenset({"value", "text", "key", "severity", "clause", "codes", "children"})


def compile_choices(
    raw: Question, previous: Question | None, *, key: str = "choices", is_flat: bool = False
) -> Question:
    """Return `choices`, `leaf_ids`, `next_choice_id` and `retired_choices` for a question with a list of choices.

    The list `raw[key]` needs 1 to 1,000 choices (branches counted), at most 5 levels deep, one where `is_flat`; else
    SchemaError.
    """
    return _Compiler(raw["name"], previous or {}, key, is_flat).compile(raw.get(key))


class _Compiler:
    def __init__(self, name: str, previous: Question, key: str, is_flat: bool) -> None:
        self.where = _("Question %(name)s") % {"name": quote(name)}
        self.key = key
        self.allowed = _KEYS - {"children"} if is_flat else _KEYS
        self.known: dict[str, int] = {c["value"]: c["id"] for c in previous.get("retired_choices", ())}
        self.known.update((c["value"], c["id"]) for c in walk(previous.get("choices", ())))
        self.next_id: int = previous.get("next_choice_id", 1)
        self.values: set[str] = set()
        self.keys: set[str] = set()

    def compile(self, raw: object) -> Question:
        if not isinstance(raw, list) or not raw:
            self.fail(_("`%(key)s` must be a list of at least one choice") % {"key": self.key})
        choices = [self.compile_one(choice, 1) for choice in raw]
        retired = [{"id": i, "value": v} for v, i in self.known.items() if v not in self.values]
        return {
            "choices": choices,
            "leaf_ids": [choice["id"] for choice in leaves(choices)],
            "next_choice_id": self.next_id,
            "retired_choices": sorted(retired, key=lambda choice: choice["id"]),
        }

    def fail(self, sentence: str, value: object = None) -> NoReturn:
        where = self.where
        if value is not None:
            where = _("%(where)s, choice %(value)s") % {"where": where, "value": quote(value)}
        raise SchemaError(f"{where}: {sentence}.")

    def compile_one(self, raw: object, depth: int) -> Question:
        if not isinstance(raw, dict):
            self.fail(_("a choice must be an object with a `value`"))
        value = raw.get("value")
        fault = find_line_fault(value, MAX_VALUE)
        if fault or not isinstance(value, str):
            self.fail(_("its `value` %(fault)s") % {"fault": fault}, value)
        unknown = raw.keys() - self.allowed
        if unknown:
            self.fail(_("unknown key %(key)s") % {"key": quote(min(map(str, unknown)))}, value)
        if value in self.values:
            self.fail(_("this value stands there twice"), value)
        self.values.add(value)
        if len(self.values) > MAX_CHOICES:
            self.fail(_("more than %(most)d choices") % {"most": MAX_CHOICES})
        if value not in self.known:
            self.known[value] = self.next_id
            self.next_id += 1
        choice: Question = {"id": self.known[value], "value": value}
        for name, most in (("text", MAX_TEXT), ("severity", 50), ("clause", 100)):
            if raw.get(name) is not None:
                fault = find_text_fault(raw[name], most)
                if fault:
                    self.fail(_("its `%(name)s` %(fault)s") % {"name": name, "fault": fault}, value)
                choice[name] = raw[name]
        if raw.get("key") is not None:
            choice["key"] = self.check_key(raw["key"], value)
        if raw.get("codes") is not None:
            choice["codes"] = self.check_codes(raw["codes"], value)
        if raw.get("children") is not None:
            if not isinstance(raw["children"], list) or not raw["children"]:
                self.fail(_("`children` must be a list of at least one choice, or be left out"), value)
            if depth == MAX_DEPTH:
                self.fail(_("choices are nested deeper than %(most)d levels") % {"most": MAX_DEPTH}, value)
            choice["children"] = [self.compile_one(child, depth + 1) for child in raw["children"]]
        return choice

    def check_key(self, key: object, value: str) -> str:
        if not isinstance(key, str) or len(key) != 1 or not key.isprintable() or key.isspace():
            self.fail(_("its `key` must be one visible character"), value)
        if key in self.keys:
            self.fail(_("its `key` %(key)s is taken by another choice") % {"key": quote(key)}, value)
        self.keys.add(key)
        return key

    def check_codes(self, codes: object, value: str) -> dict[str, str]:
        sentence = _('`codes` must be an object of at most %(most)d short texts, such as {"DSA": "..."}') % {
            "most": MAX_CODES
        }
        if not isinstance(codes, dict) or len(codes) > MAX_CODES:
            self.fail(sentence, value)
        if any(find_line_fault(k, 50) or find_line_fault(v, 200) for k, v in codes.items()):
            self.fail(sentence, value)
        return dict(codes)


def walk(choices: Iterable[Question]) -> Iterator[Question]:
    """Yield every choice, branches before their children."""
    for choice in choices:
        yield choice
        yield from walk(choice.get("children", ()))


def leaves(choices: Iterable[Question]) -> Iterator[Question]:
    """Yield the choices that can be answers, in schema order."""
    return (choice for choice in walk(choices) if not choice.get("children"))


def choice_texts(question: Question) -> dict[str, str]:
    """Return what people read of each choice or label, by its value: its text, the value where it has none."""
    return {one["value"]: one.get("text") or one["value"] for one in walk(question.get("choices", ()))}


def name_choices(question: Question) -> dict[int, str]:
    """Return id -> value: of the choices in schema order, then of those that left the schema."""
    named = {choice["id"]: choice["value"] for choice in walk(question.get("choices", ()))}
    return named | {choice["id"]: choice["value"] for choice in question.get("retired_choices", ())}


def leaf_ids_under(question: Question, values: Iterable[str]) -> list[int]:
    """Return the leaf ids that `values` stand for, a branch for all below it. KeyError names an unknown value."""
    by_value = {choice["value"]: choice for choice in walk(question["choices"])}
    return sorted({leaf["id"] for value in values for leaf in leaves([by_value[value]])})


def show_choices(choices: Iterable[Question]) -> list[Question]:
    """Return the choices as they were sent: without ids."""
    shown = []
    for choice in choices:
        one = {key: value for key, value in choice.items() if key not in ("id", "children")}
        if choice.get("children"):
            one["children"] = show_choices(choice["children"])
        shown.append(one)
    return shown


def find_choice_breaks(old: Question, new: Question) -> list[str]:
    """Return a sentence for each answer of `old` that `new` does not offer."""
    offered = set(new["leaf_ids"])
    return [
        _("%(name)s no longer offers %(value)s") % {"name": quote(old["name"]), "value": quote(leaf["value"])}
        for leaf in leaves(old["choices"])
        if leaf["id"] not in offered
    ]


def render_options(choices: Iterable[Question]) -> list[dict[str, Any]]:
    """Return the choices flat, for a page: id, value, text, key, depth (0 at the top), is_leaf, severity, clause.

    Only leaves get a default key; a branch has the key that the schema gave it, or None.
    """
    flat = list(_walk_with_depth(choices, 0))
    are_leaves = [choice for choice, depth in flat if not choice.get("children")]
    taken = [choice.get("key") for choice, depth in flat if choice.get("children") and choice.get("key")]
    keys = assign_keys([*taken, *(leaf.get("key") for leaf in are_leaves)])[len(taken) :]
    key_by_id = dict(zip((leaf["id"] for leaf in are_leaves), keys, strict=True))
    return [
        {
            "id": choice["id"],
            "value": choice["value"],
            "text": choice.get("text") or choice["value"],
            "key": key_by_id.get(choice["id"], choice.get("key")),
            "depth": depth,
            "is_leaf": not choice.get("children"),
            "severity": choice.get("severity"),
            "clause": choice.get("clause"),
        }
        for choice, depth in flat
    ]


def _walk_with_depth(choices: Iterable[Question], depth: int) -> Iterator[tuple[Question, int]]:
    for choice in choices:
        yield choice, depth
        yield from _walk_with_depth(choice.get("children", ()), depth + 1)
