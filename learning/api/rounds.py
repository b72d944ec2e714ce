"""Learning over HTTP: predictions in, rounds started and listed, models with their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.bodies import open_body, read_object, spool
from annotation.api.paging import PAGING, page_by_id
from annotation.api.queries import read_choice, read_query
from annotation.api.shapes import PAGE_PARAMETERS, STARTED, page_of, shape
from annotation.api.view import ApiView, accept_job
from annotation.errors import InvalidError, TooLargeError, UnsupportedTypeError
from annotation.importing.formats import ImportFileError, detect_source
from annotation.kinds import Question
from annotation.models import Job, Organisation, Project
from annotation.serializers import show_time
from annotation.settings import STRATEGIES
from learning.actions.label_errors import start_search
from learning.actions.predictions import start_predictions
from learning.actions.rounds import start_round
from learning.anchoring import anchoring
from learning.doubts import show_doubts
from learning.models import ModelVersion, Round
from learning.outlook import show_outlook
from learning.questions import require_question
from learning.reports import name_model, round_state, rounds_of
from learning.stopwatch import order_steps, total_seconds
from reviewers.answers import compiled_schema, questions_by_id
from reviewers.api.agreement import METRIC

QUESTION = OpenApiParameter("question", OpenApiTypes.STR, description="the one that is learned, if left out")
ROUND_FIELDS = ("strategy", "batch", "question", "model", "train", "seed", "random_share")


def asked_question(request: Request, project: Project, others: Collection[str] = ()) -> Question:
    """The question that the address names, beside `others`, the parameters that the route knows besides.

    Raises InvalidError where it cannot be learned, or several could be.
    """
    return require_question(project, read_query(request, ("question", *others)).get("question"))


def sent_question(request: Request, project: Project) -> Question:
    """The question that the body names, which names nothing else. Raises InvalidError, as `asked_question`."""
    return require_question(project, read_object(request.data, ("question",)).get("question"))


def model_name_fields() -> dict[str, Any]:
    """A model as a round names it."""
    return {"id": s.CharField(), "name": s.CharField(), "version": s.CharField()}


def round_fields() -> dict[str, Any]:
    """A round, as `show_round` gives it."""
    return {
        "id": s.CharField(),
        "number": s.IntegerField(),
        "state": s.ChoiceField(Job.State.values),
        "strategy": s.CharField(),
        "batch": s.IntegerField(),
        "question": s.CharField(),
        "trigger": s.ChoiceField(Round.Trigger.values),
        "random_share": s.FloatField(),
        "seed": s.IntegerField(),
        "n_train": s.IntegerField(allow_null=True),
        "n_pool": s.IntegerField(allow_null=True),
        "n_selected": s.IntegerField(allow_null=True),
        "model": s.DictField(allow_null=True, help_text="id, name, version"),
        "evaluation": s.DictField(allow_null=True, help_text="metrics, classes, confusion on the holdout"),
        "note": s.CharField(allow_blank=True),
        "costs": s.DictField(
            allow_null=True,
            help_text="attempts, step, seconds by step, total_seconds, processor_seconds, peak_bytes, model_bytes,"
            " score_bytes, n_scores; null before it begins",
        ),
        "created_at": s.DateTimeField(),
        "finished_at": s.DateTimeField(allow_null=True),
        "job": s.CharField(allow_null=True),
    }


def model_fields() -> dict[str, Any]:
    """A model, as `show_model` gives it."""
    return {
        **model_name_fields(),
        "question": s.CharField(),
        "origin": s.ChoiceField(ModelVersion.Origin.values),
        "is_current": s.BooleanField(),
        "n_train": s.IntegerField(allow_null=True),
        "evaluation": s.DictField(allow_null=True),
        "sha256": s.CharField(allow_null=True),
        "created_at": s.DateTimeField(),
        "is_barred": s.BooleanField(help_text="a language model that has not passed: never current"),
        "promoted_by": s.CharField(allow_null=True, help_text="who last made it the current one, where a person did"),
        "promoted_at": s.DateTimeField(allow_null=True),
    }


class PredictionsView(ApiView):
    """Scores from models elsewhere."""

    takes_chunks = True

    @extend_schema(
        request={"application/x-ndjson": OpenApiTypes.STR},
        responses={202: STARTED},
        parameters=[
            OpenApiParameter("select", OpenApiTypes.STR, enum=["0", "1"], description="0: raise no priorities")
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Take in lines of probabilities or answers; then recompute utilities and, unless `select=0`, raise a batch."""
        access = project_for(self.caller, slug, "learn")
        query = read_query(request, ("select",))
        is_selecting = read_choice(query, "select", ("0", "1"), "1") == "1"
        return take_lines(
            request, partial(start_predictions, project=access.project, actor=access.user, select=is_selecting)
        )


