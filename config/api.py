"""The API's addresses, from all apps, and its own description."""

from __future__ import annotations

import json
from functools import cache

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator


@cache
def describe() -> bytes:
    """The OpenAPI document. It depends on the code alone, so each process makes it once."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return json.dumps(document, ensure_ascii=False).encode()


@require_safe
def show_description(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document, for anybody: it says nothing about this installation."""
    return HttpResponse(describe(), content_type="application/json")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("annotation.urls_api")),
    path("openapi.json", show_description, name="openapi"),
    path("", include("learning.urls_items")),
    path("", include("reviewers.urls_api")),
    path("", include("learning.urls_snapshots")),
    path("", include("learning.urls_api")),
]
