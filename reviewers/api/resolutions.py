"""The routes of what is accepted: resolutions, and a reviewer's decision."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import item_for, project_for
from annotation.api.bodies import read_object
from annotation.api.exceptions import InvalidCursorError
from annotation.api.paging import PAGING, next_url, read_cursor, read_limit
from annotation.api.queries import read_choice, read_query
from annotation.api.shapes import PAGE_PARAMETERS, AnswerField, page_of, shape
from annotation.api.view import ApiView
from annotation.errors import InvalidError
from reviewers.actions.adjudication import adjudicate
from reviewers.models import Adjudication
from reviewers.reports import (
    STATES,
    Position,
    pick_question,
    resolution_rows,
    show_adjudication,
    show_resolutions,
)

_VOTER = shape("ResolutionVoter", name=s.CharField(), version=s.CharField())


def _resolution_fields() -> dict[str, Any]:
    return {
        "question": s.CharField(),
        "state": s.ChoiceField(list(STATES)),
        "value": AnswerField(allow_null=True),
        "confidence": s.FloatField(allow_null=True),
        "method": s.CharField(allow_null=True),
        "votes": s.DictField(child=s.IntegerField()),
        "posterior": s.DictField(child=s.FloatField(), allow_null=True),
        "voter": type(_VOTER)(allow_null=True, help_text="the model whose vote counted beside people's"),
        "version": s.IntegerField(),
    }


_DECISION = shape(
    "Decision",
    answers=s.DictField(child=AnswerField()),
    reason=s.ChoiceField(Adjudication.Reason.values),
    note=s.CharField(required=False, allow_blank=True),
    precedent=s.BooleanField(required=False, default=False),
    expected_version=s.IntegerField(required=False, allow_null=True, min_value=0),
)
_ADJUDICATION = shape(
    "Adjudication",
    id=s.CharField(),
    item=s.CharField(),
    reviewer=s.CharField(),
    answers=s.DictField(child=AnswerField()),
    reason=s.ChoiceField(Adjudication.Reason.values),
    note=s.CharField(),
    precedent=s.BooleanField(),
    own_work=s.BooleanField(),
    guideline_version=s.IntegerField(allow_null=True),
    at=s.DateTimeField(),
    resolutions=type(shape("ItemResolution", **_resolution_fields()))(many=True),
)


class ResolutionsView(ApiView):
    """What is accepted."""

    @extend_schema(
        parameters=[
            OpenApiParameter("question", OpenApiTypes.STR, description="all questions where left out"),
            OpenApiParameter("state", OpenApiTypes.STR, enum=list(STATES)),
            *PAGE_PARAMETERS,
        ],
        responses=page_of(
            "Resolution", item=shape("ItemName", id=s.CharField(), external_id=s.CharField()), **_resolution_fields()
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """The accepted values by item and question, in the order of the items' ids."""
        access = project_for(self.caller, slug, "resolutions")
        query = read_query(request, ("question", "state", *PAGING))
        filters = {name: value for name, value in query.items() if name not in PAGING}
        question = pick_question(access.project, query["question"]) if "question" in query else None
        state = read_choice(query, "state", list(STATES))
        after = _position(read_cursor(request, filters))
        rows, following = resolution_rows(access.project, question, state, after, read_limit(request))
        return Response({"results": rows, "next": next_url(request, following, filters)})


class AdjudicationView(ApiView):
    """A reviewer's decision."""

    @extend_schema(request=_DECISION, responses={201: _ADJUDICATION})
    def post(self, request: Request, slug: str, item_id: str) -> Response:
        """Decide an item: disputed or agreed, with or without a lease of kind adjudicate.

        `expected_version` is the highest `version` among the item's resolutions; left out, it means that nobody else
        has decided the item yet.
        """
        access, item = item_for(self.caller, slug, item_id, "review")
        body = read_object(request.data, _BODY, required=("answers", "reason"))
        if not isinstance(body["answers"], dict):
            raise InvalidError(fields={"answers": _("An object: question name -> answer.")})
        adjudication = adjudicate(
            access=access,
            item=item,
            answers=body["answers"],
            reason=body["reason"],
            note="" if body.get("note") is None else body["note"],
            precedent=body.get("precedent", False),
            expected_version=body.get("expected_version"),
        )
        compiled = adjudication.seat.schema.compiled
        shown = show_adjudication(adjudication, compiled)
        return Response({**shown, "resolutions": show_resolutions(item, compiled, adjudication.pass_no)}, status=201)


_BODY = ("answers", "reason", "note", "precedent", "expected_version")


def _position(cursor: list[Any] | None) -> Position | None:
    """Item and question in a cursor. Raises InvalidCursorError."""
    if cursor is None:
        return None
    if len(cursor) != 2 or not all(isinstance(one, int) for one in cursor):
        raise InvalidCursorError
    return cursor[0], cursor[1]
