"""What every view of the API shares: who asks, JSON in and out, and the short way for the two hottest requests."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import Caller, caller_of
from annotation.api.bodies import parse_body
from annotation.api.exceptions import (
    LengthRequiredError,
    MethodError,
    as_touchstone_error,
    headers_for,
)
from annotation.api.negotiation import JsonNegotiation as JsonNegotiation
from annotation.api.sessions import check_csrf
from annotation.authentication import is_bearer, read_bearer
from annotation.errors import ForbiddenError, NotAuthenticatedError, UnsupportedTypeError
from annotation.models import Job
from annotation.recent import remember

_SAFE = ("GET", "HEAD", "OPTIONS")


class ApiView(APIView):
    """A view of the API: plain DRF, for people with a token or a session."""

    content_negotiation_class = JsonNegotiation
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    takes_chunks: ClassVar[bool] = False

    @property
    def caller(self) -> Caller:
        """Who asks. Raises NotAuthenticatedError."""
        return caller_of(self.request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a JSON body without a length: it would be taken for an empty one."""
        super().initial(request, *args, **kwargs)
        is_chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        if is_chunked and not self.takes_chunks and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequiredError


class HotView(ApiView):
    """The short way, for requests that come once per label: the same door and errors, past DRF's request and renderer.

    A handler takes `(request: HttpRequest, caller, body, **kwargs)` and returns a JsonResponse; it is described for the
    API's document by `extend_schema` as any other.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        """Find out who asks, read the body, run the handler, and tell what went wrong as the rest of the API does."""
        self.args, self.kwargs = args, kwargs
        try:
            caller = authenticate(request)
            method = (request.method or "").lower()
            if method not in self.http_method_names or not hasattr(self, method):
                raise MethodError
            body = {} if request.method in _SAFE else read_json(request)
            answer: JsonResponse = getattr(self, method)(request, caller, body, **kwargs)
        except Exception as error:
            known = as_touchstone_error(error)
            if known is None:
                raise
            answer = JsonResponse(known.as_dict(), status=known.status, headers=headers_for(known))
            if known.status == 405:
                answer["Allow"] = ", ".join(self.allowed_methods)
        return answer


def authenticate(request: HttpRequest) -> Caller:
    """Who sends a plain Django request, by token or session, as of a second ago at most.

    Raises NotAuthenticatedError, CsrfError.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if is_bearer(header):
        return remember(header, lambda: _caller_by_token(header))
    session = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if session is None:
        raise NotAuthenticatedError
    caller = remember(("session", session), lambda: caller_of(request))
    check_csrf(request)
    return caller


def _caller_by_token(header: str) -> Caller:
    token = read_bearer(header)
    if token is None:
        raise NotAuthenticatedError
    return Caller(token.user, scopes=None if token.scopes is None else frozenset(token.scopes))


def read_json(request: HttpRequest) -> Any:
    """The JSON body of a plain Django request; none is an empty object. Raises TouchstoneErrors."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequiredError
    raw = request.body
    if raw and request.content_type not in ("application/json", ""):
        raise UnsupportedTypeError(_("Send the body as application/json."))
    return parse_body(raw)


def accept_job(job: Job, **more: Any) -> Response:
    """202: the work is started, and where to see how far it is."""
    return Response({"job": str(job.pk), **more}, status=202, headers={"Location": reverse("api-job", args=[job.pk])})


def require_scope(caller: Caller, right: str) -> None:
    """Raise ForbiddenError where the caller's token is too narrow for what belongs to no project yet."""
    if caller.scopes is not None and right not in caller.scopes:
        raise ForbiddenError(_("This token's scopes do not allow this. Use one with more."))
