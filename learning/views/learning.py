"""What the model has learned so far, and the next round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.errors import AbsentError, TouchstoneError
from annotation.kinds import Question
from annotation.learnable import tell_learnable
from annotation.models import Project
from annotation.progress import jobs_to_show, keep_if_large
from annotation.schema import text_of
from annotation.views.page import ProjectPage, add_error
from learning import reports
from learning.actions.rounds import start_round
from learning.anchoring import anchoring
from learning.drift import count_alarms
from learning.forms import RoundForm
from learning.models import ModelVersion, Round
from learning.outlook import show_outlook
from learning.questions import class_texts, default_question, learnable_questions
from learning.views.model_pictures import show_mistakes, show_reliability
from learning.views.round_costs import show_costs

METRICS = (
    "macro_f1",
    "accuracy",
    "mean_absolute_error",
    "cohen_kappa_quadratic",
    "log_loss",
    "calibration_error",
)


def metric_words() -> dict[str, str]:
    """The figures' names for people."""
    return {
        "macro_f1": _("Macro-F1, holdout"),
        "accuracy": _("Accuracy, holdout"),
        "mean_absolute_error": _("Points of the scale off, on average, holdout; lower is better"),
        "cohen_kappa_quadratic": _("Weighted kappa with the accepted ratings, holdout"),
        "log_loss": _("Log-loss, holdout; lower is better"),
        "calibration_error": _("Calibration error, holdout; lower is better"),
        "alpha_nominal": _("Krippendorff's alpha"),
        "alpha_ordinal": _("Krippendorff's alpha, ordinal"),
        "alpha_interval": _("Krippendorff's alpha, interval"),
        "raw_agreement": _("Raw agreement"),
        "expected_gain": _("Macro-F1 gained by 500 labels more, expected"),
        "labels_by_chance": _("Labels it would have taken, all drawn by chance"),
        "anchoring": _("How far showing it draws answers to it"),
        "agreement_shown": _("Answers like the suggestion, where shown"),
        "agreement_withheld": _("Answers like the suggestion, where withheld"),
    }


def shown_question(project: Project) -> Question | None:
    """The question whose learning is shown: the default one, else the first that can be learned; None without any."""
    found = learnable_questions(project)
    return default_question(project) or (found[0] if found else None)


def start_about_shown(access: Access, start: Callable[..., object]) -> TouchstoneError | None:
    """Start a job about that question, as the button of a page asks: `start(project=, actor=, question=)`.

    Returns why it could not be started, for the page to say; None where it was. Raises AbsentError without a question.
    """
    question = shown_question(access.project)
    if question is None:
        raise AbsentError
    try:
        start(project=access.project, actor=access.user, question=question)
    except TouchstoneError as error:
        return error
    return None


def model_figures(project: Project, question: Question) -> list[dict[str, Any]]:
    """The current model's figures on the holdout, refusals included; one refusal where there is no model yet."""
    model = reports.current_model(project, question)
    if model is None:
        return [{"metric": "macro_f1", "label": _("Macro-F1, holdout"), "refusal": _("No model has been trained yet.")}]
    words = metric_words()
    figures = []
    for name in METRICS:
        figure = reports.find_metric(model.evaluation, name)
        if figure is not None:
            figures.append(
                figure | {"label": words[name], "note": f"{model.name} {model.version}"} | _axis_of(figure, model)
            )
    if not figures:
        return [{"label": words["macro_f1"], "refusal": _("This model has not been judged yet."), "note": model.name}]
    return figures


def _axis_of(figure: dict[str, Any], model: ModelVersion) -> dict[str, float]:
    """Where the axis of a figure begins and ends, if not at 0 and 1."""
    low, high = figure["interval"] or (0.0, 0.0)
    match figure["metric"]:
        case "log_loss":
            return {"end": max(1.0, high)}
        case "mean_absolute_error":  # in points: as far as the scale is long
            return {"end": float(model.classes[-1] - model.classes[0])}
        case "cohen_kappa_quadratic":
            return {"start": min(0.0, low)}
    return {}


def anchoring_figures(project: Project, question: Question) -> list[dict[str, Any]]:
    """How far people follow the suggestions, for tiles; [] in a project that never showed any."""
    found = keep_if_large(project.pk, f"anchoring:{question['id']}", lambda: anchoring(project, question))
    if not project.suggestions and not any(figure["n_labels"] for figure in found["metrics"]):
        return []
    words = metric_words()
    drawn = {"drawn": _("open items that a model has scored; chance decides who sees what it says")}
    start = {"anchoring": {"start": -1.0}}
    return [
        figure | drawn | {"label": words[figure["metric"]]} | start.get(figure["metric"], {})
        for figure in found["metrics"]
    ]


