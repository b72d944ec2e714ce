"""Keys that kinds have of their own: what a question as sent gives of them, checked. Left out and null are the same."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from annotation.kinds.kind import Question, SchemaError
from annotation.plain_text import quote


def take_wholes(raw: Question, keys: Sequence[str], least: int, most: int) -> Question:
    """Return those of `keys` that were given. SchemaError for what is no whole number from `least` to `most`."""
    own = {key: raw[key] for key in keys if raw.get(key) is not None}
    for key, number in own.items():
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise SchemaError(
                _("Question %(name)s: `%(key)s` must be a whole number from %(least)d to %(most)d.")
                % {"name": quote(raw["name"]), "key": key, "least": least, "most": most}
            )
    return own


def take_flag(raw: Question, key: str) -> Question:
    """Return `key` where it was given. SchemaError for what is neither true nor false."""
    if raw.get(key) is None:
        return {}
    if not isinstance(raw[key], bool):
        raise SchemaError(
            _("Question %(name)s: `%(key)s` must be true or false.") % {"name": quote(raw["name"]), "key": key}
        )
    return {key: raw[key]}
