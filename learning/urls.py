"""Pages of learning, and those that bring all apps together."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from learning.views.doubts import DoubtsView
from learning.views.drift import DriftView
from learning.views.items import ItemsView
from learning.views.learning import LearningView
from learning.views.llm import LlmView
from learning.views.models import ComparisonView, PromotionView
from learning.views.overview import OverviewView
from learning.views.snapshots import SnapshotsView, SnapshotView
from learning.views.unsure import UnsureView

urlpatterns: list[URLPattern | URLResolver] = [
    path("p/<slug:slug>/", OverviewView.as_view(), name="project"),
    path("p/<slug:slug>/items/", ItemsView.as_view(), name="project-items"),
    path("p/<slug:slug>/learning/", LearningView.as_view(), name="project-learning"),
    path("p/<slug:slug>/learning/drift/", DriftView.as_view(), name="project-drift"),
    path("p/<slug:slug>/learning/unsure/", UnsureView.as_view(), name="project-unsure"),
    path("p/<slug:slug>/learning/doubts/", DoubtsView.as_view(), name="project-doubts"),
    path("p/<slug:slug>/learning/llm/", LlmView.as_view(), name="project-llm"),
    path("p/<slug:slug>/learning/models/", ComparisonView.as_view(), name="project-models"),
    path("p/<slug:slug>/learning/models/<str:model_id>/promote/", PromotionView.as_view(), name="project-promotion"),
    path("p/<slug:slug>/snapshots/", SnapshotsView.as_view(), name="project-snapshots"),
    path("p/<slug:slug>/snapshots/<str:version>/", SnapshotView.as_view(), name="project-snapshot"),
]
