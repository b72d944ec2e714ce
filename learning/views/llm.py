"""A language model: asking it, how it did on what is known, what it has cost."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import Access
from annotation.errors import AbsentError, TouchstoneError
from annotation.models import Job, Project
from annotation.progress import jobs_to_show
from annotation.schema import text_of
from annotation.settings import learning_settings
from annotation.views.page import ProjectPage, add_error
from learning.actions.llm import KIND, start_llm
from learning.forms import LlmForm
from learning.llm.chat import find_endpoint
from learning.llm.prompt import tell_one_answer
from learning.models import ModelVersion
from learning.predictions import LLM_PREFIX
from learning.questions import holds_several
from learning.views.learning import shown_question

MOST_SHOWN = 20


class LlmView(ProjectPage):
    """The versions of language models so far, and a form for asking the one of this installation."""

    right = "learn"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """How they did."""
        return self._show(self.enter(slug), LlmForm(endpoint=find_endpoint()))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Ask."""
        access = self.enter(slug)
        question = shown_question(access.project)
        if question is None:
            raise AbsentError
        form = LlmForm(request.POST, endpoint=find_endpoint())
        if not form.is_valid():
            return self._show(access, form, 400)
        try:
            start_llm(
                project=access.project,
                actor=access.user,
                question=question["name"],
                limit=form.cleaned_data["limit"],
                max_cost=form.cleaned_data.get("max_cost"),
            )
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(access, form, error.status)
        return redirect("project-llm", slug=slug)

    def _show(self, access: Access, form: LlmForm, status: int = 200) -> HttpResponse:
        project, endpoint = access.project, find_endpoint()
        question = shown_question(project)
        context: dict[str, Any] = {"jobs": jobs_to_show(project, [KIND]), "question": None}
        if question is not None:
            context |= {
                "question": text_of(question),
                "endpoint": None
                if endpoint is None
                else {
                    "model": endpoint.model,
                    "has_prices": bool(endpoint.prices),
                    "has_end": endpoint.most_out is not None,
                },
                "bar": learning_settings(project)["llm_accuracy"],
                "versions": _list_versions(project),
                "last": _show_last(project),
                "form": form,
                "can_start": endpoint is not None
                and project.state != Project.State.ARCHIVED
                and not holds_several(question),
                "refusal": tell_one_answer() if holds_several(question) else "",
            }
        return self.show(access, "learning/llm.html", context, status)


def _list_versions(project: Project) -> list[dict[str, Any]]:
    """Language models that were asked, newest first: `accuracy` a figure mapping or None where none was judged yet."""
    models = ModelVersion.objects.filter(project=project, name__startswith=LLM_PREFIX).order_by("-pk")[:MOST_SHOWN]
    return [_show_version(model) for model in models]


def _show_last(project: Project) -> dict[str, Any] | None:
    """Items without an answer in the newest job that ended: `{"n_failed", "reasons": [(reason, n)], "n_skipped"}`."""
    job = Job.objects.filter(project=project, kind=KIND, result__isnull=False).order_by("-pk").first()
    if job is None or job.result is None or not job.result["n_failed"] + job.result["n_skipped"]:
        return None
    reasons = Counter(one["reason"] for one in job.result["failed"])
    return {
        "n_failed": job.result["n_failed"],
        "reasons": reasons.most_common(),
        "n_skipped": job.result["n_skipped"],
    }


def _show_version(model: ModelVersion) -> dict[str, Any]:
    evaluation = model.evaluation or {}
    gate, spent = evaluation.get("gate"), evaluation.get("llm") or {}
    state = "current" if model.is_current else "barred" if model.is_barred else "passed"
    accuracy = None
    if gate is not None:
        accuracy = {
            "value": gate["accuracy"],
            "interval": gate["interval"],
            "n_items": gate["n_items"],
            "refusal": gate["reason"],
        }
    return {
        "id": model.pk,
        "name": model.name.removeprefix(LLM_PREFIX),
        "version": model.version,
        "state": state if gate is not None else "queued",
        "at": model.created_at,
        "accuracy": accuracy,
        "reason": gate["reason"] if gate is not None else "",
        "n_gold": gate["n_gold"] if gate is not None else None,
        "n_answered": spent.get("n_answered", 0),
        "tokens": spent.get("input_tokens", 0) + spent.get("output_tokens", 0),
        "cost": spent.get("cost"),
        "most_cost": spent.get("most_cost") if spent.get("n_guessed") else None,
        "can_promote": not model.is_barred and not model.is_current,
    }
