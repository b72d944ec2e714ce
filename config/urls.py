"""Every address of this installation."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from annotation.api.media import MediaView
from config import health, metrics

handler400 = "config.faults.show_bad_request"
handler403 = "config.faults.show_forbidden"
handler404 = "config.faults.show_absent"
handler500 = "config.faults.show_fault"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("config.api")),
    path("healthz", health.show_health, name="healthz"),
    path("readyz", health.show_readiness, name="readyz"),
    path("metrics", metrics.show_metrics, name="metrics"),
    path("media/<slug:slug>/<str:sha256>", MediaView.as_view(), name="media"),
    path("", include("annotation.urls")),
    path("", include("reviewers.urls")),
    path("", include("learning.urls")),
]
