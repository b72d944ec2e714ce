"""Annotation's pages. Pages that show disputes, scores or models are in the apps above."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from annotation.views import (
    care,
    desk,
    guideline,
    guideline_edit,
    imports,
    keys,
    members,
    projects,
    quarantine,
    schema,
    settings,
    sign_in,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", projects.ProjectListView.as_view(), name="project-list"),
    path("new/", projects.ProjectNewView.as_view(), name="project-new"),
    path("sign-in/", sign_in.SignInView.as_view(), name="sign-in"),
    path("sign-out/", sign_in.SignOutView.as_view(), name="sign-out"),
    path("setup/<str:token>", sign_in.SetupView.as_view(), name="setup"),
    path("me/care/", care.OwnCareView.as_view(), name="own-care"),
    path("organisation/care/", care.OrganisationCareView.as_view(), name="organisation-care"),
    path("p/<slug:slug>/label/", desk.DeskView.as_view(), name="project-label"),
    path("p/<slug:slug>/label/keys/", keys.KeysView.as_view(), name="project-keys"),
    path("p/<slug:slug>/items/import/", imports.ImportView.as_view(), name="project-import"),
    path("p/<slug:slug>/guideline/", guideline.GuidelineView.as_view(), name="project-guideline"),
    path("p/<slug:slug>/guideline/edit/", guideline_edit.GuidelineEditView.as_view(), name="project-guideline-edit"),
    path("p/<slug:slug>/schema/", schema.SchemaView.as_view(), name="project-schema"),
    path("p/<slug:slug>/schema/preview/", schema.SchemaPreviewView.as_view(), name="project-schema-preview"),
    path(
        "p/<slug:slug>/schema/preview/<path:call>",
        schema.SchemaPreviewCallView.as_view(),
        name="project-schema-preview-call",
    ),
    path("p/<slug:slug>/quarantine/", quarantine.QuarantineView.as_view(), name="project-quarantine"),
    path("p/<slug:slug>/members/", members.MembersView.as_view(), name="project-members"),
    path("p/<slug:slug>/settings/", settings.SettingsView.as_view(), name="project-settings"),
    path("p/<slug:slug>/view-as/", projects.ViewAsView.as_view(), name="project-view-as"),
]
