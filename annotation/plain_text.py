"""What a stored piece of text may hold: the rules that names, choice values, ids and parts share."""

from __future__ import annotations

import unicodedata

from django.utils.translation import gettext as _


def quote(value: object, at_most: int = 60) -> str:
    """Return `value` in quotes, fit for a sentence: cut to `at_most` code points, without control characters."""
    try:
        text = str(value)[: at_most + 1]
    except ValueError:  # an integer of thousands of digits
        text = _("a huge number")
    clean = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return f'"{clean}"' if len(clean) <= at_most else f'"{clean[:at_most]}\N{HORIZONTAL ELLIPSIS}"'


def find_storage_fault(text: str) -> str | None:
    """Say why PostgreSQL could not store `text` (U+0000, half a surrogate pair), or return None."""
    if "\x00" in text:
        return _("holds the character U+0000, which cannot be stored")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return _("holds half of a surrogate pair, which is not a character")
    return None


def find_line_fault(text: object, at_most: int, at_least: int = 1) -> str | None:
    """Say why `text` is not `at_least` to `at_most` code points without control characters, or return None."""
    if not isinstance(text, str):
        return _("is not a text")
    if not at_least <= len(text) <= at_most:
        return _("must be %(least)d to %(most)d characters long") % {"least": at_least, "most": at_most}
    fault = find_storage_fault(text)
    if fault is None and not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        return _("holds a control character")
    return fault


def find_text_fault(text: object, at_most: int, at_least: int = 0) -> str | None:
    """As `find_line_fault`, but line breaks and other control characters may stand in it (U+0000 may not)."""
    if not isinstance(text, str):
        return _("is not a text")
    if not at_least <= len(text) <= at_most:
        return _("must be %(least)d to %(most)d characters long") % {"least": at_least, "most": at_most}
    return find_storage_fault(text)
