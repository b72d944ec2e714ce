"""A language model over HTTP: asked to label, by a job."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.bodies import read_object
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView, accept_job
from annotation.errors import InvalidError
from learning.actions.llm import start_llm


class LlmView(ApiView):
    """The installation's language model."""

    @extend_schema(
        request=shape(
            "LlmRequest",
            question=s.CharField(required=False, help_text="the one that is learned, if left out"),
            limit=s.IntegerField(required=False, help_text="about how many items it is asked: 1,000; 50 to 20,000"),
            max_cost=s.FloatField(required=False, help_text="what it may cost, where prices are set"),
        ),
        responses={202: STARTED},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask it about items whose answer is known, and only if it does well about items of the pool.

        The job's result says how it did, what it answered and what that cost. 409 where none is set up.
        """
        access = project_for(self.caller, slug, "learn")
        body = read_object(request.data, ("question", "limit", "max_cost"))
        if body.get("question") is not None and not isinstance(body["question"], str):
            raise InvalidError(fields={"question": _("A text.")})
        return accept_job(start_llm(project=access.project, actor=access.user, **body))
