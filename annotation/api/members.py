"""The members of a project."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.actions import projects as actions
from annotation.api.bodies import read_object, read_text, read_texts
from annotation.api.paging import PAGING, page_by_id
from annotation.api.queries import read_query
from annotation.api.shapes import PAGE_PARAMETERS, member_fields, page_of, shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError
from annotation.models import Member, User
from annotation.serializers import show_member


class MembersView(ApiView):
    """Everybody in the project."""

    @extend_schema(responses=page_of("MemberRow", **member_fields()), parameters=PAGE_PARAMETERS)
    def get(self, request: Request, slug: str) -> Response:
        """The people in the project now, in the order in which they came."""
        access = project_for(self.caller, slug, "manage")
        read_query(request, PAGING)
        rows = Member.objects.filter(project=access.project, is_active=True).select_related("user")
        return Response(page_by_id(request, rows, show_member))


class MemberView(ApiView):
    """One person in the project."""

    @extend_schema(
        request=shape(
            "NewMember",
            role=s.ChoiceField(Member.Role.values),
            team=s.CharField(required=False),
            languages=s.ListField(child=s.CharField(), required=False),
        ),
        responses=shape("Member", **member_fields()),
    )
    def put(self, request: Request, slug: str, name: str) -> Response:
        """Add a person, or change what they are."""
        access = project_for(self.caller, slug, "manage")
        body = read_object(request.data, known=("role", "team", "languages"), required=("role",))
        member = actions.set_member(
            project=access.project,
            user=find_user(name),
            role=read_text(body, "role"),
            team=read_text(body, "team", ""),
            languages=read_texts(body, "languages") or [],
            actor=access.user,
        )
        return Response(show_member(member))

    @extend_schema(request=None, responses=shape("Removed", username=s.CharField()))
    def delete(self, request: Request, slug: str, name: str) -> Response:
        """Take a person out. What they did stays; what they hold opens again."""
        access = project_for(self.caller, slug, "manage")
        member = Member.objects.filter(project=access.project, user__username=name.replace("\x00", ""), is_active=True)
        found = member.select_related("user").first()
        if found is None:
            raise AbsentError(_("This project has no member of this name."))
        actions.remove_member(project=access.project, user=found.user, actor=access.user)
        return Response({"username": found.user.username})


def find_user(name: str) -> User:
    """The person with this login. Raises AbsentError."""
    user = User.objects.filter(username=name, kind=User.Kind.PERSON).first() if "\x00" not in name else None
    if user is None:
        raise AbsentError(_("There is no user of this name."))
    return user
