"""A project's settings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions import projects as actions
from annotation.care import LIMITS
from annotation.errors import AbsentError, TouchstoneError
from annotation.forms import SETTINGS_FIELDS, SettingsForm
from annotation.views.page import ProjectPage, add_error


class SettingsView(ProjectPage):
    """All settings on one page."""

    right = "manage"
    tab = "settings"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The settings in force."""
        access = self.enter(slug)
        return self._show(access, self._form(access))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Change what differs."""
        access = self.enter(slug)
        form = self._form(access, request.POST)
        if not form.is_valid():
            return self._show(access, form, 400)
        try:
            changed = form.settings(access.project)
            if changed:
                actions.change_project(project=access.project, settings=changed, actor=access.user)
        except TouchstoneError as error:
            add_error(form, error, SETTINGS_FIELDS)
            return self._show(access, form, error.status)
        messages.success(request, _("Saved.") if changed else _("Nothing was changed."))
        return redirect("project-settings", slug=slug)

    def _form(self, access: Access, data: Any = None) -> SettingsForm:
        schema = access.project.schema
        if schema is None:
            raise AbsentError
        return SettingsForm(data, project=access.project, compiled=schema.compiled)

    def _show(self, access: Access, form: SettingsForm, status: int = 200) -> HttpResponse:
        groups = [
            (
                _("Project"),
                _("What people read about it, and whether it hands out items."),
                ("name", "description", "state"),
            ),
            (
                _("Answers"),
                _("How many people answer each item, and after how many skips a reviewer looks."),
                ("overlap_min", "overlap_max", "skips_to_dispute"),
            ),
            (
                _("Desk"),
                _("How long an item stays with a person, and what they see beside it."),
                ("lease_seconds", "max_held", "shown_metadata", "show_external_id"),
            ),
            (
                _("Care"),
                _("How much that is severe one person is handed. Which items are severe, their metadata says."),
                (*(f"care_{name}" for name in LIMITS), "care_support", "care_masked_words"),
            ),
            (
                _("Learning"),
                _("Which question a model learns, when, and how it chooses what is labelled next."),
                (
                    "learning_question",
                    "learning_every",
                    "learning_every_hours",
                    "learning_batch",
                    "learning_strategy",
                    "learning_estimator",
                    "learning_random_share",
                    "learning_holdout_share",
                    "learning_text",
                    "learning_keywords",
                    "learning_llm_accuracy",
                ),
            ),
            (
                _("Suggestions"),
                _("What the current model thinks of an item, shown beside it with its name and score."),
                ("suggestions", "blind_share"),
            ),
            (
                _("Snapshots"),
                _("When accepted labels are frozen by themselves; nothing is made while nothing is new."),
                ("snapshots_every_hours", "snapshots_every_resolutions"),
            ),
        ]
        context = {
            "form": form,
            "groups": [
                {"title": title, "text": text, "fields": [form[name] for name in names]}
                for title, text, names in groups
            ],
        }
        return self.show(access, "annotation/settings.html", context, status)
