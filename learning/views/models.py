"""One model among others: making it the current one, after a look at what that would mean."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from annotation.access import Access
from annotation.errors import TouchstoneError
from annotation.models import Project
from annotation.views.page import ProjectPage, sentence_of
from learning.actions.promotion import start_promotion
from learning.api_models import model_for
from learning.models import ModelVersion
from learning.reports import find_metric


class PromotionView(ProjectPage):
    """What making a model the current one does, its figure beside the current one's, and the button."""

    right = "learn"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str, model_id: str) -> HttpResponse:
        """Look before it is done."""
        access, model = model_for(self.caller, slug, model_id)
        return self._show(access, model)

    def post(self, request: HttpRequest, slug: str, model_id: str) -> HttpResponse:
        """Do it."""
        access, model = model_for(self.caller, slug, model_id)
        try:
            start_promotion(model=model, actor=access.user)
        except TouchstoneError as error:
            return self._show(access, model, error)
        return redirect("project-learning", slug=slug)

    def _show(self, access: Access, model: ModelVersion, error: TouchstoneError | None = None) -> HttpResponse:
        current = ModelVersion.objects.filter(project=access.project, question=model.question, is_current=True).exclude(
            pk=model.pk
        )
        context: dict[str, Any] = {
            "model": model,
            "figures": [_show_figure(one) for one in (model, *current)],
            "current": current.first(),
            "is_worse": _looks_worse(model, current.first()),
            "can_promote": access.project.state != Project.State.ARCHIVED,
            "form_error": sentence_of(error) if error else "",
        }
        return self.show(access, "learning/promotion.html", context, error.status if error else 200)


def _show_figure(model: ModelVersion) -> dict[str, Any]:
    figure = find_metric(model.evaluation, "macro_f1") or {"value": None, "refusal": ""}
    return {**figure, "label": str(model)}


def _looks_worse(model: ModelVersion, current: ModelVersion | None) -> bool:
    """Whether it was judged worse when it was made, or its figure is below the current model's."""
    if current is None:
        return False
    evaluation = model.evaluation or {}
    if evaluation.get("is_worse") and (evaluation.get("beside") or {}).get("model") == str(current):
        return True
    own, other = (find_metric(one.evaluation, "macro_f1") or {} for one in (model, current))
    return own.get("value") is not None and other.get("value") is not None and own["value"] < other["value"]
