"""A project's files (images, audio, video): sending them in, and the guarded route by which people see them.

One token opens a file and everything that was made out of it (`annotation/derivatives.py`).
"""

from __future__ import annotations

import mimetypes
import os
import re
from pathlib import Path
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import derivatives, media
from annotation.access import Access, access_to, project_for
from annotation.actions.media import add_media
from annotation.api.bodies import open_body
from annotation.api.queries import read_query
from annotation.api.ranges import send_range
from annotation.api.shapes import shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError, InvalidError, NotMadeError, TooLargeError
from annotation.models import Media, Project
from annotation.serializers import link_media

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADERS = {
    # What somebody uploaded never acts as a page of this site, wherever it is opened.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


_MEDIA = shape(
    "Media",
    sha256=s.CharField(),
    size=s.IntegerField(),
    mime=s.CharField(),
    width=s.IntegerField(allow_null=True),
    height=s.IntegerField(allow_null=True),
)
_TOKEN = OpenApiParameter(
    "t", OpenApiTypes.STR, description="from the `src` of a lease; not needed by those who see items"
)
_VARIANTS = sorted({name for names in derivatives.NAMES.values() for name in names})
_MEDIA_ABOUT = shape(
    "MediaAbout",
    sha256=s.CharField(),
    size=s.IntegerField(),
    mime=s.CharField(),
    width=s.IntegerField(allow_null=True),
    height=s.IntegerField(allow_null=True),
    state=s.ChoiceField(["waiting", "made"]),
    derivatives=s.DictField(help_text="by name: `src`, `mime`, `size`, and what a picture or sheet needs to be shown"),
    left_out=s.DictField(child=s.CharField(), help_text="by name: why there is none"),
)


class MediaUploadView(ApiView):
    """One image, sound or video, by its SHA-256."""

    takes_chunks = True

    @extend_schema(parameters=[_TOKEN], responses=_MEDIA_ABOUT)
    def get(self, request: Request, slug: str, sha256: str) -> Response:
        """What the file is and what was made out of it, each with an address that opens for a few minutes.

        `state` is `waiting` until the worker has looked, mostly for seconds. An annotator sends the token of the `src`.
        """
        access = project_for(self.caller, slug)
        query = read_query(request, ("t",))
        token = query.get("t", "")
        if not access.may("items") and not _is_opened(token, access.project, sha256, access.user.pk):
            raise AbsentError(_("This link has expired or was made for somebody else. Load the item again."))
        found = Media.objects.filter(project=access.project, sha256=sha256, is_sealed=False)
        row = found.first() if _SHA256.fullmatch(sha256) else None
        if row is None:
            raise AbsentError
        return Response(_show_about(row, access))

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: _MEDIA, 201: _MEDIA},
    )
    def put(self, request: Request, slug: str, sha256: str) -> Response:
        """Read the bytes and keep them: 201, or 200 if they are there already.

        An image is written anew without its metadata, so `size` may differ from what was sent; of audio and video what
        tells about them is overwritten. `sha256` stays that of the bytes as sent.
        """
        access = project_for(self.caller, slug, "import")
        if not _SHA256.fullmatch(sha256):
            raise InvalidError(fields={"sha256": _("The address ends in the SHA-256 of the bytes: 64 hex digits.")})
        if int(request.META.get("CONTENT_LENGTH") or 0) > media.MAX_BYTES:
            raise TooLargeError(
                _("The file is larger than %(most)d MB. Send a smaller one.") % {"most": media.MAX_BYTES // 1024**2}
            )
        kept, is_new = add_media(
            project=access.project, source=open_body(request), actor=access.user, expected_sha256=sha256
        )
        return Response(_show_media(kept), status=201 if is_new else 200)


class MediaView(ApiView):
    """What a `src` of a lease or an item points to."""

    @extend_schema(
        parameters=[
            OpenApiParameter("t", OpenApiTypes.STR, required=True, description="from the `src`; for minutes"),
            OpenApiParameter("v", OpenApiTypes.STR, enum=_VARIANTS, description="what was made out of the file"),
        ],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
            (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, slug: str, sha256: str) -> HttpResponseBase:
        """The bytes or one range of them, for the person to whom the link was given, for a few minutes.

        With `v` what was made out of the file: 404 `not_made` where there is none, or not yet. The `thumb` of an image
        that waits for the worker is the image.
        """
        caller = self.caller
        project = Project.objects.filter(slug=slug).first()
        if project is None or access_to(caller, project) is None:
            raise AbsentError
        is_theirs = _is_opened(request.query_params.get("t", ""), project, sha256, caller.user.pk)
        row = Media.objects.filter(project=project, sha256=sha256, is_sealed=False).first() if is_theirs else None
        if row is None:
            raise AbsentError(_("This link has expired or was made for somebody else. Load the item again."))
        path, mime, name = _find_file(row, request.query_params.get("v", ""))
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise AbsentError from error
        about = os.fstat(file.fileno())
        # The name is the hash of what was sent; erased and sent again, an image may be written a little differently.
        etag = f'"{path.name}-{about.st_mtime_ns:x}"'
        return send_range(request, file, about.st_size, name=name, etag=etag, content_type=mime, headers=_HEADERS)


def _is_opened(token: str, project: Project, sha256: str, user_id: int) -> bool:
    return media.check_media_token(token, f"{project.pk}:{sha256}", user_id, now=timezone.now())


def _find_file(row: Media, variant: str) -> tuple[Path, str, str]:
    """Where the file or its derivative lies, its type, and the name to save it by. Raises NotMadeError."""
    is_still_itself = variant == "thumb" and row.derivatives is None and row.mime.startswith("image/")
    if not variant or is_still_itself:
        path, mime, name = media.media_path(row.project_id, row.sha256), row.mime, row.sha256[:16]
    else:
        found = (row.derivatives or {}).get(variant)
        if found is None:
            raise NotMadeError
        if "left_out" in found:
            raise NotMadeError(derivatives.explain_left_out(found["left_out"]))
        path = derivatives.derivative_path(row.project_id, row.sha256, variant)
        mime, name = found["mime"], f"{row.sha256[:16]}-{variant}"
    return path, mime, f"{name}{mimetypes.guess_extension(mime, strict=False) or ''}"


def _show_about(row: Media, access: Access) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = row.derivatives or {}
    return {
        **_show_media(row),
        "state": "waiting" if row.derivatives is None else "made",
        "derivatives": {
            name: {"src": link_media(row.sha256, access, name), **about}
            for name, about in found.items()
            if "left_out" not in about
        },
        "left_out": {
            name: derivatives.explain_left_out(about["left_out"])
            for name, about in found.items()
            if "left_out" in about
        },
    }


def _show_media(row: Media) -> dict[str, Any]:
    return {"sha256": row.sha256, "size": row.size, "mime": row.mime, "width": row.width, "height": row.height}
