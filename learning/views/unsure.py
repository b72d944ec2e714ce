"""What the current model is unsure about: open items between two choices, and labels that are not what it had said."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from annotation.access import Access
from annotation.schema import text_of
from annotation.views.page import ProjectPage, first_url, next_url, read_position
from learning.questions import class_texts, holds_several
from learning.reports import current_model
from learning.unsure import find_contradictions, list_unsure
from learning.views.learning import shown_question
from learning.views.looks import find_looks

ROWS = 30


class UnsureView(ProjectPage):
    """The items, with their contents and what the model says of them."""

    right = "items"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One page of open items; on the first one also what contradicts the model."""
        access = self.enter(slug)
        question = shown_question(access.project)
        model = current_model(access.project, question)
        context: dict[str, Any] = {"question": None, "model": None, "may_learn": access.may("learn")}
        if question is not None:
            context["question"] = text_of(question)
            context["is_several"] = holds_several(question)
        if question is not None and model is not None:
            texts = class_texts(question)
            of_model = {"model": str(model.pk)}  # under another one the list begins anew
            after = read_position(request, of_model)
            rows, position = list_unsure(access.project, question, model, after=after, limit=ROWS)
            against = [] if after else find_contradictions(access.project, question, model)
            context |= {
                "model": f"{model.name} {model.version}",
                "items": _show_unsure(access, rows, texts),
                "against": _show_against(access, against, texts),
                "next_url": next_url(request, position, of_model),
                "first_url": first_url(request),
            }
        return self.show(access, "learning/unsure.html", context)


def _show_unsure(access: Access, rows: list[dict[str, Any]], texts: dict[str, str]) -> list[dict[str, Any]]:
    looks = find_looks(access, [row["id"] for row in rows])
    return [
        looks[row["id"]]
        | {
            "external_id": row["external_id"],
            "likeliest": [(texts[one["value"]], one["probability"]) for one in row["likeliest"]],
            "priority": row["priority"],
            "n_annotations": row["n_annotations"],
        }
        for row in rows
    ]


def _show_against(access: Access, rows: list[dict[str, Any]], texts: dict[str, str]) -> list[dict[str, Any]]:
    looks = find_looks(access, [row["item"]["id"] for row in rows])
    return [
        looks[row["item"]["id"]]
        | {
            "external_id": row["item"]["external_id"],
            "label": texts[row["label"]],
            "said": texts[row["said"]],
            "probability": row["probability"],
        }
        for row in rows
    ]
