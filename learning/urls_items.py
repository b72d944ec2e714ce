"""Addresses of items, below `/api/v1/`: lists show scores and resolutions, so they live up here."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.api.items import QuarantineView
from learning.api.items import ItemsView, ItemView

urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/items", ItemsView.as_view(), name="api-items"),
    path("projects/<slug:slug>/items/<str:item_id>", ItemView.as_view(), name="api-item"),
    path("projects/<slug:slug>/items/<str:item_id>/quarantine", QuarantineView.as_view(), name="api-quarantine"),
]
