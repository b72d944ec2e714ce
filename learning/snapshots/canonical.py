"""Canonical JSON: one value, one sequence of bytes, on any machine.

UTF-8, keys sorted by code point, no spaces, non-ASCII characters as themselves. A float is written as Python's `repr`:
the shortest digits that read back as the same 64-bit float, which is a fixed format and does not depend on the locale.
NaN and the infinities have no JSON and are refused.
"""

from __future__ import annotations

import json
from typing import Any


def to_canonical(value: Any) -> bytes:
    """Return the canonical bytes, without a newline. ValueError for NaN, infinities and keys that are not text."""
    _refuse_other_keys(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def to_document(value: Any) -> bytes:
    """Return the same value laid out for people (two spaces, a newline at the end): as fixed as the canonical form."""
    _refuse_other_keys(value)
    return (json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _refuse_other_keys(value: Any) -> None:
    """Python's json would write the keys 1 and "1" alike."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a JSON key must be text, not {key!r}")
            _refuse_other_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_other_keys(inner)
