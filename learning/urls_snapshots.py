"""Addresses of snapshots, below `/api/v1/`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from learning.api.snapshots import SnapshotFileView, SnapshotsView, SnapshotView

urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/snapshots", SnapshotsView.as_view(), name="api-snapshots"),
    path("projects/<slug:slug>/snapshots/<str:version>", SnapshotView.as_view(), name="api-snapshot"),
    path(
        "projects/<slug:slug>/snapshots/<str:version>/files/<str:name>",
        SnapshotFileView.as_view(),
        name="api-snapshot-file",
    ),
]
