"""JSON as this project takes it from outside: strict where Python's reader is kind.

Refused, each with a sentence: bytes that are not UTF-8, duplicate keys, NaN and infinities, integers beyond 64 bits,
floats beyond a double, nesting beyond a limit, and texts that cannot be stored (U+0000, half a surrogate pair).
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from annotation.plain_text import find_storage_fault, quote

MAX_DEPTH = 40
_INT64 = 2**63


class StrictJsonError(ValueError):
    """The message is a sentence about "it": the body, the line."""


def parse_json(raw: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Return the JSON value that `raw` holds. Raises StrictJsonError; a flat object is one level deep."""
    try:
        value = DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StrictJsonError(_("It is not UTF-8 (byte %(byte)d).") % {"byte": error.start + 1}) from error
    except json.JSONDecodeError as error:
        raise StrictJsonError(
            _("It is not JSON: %(reason)s at character %(character)d.")
            % {"reason": error.msg, "character": error.pos + 1}
        ) from error
    except RecursionError as error:
        raise StrictJsonError(_too_deep(max_depth)) from error
    _check(value, max_depth)
    return value


def _too_deep(levels: int) -> str:
    return _("It is nested deeper than %(most)d levels.") % {"most": levels}


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJsonError(_("%(name)s is not a JSON number.") % {"name": name})


def _parse_int(digits: str) -> int:
    if len(digits) > 20 or not -_INT64 <= (number := int(digits)) < _INT64:
        raise StrictJsonError(_("The number %(number)s is too large.") % {"number": quote(digits, 25)})
    return number


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise StrictJsonError(_("The number %(number)s is too large.") % {"number": quote(digits, 25)})
    return number


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _value in pairs:
            if key in seen:
                raise StrictJsonError(_("The key %(key)s stands there twice.") % {"key": quote(key)})
            seen.add(key)
    return found


# What can be refused while reading; nesting and texts are looked at afterwards.
DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_int=_parse_int,
    parse_float=_parse_float,
    parse_constant=_refuse_constant,
)


def _check(value: Any, max_depth: int) -> None:
    """Look at every text and how deep it lies, without recursion."""
    layer, depth = [value], 0
    while layer:
        inner: list[Any] = []
        for one in layer:
            if isinstance(one, str):
                _check_text(one)
            elif isinstance(one, dict):
                inner.extend(one.values())
                for key in one:
                    _check_text(key)
            elif isinstance(one, list):
                inner.extend(one)
        if any(isinstance(one, (dict, list)) for one in layer):
            depth += 1
        if depth > max_depth:
            raise StrictJsonError(_too_deep(max_depth))
        layer = inner


def _check_text(text: str) -> None:
    fault = find_storage_fault(text)
    if fault is not None:
        raise StrictJsonError(_("The text %(text)s %(fault)s.") % {"text": quote(text, 30), "fault": fault})
