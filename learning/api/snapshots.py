"""Snapshots over HTTP: ask for one, list them, read a manifest, download its files in whole or in part."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.bodies import read_object
from annotation.api.paging import PAGING, page_by_id
from annotation.api.queries import read_query
from annotation.api.ranges import send_range
from annotation.api.shapes import PAGE_PARAMETERS, STARTED, page_of, shape
from annotation.api.view import ApiView, accept_job
from annotation.errors import AbsentError, StateError
from annotation.models import Project
from annotation.serializers import show_time
from learning.actions.snapshots import start_snapshot
from learning.models import Snapshot
from learning.snapshots.documents import MANIFEST, MEDIA_TYPES
from learning.snapshots.files import published_folder
from learning.snapshots.schedule import is_content_stale

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def snapshot_fields() -> dict[str, Any]:
    """A snapshot, as `show_snapshot` gives it."""
    return {
        "version": s.CharField(),
        "state": s.ChoiceField(Snapshot.State.values),
        "created_at": s.DateTimeField(),
        "published_at": s.DateTimeField(allow_null=True),
        "created_by": s.CharField(allow_null=True),
        "query": s.DictField(),
        "n_items": s.IntegerField(allow_null=True),
        "merkle_root": s.CharField(allow_null=True),
        "job": s.CharField(allow_null=True),
    }


def manifest_fields() -> dict[str, Any]:
    """What a published snapshot's manifest adds."""
    return {
        "project": s.CharField(),
        "revision": s.IntegerField(),
        "schema_version": s.IntegerField(),
        "guideline_version": s.IntegerField(allow_null=True),
        "method": s.DictField(),
        "questions": s.ListField(child=s.DictField()),
        "counts": s.DictField(),
        "files": s.ListField(child=s.DictField(), help_text="path, size, sha256"),
        "digest": s.CharField(),
    }


class SnapshotsView(ApiView):
    """The snapshots of a project."""

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of("Snapshot", **snapshot_fields()))
    def get(self, request: Request, slug: str) -> Response:
        """List them, newest first."""
        access = project_for(self.caller, slug, "snapshot")
        read_query(request, PAGING)
        snapshots = Snapshot.objects.filter(project=access.project).select_related("created_by")
        return Response(page_by_id(request, snapshots, show_snapshot, is_newest_first=True))

    @extend_schema(
        request=shape(
            "SnapshotRequest", query=s.DictField(required=False, help_text="states, questions, split, min_confidence")
        ),
        responses={202: STARTED},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask for a snapshot of the accepted labels that fit `query` (none: all)."""
        access = project_for(self.caller, slug, "snapshot")
        body = read_object(request.data, ("query",))
        return accept_job(start_snapshot(project=access.project, actor=access.user, query=body.get("query")))


class SnapshotView(ApiView):
    """One snapshot."""

    @extend_schema(responses=shape("SnapshotManifest", **snapshot_fields(), **manifest_fields()))
    def get(self, request: Request, slug: str, version: str) -> Response:
        """The manifest of a version (`latest`: the newest published one), with its state."""
        access = project_for(self.caller, slug, "snapshot")
        snapshot = find_snapshot(access.project, version)
        manifest = snapshot.manifest if snapshot.state == Snapshot.State.PUBLISHED else None
        return Response({**(manifest or {}), **show_snapshot(snapshot)})


class SnapshotFileView(ApiView):
    """One file of a snapshot."""

    @extend_schema(
        parameters=[
            OpenApiParameter("Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="one range of bytes"),
            OpenApiParameter("If-Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="the ETag"),
        ],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, slug: str, version: str, name: str) -> HttpResponseBase:
        """The bytes of a file, or the one range that is asked for. Its ETag is its SHA-256."""
        access = project_for(self.caller, slug, "snapshot")
        return send_file(request, find_snapshot(access.project, version), name)


def show_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as lists show it. `merkle_root` is null until it is published."""
    return {
        "version": snapshot.version,
        "state": snapshot.state,
        "created_at": show_time(snapshot.created_at),
        "published_at": show_time(snapshot.published_at),
        "created_by": snapshot.created_by.username if snapshot.created_by else None,
        "query": snapshot.query,
        "n_items": snapshot.n_items,
        "merkle_root": snapshot.root or None,
        "job": str(snapshot.job_id) if snapshot.job_id else None,
    }


def find_snapshot(project: Project, version: str) -> Snapshot:
    """The snapshot of that number, in whatever state, or the newest published one for `latest`. Raises AbsentError."""
    snapshots = Snapshot.objects.filter(project=project).select_related("created_by")
    if version == "latest":
        found = snapshots.filter(state=Snapshot.State.PUBLISHED).order_by("-major", "-minor", "-patch").first()
    else:
        match = _VERSION.fullmatch(version)
        if match is None:
            raise AbsentError
        major, minor, patch = map(int, match.groups())
        found = snapshots.filter(major=major, minor=minor, patch=patch).first()
    if found is None:
        raise AbsentError
    return found


def send_file(request: Any, snapshot: Snapshot, name: str) -> HttpResponseBase:
    """Answer with a file of a published snapshot: 200, 206 for one range, 416 for none that there is.

    The caller has checked the right. For the pages, too. Raises AbsentError; StateError for content that is being
    withdrawn at this moment.
    """
    if snapshot.state != Snapshot.State.PUBLISHED or name not in MEDIA_TYPES:
        raise AbsentError
    if name == "items.parquet" and is_content_stale(snapshot):
        raise StateError(
            _("Some content was erased or sealed, and this file is being written anew. Try again in a minute.")
        )
    path = published_folder(snapshot) / name
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise AbsentError(_("This file is not on this host any more.")) from error
    size = path.stat().st_size
    etag = f'"{_sha256_of(snapshot, name)}"'
    headers = {
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return send_range(request, file, size, name=name, etag=etag, content_type=MEDIA_TYPES[name], headers=headers)


def _sha256_of(snapshot: Snapshot, name: str) -> str:
    """The manifest is not in its own list: its digest stands for it."""
    manifest = snapshot.manifest or {}
    if name == MANIFEST:
        return str(manifest["digest"])
    return next(str(entry["sha256"]) for entry in manifest["files"] if entry["path"] == name)
