"""The page of the rule by which answers are accepted: what it rests on, and what another one would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.projects import change_project
from annotation.errors import TouchstoneError
from annotation.progress import jobs_to_show
from annotation.views.page import ProjectPage, add_error
from reviewers.actions.consensus import KIND, start_fit
from reviewers.answers import compiled_schema
from reviewers.consensus.preview import CHANGES, Preview, count_by_voter, preview_rule
from reviewers.consensus.rules import show_fit, tell_method, tell_rule
from reviewers.consensus.weighing import weighed_questions
from reviewers.forms import RuleForm
from reviewers.models import ConsensusFit

FIELDS = {"rule": "kind"}


class RuleView(ProjectPage):
    """How answers are accepted; a change is shown before it is made."""

    right = "manage"
    tab = "settings"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The rule in force; with a rule in the address, what that one would change."""
        access = self.enter(slug)
        if "kind" not in request.GET:
            return self._show(access, RuleForm(project=access.project))
        form = RuleForm(request.GET, project=access.project)
        preview = self._preview(access, form)
        return self._show(access, form, preview, 200 if preview else 400)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Change the rule, or fit anew."""
        access = self.enter(slug)
        if request.POST.get("action") == "fit":
            start_fit(project=access.project, actor=access.user)
            return redirect("project-rule", slug=slug)
        form = RuleForm(request.POST, project=access.project)
        if not form.is_valid():
            return self._show(access, form, status=400)
        try:
            change_project(project=access.project, settings={"rule": form.rule()}, actor=access.user)
        except TouchstoneError as error:
            add_error(form, error, FIELDS)
            return self._show(access, form, status=error.status)
        messages.success(request, _("The rule is in force. Items that have answers are looked at anew."))
        return redirect("project-rule", slug=slug)

    @staticmethod
    def _preview(access: Access, form: RuleForm) -> Preview | None:
        if not form.is_valid():
            return None
        try:
            return preview_rule(access.project, form.rule())
        except TouchstoneError as error:
            add_error(form, error, FIELDS)
            return None

    def _show(self, access: Access, form: RuleForm, preview: Preview | None = None, status: int = 200) -> HttpResponse:
        project = access.project
        fits = {fit.question: fit for fit in ConsensusFit.objects.filter(project=project, is_current=True)}
        compiled = compiled_schema(project)
        weighed = weighed_questions(compiled)
        context: dict[str, Any] = {
            "form": form,
            "rule": tell_rule(project.rule),
            "is_weighed": project.rule["kind"] == "posterior",
            "preview": _show_preview(preview, project.rule, list(fits.values())) if preview else None,
            "by_voter": count_by_voter(project) if project.rule.get("voter") else None,
            "questions": [{"name": q["name"], "fit": _show_fit(fits.get(q["id"]), project.rule)} for q in weighed],
            "others": [q["name"] for q in compiled["questions"] if q not in weighed],
            "jobs": jobs_to_show(project, ["rule", KIND]),
        }
        return self.show(access, "reviewers/rule.html", context, status)


def _show_fit(fit: ConsensusFit | None, rule: dict[str, Any]) -> dict[str, Any] | None:
    if fit is None:
        return None
    names = {"majority": "shared_coin"}  # what stood for the vote among the hidden labels
    ordered = sorted(fit.held_out.items(), key=lambda one: -one[1])
    return show_fit(fit) | {
        "method": tell_method(fit.method),
        "is_vote": not fit.values,
        "voter": fit.voter if fit.voter and fit.voter["name"] == rule.get("voter") else None,
        "held_out": [
            {
                "method": tell_method(names.get(name, name)),
                "value": value,
                "is_taken": names.get(name, name) == fit.method,
            }
            for name, value in ordered
        ],
        "at": fit.created_at,
    }


def _show_preview(preview: Preview, now: dict[str, Any], fits: Sequence[ConsensusFit]) -> dict[str, Any]:
    voter = preview.rule.get("voter")
    words = {
        "agreed": _("become agreed"),
        "disputed": _("become disputed: a reviewer decides"),
        "open": _("open again: one more person is asked"),
        "relabelled": _("stay agreed, with another label"),
    }
    assert tuple(words) == CHANGES
    return {
        "rule": preview.rule,
        "told": tell_rule(preview.rule),
        "is_same": preview.rule == now,
        "needs_fit": preview.rule["kind"] == "posterior" and not fits,
        "unknown_voter": voter if fits and not any(fit.voter and fit.voter["name"] == voter for fit in fits) else None,
        "n_items": preview.n_items,
        "n_looked_at": preview.n_looked_at,
        "n_decided": preview.n_decided,
        "n_changed": preview.n_changed,
        "is_sample": preview.n_looked_at < preview.n_items,
        "changes": [
            {
                "words": words[change.kind],
                "n": change.estimate,
                "low": change.interval and change.interval[0],
                "high": change.interval and change.interval[1],
                "examples": [{"id": item, "external_id": name} for item, name in change.examples],
            }
            for change in preview.changes
        ],
    }
