"""The guideline and its versions. A new one is written in `guideline_edit.py`, or published by the API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from annotation.errors import AbsentError
from annotation.guideline_form import compare_clauses
from annotation.models import Guideline
from annotation.views.page import ProjectPage


class GuidelineView(ProjectPage):
    """What each answer means."""

    right = "see"
    tab = "guideline"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The version in force, or the one that is asked for."""
        access = self.enter(slug)
        versions = list(Guideline.objects.filter(project=access.project).order_by("-version"))
        shown = access.project.guideline
        if wanted := request.GET.get("version"):
            shown = next((one for one in versions if str(one.version) == wanted), None)
            if shown is None:
                raise AbsentError
        before = next((one for one in versions if shown and one.version < shown.version), None)
        changes = compare_clauses(before.clauses, shown.clauses) if before and shown else []
        where = reverse("project-guideline", kwargs={"slug": slug})
        context = {
            "guideline": show_guideline(shown),
            "is_old": bool(shown and shown.pk != access.project.guideline_id),
            "versions": [
                {
                    "version": one.version,
                    "published_at": one.created_at,
                    "change": one.get_change_display(),
                    "url": f"{where}?version={one.version}",
                }
                for one in versions
            ],
            "can_edit": access.may("manage"),
            "changed_since": before.version if before else None,
            "changes": [change for change in changes if change.status != "same"],
            "status_of": {change.id: change.status for change in changes},
        }
        return self.show(access, "annotation/guideline.html", context)


def show_guideline(row: Guideline | None) -> dict[str, Any] | None:
    """A version as the pages take it."""
    if row is None:
        return None
    return {
        "version": row.version,
        "published_at": row.created_at,
        "change": row.change,
        "clauses": row.clauses,
    }
