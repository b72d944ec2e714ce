"""The guideline, its versions, and what changed since a person last read it. `guideline_edit.py` writes new ones."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from annotation.access import Access
from annotation.actions.guidelines import note_reading
from annotation.errors import AbsentError
from annotation.guideline_changes import GuidelineChanges, changes_between
from annotation.models import Guideline, GuidelineReading
from annotation.views.page import ProjectPage


class GuidelineView(ProjectPage):
    """What each answer means."""

    right = "see"
    tab = "guideline"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The version in force, or the one asked for; compared with the one last read, or with `since`."""
        access = self.enter(slug)
        versions = list(Guideline.objects.filter(project=access.project).order_by("-version"))
        shown = access.project.guideline
        if wanted := request.GET.get("version"):
            shown = _find(versions, wanted)
        is_old = bool(shown and shown.pk != access.project.guideline_id)
        changes = None if is_old else changes_for(access)
        if shown is not None and (since := request.GET.get("since")):
            changes = changes_between(_find(versions, since).pk, shown.pk)
        where = reverse("project-guideline", kwargs={"slug": slug})
        context = {
            "guideline": show_guideline(shown, changes),
            "is_old": is_old,
            "versions": [
                {
                    "version": one.version,
                    "published_at": one.created_at,
                    "change": one.get_change_display(),
                    "url": f"{where}?version={one.version}",
                    "since_url": f"{where}?since={one.version}" if one.pk != access.project.guideline_id else "",
                }
                for one in versions
            ],
            "can_edit": access.may("manage"),
        }
        return self.show(access, "annotation/guideline.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """I have read the version `version`. Sent by the pages that show it."""
        access = self.enter(slug)
        sent = request.POST.get("version", "")
        version = int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 10 else 0
        note_reading(project=access.project, person=access.user, version=version)
        return HttpResponse(status=204)


def _find(versions: list[Guideline], wanted: str) -> Guideline:
    for one in versions:
        if str(one.version) == wanted:
            return one
    raise AbsentError


def changes_for(access: Access) -> GuidelineChanges | None:
    """What the guideline in force says otherwise than the version that this person read last.

    None where that is the one in force, where they have read none yet, and where there is none.
    """
    guideline = access.project.guideline
    if guideline is None:
        return None
    read = (
        GuidelineReading.objects.filter(project=access.project, person=access.user).select_related("guideline").first()
    )
    if read is None or read.guideline.version >= guideline.version:
        return None
    return changes_between(read.guideline_id, guideline.pk)


def show_guideline(row: Guideline | None, changes: GuidelineChanges | None = None) -> dict[str, Any] | None:
    """A version as the pages take it; each clause with what changed in it, if anything did."""
    if row is None:
        return None
    by_clause = changes.by_clause if changes else {}
    return {
        "version": row.version,
        "published_at": row.created_at,
        "change": row.change,
        "clauses": [{**clause, "change": by_clause.get(clause["id"])} for clause in row.clauses],
        "changes": changes or None,
    }
