"""The reviewers' pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from reviewers.views.agreement import AgreementView
from reviewers.views.desk import HistoryView, PrecedentsView
from reviewers.views.disputes import DisputesView, DisputeView
from reviewers.views.people import AnnotatorsView, AnnotatorView
from reviewers.views.rule import RuleView
from reviewers.views.schema import PublishSchemaView

urlpatterns: list[URLPattern | URLResolver] = [
    path("p/<slug:slug>/label/history/", HistoryView.as_view(), name="project-history"),
    path("p/<slug:slug>/label/precedents/<str:lease_id>/", PrecedentsView.as_view(), name="project-precedents"),
    path("p/<slug:slug>/agreement/", AgreementView.as_view(), name="project-agreement"),
    path("p/<slug:slug>/disputes/", DisputesView.as_view(), name="project-disputes"),
    path("p/<slug:slug>/disputes/<str:item_id>/", DisputeView.as_view(), name="project-dispute"),
    path("p/<slug:slug>/rule/", RuleView.as_view(), name="project-rule"),
    path("p/<slug:slug>/annotators/", AnnotatorsView.as_view(), name="project-annotators"),
    path("p/<slug:slug>/annotators/<str:person_id>/", AnnotatorView.as_view(), name="project-annotator"),
    path("p/<slug:slug>/schema/publish/", PublishSchemaView.as_view(), name="project-schema-publish"),
]
