"""What pages and the API show of learning: rounds, models, the learning curve, the holdout, what comes next."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import QuerySet

from annotation.kinds import Question
from annotation.models import Job, Project
from annotation.settings import learning_settings
from learning.actions.rounds import count_resolved_holdout
from learning.consumers import count_new
from learning.models import ModelVersion, Round
from reviewers.answers import compiled_schema, questions_by_id

MIN_HOLDOUT = 100  # as learning/algorithms/evaluation.py, which a page cannot import


def current_model(project: Project, question: Question | None) -> ModelVersion | None:
    """The model whose scores are shown for the question; None where there is none."""
    if question is None:
        return None
    return ModelVersion.objects.of_question(project, question).filter(is_current=True).first()


def name_model(model: ModelVersion | None) -> dict[str, str] | None:
    """A model as what rests on it names it; None for none."""
    return None if model is None else {"id": str(model.pk), "name": model.name, "version": model.version}


def rounds_of(project: Project) -> QuerySet[Round]:
    """A project's rounds, with what `round_row` needs."""
    return Round.objects.filter(project=project).select_related("job", "model_version")


def round_state(round_: Round) -> str:
    """`queued`, `running`, `done`, `failed` or `dead`: the job's state; that of the row where the job is gone."""
    if round_.job is not None:
        return round_.job.state
    return Job.State.DONE if round_.n_selected is not None else Job.State.FAILED


def find_metric(evaluation: dict[str, Any] | None, metric: str) -> dict[str, Any] | None:
    """A figure of an evaluation by its name; None where there is no such figure."""
    metrics = (evaluation or {}).get("metrics", ())
    return next((figure for figure in metrics if figure["metric"] == metric), None)


def round_rows(project: Project, limit: int = 50) -> list[dict[str, Any]]:
    """The newest rounds for a page, newest first: figure, model, how much of the batch was served, why it failed."""
    rounds = list(rounds_of(project).order_by("-number")[:limit])
    served = _count_served([round_.draw_id for round_ in rounds if round_.draw_id is not None])
    return [
        {
            "id": round_.pk,
            "number": round_.number,
            "at": round_.created_at,
            "finished_at": round_.finished_at,
            "state": round_state(round_),
            "strategy": round_.strategy,
            "seed": round_.seed,
            "batch": round_.batch,
            "random_share": round_.random_share,
            "trigger": round_.trigger,
            "n_train": round_.n_train,
            "n_pool": round_.n_pool,
            "n_selected": round_.n_selected,
            "n_served": served.get(round_.draw_id or 0, 0),
            "figure": find_metric(round_.model_version.evaluation if round_.model_version else None, "macro_f1"),
            "model": str(round_.model_version) if round_.model_version else "",
            "note": round_.note,
            "error": _error_of(round_),
            "costs": round_.costs,
        }
        for round_ in rounds
    ]


def _error_of(round_: Round) -> str:
    if round_state(round_) not in (Job.State.FAILED, Job.State.DEAD):
        return ""
    return round_.note or (round_.job.error if round_.job is not None else "")


def _count_served(draws: list[int]) -> dict[int, int]:
    """How many items of each draw somebody has been given since under that draw."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select di.draw_id, count(*) from annotation_drawitem di where di.draw_id = any(%s) and exists ("
            " select 1 from annotation_seat s where s.item_id = di.item_id and s.draw_id = di.draw_id) group by 1",
            [draws],
        )
        return dict(cursor.fetchall())


def model_rows(project: Project, limit: int = 50) -> list[dict[str, Any]]:
    """The newest models for a page, newest first."""
    models = ModelVersion.objects.filter(project=project).select_related("promoted_by").order_by("-pk")[:limit]
    names = questions_by_id(compiled_schema(project))
    return [
        {
            "id": model.pk,
            "name": model.name,
            "version": model.version,
            "question": names[model.question]["name"] if model.question in names else "",
            "state": _model_state(model),
            "is_current": model.is_current,
            "at": model.created_at,
            "source": model.origin,
            "n_train": model.n_train,
            "figure": find_metric(model.evaluation, "macro_f1"),
            "sha256": model.sha256,
            "promoted_by": model.promoted_by.username if model.promoted_by else "",
            "promoted_at": model.promoted_at,
        }
        for model in models
    ]


def _model_state(model: ModelVersion) -> str:
    if model.is_barred:
        return "barred"
    return "rejected" if (model.evaluation or {}).get("is_worse") else "kept"


def learning_curve(project: Project, question: Question) -> list[dict[str, Any]]:
    """One point for each model trained here, in the order of rounds, whether it was used or not.

    `{"n_train", "macro_f1": figure, "by_chance": the same of the labels that chance drew or None, "round": number,
    "strategy", "model", "is_used"}`; a refused figure keeps its place.
    """
    models = (
        ModelVersion.objects.of_question(project, question)
        .filter(origin=ModelVersion.Origin.TRAINED, evaluation__isnull=False)
        .order_by("pk")
    )
    points: list[dict[str, Any]] = []
    for model in models:
        evaluation = model.evaluation or {}
        figure = find_metric(evaluation, "macro_f1")
        if figure is not None:
            points.append(
                {
                    "n_train": model.n_train,
                    "macro_f1": figure,
                    "by_chance": evaluation["by_chance"],
                    "round": evaluation["round"],
                    "strategy": evaluation["strategy"],
                    "model": str(model),
                    "is_used": not evaluation["is_worse"],
                }
            )
    return points


def class_rows(model: ModelVersion | None) -> list[dict[str, Any]]:
    """Figures of each choice on the holdout: `{"choice", "f1", "f1_interval", ..., "n_items", "n_predicted"}`."""
    evaluation = model.evaluation if model is not None else None
    figure = find_metric(evaluation, "macro_f1")
    if evaluation is None or figure is None or figure["refusal"]:
        return []
    return list(evaluation["classes"])


def slice_rows(model: ModelVersion | None) -> list[dict[str, Any]]:
    """Accuracy on parts of the holdout that are large enough: `{"key", "value", "figure"}`; [] where there are none."""
    evaluation = model.evaluation if model is not None else None
    return [part for part in (evaluation or {}).get("slices", ()) if part["figure"]["value"] is not None]


def holdout_state(project: Project) -> dict[str, Any]:
    """`{"n_resolved", "n_needed", "share"}`: settled items, those needed for a figure, the share served from it now."""
    return {
        "n_resolved": count_resolved_holdout(project),
        "n_needed": MIN_HOLDOUT,
        "share": Project.objects.values_list("holdout_share_now", flat=True).get(pk=project.pk),
    }


def next_round(project: Project) -> dict[str, int | None] | None:
    """`{"every", "n_until_next", "every_hours"}`, None for what is not set; None where no round starts by itself."""
    settings = learning_settings(project)
    every, hours = settings["every"], settings["every_hours"]
    if every is None and hours is None:
        return None
    n_until_next = None if every is None else max(0, every - count_new(project))
    return {"every": every, "n_until_next": n_until_next, "every_hours": hours}
