"""Labels that may be wrong: what the newest search found, and a new one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.errors import TouchstoneError
from annotation.kinds import Question
from annotation.learnable import tell_learnable
from annotation.models import Project
from annotation.progress import jobs_to_show
from annotation.schema import text_of
from annotation.views.page import ProjectPage, sentence_of
from learning.actions.label_errors import KIND, start_search
from learning.doubts import show_doubts
from learning.questions import class_texts
from learning.views.learning import shown_question, start_about_shown
from learning.views.looks import find_looks

MOST_SHOWN = 100


class DoubtsView(ProjectPage):
    """The labels that a model believes least, for a reviewer to look at."""

    right = "resolutions"
    tab = "disputes"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The list, the least believed first."""
        return self._show(self.enter(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Search anew."""
        access = self.enter(slug)
        error = start_about_shown(access, start_search)
        return self._show(access, error) if error else redirect("project-doubts", slug=slug)

    def _show(self, access: Access, error: TouchstoneError | None = None) -> HttpResponse:
        template = "learning/doubts.html"
        jobs = jobs_to_show(access.project, [KIND])
        question = shown_question(access.project)
        context: dict[str, Any] = {"jobs": jobs, "question": None, "learnable": tell_learnable()}
        if question is not None:
            found = show_doubts(access.project, question)
            context |= {
                "question": text_of(question),
                "searched_at": parse_datetime(found["searched_at"]) if found["searched_at"] else None,
                "n_labels": found["n_labels"],
                "n_doubted": found["n_doubted"],
                "n_left": len(found["doubts"]),
                "doubts": show_rows(access, question, found["doubts"][:MOST_SHOWN]),
                "can_search": access.project.state != Project.State.ARCHIVED,
                "can_decide": access.may("review"),
                "form_error": sentence_of(error) if error else "",
            }
        return self.show(access, template, context, error.status if error else 200)


def show_rows(access: Access, question: Question, doubts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Doubts as rows of the page: with a face of the item, choices in words, and where a reviewer decides."""
    texts = class_texts(question)
    looks = find_looks(access, [one["item"]["id"] for one in doubts])
    return [
        one
        | looks[one["item"]["id"]]
        | {
            "given": _tell(texts, one["given"], one["looks_like"]),
            "looks_like": _tell(texts, one["looks_like"], one["given"]),
        }
        for one in doubts
    ]


def _tell(texts: dict[str, str], value: str | None, other: str | None) -> str:
    """An answer in words; None is that the other choice does not hold."""
    return texts[value] if value is not None else _("not “%(choice)s”") % {"choice": texts[other or ""]}
