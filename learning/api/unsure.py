"""Over HTTP: what the current model is unsure about, and where it and people disagree."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.paging import PAGING, next_url, read_cursor, read_limit
from annotation.api.shapes import PAGE_PARAMETERS, shape
from annotation.api.view import ApiView
from learning.api.items import row_fields
from learning.api.rounds import QUESTION, asked_question, model_name_fields
from learning.reports import current_model, name_model
from learning.unsure import find_contradictions, list_unsure

MODEL = inline_serializer("NamedModel", fields=model_name_fields(), allow_null=True)


class UnsureView(ApiView):
    """Open items by how unsure the current model is of them."""

    @extend_schema(
        parameters=[QUESTION, *PAGE_PARAMETERS],
        responses=shape(
            "UnsurePage",
            question=s.CharField(),
            model=MODEL,
            results=inline_serializer(
                "UnsureItem",
                fields={
                    **row_fields(),
                    "likeliest": inline_serializer(
                        "LikelyClass", fields={"value": s.CharField(), "probability": s.FloatField()}, many=True
                    ),
                },
                many=True,
            ),
            next=s.URLField(allow_null=True),
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """The open items that the model has scored, the highest utility first, with the two likeliest answers.

        A cursor holds while the same model is the current one. A page may have fewer rows than `limit`, or none, and
        still a `next`: the list goes on.
        """
        access = project_for(self.caller, slug, "items")
        question = asked_question(request, access.project, PAGING)
        model = current_model(access.project, question)
        of_list = {"question": question["name"], "model": str(model.pk) if model is not None else ""}
        limit, after = read_limit(request), read_cursor(request, of_list)
        rows, position = (
            list_unsure(access.project, question, model, after=after, limit=limit) if model is not None else ([], None)
        )
        return Response(
            {
                "question": question["name"],
                "model": name_model(model),
                "results": rows,
                "next": next_url(request, position, of_list),
            }
        )


class ContradictionsView(ApiView):
    """Labels that are not what the current model had said."""

    @extend_schema(
        parameters=[QUESTION],
        responses=shape(
            "Contradictions",
            question=s.CharField(),
            model=MODEL,
            contradictions=inline_serializer(
                "Contradiction",
                fields={
                    "item": shape("NamedItem", id=s.CharField(), external_id=s.CharField()),
                    "label": s.CharField(),
                    "said": s.CharField(),
                    "probability": s.FloatField(help_text="that the model gave to what it said"),
                },
                many=True,
            ),
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """Labels accepted since the model became the current one, against what it had said: the surest first."""
        access = project_for(self.caller, slug, "items")
        question = asked_question(request, access.project)
        model = current_model(access.project, question)
        found = [] if model is None else find_contradictions(access.project, question, model)
        return Response({"question": question["name"], "model": name_model(model), "contradictions": found})
