"""The items of a project, as a list."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.faces import Face, find_faces
from annotation.models import Import, Item, ItemPayload, QueueRow
from annotation.schema import find_question
from annotation.views.page import ProjectPage, first_url, next_url, read_position
from learning.api_items import MAX_WORDS
from learning.items import ORDERS, STATES, list_items
from reviewers.answers import compiled_schema, tell_value

ROWS = 50


class ItemsView(ProjectPage):
    """State, content, what is accepted, what the model makes of it."""

    right = "items"
    tab = "items"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One page of the list; what is asked for and unknown is left out of the question."""
        access = self.enter(slug)
        state, order = request.GET.get("state", ""), request.GET.get("order", "id")
        filters = {
            "state": state if state in STATES else "",
            "order": order if order in ORDERS else "id",
            "q": request.GET.get("q", "").replace("\x00", "").strip()[:MAX_WORDS],
        }
        rows, position = list_items(
            access.project,
            order=filters["order"],
            state=filters["state"] or None,
            words=filters["q"] or None,
            after=read_position(request, filters),
            limit=ROWS,
        )
        compiled = compiled_schema(access.project)
        context = {
            "items": self._show_rows(access, rows),
            "questions": [
                {"name": question["name"], "text": question.get("text") or question["name"]}
                for question in compiled["questions"]
            ],
            "filters": filters,
            "states": [("", _("any")), *_state_words().items()],
            "orders": list(_order_words().items()),
            "next_url": next_url(request, position, filters),
            "first_url": first_url(request),
            "n_items": bool(rows) or Import.objects.filter(project=access.project, is_visible=True).exists(),
            "can_import": access.may("import"),
        }
        return self.show(access, "annotation/items.html", context)

    def _show_rows(self, access: Access, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        compiled = compiled_schema(access.project)
        ids = [int(row["id"]) for row in rows]
        splits = dict(Item.objects.filter(pk__in=ids).values_list("pk", "split"))
        parts = dict(ItemPayload.objects.filter(item__in=ids).values_list("item", "parts"))
        places = QueueRow.objects.filter(item__in=ids, kind__in=(1, 4)).order_by("pass_no")
        overlaps = dict(places.values_list("item", "overlap"))
        sealed = {int(row["id"]) for row in rows if row["state"] in ("quarantined", "erased")}
        faces = find_faces(access, {pk: parts.get(pk, []) for pk in ids if pk not in sealed})
        may_review = access.may("review")
        shown = []
        for row in rows:
            pk = int(row["id"])
            accepted = {}
            for name, resolution in row["resolutions"].items():
                question = find_question(compiled, name)
                if question is not None and resolution["state"] in ("agreed", "adjudicated"):
                    accepted[name] = tell_value(question, resolution["value"])
            where = {"slug": access.project.slug, "item_id": row["id"]}
            shown.append(
                row
                | {
                    "split": "holdout" if splits.get(pk) == Item.Split.HOLDOUT else "train",
                    "face": faces.get(pk, Face()),
                    "resolutions": accepted,
                    "overlap": overlaps.get(pk, 0),
                    "url": reverse("project-dispute", kwargs=where) if may_review and pk not in sealed else "",
                }
            )
        return shown


def _state_words() -> dict[str, str]:
    return {
        "open": _("open"),
        "agreed": _("agreed"),
        "disputed": _("disputed"),
        "adjudicated": _("decided"),
        "archived": _("archived"),
        "quarantined": _("quarantined"),
        "erased": _("erased"),
    }


def _order_words() -> dict[str, str]:
    return {
        "id": _("as stored"),
        "-priority": _("served next"),
        "-utility": _("most useful to the model"),
        "-disagreement": _("most disagreement"),
    }
