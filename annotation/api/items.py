"""Bringing items in, erasing and sealing them. The list, which also shows scores, is in `learning/api/items.py`."""

from __future__ import annotations

from pathlib import Path

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import item_for, project_for, sealable_item_for
from annotation.actions import items as actions
from annotation.actions.imports import start_import
from annotation.actions.media import erase_item
from annotation.actions.quarantine import ask_release, confirm_release, find_quarantine
from annotation.api.bodies import open_body, read_object, read_text, spool
from annotation.api.queries import read_choice, read_flag, read_query
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from annotation.errors import InvalidError, StateError, TooLargeError, UnsupportedTypeError
from annotation.importing.formats import ImportFileError, detect_source
from annotation.models import Organisation
from annotation.queue import item_state

IMPORT_PARAMETERS = [
    OpenApiParameter("partial", OpenApiTypes.STR, enum=["0", "1"], description="1: good rows in, bad rows reported"),
    OpenApiParameter("update", OpenApiTypes.STR, enum=["metadata"], description="new metadata for unchanged items"),
]
IMPORT_BODY = {
    "application/x-ndjson": OpenApiTypes.STR,
    "text/csv": OpenApiTypes.STR,
    "application/vnd.apache.parquet": OpenApiTypes.BINARY,
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
}
MAX_REASON = 200
_RELEASED = shape("Released", id=s.CharField(), state=s.CharField(), release=s.ChoiceField(["asked", "done"]))


class ItemsImportView(ApiView):
    """The items of a project, as far as they are brought in."""

    takes_chunks = True

    @extend_schema(request=IMPORT_BODY, responses={202: STARTED}, parameters=IMPORT_PARAMETERS)
    def post(self, request: Request, slug: str) -> Response:
        """Import rows: JSON lines, CSV, Parquet, or one file as multipart; `Content-Encoding: gzip` is accepted."""
        access = project_for(self.caller, slug, "import")
        query = read_query(request, ("partial", "update"))
        is_partial = read_flag(query, "partial")
        is_update = read_choice(query, "update", ("metadata",)) is not None
        most = Organisation.objects.get().max_upload_bytes
        if int(request.META.get("CONTENT_LENGTH") or 0) > most:
            raise TooLargeError
        content_type = request.META.get("CONTENT_TYPE", "")
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
        if content_type.lower().startswith("multipart/"):
            upload = _one_file(request)
            name, content_type, encoding = upload.name or "", upload.content_type or "", ""
            path = spool(upload.chunks(), most)
        else:
            name = ""
            _refuse_unknown(content_type, encoding)
            path = spool(open_body(request), most)
        try:
            with transaction.atomic():
                job = start_import(
                    project=access.project,
                    actor=access.user,
                    path=path,
                    name=name,
                    content_type=content_type,
                    encoding=encoding,
                    partial=is_partial,
                    update_metadata=is_update,
                )
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise
        return accept_job(job)


def _refuse_unknown(content_type: str, encoding: str) -> None:
    """Raise UnsupportedTypeError before anything is read where the headers name no known format."""
    try:
        detect_source(None, content_type, encoding)
    except ImportFileError as error:
        raise UnsupportedTypeError from error


def _one_file(request: Request) -> UploadedFile[bytes]:
    files = [file for _name, found in request._request.FILES.lists() for file in found]
    if len(files) != 1:
        raise InvalidError(_("Send exactly one file in the form."))
    return files[0]


class ItemEraseView(ApiView):
    """One item, as far as it is erased."""

    @extend_schema(request=shape("Erase", reason=s.CharField()), responses={202: STARTED})
    def delete(self, request: Request, slug: str, item_id: str) -> Response:
        """Erase the item's payload and the free text about it. Its id, labels and commitment stay."""
        access, item = item_for(self.caller, slug, item_id, "manage")
        reason = _read_reason(read_object(request.data, known=("reason",), required=("reason",)))
        return accept_job(erase_item(item=item, actor=access.user, reason=reason), state="erased")


class QuarantineView(ApiView):
    """An item that may be illegal to hold."""

    @extend_schema(request=None, responses=shape("Quarantined", id=s.CharField(), state=s.CharField()))
    def post(self, request: Request, slug: str, item_id: str) -> Response:
        """Seal the item: from now on it is in no page, queue, snapshot or export, and its files are not served.

        For annotators too, on an item that they hold or have answered. Other items that show one of its files are
        sealed with it.
        """
        access, item = sealable_item_for(self.caller, slug, item_id)
        read_object(request.data, known=())
        actions.quarantine_item(item=item, actor=access.user)
        return Response({"id": str(item.pk), "state": item_state(item.pk)})

    @extend_schema(
        request=shape("Release", reason=s.CharField(required=False)),
        responses={200: _RELEASED, 202: _RELEASED},
    )
    def delete(self, request: Request, slug: str, item_id: str) -> Response:
        """Let it out, which takes two owners: the first call asks, with a reason (202); another owner's confirms."""
        access, item = item_for(self.caller, slug, item_id, "manage")
        body = read_object(request.data, known=("reason",))
        quarantine = find_quarantine(item)
        if quarantine is None:
            raise StateError(_("This item is not in quarantine."))
        if quarantine.asked_by_id is None:
            ask_release(quarantine=quarantine, actor=access.user, reason=read_text(body, "reason", ""))
            return Response({"id": str(item.pk), "state": item_state(item.pk), "release": "asked"}, status=202)
        confirm_release(quarantine=quarantine, actor=access.user)
        return Response({"id": str(item.pk), "state": item_state(item.pk), "release": "done"})


def _read_reason(body: dict[str, object]) -> str:
    reason = read_text(body, "reason").strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise InvalidError(fields={"reason": _("A text of 1 to %(most)d characters.") % {"most": MAX_REASON}})
    return reason
