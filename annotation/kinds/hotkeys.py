"""Keys on the labelling page: which are taken by the page itself, and which an option gets that names none."""

from __future__ import annotations

from collections.abc import Iterable

# What the page itself does by key, unless a person has other keys for it (annotation/desk_keys.py): action -> key.
PAGE_KEYS = {
    "unsure": "u",
    "skip": "s",
    "undo": "z",
    "history": "l",
    "comment": "c",
    "flag": "f",
    "reveal": "r",
    "quarantine": "q",
    "guideline": "g",
    "view": "v",
    "hidden": "x",
    "help": "h",
}
MOVING_KEYS = frozenset("jk")  # next and previous question
# A schema may still claim one of them for a choice; it is only never given out by default.
DESK_KEYS = frozenset(PAGE_KEYS.values()) | MOVING_KEYS | {"?"}
RESERVED_KEYS = DESK_KEYS | {"n"}  # which the reviewers' pages have
# As they lie on the keyboard: the digits, then the row below them, and so on.
_DEFAULT_KEYS = tuple(c for c in "1234567890qwertyuiopasdfghjklzxcvbnm" if c not in RESERVED_KEYS)


def assign_keys(wanted: Iterable[str | None]) -> list[str | None]:
    """Return one key per option: the wanted one, else the first free default, None once the defaults are used up."""
    asked = list(wanted)
    used = {key for key in asked if key is not None}
    free = (key for key in _DEFAULT_KEYS if key not in used)
    return [key if key is not None else next(free, None) for key in asked]
