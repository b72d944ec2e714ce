"""Models among each other: side by side on the holdout; one made current, after a look at what that would mean."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.errors import TouchstoneError
from annotation.kinds import Question
from annotation.models import Job, Project
from annotation.progress import show_job_for_people
from annotation.schema import text_of
from annotation.views.page import ProjectPage, sentence_of
from learning.actions.comparison import ask_for_comparison
from learning.actions.promotion import start_promotion
from learning.api.models import model_for
from learning.comparisons import MOST, choose_models, default_models, find_gain, question_of, show_comparison
from learning.models import ModelVersion
from learning.questions import class_texts, learnable_questions
from learning.reports import find_metric
from learning.views.learning import shown_question

MOST_LISTED = 50


class ComparisonView(ProjectPage):
    """Models side by side, each judged on the holdout items that all of them have scored."""

    right = "learn"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """What the newest comparison found; where it is old or missing, a job compares anew meanwhile."""
        access = self.enter(slug)
        project = access.project
        shown = shown_question(project)
        context: dict[str, Any] = {"jobs": [], "question": None, "listed": [], "found": None, "most": MOST}
        if shown is None or not default_models(project, shown):
            return self.show(access, "learning/models.html", context)
        wanted = [one for text in request.GET.getlist("models") for one in text.split(",") if one]
        status, models = 200, []
        try:
            models = choose_models(project, None if wanted else shown["name"], wanted)
            question = question_of(project, models)
            asked = ask_for_comparison(project=project, models=models, actor=access.user)
        except TouchstoneError as error:
            context["form_error"], status = sentence_of(error), error.status
        else:
            context["jobs"] = [] if asked.job is None else [show_job_for_people(asked.job)]
            context["question"] = text_of(question)
            if asked.kept is not None:
                context["found"] = _lay_out(question, show_comparison(project, question, asked.kept, asked.job))
                context["compared_at"] = asked.kept.ended_at
        context["listed"] = _list_models(project, {model.pk for model in models})
        return self.show(access, "learning/models.html", context, status)


def _list_models(project: Project, chosen: set[int]) -> list[dict[str, Any]]:
    """The newest models, to choose from."""
    learnable = [question["id"] for question in learnable_questions(project)]
    models = ModelVersion.objects.filter(project=project, question__in=learnable).order_by("-pk")[:MOST_LISTED]
    return [{"id": model.pk, "name": str(model), "is_chosen": model.pk in chosen} for model in models]


def _lay_out(question: Question, told: dict[str, Any]) -> dict[str, Any]:
    """A comparison as the page shows it: models as rows, figures as columns; F1 as bars, and by choice."""
    texts = class_texts(question)
    judged = [one for one in told["models"] if one["metrics"]]
    columns = {name: word for name, word in _column_words().items() if any(find_metric(one, name) for one in judged)}
    rows = [
        one
        | {
            "title": f"{one['name']} {one['version']}",
            "macro_f1": find_metric(one, "macro_f1"),
            "figures": [{"head": word, "figure": find_metric(one, name)} for name, word in columns.items()],
            "is_reference": one["id"] == told["reference"],
            "verdict": _verdict(one["gain"]),
        }
        for one in told["models"]
    ]
    return told | {
        "models": rows,
        "columns": list(columns.values()),
        "reference_title": next((row["title"] for row in rows if row["is_reference"]), ""),
        "bars": [_bar(one, find_metric(one, "macro_f1") or {}) for one in judged],
        "heads": [f"{one['name']} {one['version']}" for one in judged],
        "choices": [
            {"label": texts.get(choice, choice), "n_items": own[0]["n_items"], "f1": [_f1(one) for one in own]}
            for choice in texts
            if (own := [row for one in judged for row in one["classes"] if row["choice"] == choice])
        ],
    }


def _column_words() -> dict[str, str]:
    """Figures beside macro-F1, by name, as heads of columns; those on a scale are there for ratings alone."""
    return {
        "accuracy": _("Accuracy"),
        "mean_absolute_error": _("Points off"),
        "cohen_kappa_quadratic": _("Weighted kappa"),
        "log_loss": _("Log-loss"),
        "calibration_error": _("Calibration error"),
    }


def _bar(model: dict[str, Any], figure: dict[str, Any]) -> dict[str, Any]:
    low, high = figure.get("interval") or (None, None)
    return {"label": f"{model['name']} {model['version']}", "value": figure.get("value"), "low": low, "high": high}


def _f1(row: dict[str, Any]) -> dict[str, Any]:
    return {"value": row["f1"], "interval": row["f1_interval"], "refusal": _("none, said or so")}


def _verdict(gain: dict[str, Any] | None) -> str:
    """What a difference says: `better`, `worse`, `even`, or nothing where there is none."""
    if gain is None or not gain["interval"]:
        return ""
    low, high = gain["interval"]
    return "better" if low > 0 else "worse" if high < 0 else "even"


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
        project = access.project
        others = ModelVersion.objects.filter(project=project, question=model.question, is_current=True)
        current = others.exclude(pk=model.pk).first()
        gain: dict[str, Any] | None = None
        job: Job | None = None
        if current is not None and project.state != Project.State.ARCHIVED:
            asked = ask_for_comparison(project=project, models=[current, model], actor=access.user)
            gain, job = find_gain(asked.kept, model), asked.job
        context: dict[str, Any] = {
            "jobs": [] if job is None else [show_job_for_people(job)],
            "model": model,
            "figures": [_show_figure(one) for one in (model, current) if one is not None],
            "gain": None if gain is None else gain | {"label": _("The difference, on the same items"), "start": -1.0},
            "current": current,
            "is_worse": _looks_worse(model, current, gain),
            "can_promote": access.project.state != Project.State.ARCHIVED,
            "form_error": sentence_of(error) if error else "",
        }
        return self.show(access, "learning/promotion.html", context, error.status if error else 200)


def _show_figure(model: ModelVersion) -> dict[str, Any]:
    figure = find_metric(model.evaluation, "macro_f1") or {"value": None, "refusal": ""}
    return {**figure, "label": str(model)}


def _looks_worse(model: ModelVersion, current: ModelVersion | None, gain: dict[str, Any] | None) -> bool:
    """Whether it did worse on the same items; where that is not known, whether its stored figure is the lower one."""
    if current is None:
        return False
    if gain is not None and gain["value"] is not None:
        return bool(gain["value"] < 0)
    evaluation = model.evaluation or {}
    if evaluation.get("is_worse") and (evaluation.get("beside") or {}).get("model") == str(current):
        return True
    own, other = (find_metric(one.evaluation, "macro_f1") or {} for one in (model, current))
    return own.get("value") is not None and other.get("value") is not None and own["value"] < other["value"]