class LearningView(ProjectPage):
    """Curve, figures, rounds, models, and a form for the next round."""

    right = "learn"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """How far it is."""
        access = self.enter(slug)
        return self._show(access, RoundForm(project=access.project))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Start a round."""
        access = self.enter(slug)
        form = RoundForm(request.POST, project=access.project)
        if not form.is_valid():
            return self._show(access, form, 400)
        found = form.cleaned_data
        question = found.get("question") or (shown_question(access.project) or {}).get("name")
        try:
            start_round(
                project=access.project,
                actor=access.user,
                trigger=Round.Trigger.DEMAND,
                question=question,
                strategy=found["strategy"],
                batch=found["batch"],
                random_share=found["random_share"],
                seed=found["seed"],
                train=found["train"],
            )
        except TouchstoneError as error:
            add_error(form, error)
            return self._show(access, form, error.status)
        return redirect("project-learning", slug=slug)

    def _show(self, access: Access, form: RoundForm, status: int = 200) -> HttpResponse:
        project = access.project
        jobs = jobs_to_show(project, ["round", "predictions", "promotion"], with_done=False)
        if self.request.headers.get("HX-Target") == "jobs":
            return self.show(access, "learning/learning.html", {"jobs": jobs})
        question = shown_question(project)
        context: dict[str, Any] = {"jobs": jobs, "question": None, "learnable": tell_learnable()}
        if question is not None:
            model = reports.current_model(project, question)
            evaluation = model.evaluation if model is not None else None
            outlook = show_outlook(project, question)
            texts = class_texts(question)
            context |= {
                "question": text_of(question),
                "learns_by_itself": reports.next_round(project),
                "figures": model_figures(project, question),
                "holdout": reports.holdout_state(project),
                "anchoring": anchoring_figures(project, question),
                "curve": show_curve(outlook["points"]),
                "advice": show_advice(outlook),
                "rounds": [
                    row | {"costs": show_costs(row["costs"], row["n_selected"])} for row in reports.round_rows(project)
                ],
                "models": reports.model_rows(project),
                "n_drifts": count_alarms(project, question),
                "per_class": [_show_class(row, texts) for row in reports.class_rows(model)],
                "per_class_refusal": "",
                "has_thresholds": any(row.get("at_threshold") for row in reports.class_rows(model)),
                "mistakes": show_mistakes(evaluation, texts),
                "reliability": show_reliability(evaluation),
                "slices": [_show_slice(row) for row in reports.slice_rows(model)],
                "form": form,
                "can_start": access.may("learn"),
            }
        return self.show(access, "learning/learning.html", context, status)


def show_curve(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The learning curve as a chart: one line for each strategy, in the order of their first rounds."""
    lines: dict[str, list[dict[str, Any]]] = {}
    by_chance: list[dict[str, Any]] = []
    refusal = _("No model has been trained yet.")
    for point in points:
        figure = point["macro_f1"]
        refusal = figure["refusal"] or refusal
        lines.setdefault(point["strategy"], []).append(_show_point(point["n_train"] or 0, figure))
        drawn = point["by_chance"]
        if drawn is not None and drawn["n_train"] < (point["n_train"] or 0):
            by_chance.append(_show_point(drawn["n_train"], drawn["macro_f1"]))
    series = [{"name": name, "points": line} for name, line in lines.items()]
    if by_chance:
        series.append({"name": _("by chance alone"), "points": by_chance})
    return {
        "series": series,
        "x_label": _("accepted labels used for training"),
        "y_label": _("macro-F1 on the holdout"),
        "refusal": refusal,
    }


def _show_point(n_train: int, figure: dict[str, Any]) -> dict[str, Any]:
    low, high = figure["interval"] or (None, None)
    return {"x": n_train, "y": figure["value"], "low": low, "high": high, "n": figure["n_items"]}


def show_advice(outlook: dict[str, Any]) -> dict[str, Any] | None:
    """The expected gain as a tile, and the sentence beside it; None before the first model."""
    if not outlook["points"]:
        return None
    gain, by_chance = outlook["metrics"]
    words = metric_words()
    most = max(by_chance["n_labels"], *(by_chance["interval"] or [0]))
    return {
        "figures": [
            gain | {"label": words["expected_gain"], "end": max(0.05, *(gain["interval"] or [0.0]))},
            by_chance | {"label": words["labels_by_chance"], "end": float(most)},
        ],
        "advice": outlook["advice"],
        "reason": outlook["reason"],
    }


def _show_share(row: dict[str, Any], name: str) -> dict[str, Any]:
    refusal = _("none so called") if name == "precision" else _("none, or all")
    return {"value": row[name], "interval": row[f"{name}_interval"], "refusal": refusal}


def _show_slice(row: dict[str, Any]) -> dict[str, Any]:
    figure = row["figure"]
    low, high = figure["interval"]
    return {
        "label": f"{row['key']}: {row['value']}",
        "value": figure["value"],
        "low": low,
        "high": high,
        "note": _("n=%(n)d") % {"n": figure["n_items"]},
    }


def _show_class(row: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    low, high = row.get("f1_interval") or (None, None)
    return {
        "label": texts.get(row["choice"], row["choice"]),
        "value": row["f1"],
        "low": low,
        "high": high,
        "note": _("n=%(n)d") % {"n": row["n_items"]},
        "figures": [_show_share(row, name) for name in ("precision", "recall", "average_precision")],
        "at_threshold": _show_threshold(row),
    }


def _show_threshold(row: dict[str, Any]) -> dict[str, Any] | None:
    """A choice at the threshold that its model chose for it: the threshold and figures as above; None without one."""
    at = row.get("at_threshold")
    if at is None:
        return None
    return {"value": at["threshold"], "figures": [_show_share(at, name) for name in ("precision", "recall", "f1")]}
