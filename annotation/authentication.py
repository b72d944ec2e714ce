"""Who a request comes from, by API token: `Authorization: Bearer ts_...`."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from annotation.actions.people import touch_token
from annotation.errors import NotAuthenticatedError
from annotation.models import ApiToken, User
from annotation.tokens import digest_token


class TokenAuthentication(BaseAuthentication):
    """Bearer tokens for DRF. No header: not ours (the session may do). A bad, old or revoked token is a 401."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        token = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        return None if token is None else (token.user, token)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def is_bearer(header: str) -> bool:
    """Whether an Authorization header is meant to hold a token of ours."""
    return header[:7].lower().split() == ["bearer"]


def read_bearer(header: str) -> ApiToken | None:
    """The live token in an Authorization header; None where it holds no bearer token. Raises NotAuthenticatedError."""
    if not is_bearer(header):
        return None
    words = header.split()
    token = find_token(words[1]) if len(words) == 2 else None
    if token is None:
        raise NotAuthenticatedError(_("This token is not valid, has expired or was revoked. Make a new one."))
    return token


def find_token(raw: str) -> ApiToken | None:
    """The live token behind its text, of a user who is not disabled. Its last use is written at most once a minute."""
    token = ApiToken.objects.select_related("user").filter(digest=digest_token(raw)).first()
    now = timezone.now()
    if token is None or token.revoked_at is not None or token.expires_at <= now or not token.user.is_active:
        return None
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        touch_token(token=token, now=now)
    return token
