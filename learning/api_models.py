"""Models over HTTP, one by one: a kept one made the current one."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import Access, Caller, parse_id, project_for
from annotation.api.bodies import read_object
from annotation.api.shapes import STARTED
from annotation.api.view import ApiView, accept_job
from annotation.errors import AbsentError
from learning.actions.promotion import start_promotion
from learning.models import ModelVersion


def model_for(caller: Caller, slug: str, model_id: str) -> tuple[Access, ModelVersion]:
    """A model of the project, for those who may learn. Raises AbsentError, ForbiddenError."""
    access = project_for(caller, slug, "learn")
    model = ModelVersion.objects.filter(pk=parse_id(model_id), project=access.project).first()
    if model is None:
        raise AbsentError
    model.project = access.project
    return access, model


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
