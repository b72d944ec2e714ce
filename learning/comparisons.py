"""Models side by side: which are compared, what was found last, and whether that still holds. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.actions.jobs import find_done
from annotation.errors import InvalidError, StateError
from annotation.kinds import Question
from annotation.models import Job, Project
from annotation.plain_text import quote
from annotation.serializers import show_time
from learning.actions.rounds import count_resolved_holdout
from learning.models import ModelVersion
from learning.questions import learnable_questions, require_question

KIND = "comparison"
MOST = 6
# What is stored of the same models and labels is told again for so long; it is seconds of work.
FRESH_SECONDS = 3600
PATIENCE = timedelta(minutes=1)  # until what failed is tried again
# Jobs after which a model may say something else of the holdout than before.
_CHANGING = ("round", "predictions", "promotion", "llm")


def default_models(project: Project, question: Question) -> list[ModelVersion]:
    """The current model, then the newest version of each name, newest first, six at most; of one name its last two."""
    models = ModelVersion.objects.of_question(project, question)
    chosen = list(models.filter(is_current=True))
    newest = models.order_by("name", "-pk").distinct("name")
    for model in sorted(newest, key=lambda one: -one.pk):
        if model not in chosen:
            chosen.append(model)
    if len(chosen) == 1:
        chosen += models.exclude(pk=chosen[0].pk).order_by("-pk")[:1]
    return chosen[:MOST]


def choose_models(project: Project, question: str | None, wanted: Sequence[str]) -> list[ModelVersion]:
    """The models that are asked for by their ids, or those compared where none is named; at least one, of one question.

    Raises InvalidError.
    """
    if not wanted:
        found = default_models(project, require_question(project, question))
        if not found:
            raise InvalidError(fields={"models": _("There is no model for this question yet.")})
        return found
    ids = list(dict.fromkeys(wanted))
    known = {str(pk): pk for pk in ModelVersion.objects.filter(project=project).values_list("pk", flat=True)}
    unknown = [quote(one) for one in ids if one not in known]
    if unknown:
        sentence = _("There is no model %(ids)s here. `GET models` lists them: give their ids, with commas between.")
        raise InvalidError(fields={"models": sentence % {"ids": ", ".join(unknown)}})
    if len(ids) > MOST:
        raise InvalidError(fields={"models": _("At most %(most)d models are compared at once.") % {"most": MOST}})
    models = ModelVersion.objects.in_bulk([known[one] for one in ids])
    chosen = [models[known[one]] for one in ids]
    question_id = chosen[0].question if question is None else require_question(project, question)["id"]
    if any((model.question, model.kind) != (question_id, chosen[0].kind) for model in chosen):
        raise InvalidError(fields={"models": _("Models are compared that answer the same question.")})
    return chosen


def question_of(project: Project, models: Sequence[ModelVersion]) -> Question:
    """The question that the models answer. Raises StateError where it can no longer be learned."""
    question = next((q for q in learnable_questions(project) if all(model.is_of(q) for model in models)), None)
    if question is None:
        raise StateError(_("The question of these models is no longer one that can be learned."))
    return question


def find_reference(models: Sequence[ModelVersion]) -> ModelVersion:
    """The one that the others are held against: the current model, else the first."""
    return next((model for model in models if model.is_current), models[0])


def job_arguments(question: int, models: Sequence[ModelVersion]) -> dict[str, Any]:
    """What the job of a comparison is started with, by which it is found again: the reference stands first."""
    reference = find_reference(models)
    others = sorted(model.pk for model in models if model != reference)
    return {"question": question, "models": [reference.pk, *others]}


def marker_of(project: Project) -> list[int]:
    """What a comparison rests on besides the models: settled holdout items, the newest job that may change scores."""
    changing = Job.objects.filter(project=project, kind__in=_CHANGING, ended_at__isnull=False)
    newest = changing.order_by("-ended_at").values_list("pk", flat=True).first()
    return [count_resolved_holdout(project), newest or 0]


def find_kept(project: Project, arguments: dict[str, Any]) -> Job | None:
    """The newest comparison of these models that came to its end; None where there is none."""
    return find_done(project=project, kind=KIND, args=arguments)


def is_fresh(project: Project, kept: Job) -> bool:
    """Whether a comparison would find the same today, as far as can be told without making it."""
    assert kept.result is not None
    assert kept.ended_at is not None
    age = (timezone.now() - kept.ended_at).total_seconds()
    return age < FRESH_SECONDS and kept.result["marker"] == marker_of(project)


def find_gain(kept: Job | None, model: ModelVersion) -> dict[str, Any] | None:
    """By how much a comparison found a model above the one that the others were held against; None where it is not."""
    rows = kept.result["models"] if kept is not None and kept.result is not None else []
    return next((row["gain"] for row in rows if row["id"] == model.pk), None)


def show_comparison(project: Project, question: Question, kept: Job, job: Job | None) -> dict[str, Any]:
    """A comparison, ready for JSON; `job` is the one that makes a newer one, if any does.

    `{"question", "reference", "n_holdout", "n_common", "refusal", "computed_at", "job", "models": [{"id", "name",
    "version", "origin", "is_current", "n_scored", "metrics", "classes", "gain", "refusal"}]}`. Models are as they are
    called today; figures as they were found.
    """
    assert kept.result is not None
    found = kept.result
    models = ModelVersion.objects.in_bulk([one["id"] for one in found["models"]])
    return {
        "question": question["name"],
        "reference": str(found["reference"]),
        "n_holdout": found["n_holdout"],
        "n_common": found["n_common"],
        "refusal": found["refusal"],
        "computed_at": show_time(kept.ended_at),
        "job": None if job is None else str(job.pk),
        "models": [
            {
                "id": str(one["id"]),
                "name": models[one["id"]].name,
                "version": models[one["id"]].version,
                "origin": models[one["id"]].origin,
                "is_current": models[one["id"]].is_current,
                **{name: one[name] for name in ("n_scored", "metrics", "classes", "gain", "refusal")},
            }
            for one in found["models"]
            if one["id"] in models
        ],
    }
