"""A part of the desk that it fetches when somebody wants to see it, never on the way of an answer: the history."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from annotation.views.page import ProjectPage
from reviewers.history import NEWEST, newest_answers


class HistoryView(ProjectPage):
    """What I answered last."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The newest 20 of one's own answers in this project, newest first, and which of them can be taken back."""
        access = self.enter(slug)
        answers = newest_answers(access.project, access.user)
        return render(request, "reviewers/_history.html", {"answers": answers, "most": NEWEST})
