"""Users and their API tokens."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import require_superuser
from annotation.actions import people
from annotation.api.bodies import read_object, read_text, read_texts, read_whole
from annotation.api.members import find_user
from annotation.api.shapes import TOKEN_REQUEST, shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError, ForbiddenError
from annotation.serializers import show_time

DEFAULT_DAYS = 90


class UsersView(ApiView):
    """The people of this installation."""

    @extend_schema(
        request=shape("NewUser", username=s.CharField(), password=s.CharField(write_only=True)),
        responses={201: shape("User", id=s.CharField(), username=s.CharField())},
    )
    def post(self, request: Request) -> Response:
        """Add a person. Administrators only."""
        caller = self.caller
        require_superuser(caller)
        body = read_object(request.data, known=("username", "password"), required=("username", "password"))
        user = people.create_user(
            username=read_text(body, "username"), password=read_text(body, "password"), actor=caller.user
        )
        return Response({"id": str(user.pk), "username": user.username}, status=201)


class TokensView(ApiView):
    """A person's API tokens."""

    @extend_schema(
        request=TOKEN_REQUEST,
        responses={201: shape("Token", id=s.CharField(), token=s.CharField(), expires_at=s.DateTimeField())},
    )
    def post(self, request: Request, name: str) -> Response:
        """Make a token, shown once: for oneself; an administrator for anyone. Never more scopes than the caller's."""
        caller = self.caller
        if caller.user.username != name:
            if not caller.user.is_superuser:
                raise AbsentError
            require_superuser(caller)
        user = find_user(name)
        body = read_object(request.data, known=("scopes", "days"))
        scopes = read_texts(body, "scopes")
        if caller.scopes is not None and (scopes is None or not set(scopes) <= caller.scopes):
            raise ForbiddenError(
                _("A token can pass on its own scopes only. Name them: %(known)s.")
                % {"known": ", ".join(sorted(caller.scopes)) or "-"}
            )
        token, raw = people.create_token(
            user=user, scopes=scopes, days=read_whole(body, "days", DEFAULT_DAYS, 1, 36_500), actor=caller.user
        )
        return Response(
            {"id": str(token.pk), "token": raw, "expires_at": show_time(token.expires_at)},
            status=201,
            headers={"Cache-Control": "no-store"},
        )
