"""What an API call with a token does without: sessions, messages, htmx and the like are for browsers.

They were a sixth of the CPU of a lease or an answer. A token call passes them by, and its answer has the same headers
as any other. Whether the token is good is not asked here: the view refuses a bad one, whatever session is beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axes.middleware import AxesMiddleware
from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxMiddleware

from annotation.authentication import is_bearer


def is_token_call(request: HttpRequest) -> bool:
    """Whether a request is one of the API that says who asks by a token, good or bad."""
    return is_bearer(request.META.get("HTTP_AUTHORIZATION", "")) and request.path_info.startswith("/api/")


class ForBrowsers:
    """Before a middleware: token calls pass it by."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request) if is_token_call(request) else super().__call__(request)  # type: ignore[misc]


class Session(ForBrowsers, SessionMiddleware):
    """Sessions."""


class Authentication(ForBrowsers, AuthenticationMiddleware):
    """Who is signed in."""


class Messages(ForBrowsers, MessageMiddleware):
    """Messages for the next page."""


class Htmx(ForBrowsers, HtmxMiddleware):
    """What htmx asks for."""


class Lockout(ForBrowsers, AxesMiddleware):  # type: ignore[misc]
    """Who tried too many passwords."""


class ContentSecurity(CSPMiddleware):
    """What a page may load. An answer to a token call has no nonce, so that its policy is made once."""

    get_response: Any

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        super().__init__(get_response)
        self.without_nonce = build_policy()

    def __call__(self, request: HttpRequest) -> Any:
        if not is_token_call(request):
            return super().__call__(request)
        response = self.get_response(request)
        response.headers.setdefault(HEADER, self.without_nonce)
        return response


class Language(LocaleMiddleware):
    """The language that the caller reads. No address here begins with one, so that none is looked for there."""

    def process_request(self, request: HttpRequest) -> None:
        translation.activate(translation.get_language_from_request(request))
        request.LANGUAGE_CODE = translation.get_language()

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language())
        return response
