"""Browser sessions as callers of the API: a request that changes something must carry the CSRF token."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.authentication import CSRFCheck, SessionAuthentication
from rest_framework.request import Request

from annotation.api.exceptions import CsrfError


class CsrfSessionAuthentication(SessionAuthentication):
    """A browser's session; what changes something needs the CSRF token as well. Tokens need none."""

    def enforce_csrf(self, request: Request) -> None:
        check_csrf(request._request)


def check_csrf(request: HttpRequest) -> None:
    """Raise CsrfError unless a session's request carries its CSRF token."""

    def get_response(_request: HttpRequest) -> HttpResponseBase:  # never called: only the check is wanted
        return HttpResponse()

    check = CSRFCheck(get_response)
    check.process_request(request)
    if check.process_view(request, get_response, (), {}) is not None:
        raise CsrfError
