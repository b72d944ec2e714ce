"""What is answered where no view did: JSON to programs, Django's pages (templates 400, 403, 404 and 500) to people."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views import defaults

from annotation.api.exceptions import FaultError, as_touchstone_error, headers_for, is_api, show_error
from annotation.errors import AbsentError, ForbiddenError, InvalidError


def show_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return (
        show_error(InvalidError(_("This request cannot be read.")))
        if is_api(request)
        else defaults.bad_request(request, exception)
    )


def show_forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return show_error(ForbiddenError()) if is_api(request) else defaults.permission_denied(request, exception)


def show_absent(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return show_error(AbsentError()) if is_api(request) else defaults.page_not_found(request, exception)


def show_fault(request: HttpRequest) -> HttpResponse:
    """500: a surprise, which Django has logged by now; or 503 where a middleware found the database gone.

    Django calls this while it handles the exception, so that is the one to look at.
    """
    error = sys.exception()
    known = as_touchstone_error(error) if error is not None else None
    fault = known if known is not None and known.status == 503 else FaultError()
    if is_api(request):
        return show_error(fault)
    response: HttpResponse = defaults.server_error(request)
    response.status_code = fault.status
    for name, value in headers_for(fault).items():
        response[name] = value
    return response
