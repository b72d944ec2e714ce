"""How far started work is."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import job_for
from annotation.api.shapes import JOB
from annotation.api.view import ApiView
from annotation.serializers import show_job


class JobView(ApiView):
    """One job."""

    @extend_schema(responses=JOB)
    def get(self, request: Request, job_id: str) -> Response:
        """Its state, how far it is, and what came of it."""
        return Response(show_job(job_for(self.caller, job_id)))
