"""The query string: only names that a route knows, each once, each a text that can be stored."""

from __future__ import annotations

from collections.abc import Collection

from django.utils.translation import gettext as _
from rest_framework.request import Request

from annotation.errors import InvalidError
from annotation.plain_text import find_storage_fault, quote


def read_query(request: Request, known: Collection[str]) -> dict[str, str]:
    """The parameters by name; an empty one counts as left out. Raises InvalidError for unknown ones."""
    faults: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, values in request.query_params.lists():
        shown = quote(name, 60)[1:-1]
        fault = find_storage_fault(values[0])
        if name not in known:
            faults[shown] = _("There is no such parameter. Known: %(known)s.") % {"known": ", ".join(known) or "-"}
        elif len(values) > 1:
            faults[shown] = _("Send it once.")
        elif fault is not None:
            faults[shown] = _("It %(fault)s.") % {"fault": fault}
        elif values[0]:
            found[name] = values[0]
    if faults:
        raise InvalidError(fields=faults)
    return found


def read_choice(query: dict[str, str], name: str, known: Collection[str], default: str | None = None) -> str | None:
    """A parameter that is one of `known`, or `default`. Raises InvalidError."""
    value = query.get(name)
    if value is None:
        return default
    if value not in known:
        raise InvalidError(fields={name: _("One of: %(known)s.") % {"known": ", ".join(known)}})
    return value


def read_flag(query: dict[str, str], name: str) -> bool:
    """A parameter that is 1 or 0; left out is 0. Raises InvalidError."""
    return read_choice(query, name, ("0", "1"), "0") == "1"
