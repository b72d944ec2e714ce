"""The reviewers' part of `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from reviewers.api.agreement import AgreementView
from reviewers.api.consensus import ConsensusView, RulePreviewView
from reviewers.api.people import AnnotatorsView, AnnotatorView
from reviewers.api.resolutions import AdjudicationView, ResolutionsView

urlpatterns = [
    path("projects/<slug:slug>/agreement", AgreementView.as_view(), name="api-agreement"),
    path("projects/<slug:slug>/resolutions", ResolutionsView.as_view(), name="api-resolutions"),
    path("projects/<slug:slug>/consensus", ConsensusView.as_view(), name="api-consensus"),
    path("projects/<slug:slug>/rule-preview", RulePreviewView.as_view(), name="api-rule-preview"),
    path("projects/<slug:slug>/annotators", AnnotatorsView.as_view(), name="api-annotators"),
    path("projects/<slug:slug>/annotators/<str:person_id>", AnnotatorView.as_view(), name="api-annotator"),
    path("projects/<slug:slug>/items/<str:item_id>/adjudication", AdjudicationView.as_view(), name="api-adjudication"),
]
