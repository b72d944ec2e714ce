"""Annotation's part of `/api/v1/`. Items are in `learning/urls_items.py`: their list shows scores."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.api import care, jobs, leases, media, members, projects, users

urlpatterns: list[URLPattern | URLResolver] = [
    # The two hottest requests first: addresses are tried one after the other.
    path("projects/<slug:slug>/leases", leases.LeasesView.as_view(), name="api-leases"),
    path("leases/<str:lease_id>/annotation", leases.AnnotationView.as_view(), name="api-annotation"),
    path("projects", projects.ProjectsView.as_view(), name="api-projects"),
    path("projects/<slug:slug>", projects.ProjectView.as_view(), name="api-project"),
    path("projects/<slug:slug>/schema", projects.SchemaView.as_view(), name="api-schema"),
    path("projects/<slug:slug>/guideline", projects.GuidelineView.as_view(), name="api-guideline"),
    path("projects/<slug:slug>/members", members.MembersView.as_view(), name="api-members"),
    path("projects/<slug:slug>/members/<str:name>", members.MemberView.as_view(), name="api-member"),
    path("projects/<slug:slug>/media/<str:sha256>", media.MediaUploadView.as_view(), name="api-media"),
    path("leases/<str:lease_id>", leases.LeaseView.as_view(), name="api-lease"),
    path("leases/<str:lease_id>/renew", leases.RenewView.as_view(), name="api-renew"),
    path("leases/<str:lease_id>/skip", leases.SkipView.as_view(), name="api-skip"),
    path("annotations/<str:annotation_id>/undo", leases.UndoView.as_view(), name="api-undo"),
    path("projects/<slug:slug>/items/<str:item_id>/care", care.ItemHintView.as_view(), name="api-item-care"),
    path("me/care", care.OwnCareView.as_view(), name="api-own-care"),
    path("organisation/care", care.OrganisationCareView.as_view(), name="api-organisation-care"),
    path("users", users.UsersView.as_view(), name="api-users"),
    path("users/<str:name>/tokens", users.TokensView.as_view(), name="api-tokens"),
    path("jobs/<str:job_id>", jobs.JobView.as_view(), name="api-job"),
]
