"""How views are described in the OpenAPI document: what `extend_schema` says, and the error shape of all."""

from __future__ import annotations

import re
from typing import Any, Literal

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from annotation.api.shapes import ERROR


class ApiSchema(AutoSchema):
    """Names operations by method and address, lists the errors, and takes a view that says nothing for JSON."""

    def get_operation_id(self) -> str:
        """Such as `post_projects_slug_items`: stable, unique, readable."""
        path = re.sub(r"[^a-z0-9]+", "_", self.path.removeprefix("/api/v1").lower()).strip("_")
        return f"{self.method.lower()}_{path or 'root'}"

    def get_request_serializer(self) -> Any:
        """Any JSON, unless the view says more."""
        return OpenApiTypes.OBJECT

    def get_response_serializers(self) -> Any:
        """Any JSON, unless the view says more."""
        return OpenApiTypes.OBJECT

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        error = self._get_response_for_code(  # type: ignore[no-untyped-call]
            OpenApiResponse(ERROR, description="What went wrong, and what to do"), "4XX", direction=direction
        )
        return {**bodies, "4XX": error}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer TOKEN`."""

    target_class = "annotation.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """How a token is sent."""
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A browser's session, with the CSRF token in `X-CSRFToken` for what changes something."""

    target_class = "annotation.api.sessions.CsrfSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Where the session is."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
