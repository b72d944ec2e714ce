"""Projects, their label schemas and their guidelines."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import access_to, project_for, projects_for
from annotation.actions import projects as actions
from annotation.api.bodies import read_object, read_text
from annotation.api.paging import PAGING, page_by_id
from annotation.api.queries import read_query
from annotation.api.shapes import CLAUSE, PAGE_PARAMETERS, STARTED, page_of, project_fields, settings_fields, shape
from annotation.api.view import ApiView, accept_job, require_scope
from annotation.errors import AbsentError, InvalidError
from annotation.models import Project
from annotation.schema import show_schema
from annotation.serializers import show_project, show_time

_PROJECT = shape("Project", **project_fields())


class ProjectsView(ApiView):
    """All that the caller sees."""

    @extend_schema(responses=page_of("ProjectRow", **project_fields()), parameters=PAGE_PARAMETERS)
    def get(self, request: Request) -> Response:
        """The projects that the caller is in (a superuser: all), newest first."""
        read_query(request, PAGING)
        caller = self.caller
        require_scope(caller, "see")
        rows = projects_for(caller).select_related("schema", "guideline")

        def show(project: Project) -> dict[str, Any]:
            return show_project(project, access_to(caller, project))

        return Response(page_by_id(request, rows, show, is_newest_first=True))

    @extend_schema(
        request=shape("NewProject", **{**settings_fields(), "slug": s.CharField(), "schema": s.JSONField()}),
        responses={201: _PROJECT},
    )
    def post(self, request: Request) -> Response:
        """Make a project, with its first label schema and any settings. Who makes it is its owner."""
        caller = self.caller
        require_scope(caller, "manage")
        body = read_object(request.data, required=("slug", "schema"))
        project = actions.create_project(
            slug=read_text(body, "slug"),
            name=read_text(body, "name", ""),
            schema=body["schema"],
            settings={key: value for key, value in body.items() if key not in ("slug", "name", "schema")},
            owner=caller.user,
        )
        where = reverse("api-project", args=[project.slug])
        shown = show_project(project, access_to(caller, project))
        return Response(shown, status=201, headers={"Location": where})


class ProjectView(ApiView):
    """One project."""

    @extend_schema(responses=_PROJECT)
    def get(self, request: Request, slug: str) -> Response:
        """The project's settings, its schema, and the caller's role in it."""
        access = project_for(self.caller, slug)
        return Response(show_project(access.project, access))

    @extend_schema(request=shape("Settings", **settings_fields()), responses=_PROJECT)
    def patch(self, request: Request, slug: str) -> Response:
        """Change settings: those that are named."""
        access = project_for(self.caller, slug, "manage")
        body = read_object(request.data)
        actions.change_project(project=access.project, settings=body, actor=access.user)
        access = project_for(self.caller, slug, "manage")
        return Response(show_project(access.project, access))

    @extend_schema(request=None, responses={202: STARTED})
    def delete(self, request: Request, slug: str) -> Response:
        """Archive the project and erase all payloads. Labels and history stay."""
        access = project_for(self.caller, slug, "manage")
        return accept_job(actions.archive_project(project=access.project, actor=access.user))


class SchemaView(ApiView):
    """The label schema."""

    @extend_schema(
        responses=shape(
            "Schema", version=s.IntegerField(), change=s.CharField(), questions=s.ListField(child=s.DictField())
        )
    )
    def get(self, request: Request, slug: str) -> Response:
        """The version in force."""
        row = project_for(self.caller, slug).project.schema
        if row is None:
            raise AbsentError
        return Response({"version": row.version, "change": row.change, **show_schema(row.compiled)})

    @extend_schema(
        request=shape(
            "NewSchema", questions=s.ListField(child=s.DictField()), map=s.DictField(required=False, allow_null=True)
        ),
        responses={
            201: shape("SchemaVersion", version=s.IntegerField(), change=s.CharField(), job=s.CharField(required=False))
        },
    )
    def put(self, request: Request, slug: str) -> Response:
        """Freeze a new version. A breaking one needs `map`; without it, 409 with the counts of labels touched.

        `job` carries stored labels over to a breaking version; it is left out where there is nothing to carry.
        """
        access = project_for(self.caller, slug, "manage")
        body = read_object(request.data)
        schema = {key: value for key, value in body.items() if key != "map"}
        mapping = body.get("map")
        if mapping is not None and not isinstance(mapping, dict):
            raise InvalidError(fields={"map": _('An object: {"QUESTION": {"old": "new" or null}}.')})
        row, job = actions.put_schema(project=access.project, schema=schema, map=mapping, actor=access.user)
        started = {} if job is None else {"job": str(job.pk)}
        return Response({"version": row.version, "change": row.change, **started}, status=201)


class GuidelineView(ApiView):
    """The guideline."""

    @extend_schema(
        responses=shape(
            "Guideline", version=s.IntegerField(), change=s.CharField(), clauses=CLAUSE, created_at=s.DateTimeField()
        )
    )
    def get(self, request: Request, slug: str) -> Response:
        """The version in force; 404 while there is none."""
        row = project_for(self.caller, slug).project.guideline
        if row is None:
            raise AbsentError(_("This project has no guideline yet."))
        return Response(
            {
                "version": row.version,
                "change": row.change,
                "clauses": row.clauses,
                "created_at": show_time(row.created_at),
            }
        )

    @extend_schema(
        request=shape("NewGuideline", change=s.ChoiceField(["major", "minor"]), clauses=CLAUSE),
        responses={201: shape("GuidelineVersion", version=s.IntegerField())},
    )
    def put(self, request: Request, slug: str) -> Response:
        """Freeze a new version; it is shown with what is leased from now on."""
        access = project_for(self.caller, slug, "manage")
        body = read_object(request.data, known=("change", "clauses"), required=("change", "clauses"))
        row = actions.put_guideline(
            project=access.project, change=read_text(body, "change"), clauses=body["clauses"], actor=access.user
        )
        return Response({"version": row.version}, status=201)
