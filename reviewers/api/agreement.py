"""The route of agreement."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.queries import read_query
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from reviewers.actions.strata import ask_for_strata
from reviewers.agreement.report import WAYS, check_way, has_strata, project_agreement
from reviewers.reports import pick_question


def _metric_fields() -> dict[str, Any]:
    return {
        "metric": s.CharField(),
        "value": s.FloatField(allow_null=True),
        "interval": s.ListField(child=s.FloatField(), allow_null=True, min_length=2, max_length=2),
        "level": s.FloatField(),
        "method": s.CharField(),
        "n_items": s.IntegerField(),
        "n_labels": s.IntegerField(),
        "n_annotators": s.IntegerField(allow_null=True),
        "refusal": s.CharField(allow_null=True),
    }


METRIC = shape("Metric", **_metric_fields())
_MEASURE = shape("Measure", **_metric_fields(), prevalence=s.DictField(child=s.FloatField(), allow_null=True))
_AGREEMENT = shape(
    "Agreement",
    question=s.CharField(),
    metrics=type(_MEASURE)(many=True),
    computed_at=s.DateTimeField(),
    behind_seconds=s.FloatField(help_text="since the first answer that is not counted yet; 0: all are"),
    strata=type(
        shape(
            "AgreementStratum",
            by=s.CharField(),
            value=s.CharField(),
            metrics=type(_MEASURE)(many=True),
            persons=inline_serializer(
                "PairPerson", fields={"id": s.CharField(), "name": s.CharField()}, many=True, required=False
            ),
            n_items_given=s.IntegerField(required=False, help_text="of a label: items on which anybody gave it"),
        )
    )(many=True),
    strata_computed_at=s.DateTimeField(allow_null=True, help_text="they are kept for a while; null: with the rest"),
    left_out=type(shape("LeftOut", value=s.CharField(), n_items=s.IntegerField()))(many=True),
    n_left_out=s.IntegerField(),
    confusion=inline_serializer(
        "Confusion",
        fields={
            "values": s.ListField(child=s.CharField()),
            "items": s.ListField(child=s.ListField(child=s.IntegerField())),
            "coincidences": s.ListField(child=s.ListField(child=s.FloatField())),
        },
        allow_null=True,
    ),
    n_simulated_annotators=s.IntegerField(),
    strata_job=s.CharField(allow_null=True, help_text="the strata are old, and this job computes them anew"),
)


class AgreementView(ApiView):
    """How far annotators agree."""

    @extend_schema(
        parameters=[
            OpenApiParameter("question", OpenApiTypes.STR, description="the first question where left out"),
            OpenApiParameter("by", OpenApiTypes.STR, description=f"{', '.join(WAYS)}, or `metadata:` and a key"),
        ],
        responses={200: _AGREEMENT, 202: STARTED},
    )
    def get(self, request: Request, slug: str) -> Response:
        """Every measure that fits the question, with an interval or a refusal; `by=pair` names people (`review`).

        Strata that take long are computed by a job: 202 where there are none yet. Ask again when it is done.
        """
        access = project_for(self.caller, slug, "agreement")
        query = read_query(request, ("question", "by"))
        by = query.get("by")
        if by == "pair":
            access.require("review")
        project = access.project
        question = pick_question(project, query.get("question"))
        check_way(by)
        if by is None or not has_strata(project, question, by):
            return Response(project_agreement(project, question, by) | {"strata_job": None})
        strata = ask_for_strata(project=project, question=question, by=by, actor=access.user)
        if strata.report is None and strata.job is not None:
            return accept_job(strata.job)
        job = None if strata.job is None else str(strata.job.pk)
        return Response(project_agreement(project, question) | (strata.report or {}) | {"strata_job": job})
