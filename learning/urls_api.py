"""Addresses of learning, below `/api/v1/`: predictions, rounds, models."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from learning.api.drift import DriftView
from learning.api.embeddings import EmbeddingsView
from learning.api.llm import LlmView
from learning.api.models import ComparisonView, PromotionView
from learning.api.rounds import (
    AnchoringView,
    LabelErrorsView,
    LearningCurveView,
    ModelsView,
    PredictionsView,
    RoundsView,
)
from learning.api.unsure import ContradictionsView, UnsureView

urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/predictions", PredictionsView.as_view(), name="api-predictions"),
    path("projects/<slug:slug>/embeddings", EmbeddingsView.as_view(), name="api-embeddings"),
    path("projects/<slug:slug>/rounds", RoundsView.as_view(), name="api-rounds"),
    path("projects/<slug:slug>/models", ModelsView.as_view(), name="api-models"),
    path("projects/<slug:slug>/models/compare", ComparisonView.as_view(), name="api-comparison"),
    path("projects/<slug:slug>/models/<str:model_id>/promote", PromotionView.as_view(), name="api-promotion"),
    path("projects/<slug:slug>/llm", LlmView.as_view(), name="api-llm"),
    path("projects/<slug:slug>/anchoring", AnchoringView.as_view(), name="api-anchoring"),
    path("projects/<slug:slug>/learning-curve", LearningCurveView.as_view(), name="api-learning-curve"),
    path("projects/<slug:slug>/drift", DriftView.as_view(), name="api-drift"),
    path("projects/<slug:slug>/label-errors", LabelErrorsView.as_view(), name="api-label-errors"),
    path("projects/<slug:slug>/unsure", UnsureView.as_view(), name="api-unsure"),
    path("projects/<slug:slug>/contradictions", ContradictionsView.as_view(), name="api-contradictions"),
]