def take_lines(request: Request, start: Callable[..., Job]) -> Response:
    """Spool a body of JSON lines and start its job: `start(path=, compression=)`."""
    compression = _detect(request)
    most = Organisation.objects.get().max_upload_bytes
    if int(request.META.get("CONTENT_LENGTH") or 0) > most:
        raise TooLargeError
    path = spool(open_body(request), most)
    try:
        with transaction.atomic():
            job = start(path=path, compression=compression)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return accept_job(job)


def _detect(request: Request) -> str | None:
    """The compression of a body of JSON lines. Raises UnsupportedTypeError for anything else."""
    refusal = _("Send the lines as application/x-ndjson.")
    try:
        source = detect_source(
            None, request.META.get("CONTENT_TYPE", ""), request.META.get("HTTP_CONTENT_ENCODING", "")
        )
    except ImportFileError as error:
        raise UnsupportedTypeError(refusal) from error
    if source.format != "jsonl":
        raise UnsupportedTypeError(refusal)
    return source.compression


class RoundsView(ApiView):
    """The rounds of a project."""

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of("Round", **round_fields()))
    def get(self, request: Request, slug: str) -> Response:
        """List them with their figures, newest first."""
        access = project_for(self.caller, slug, "learn")
        read_query(request, PAGING)
        names = question_names(access.project)
        rounds = rounds_of(access.project)
        return Response(page_by_id(request, rounds, lambda row: show_round(row, names), is_newest_first=True))

    @extend_schema(
        request=shape(
            "RoundRequest",
            strategy=s.ChoiceField(STRATEGIES, required=False),
            batch=s.IntegerField(required=False),
            question=s.CharField(required=False),
            model=s.CharField(required=False, help_text="a name, NAME@VERSION or an id: use its scores"),
            train=s.BooleanField(required=False),
            seed=s.IntegerField(required=False),
            random_share=s.FloatField(required=False),
        ),
        responses={202: STARTED},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Start a round: train, score, choose, raise. What is left out comes from the project's settings."""
        access = project_for(self.caller, slug, "learn")
        body = read_object(request.data, ROUND_FIELDS)
        faults = {
            name: sentence
            for name, kind, sentence in (
                ("question", str, _("A text.")),
                ("model", str, _("A text.")),
                ("strategy", str, _("A text.")),
                ("train", bool, _("true or false.")),
            )
            if body.get(name) is not None and not isinstance(body[name], kind)
        }
        if faults:
            raise InvalidError(fields=faults)
        return accept_job(start_round(project=access.project, actor=access.user, trigger=Round.Trigger.DEMAND, **body))


class AnchoringView(ApiView):
    """How far people follow the model's suggestions."""

    @extend_schema(
        parameters=[QUESTION],
        responses=shape(
            "Anchoring", question=s.CharField(), metrics=type(METRIC)(many=True), computed_at=s.DateTimeField()
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """How often an answer is the suggested one: where it was shown, where it was withheld, and the difference."""
        access = project_for(self.caller, slug, "learn")
        return Response(anchoring(access.project, asked_question(request, access.project)))


class LearningCurveView(ApiView):
    """How the model has learned, and where that leads."""

    @extend_schema(
        parameters=[QUESTION],
        responses=shape(
            "LearningCurve",
            question=s.CharField(),
            points=s.ListField(
                child=s.DictField(), help_text="n_train, macro_f1 with its interval, round, strategy, model"
            ),
            metrics=type(METRIC)(many=True),
            advice=s.ChoiceField(("go_on", "stop", "unclear")),
            reason=s.CharField(),
            computed_at=s.DateTimeField(),
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """The learning curve, what 500 labels more are expected to bring, and whether they are worth it."""
        access = project_for(self.caller, slug, "learn")
        return Response(show_outlook(access.project, asked_question(request, access.project)))


class LabelErrorsView(ApiView):
    """Accepted labels that may be wrong."""

    @extend_schema(
        parameters=[QUESTION],
        responses=shape(
            "LabelErrors",
            question=s.CharField(),
            searched_at=s.DateTimeField(allow_null=True),
            n_labels=s.IntegerField(allow_null=True),
            n_doubted=s.IntegerField(allow_null=True),
            n_sure=s.IntegerField(allow_null=True),
            doubts=s.ListField(child=s.DictField(), help_text="item, given, looks_like, belief, is_sure"),
        ),
    )
    def get(self, request: Request, slug: str) -> Response:
        """What the newest search found and nobody has decided since, the least believed label first."""
        access = project_for(self.caller, slug, "resolutions")
        return Response(show_doubts(access.project, asked_question(request, access.project)))

    @extend_schema(request=shape("LabelErrorSearch", question=s.CharField(required=False)), responses={202: STARTED})
    def post(self, request: Request, slug: str) -> Response:
        """Search anew, by a job."""
        access = project_for(self.caller, slug, "resolutions")
        question = sent_question(request, access.project)
        return accept_job(start_search(project=access.project, actor=access.user, question=question))


class ModelsView(ApiView):
    """The models of a project."""

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of("Model", **model_fields()))
    def get(self, request: Request, slug: str) -> Response:
        """List them with their evaluation, newest first."""
        access = project_for(self.caller, slug, "learn")
        read_query(request, PAGING)
        names = question_names(access.project)
        models = ModelVersion.objects.filter(project=access.project).select_related("promoted_by")
        return Response(page_by_id(request, models, lambda row: show_model(row, names), is_newest_first=True))


def question_names(project: Project) -> dict[int, str]:
    """Question id -> name, of the schema in force and of questions that left it."""
    compiled = compiled_schema(project)
    left = {question["id"]: question["name"] for question in compiled["retired"]}
    return left | {number: question["name"] for number, question in questions_by_id(compiled).items()}


def show_round(round_: Round, names: dict[int, str]) -> dict[str, Any]:
    """A round as lists show it; `evaluation` is its model's."""
    model = round_.model_version
    return {
        "id": str(round_.pk),
        "number": round_.number,
        "state": round_state(round_),
        "strategy": round_.strategy,
        "batch": round_.batch,
        "question": names.get(round_.question, ""),
        "trigger": round_.trigger,
        "random_share": round_.random_share,
        "seed": round_.seed,
        "n_train": round_.n_train,
        "n_pool": round_.n_pool,
        "n_selected": round_.n_selected,
        "model": name_model(model),
        "evaluation": None if model is None else model.evaluation,
        "note": round_.note or (round_.job.error if round_.job is not None else ""),
        "costs": show_costs(round_.costs),
        "created_at": show_time(round_.created_at),
        "finished_at": show_time(round_.finished_at),
        "job": str(round_.job_id) if round_.job_id else None,
    }


def show_costs(costs: dict[str, Any]) -> dict[str, Any] | None:
    """What a round took, as lists show it; None before it begins."""
    return costs | {"seconds": order_steps(costs), "total_seconds": total_seconds(costs)} if costs else None


def show_model(model: ModelVersion, names: dict[int, str]) -> dict[str, Any]:
    """A model as lists show it."""
    return {
        "id": str(model.pk),
        "name": model.name,
        "version": model.version,
        "question": names.get(model.question, ""),
        "origin": model.origin,
        "is_current": model.is_current,
        "n_train": model.n_train,
        "evaluation": model.evaluation,
        "sha256": model.sha256 or None,
        "created_at": show_time(model.created_at),
        "is_barred": model.is_barred,
        "promoted_by": model.promoted_by.username if model.promoted_by else None,
        "promoted_at": show_time(model.promoted_at),
    }
