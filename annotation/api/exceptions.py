"""Whatever goes wrong in a view becomes `{"code", "detail", "fields"}` with its status: see `docs/errors.md`."""

from __future__ import annotations

import errno
import logging
from typing import Any

import psycopg
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from rest_framework import exceptions as drf
from rest_framework.response import Response

from annotation.errors import (
    AbsentError,
    ForbiddenError,
    InvalidError,
    NotAuthenticatedError,
    TooLargeError,
    TouchstoneError,
    UnavailableError,
    UnsupportedTypeError,
)

logger = logging.getLogger(__name__)


class InvalidJsonError(TouchstoneError):
    """The body is not JSON that can be read here."""

    code = "invalid_json"


class InvalidCursorError(TouchstoneError):
    """This cursor does not belong to this list. Follow `next` as it was given, or leave `cursor` out to start again."""

    code = "invalid_cursor"


class CsrfError(TouchstoneError):
    """A request from a browser session needs the CSRF token in the X-CSRFToken header. Load the page again."""

    code = "csrf_failed"
    status = 403


class MethodError(TouchstoneError):
    """This address does not take that method. See the Allow header."""

    code = "method_not_allowed"
    status = 405


class LengthRequiredError(TouchstoneError):
    """Send a Content-Length header with the body."""

    code = "length_required"
    status = 411


class FaultError(TouchstoneError):
    """Something went wrong here, and it was noted. If it happens again, tell who runs this server."""

    code = "internal"
    status = 500


_STATUSES: dict[int, type[TouchstoneError]] = {
    401: NotAuthenticatedError,
    403: ForbiddenError,
    404: AbsentError,
    405: MethodError,
    413: TooLargeError,
    415: UnsupportedTypeError,
    503: UnavailableError,
}


def as_touchstone_error(error: BaseException) -> TouchstoneError | None:
    """The error that a caller is told about, or None where the failure is a surprise."""
    match error:
        case TouchstoneError():
            return error
        case drf.ParseError():
            return InvalidJsonError(str(error.detail))
        case drf.UnsupportedMediaType():
            return UnsupportedTypeError(_("Send the body as application/json."))
        case drf.APIException():
            return _STATUSES.get(error.status_code, InvalidError)()
        case Http404():
            return AbsentError()
        case PermissionDenied():
            return ForbiddenError()
        case RequestDataTooBig():
            return TooLargeError()
        case UnreadablePostError():
            return InvalidError(_("The body ended before it was complete. Send it again."))
        case SuspiciousOperation() | BadRequest() | MultiPartParserError():
            return InvalidError(_("This request cannot be read."))
        case OperationalError() | InterfaceError() | psycopg.OperationalError() | psycopg.InterfaceError():
            logger.warning("the database could not be used: %s", type(error.__cause__ or error).__name__)
            return UnavailableError()
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            logger.warning("the disk is full")
            return UnavailableError()
    return None


def api_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. A surprise is not answered here: it bubbles up, is logged, and `show_fault` answers."""
    known = as_touchstone_error(error)
    if known is None:
        return None
    headers = headers_for(known)
    if isinstance(error, drf.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(known.as_dict(), status=known.status, headers=headers)


def headers_for(error: TouchstoneError) -> dict[str, str]:
    """The headers that belong to an error's status."""
    match error.status:
        case 401:
            return {"WWW-Authenticate": "Bearer"}
        case 503:
            return {"Retry-After": "5"}
    return {}


def show_error(error: TouchstoneError) -> JsonResponse:
    """An error as a plain Django response, for what never reached a DRF view."""
    return JsonResponse(error.as_dict(), status=error.status, headers=headers_for(error))


def is_api(request: HttpRequest) -> bool:
    """Whether a request came by an address that answers in JSON."""
    return request.path_info.startswith(("/api/", "/media/"))
