"""The items of a project, as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.faces import Face
from annotation.models import Import, Item, QueueRow, User
from annotation.schema import find_question, text_of
from annotation.views.page import ProjectPage, first_url, next_url, read_position
from learning.api.items import MAX_WORDS
from learning.items import ORDERS, STATES, Said, list_items
from learning.views.looks import find_looks
from reviewers.agreement.vote_counts import COUNTED_KINDS, code_of, find_spellings
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
        said, told, asked = read_said(access, request.GET)
        filters |= asked
        rows, position = list_items(
            access.project,
            order=filters["order"],
            state=filters["state"] or None,
            words=filters["q"] or None,
            said=said,
            after=read_position(request, filters),
            limit=ROWS,
        )
        compiled = compiled_schema(access.project)
        context = {
            "items": self._show_rows(access, rows),
            "questions": [{"name": question["name"], "text": text_of(question)} for question in compiled["questions"]],
            "filters": filters,
            "said": told,
            "asked": asked,
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
        places = QueueRow.objects.filter(item__in=ids, kind__in=(1, 4)).order_by("pass_no")
        overlaps = dict(places.values_list("item", "overlap"))
        looks = find_looks(access, [row["id"] for row in rows if row["state"] not in ("quarantined", "erased")])
        shown = []
        for row in rows:
            pk = int(row["id"])
            accepted = {}
            for name, resolution in row["resolutions"].items():
                question = find_question(compiled, name)
                if question is not None and resolution["state"] in ("agreed", "adjudicated"):
                    accepted[name] = tell_value(question, resolution["value"])
            shown.append(
                row
                | looks.get(row["id"], {"face": Face(), "url": ""})
                | {
                    "split": "holdout" if splits.get(pk) == Item.Split.HOLDOUT else "train",
                    "resolutions": accepted,
                    "overlap": overlaps.get(pk, 0),
                }
            )
        return shown


def read_said(access: Access, query: Mapping[str, str]) -> tuple[Said | None, str, dict[str, str]]:
    """What the list shall leave only: items of which people said something. As a table of agreement links here.

    `question`, `said` and `also` name answers that were given to one item (the same twice: by two people); `people` are
    the ids of annotators, with commas, for those who may see who said what. Returns the condition, in words, and the
    parameters that it came from; (None, "", {}) where nothing is asked, or what is asked is not known.
    """
    question = find_question(compiled_schema(access.project), query.get("question", ""))
    if question is None or question["kind"] not in COUNTED_KINDS:
        return None, "", {}
    wanted: Counter[int] = Counter()
    texts = [query[name] for name in ("said", "also") if query.get(name)]
    for text in texts:
        if (code := code_of(question, text)) is None:
            return None, "", {}
        wanted[code] += 1
    ids = [one for one in query.get("people", "").split(",") if one.isdecimal() and len(one) < 19]
    persons = list(User.objects.filter(pk__in=map(int, ids))) if access.may("review") else []
    if not wanted and not persons:
        return None, "", {}
    votes = find_spellings(access.project, question, wanted) if wanted else None
    parts = []
    if len(wanted) == 1 and len(texts) == 2:
        parts.append(_("two people said “%(said)s”") % {"said": tell_value(question, texts[0])})
    elif wanted:
        told = [_("somebody said “%(said)s”") % {"said": tell_value(question, text)} for text in texts]
        parts.append(_(" and ").join(told))
    if persons:
        parts.append(_("answered by %(names)s") % {"names": _(" and ").join(sorted(person.name for person in persons))})
    sentence = _("%(question)s: %(parts)s") % {"question": question["name"], "parts": ", ".join(parts)}
    kept = {name: query[name] for name in ("question", "said", "also", "people") if query.get(name)}
    return Said(question["id"], votes, [person.pk for person in persons]), sentence, kept


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
