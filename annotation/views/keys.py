"""A person's own keys for the answers of a project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.desk_keys import set_own_keys
from annotation.desk_keys import find_shared, own_keys_of, with_own_keys
from annotation.errors import AbsentError, InvalidError
from annotation.schema import render_schema
from annotation.views.page import ProjectPage


class KeysView(ProjectPage):
    """Which key gives which answer."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The keys as they are on this person's desk."""
        return self._show(self.enter(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Keep other keys; `action=reset` goes back to those of the schema."""
        access = self.enter(slug)
        is_reset = request.POST.get("action") == "reset"
        sent: dict[str, dict[str, str]] = {}
        for question in [] if is_reset else self._questions(access):
            for place, option in enumerate(question.get("options", ())):
                field = request.POST.get(f"{question['name']}-{place}")
                if option["is_leaf"] and field:
                    sent.setdefault(question["name"], {})[str(option["value"])] = field
        try:
            set_own_keys(project=access.project, person=access.user, keys=sent)
        except InvalidError as error:
            return self._show(access, sent, error.fields, error.status)
        messages.success(request, _("The schema's keys are back.") if is_reset else _("Saved."))
        return redirect("project-keys", slug=slug)

    def _questions(self, access: Access) -> list[dict[str, Any]]:
        if access.project.schema is None:
            raise AbsentError
        return render_schema(access.project.schema.compiled)

    def _show(
        self,
        access: Access,
        sent: Mapping[str, Mapping[str, str]] | None = None,
        faults: Mapping[str, Any] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        questions = with_own_keys(self._questions(access), own_keys_of(access.project, access.user))
        context = {
            "questions": [
                {
                    **question,
                    "error": (faults or {}).get(question["name"], ""),
                    "options": [
                        {
                            **option,
                            "field": f"{question['name']}-{place}",
                            "key": option["key"]
                            if sent is None
                            else sent.get(question["name"], {}).get(str(option["value"]), ""),
                        }
                        for place, option in enumerate(question["options"])
                    ],
                }
                for question in questions
                if question.get("options")
            ],
            "shared": find_shared(questions),
        }
        return self.show(access, "annotation/keys.html", context, status)
