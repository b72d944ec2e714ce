"""Parts of the desk that stand on what was judged: one's own newest answers, and decided cases like the item shown.

Each is a piece of a page that the desk fetches when somebody wants to see it, never on the way of an answer. Neither
quotes a severe item, nor any to somebody to whom texts come hidden; listed words are covered by the desk (care.js).
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from annotation.access import lease_for
from annotation.care import quotes_texts
from annotation.errors import AbsentError
from annotation.views.page import ProjectPage
from reviewers.answers import compiled_schema, tell_answers
from reviewers.history import NEWEST, newest_answers
from reviewers.models import Adjudication
from reviewers.precedents import precedents_like

MAX_CLAUSES = 20


class HistoryView(ProjectPage):
    """What I answered last."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The newest 20 of one's own answers in this project, newest first, and which of them can be taken back."""
        access = self.enter(slug)
        answers = newest_answers(access.project, access.user)
        context = {"answers": answers, "most": NEWEST, "has_quotes": quotes_texts(access.user)}
        return render(request, "reviewers/_history.html", context)


class PrecedentsView(ProjectPage):
    """How cases like this one were decided."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str, lease_id: str) -> HttpResponse:
        """At most 3, for a lease of the caller's own; those under a `clause` (any number) that is asked about first."""
        access, stamp, _generation = lease_for(self.caller, lease_id)
        if access.project.slug != slug:
            raise AbsentError
        compiled = compiled_schema(access.project)
        found = precedents_like(access.project, stamp.item_id, request.GET.getlist("clause")[:MAX_CLAUSES])
        rows = []
        for one in found:
            told = tell_answers(compiled, one["answers"])
            texts = [f"{answer['question']}: {answer['text']}" if len(told) > 1 else answer["text"] for answer in told]
            reason = Adjudication.Reason(one["reason"]).label
            rows.append({**one, "text": "; ".join(texts), "reason_text": reason})
        context = {"precedents": rows, "has_quotes": quotes_texts(access.user)}
        return render(request, "reviewers/_precedents.html", context)
