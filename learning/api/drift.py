"""Over HTTP: whether what came in is like what taught the model."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from learning.actions.drift import start_drift
from learning.api.rounds import QUESTION, asked_question, sent_question
from learning.drift import show_drift

ABOUT = "imports, since, until, n_items, n_sampled, n_scored, shares by the model's likeliest choice"


class DriftView(ApiView):
    """What came in since the current model was taught."""

    @extend_schema(
        parameters=[QUESTION],
        responses=shape(
            "Drift",
            question=s.CharField(),
            compared_at=s.DateTimeField(allow_null=True),
            model=s.DictField(allow_null=True, help_text="id, name, version"),
            is_current_model=s.BooleanField(allow_null=True),
            n_imports_since=s.IntegerField(allow_null=True, help_text="that came after the comparison began"),
            unit=s.ChoiceField(("import", "day", "month"), allow_null=True, help_text="what a batch is"),
            n_left_out=s.IntegerField(help_text="months before the newest 24"),
            alpha=s.FloatField(allow_null=True, help_text="false alarms of a whole comparison, at most"),
            has_space=s.BooleanField(allow_null=True, help_text="whether contents can be compared"),
            reference=s.DictField(allow_null=True, help_text=ABOUT),
            batches=s.ListField(
                child=s.DictField(),
                help_text=f"{ABOUT}; comparisons (choices, certainty, contents: value, p, adjusted), alarms, strange",
            ),
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """What the newest comparison found: each batch of imports beside what taught the model."""
        access = project_for(self.caller, slug, "learn")
        return Response(show_drift(access.project, asked_question(request, access.project)))

    @extend_schema(request=shape("DriftRequest", question=s.CharField(required=False)), responses={202: STARTED})
    def post(self, request: Request, slug: str) -> Response:
        """Compare anew, by a job."""
        access = project_for(self.caller, slug, "learn")
        question = sent_question(request, access.project)
        return accept_job(start_drift(project=access.project, actor=access.user, question=question))
