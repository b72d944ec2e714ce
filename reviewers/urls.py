"""The reviewers' pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from reviewers.agreement_views import AgreementView
from reviewers.desk_parts import HistoryView, PrecedentsView
from reviewers.people_views import AnnotatorsView, AnnotatorView
from reviewers.rule_views import RuleView
from reviewers.schema_views import PublishSchemaView
from reviewers.views import DisputesView, DisputeView

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
