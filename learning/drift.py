"""What the newest comparison of what came in found, as it stands now. Read only."""

from __future__ import annotations

from typing import Any

from annotation.actions.jobs import find_done
from annotation.kinds import Question
from annotation.models import Import, Item, Job, Project
from annotation.serializers import show_time
from learning.actions.drift import KIND
from learning.models import ModelVersion
from learning.questions import class_names, classes_of
from learning.reports import name_model

MEASURES = ("choices", "certainty", "contents")
MIN_SAMPLED = 50  # items; with fewer nothing but a landslide could be told


def newest_comparison(project: Project, question: Question) -> Job | None:
    """The newest comparison that came to its end; None where there is none."""
    return find_done(project=project, kind=KIND, args={"question": question["id"]})


def alarms_of(result: dict[str, Any], batch: dict[str, Any]) -> list[str]:
    """The measures by which a batch differs from the reference, of `MEASURES`."""
    made = batch["comparisons"]
    return [name for name in MEASURES if made[name] is not None and made[name]["adjusted"] <= result["alpha"]]


def count_alarms(project: Project, question: Question) -> int:
    """How many batches the newest comparison found to differ; 0 before the first."""
    job = newest_comparison(project, question)
    if job is None or job.result is None:
        return 0
    return sum(bool(alarms_of(job.result, batch)) for batch in job.result["batches"])


def show_drift(project: Project, question: Question) -> dict[str, Any]:
    """What the newest comparison found.

    `{"question", "compared_at", "model", "is_current_model", "n_imports_since", "unit", "n_left_out", "alpha",
    "has_space", "reference", "batches"}`: batches as `tasks.drift.compare_batches` keeps them, and in each `alarms` and
    `strange` as `[{"id", "external_id"}]` without items that were put away since; `shares` by the choices' values.
    Nulls and an empty list before the first comparison.
    """
    job = newest_comparison(project, question)
    if job is None or job.result is None:
        nothing = dict.fromkeys(
            ("compared_at", "model", "is_current_model", "n_imports_since", "unit", "alpha", "has_space", "reference")
        )
        return {"question": question["name"], **nothing, "n_left_out": 0, "batches": []}
    result = job.result
    model = ModelVersion.objects.filter(pk=result["model"]).first()
    names = _names_of(project, [item for batch in result["batches"] for item in batch["strange"]])
    values = dict(zip(classes_of(question), class_names(question), strict=True))
    choices = [values.get(number) for number in result["classes"]]
    return {
        "question": question["name"],
        "compared_at": show_time(job.ended_at) if job.ended_at else None,
        "model": name_model(model),
        "is_current_model": model is not None and model.is_current,
        "n_imports_since": Import.objects.filter(
            project=project, is_visible=True, created_at__gt=job.created_at
        ).count(),
        "unit": result["unit"],
        "n_left_out": result["n_left_out"],
        "alpha": result["alpha"],
        "has_space": result["has_space"],
        "reference": _show_shares(result["reference"], choices),
        "batches": [
            {
                **_show_shares(batch, choices),
                "alarms": alarms_of(result, batch),
                "strange": [
                    {"id": str(item), "external_id": names[item]} for item in batch["strange"] if item in names
                ],
            }
            for batch in result["batches"]
        ],
    }


def _show_shares(about: dict[str, Any], choices: list[str | None]) -> dict[str, Any]:
    """Shares by choice; None where nothing was scored. A choice that left the schema is left out."""
    if about["shares"] is None:
        return about
    told = zip(choices, about["shares"], strict=True)
    return {**about, "shares": {choice: share for choice, share in told if choice is not None}}


def _names_of(project: Project, items: list[int]) -> dict[int, str]:
    shown = Item.objects.filter(
        project=project, pk__in=items, lifecycle__in=(Item.Lifecycle.OPEN, Item.Lifecycle.ARCHIVED)
    )
    return dict(shown.values_list("pk", "external_id"))
