"""The pages about care: a person's own settings, and what the administrator sets for everybody."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation import queue
from annotation.access import require_superuser
from annotation.actions import care as actions
from annotation.care import find_profile, floor_of, list_harms, show_organisation_care
from annotation.care_forms import KIND_NAMES, LEVEL_NAMES, CareForm, OrganisationCareForm
from annotation.errors import TouchstoneError
from annotation.models import Organisation, User
from annotation.viewing import LEVELS, view_classes, views_in_force
from annotation.views.page import Page, add_error

PREVIEWED = ("text", "image", "video")  # what a still picture can show


class OwnCareView(Page):
    """How content is shown to me, what I would rather not see, and what I was handed. For nobody else's eyes."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The settings in force."""
        user = self.caller.user
        return self._show(user, self._form(user))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set all of them."""
        user = self.caller.user
        form = self._form(user, request.POST)
        if not form.is_valid():
            return self._show(user, form, 400)
        try:
            actions.change_care(person=user, changes=form.changes())
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(user, form, error.status)
        messages.success(request, _("Saved. It holds from the next item on."))
        return redirect("own-care")

    def _form(self, user: User, data: Any = None) -> CareForm:
        floor = floor_of(Organisation.objects.get())
        return CareForm(data, profile=find_profile(user), harms=list_harms(user), floor=floor)

    def _show(self, user: User, form: CareForm, status: int = 200) -> HttpResponse:
        organisation = Organisation.objects.get()
        exposure = queue.exposure(person_id=user.pk)
        views = views_in_force(find_profile(user).views, floor_of(organisation))
        context = {
            "form": form,
            "kinds": [
                {
                    "name": name,
                    "levels": [
                        {
                            "key": f"{level}-{kind}",
                            "name": LEVEL_NAMES[level],
                            "fields": form.fields_of(level, kind),
                            "preview": kind if kind in PREVIEWED else None,
                            "classes": view_classes(views[level][kind]),
                        }
                        for level in LEVELS
                    ],
                }
                for kind, name in KIND_NAMES.items()
            ],
            "support": organisation.support,
            "n_items": exposure.n,
            "n_minutes": round(exposure.seconds / 60),
            "organisation": organisation,
            "may_set_all": user.is_superuser,
            "nav": "care",
        }
        return render(self.request, "annotation/care.html", context, status=status)


class OrganisationCareView(Page):
    """The organisation's limits, floors, words and support. Administrators only."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """What is in force."""
        require_superuser(self.caller)
        return self._show(self._form())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set all of it."""
        caller = self.caller
        require_superuser(caller)
        form = self._form(request.POST)
        if not form.is_valid():
            return self._show(form, 400)
        try:
            actions.change_organisation_care(changes=form.changes(), actor=caller.user)
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(form, error.status)
        messages.success(request, _("Saved. It holds from the next item on."))
        return redirect("organisation-care")

    def _form(self, data: Any = None) -> OrganisationCareForm:
        return OrganisationCareForm(data, care=show_organisation_care(Organisation.objects.get()))

    def _show(self, form: OrganisationCareForm, status: int = 200) -> HttpResponse:
        limits = ("severe_items", "severe_minutes", "severe_in_a_row", "severe_pause_seconds", "break_minutes")
        context = {
            "form": form,
            "groups": [
                {
                    "title": _("How much"),
                    "text": _("Over all projects. A project may be stricter, never looser."),
                    "fields": [form[name] for name in limits],
                },
                {
                    "title": _("Support and words"),
                    "text": _("A project may add to both."),
                    "fields": [form["support"], form["masked_words"]],
                },
            ],
            "kinds": [{"name": name, "fields": form.fields_of(kind)} for kind, name in KIND_NAMES.items()],
        }
        return render(self.request, "annotation/organisation_care.html", context, status=status)
