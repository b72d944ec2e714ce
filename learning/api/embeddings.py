"""Given embeddings over HTTP: vectors in, which names there are, and those of a name removed."""

from __future__ import annotations

from functools import partial

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.queries import read_query
from annotation.api.shapes import STARTED, shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError
from learning.actions.embeddings import remove_space, start_embeddings
from learning.api.rounds import take_lines
from learning.features.embeddings import DEFAULT_NAME
from learning.models import Embedding, EmbeddingSpace

SPACE = shape("EmbeddingSpace", name=s.CharField(), n_dimensions=s.IntegerField(), n_items=s.IntegerField())


class EmbeddingsView(ApiView):
    """Vectors of items that were made elsewhere."""

    takes_chunks = True

    @extend_schema(responses=shape("EmbeddingSpaces", results=s.ListField(child=SPACE)))
    def get(self, request: Request, slug: str) -> Response:
        """List the names under which vectors were sent."""
        access = project_for(self.caller, slug, "learn")
        read_query(request, ())
        spaces = EmbeddingSpace.objects.filter(project=access.project).order_by("name")
        return Response(
            {
                "results": [
                    {
                        "name": space.name,
                        "n_dimensions": space.n_dimensions,
                        "n_items": Embedding.objects.filter(space=space).count(),
                    }
                    for space in spaces
                ]
            }
        )

    @extend_schema(request={"application/x-ndjson": OpenApiTypes.STR}, responses={202: STARTED})
    def post(self, request: Request, slug: str) -> Response:
        """Take in lines of `{"external_id", "vector", "name"?}`; models learn from them from the next round on."""
        access = project_for(self.caller, slug, "learn")
        read_query(request, ())
        return take_lines(request, partial(start_embeddings, project=access.project, actor=access.user))

    @extend_schema(
        parameters=[OpenApiParameter("name", OpenApiTypes.STR, description="`default` if left out")],
        responses={204: None},
    )
    def delete(self, request: Request, slug: str) -> Response:
        """Remove all vectors of one name."""
        access = project_for(self.caller, slug, "learn")
        name = read_query(request, ("name",)).get("name", DEFAULT_NAME)
        space = EmbeddingSpace.objects.filter(project=access.project, name=name).first()
        if space is None:
            raise AbsentError
        remove_space(space=space, actor=access.user)
        return Response(status=204)
