"""Who a request comes from, by API token: `Authorization: Bearer ts_...`."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from annotation.actions.people import touch_token
from annotation.errors import NotAuthenticatedError
from annotation.models import ApiToken, User
from annotation.tokens import digest_token


class TokenAuthentication(BaseAuthentication):
    """Bearer tokens for DRF. No header: not ours (the session may do). A bad, old or revoked token is a 401."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        token = find_token(words[1].decode("latin-1")) if len(words) == 2 else None
        if token is None:
            raise NotAuthenticatedError("This token is not valid, has expired or was revoked. Make a new one.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def find_token(raw: str) -> ApiToken | None:
    """The live token behind its text, of a user who is not disabled. Its last use is written at most once a minute."""
    token = ApiToken.objects.select_related("user").filter(digest=digest_token(raw)).first()
    now = timezone.now()
    if token is None or token.revoked_at is not None or token.expires_at <= now or not token.user.is_active:
        return None
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        touch_token(token=token, now=now)
    return token
