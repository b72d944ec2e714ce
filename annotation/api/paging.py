"""Lists in pages, `{"results": [...], "next": URL or null}`, by keyset: a page costs the same however far it is.

A cursor is opaque: a signed list that says which list it belongs to (address, order and filters) and after which row
the page begins. It holds only what the caller was shown, or could be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from annotation.api.exceptions import InvalidCursorError
from annotation.errors import InvalidError

DEFAULT_LIMIT, MAX_LIMIT = 30, 500
PAGING = ("cursor", "limit")
_signer = Signer(salt="touchstone.cursor")

Row = TypeVar("Row", bound=Model)


def read_limit(request: Request) -> int:
    """How many rows a page has: 30, or `limit`, 1 to 500. Raises InvalidError."""
    sent = request.query_params.get("limit")
    if not sent:
        return DEFAULT_LIMIT
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 6 and 1 <= int(sent) <= MAX_LIMIT):
        raise InvalidError(fields={"limit": _("A whole number from 1 to %(most)d.") % {"most": MAX_LIMIT}})
    return int(sent)


def read_cursor(request: Request, filters: Mapping[str, str] | None = None) -> list[Any] | None:
    """After which row the page begins, as `next_url` was given it; None at the start.

    `filters`: what else chooses and orders the rows. Raises InvalidCursorError where the cursor is of another list.
    """
    sent = request.query_params.get("cursor")
    if not sent:
        return None
    try:
        which, position = _signer.unsign_object(sent)
    except (BadSignature, ValueError, TypeError) as error:
        raise InvalidCursorError from error
    if which != _which(request, filters) or not isinstance(position, list):
        raise InvalidCursorError(
            _("This cursor belongs to another list, order or filter. Leave `cursor` out to start again.")
        )
    return position


def next_url(request: Request, position: Sequence[Any] | None, filters: Mapping[str, str] | None = None) -> str | None:
    """The absolute address of the page after the row at `position` (values that JSON can hold); None for None."""
    if position is None:
        return None
    cursor = _signer.sign_object([_which(request, filters), list(position)])
    return str(replace_query_param(request.build_absolute_uri(), "cursor", cursor))


def _which(request: Request, filters: Mapping[str, str] | None) -> list[Any]:
    return [request.path, [[name, value] for name, value in sorted((filters or {}).items())]]


def page_by_id(
    request: Request,
    rows: QuerySet[Row],
    show: Callable[[Row], dict[str, Any]],
    *,
    is_newest_first: bool = False,
    filters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One page of a queryset in the order of its ids."""
    limit, after = read_limit(request), read_cursor(request, filters)
    if after is not None:
        rows = rows.filter(pk__lt=after[0]) if is_newest_first else rows.filter(pk__gt=after[0])
    found = list(rows.order_by("-pk" if is_newest_first else "pk")[: limit + 1])
    following = [found[limit - 1].pk] if len(found) > limit else None
    return {"results": [show(row) for row in found[:limit]], "next": next_url(request, following, filters)}
