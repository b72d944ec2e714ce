"""A person's own keys on the desk of a project: for its answers, and for what the page does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.desk_keys import set_own_keys
from annotation.desk_keys import FIELD, PAGE_ACTIONS, find_own_keys, find_shared, page_keys_of, with_own_keys
from annotation.errors import AbsentError, InvalidError
from annotation.schema import render_schema
from annotation.views.page import ProjectPage


class KeysView(ProjectPage):
    """Which key gives which answer, and does what else."""

    right = "label"
    tab = "label"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The keys as they are on this person's desk."""
        return self._show(self.enter(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Keep other keys; `action=reset` goes back to those of the schema and the page."""
        access = self.enter(slug)
        is_reset = request.POST.get("action") == "reset"
        sent: dict[str, dict[str, str]] = {}
        for question in [] if is_reset else self._questions(access):
            for place, option in enumerate(question.get("options", ())):
                field = request.POST.get(f"{question['name']}-{place}")
                if option["is_leaf"] and field:
                    sent.setdefault(question["name"], {})[str(option["value"])] = field
        page = {} if is_reset else {action: request.POST.get(FIELD + action, "") for action in PAGE_ACTIONS}
        try:
            set_own_keys(project=access.project, person=access.user, keys=sent, page=page)
        except InvalidError as error:
            return self._show(access, (sent, page), error.fields, error.status)
        messages.success(request, _("The keys are as they were at first.") if is_reset else _("Saved."))
        return redirect("project-keys", slug=slug)

    def _questions(self, access: Access) -> list[dict[str, Any]]:
        if access.project.schema is None:
            raise AbsentError
        return render_schema(access.project.schema.compiled)

    def _show(
        self,
        access: Access,
        sent: tuple[Mapping[str, Mapping[str, str]], Mapping[str, str]] | None = None,
        faults: Mapping[str, Any] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        own = find_own_keys(access.project, access.user)
        page = page_keys_of(own)
        questions = with_own_keys(self._questions(access), own.keys)
        errors = faults or {}
        context = {
            "questions": [
                {
                    **question,
                    "error": errors.get(question["name"], ""),
                    "options": [
                        {
                            **option,
                            "field": f"{question['name']}-{place}",
                            "key": option["key"]
                            if sent is None
                            else sent[0].get(question["name"], {}).get(str(option["value"]), ""),
                        }
                        for place, option in enumerate(question["options"])
                    ],
                }
                for question in questions
                if question.get("options")
            ],
            "page_actions": [
                {
                    "field": FIELD + action,
                    "text": text,
                    "key": page[action] if sent is None else sent[1].get(action, ""),
                    "error": errors.get(FIELD + action, ""),
                }
                for action, text in PAGE_ACTIONS.items()
            ],
            "shared": find_shared(questions, page),
        }
        return self.show(access, "annotation/keys.html", context, status)
