"""Who is in a project: adding, changing and removing people."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from annotation.access import Access
from annotation.actions import people
from annotation.actions import projects as actions
from annotation.errors import TouchstoneError
from annotation.forms import MemberForm
from annotation.models import Member, User
from annotation.views.page import ProjectPage, add_error, sentence_of

MOST_LISTED = 500


@method_decorator(never_cache, name="dispatch")
class MembersView(ProjectPage):
    """The members, and a form for one more."""

    right = "manage"
    tab = "members"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Everybody."""
        access = self.enter(slug)
        return self._show(access, self._form(access))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Remove somebody (`action=remove`), else add or change them."""
        access = self.enter(slug)
        return self._remove(access) if request.POST.get("action") == "remove" else self._add(access)

    def _form(self, access: Access, data: Any = None) -> MemberForm:
        return MemberForm(data, may_make_accounts=access.user.is_superuser)

    def _add(self, access: Access) -> HttpResponse:
        form = self._form(access, self.request.POST)
        if not form.is_valid():
            return self._show(access, form, 400)
        found = form.cleaned_data
        new_password = None
        try:
            with transaction.atomic():
                user = User.objects.filter(username=found["username"], kind=User.Kind.PERSON).first()
                if user is None:
                    if not found.get("is_new"):
                        form.add_error("username", self._nobody(access))
                        return self._show(access, form, 400)
                    new_password = secrets.token_urlsafe(12)
                    user = people.create_user(username=found["username"], password=new_password, actor=access.user)
                actions.set_member(
                    project=access.project,
                    user=user,
                    role=found["role"],
                    team=found["team"],
                    languages=found["languages"],
                    actor=access.user,
                )
        except TouchstoneError as error:
            add_error(form, error, {"name": "username"})
            return self._show(access, form, error.status)
        if new_password is not None:
            # Shown in this answer alone: nothing that is kept holds it.
            shown = {"username": user.username, "password": new_password}
            return self._show(access, self._form(access), new_password=shown)
        messages.success(self.request, _("%(name)s is in the project.") % {"name": user.username})
        return redirect("project-members", slug=access.project.slug)

    @staticmethod
    def _nobody(access: Access) -> str:
        if access.user.is_superuser:
            return _("There is nobody of this name. Tick the box below to make an account.")
        return _("There is nobody of this name. An administrator of this server can make an account.")

    def _remove(self, access: Access) -> HttpResponse:
        member = self._member(access)
        if member is not None:
            try:
                actions.remove_member(project=access.project, user=member.user, actor=access.user)
                messages.success(
                    self.request, _("%(name)s is out. Their labels stay.") % {"name": member.user.username}
                )
            except TouchstoneError as error:
                messages.error(self.request, sentence_of(error))
        return redirect("project-members", slug=access.project.slug)

    def _member(self, access: Access) -> Member | None:
        members = Member.objects.filter(project=access.project, is_active=True).select_related("user")
        found = members.filter(user__username=self.request.POST.get("username", "")).first()
        if found is None:
            messages.error(self.request, _("This person is not in the project any more."))
        return found

    def _show(
        self, access: Access, form: MemberForm, status: int = 200, new_password: dict[str, str] | None = None
    ) -> HttpResponse:
        members = Member.objects.filter(project=access.project, is_active=True).select_related("user")
        context = {
            "members": [show_member(member, access) for member in members.order_by("joined_at", "pk")[:MOST_LISTED]],
            "form": form,
            "is_outside": access.user.is_superuser and not members.filter(user=access.user).exists(),
            "new_password": new_password,
        }
        return self.show(access, "annotation/members.html", context, status)


def show_member(member: Member, access: Access) -> dict[str, Any]:
    """One row of the list."""
    user = member.user
    return {
        "username": user.username,
        "name": user.name,
        "role": member.role,
        "team": member.team,
        "languages": list(member.languages),
        "source": "human" if user.kind == User.Kind.PERSON else user.kind,
        "last_seen_at": user.last_login,
        "is_self": user.pk == access.user.pk,
    }
