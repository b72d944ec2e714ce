"""Items over HTTP: the list and one of them. What changes items is annotation's (`annotation/api/items.py`)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Access, item_for, project_for
from annotation.api.items import ItemEraseView, ItemsImportView
from annotation.api.paging import PAGING, next_url, read_cursor, read_limit
from annotation.api.queries import read_choice, read_query
from annotation.api.shapes import PAGE_PARAMETERS, page_of, shape
from annotation.errors import InvalidError
from annotation.models import Item
from annotation.serializers import show_part, show_time
from learning.items import ORDERS, STATES, current_model, list_items, show_items

MAX_WORDS = 200


def row_fields() -> dict[str, Any]:
    """A row of the list of items, as `show_items` gives it."""
    return {
        "id": s.CharField(),
        "external_id": s.CharField(),
        "state": s.ChoiceField(list(STATES)),
        "priority": s.FloatField(),
        "utility": s.FloatField(allow_null=True),
        "disagreement": s.FloatField(allow_null=True),
        "resolutions": s.DictField(),
        "n_annotations": s.IntegerField(),
    }


class ItemsView(ItemsImportView):
    """The items of a project."""

    @extend_schema(
        responses=page_of("ItemRow", **row_fields()),
        parameters=[
            OpenApiParameter("state", OpenApiTypes.STR, enum=list(STATES)),
            OpenApiParameter("q", OpenApiTypes.STR, description="how the external id begins, or words of the text"),
            OpenApiParameter("order", OpenApiTypes.STR, enum=list(ORDERS)),
            *PAGE_PARAMETERS,
        ],
    )
    def get(self, request: Request, slug: str) -> Response:
        """The items, in the order asked for; those without a utility or disagreement come last.

        Where few items fit, a page may have fewer rows than `limit`, or none, and still a `next`: the list goes on.
        """
        access = project_for(self.caller, slug, "items")
        query = read_query(request, ("state", "q", "order", *PAGING))
        order = read_choice(query, "order", ORDERS, "id") or "id"
        state = read_choice(query, "state", STATES)
        words = query.get("q")
        if words is not None and len(words) > MAX_WORDS:
            raise InvalidError(fields={"q": _("At most %(most)d characters.") % {"most": MAX_WORDS}})
        filters = {"order": order, "state": state or "", "q": words or ""}
        rows, following = list_items(
            access.project,
            order=order,
            state=state,
            words=words,
            after=read_cursor(request, filters),
            limit=read_limit(request),
        )
        return Response({"results": rows, "next": next_url(request, following, filters)})


class ItemView(ItemEraseView):
    """One item."""

    @extend_schema(
        responses=shape(
            "Item",
            **row_fields(),
            parts=s.ListField(child=s.DictField()),
            metadata=s.DictField(),
            group=s.CharField(allow_blank=True),
            created_at=s.DateTimeField(),
        )
    )
    def get(self, request: Request, slug: str, item_id: str) -> Response:
        """The item as in the list, with its content; a sealed or erased one has none."""
        access, item = item_for(self.caller, slug, item_id)
        row = show_items(access.project, [item.pk], getattr(current_model(access.project), "pk", None))[0]
        return Response({**row, **_show_content(access, item), "created_at": show_time(item.created_at)})


def _show_content(access: Access, item: Item) -> dict[str, Any]:
    if item.lifecycle in (Item.Lifecycle.QUARANTINED, Item.Lifecycle.ERASED):
        return {"parts": [], "metadata": {}, "group": ""}
    parts = [show_part(part, access) for part in item.payload.parts]
    return {"parts": parts, "metadata": item.metadata, "group": item.group}
