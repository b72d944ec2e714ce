"""A project's files (images, audio, video): sending them in, and the guarded route by which people see them."""

from __future__ import annotations

import mimetypes
import os
import re
from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import media
from annotation.access import access_to, project_for
from annotation.actions.media import add_media
from annotation.api.bodies import open_body
from annotation.api.ranges import send_range
from annotation.api.shapes import shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError, InvalidError, TooLargeError
from annotation.models import Media, Project

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


class MediaUploadView(ApiView):
    """One image, sound or video, by its SHA-256."""

    takes_chunks = True

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: _MEDIA, 201: _MEDIA},
    )
    def put(self, request: Request, slug: str, sha256: str) -> Response:
        """Read the bytes and keep them: 201, or 200 if they are there already.

        An image is written anew without its metadata, so `size` may differ from what was sent; `sha256` stays that of
        the bytes as sent.
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
        parameters=[OpenApiParameter("t", OpenApiTypes.STR, required=True, description="from the `src`; for minutes")],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
            (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, slug: str, sha256: str) -> HttpResponseBase:
        """The bytes or one range of them, for the person to whom the link was given, for a few minutes."""
        caller = self.caller
        project = Project.objects.filter(slug=slug).first()
        if project is None or access_to(caller, project) is None:
            raise AbsentError
        token = request.query_params.get("t", "")
        is_theirs = media.check_media_token(token, f"{project.pk}:{sha256}", caller.user.pk, now=timezone.now())
        found = Media.objects.filter(project=project, sha256=sha256, is_sealed=False)
        row = found.first() if is_theirs else None
        if row is None:
            raise AbsentError(_("This link has expired or was made for somebody else. Load the item again."))
        try:
            file = media.media_path(project.pk, row.sha256).open("rb")
        except FileNotFoundError as error:
            raise AbsentError from error
        name = f"{row.sha256[:16]}{mimetypes.guess_extension(row.mime) or ''}"
        about = os.fstat(file.fileno())
        # The name is the hash of what was sent; erased and sent again, an image may be written a little differently.
        etag = f'"{row.sha256}-{about.st_mtime_ns:x}"'
        return send_range(request, file, about.st_size, name=name, etag=etag, content_type=row.mime, headers=_HEADERS)


def _show_media(row: Media) -> dict[str, Any]:
    return {"sha256": row.sha256, "size": row.size, "mime": row.mime, "width": row.width, "height": row.height}
