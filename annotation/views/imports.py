"""Bringing a file of items in, and how far that is."""

from __future__ import annotations

from pathlib import Path

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.imports import start_import
from annotation.api.bodies import spool
from annotation.errors import TouchstoneError
from annotation.forms import ImportForm
from annotation.models import Organisation
from annotation.progress import jobs_to_show
from annotation.views.page import ProjectPage, add_error


class ImportView(ProjectPage):
    """A form with one file."""

    right = "import"
    tab = "items"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The form, and the imports that run or just ended."""
        return self._show(self.enter(slug), ImportForm())

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Keep the file and start the job."""
        access = self.enter(slug)
        form = ImportForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._show(access, form, 400)
        try:
            _start(access, form)
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(access, form, error.status)
        return redirect("project-import", slug=slug)

    def _show(self, access: Access, form: ImportForm, status: int = 200) -> HttpResponse:
        where = {"url": reverse("project-items", kwargs={"slug": access.project.slug}), "url_text": _("See the items")}
        context = {"form": form, "jobs": [job | where for job in jobs_to_show(access.project, ["import"])]}
        return self.show(access, "annotation/import.html", context, status)


def _start(access: Access, form: ImportForm) -> None:
    upload: UploadedFile[bytes] = form.cleaned_data["file"]
    path = spool(upload.chunks(), Organisation.objects.get().max_upload_bytes)
    try:
        with transaction.atomic():
            start_import(
                project=access.project,
                actor=access.user,
                path=path,
                name=upload.name or "",
                # Browsers guess a type from the name, and often wrongly: the name itself tells.
                content_type=None,
                partial=form.cleaned_data["partial"],
                update_metadata=form.cleaned_data["update_metadata"],
            )
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
