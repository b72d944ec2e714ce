"""Models over HTTP, one by one and side by side: a kept one made the current one, some compared."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Access, Caller, parse_id, project_for
from annotation.api.bodies import read_object
from annotation.api.queries import read_query
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from annotation.errors import AbsentError
from learning.actions.comparison import ask_for_comparison
from learning.actions.promotion import start_promotion
from learning.api.rounds import QUESTION
from learning.comparisons import choose_models, question_of, show_comparison
from learning.models import ModelVersion


def _compared_fields() -> dict[str, Any]:
    return {
        "id": s.CharField(),
        "name": s.CharField(),
        "version": s.CharField(),
        "origin": s.ChoiceField(ModelVersion.Origin.values),
        "is_current": s.BooleanField(),
        "n_scored": s.IntegerField(
            help_text="labelled holdout items that it has scored; all, where it was trained here"
        ),
        "metrics": s.ListField(child=s.DictField(), help_text="macro_f1, accuracy, log_loss, calibration_error"),
        "classes": s.ListField(
            child=s.DictField(), help_text="per choice: precision, recall, F1, with intervals and n"
        ),
        "gain": s.DictField(allow_null=True, help_text="macro_f1_gain over the reference, paired; null for itself"),
        "refusal": s.CharField(allow_null=True, help_text="why this model is left out"),
    }


def model_for(caller: Caller, slug: str, model_id: str) -> tuple[Access, ModelVersion]:
    """A model of the project, for those who may learn. Raises AbsentError, ForbiddenError."""
    access = project_for(caller, slug, "learn")
    model = ModelVersion.objects.filter(pk=parse_id(model_id), project=access.project).first()
    if model is None:
        raise AbsentError
    model.project = access.project
    return access, model


class ComparisonView(ApiView):
    """Models side by side on the same holdout items."""

    @extend_schema(
        parameters=[
            QUESTION,
            OpenApiParameter(
                "models",
                OpenApiTypes.STR,
                description="ids with commas between, up to six; left out: the current one, the newest of each name",
            ),
        ],
        responses={
            200: shape(
                "Comparison",
                question=s.CharField(),
                reference=s.CharField(
                    help_text="the model that the others are held against: the current one, if asked"
                ),
                n_holdout=s.IntegerField(),
                n_common=s.IntegerField(help_text="labelled holdout items that all of them have scored"),
                refusal=s.CharField(allow_null=True, help_text="why there are no figures"),
                computed_at=s.DateTimeField(),
                job=s.CharField(allow_null=True, help_text="what is told is old, and this job compares anew"),
                models=type(shape("ComparedModel", **_compared_fields()))(many=True),
            ),
            202: STARTED,
        },
    )
    def get(self, request: Request, slug: str) -> Response:
        """Each judged on exactly the labels that all have scored, and by how much it is above the current one.

        A job does it: 202 where there is nothing yet. Ask again when it is done.
        """
        access = project_for(self.caller, slug, "learn")
        query = read_query(request, ("question", "models"))
        wanted = [one for one in query.get("models", "").split(",") if one]
        models = choose_models(access.project, query.get("question"), wanted)
        question = question_of(access.project, models)
        found = ask_for_comparison(project=access.project, models=models, actor=access.user)
        if found.kept is not None:
            return Response(show_comparison(access.project, question, found.kept, found.job))
        assert found.job is not None
        return accept_job(found.job)


class PromotionView(ApiView):
    """A kept model in the place of the current one."""

    @extend_schema(request=None, responses={202: STARTED})
    def post(self, request: Request, slug: str, model_id: str) -> Response:
        """Make this model the current one, by a job: it scores the pool, then its scores are shown. No batch is raised.

        Rolling back is promoting the earlier version.
        """
        access, model = model_for(self.caller, slug, model_id)
        read_object(request.data, ())
        return accept_job(start_promotion(model=model, actor=access.user))
