"""What was sealed because it may be illegal to hold: the record for owners, without any content."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access, parse_id
from annotation.actions import quarantine as actions
from annotation.errors import AbsentError, TouchstoneError
from annotation.models import Item, Quarantine
from annotation.views.page import ProjectPage, first_url, next_url, read_position, sentence_of

ON_A_PAGE = 50
SHOWN_ITEMS = 5


class QuarantineView(ProjectPage):
    """Each sealing: when, by whom, which items, and how far its release is."""

    right = "manage"
    tab = "quarantine"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The newest first."""
        access = self.enter(slug)
        rows = Quarantine.objects.filter(project=access.project).select_related("sealed_by", "asked_by", "released_by")
        if position := read_position(request):
            rows = rows.filter(pk__lt=position[0])
        found = list(rows.order_by("-pk")[: ON_A_PAGE + 1])
        page = found[:ON_A_PAGE]
        shown = {pk for row in page for pk in row.item_ids[:SHOWN_ITEMS]}
        items = Item.objects.in_bulk(shown)
        context = {
            "rows": [show_quarantine(row, items, access) for row in page],
            "next_url": next_url(request, [page[-1].pk] if len(found) > ON_A_PAGE else None),
            "first_url": first_url(request),
        }
        return self.show(access, "annotation/quarantine.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Ask for a release (`action=ask`), confirm it (`confirm`) or leave it sealed (`refuse`)."""
        access = self.enter(slug)
        row = Quarantine.objects.filter(project=access.project, pk=parse_id(request.POST.get("quarantine", ""))).first()
        if row is None:
            raise AbsentError
        try:
            match request.POST.get("action"):
                case "ask":
                    reason = request.POST.get("reason", "")
                    actions.ask_release(quarantine=row, actor=access.user, reason=reason)
                    messages.success(request, _("Asked. Another owner has to confirm before anything is let out."))
                case "confirm":
                    actions.confirm_release(quarantine=row, actor=access.user)
                    messages.success(request, _("Let out. The items are as they were before."))
                case "refuse":
                    actions.refuse_release(quarantine=row, actor=access.user)
                    messages.success(request, _("It stays sealed."))
        except TouchstoneError as error:
            messages.error(request, sentence_of(error))
        return redirect("project-quarantine", slug=slug)


def show_quarantine(row: Quarantine, items: dict[int, Item], access: Access) -> dict[str, Any]:
    """One row of the record: ids, people and times. Nothing of what the items hold."""
    known = [items[pk] for pk in row.item_ids[:SHOWN_ITEMS] if pk in items]
    return {
        "id": row.pk,
        "items": [
            {"id": str(item.pk), "external_id": item.external_id, "is_erased": item.lifecycle == Item.Lifecycle.ERASED}
            for item in known
        ],
        "n_more": len(row.item_ids) - len(known),
        "n_files": len(row.media),
        "sealed_by": row.sealed_by.name,
        "sealed_at": row.sealed_at,
        "asked_by": row.asked_by.name if row.asked_by else None,
        "asked_at": row.asked_at,
        "reason": row.reason,
        "released_by": row.released_by.name if row.released_by else None,
        "released_at": row.released_at,
        "is_mine": row.asked_by_id == access.user.pk,
    }
