"""The routes of the API about people who label: everybody, for those who review, and oneself."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import project_for
from annotation.api.paging import PAGING, next_url, read_cursor, read_limit
from annotation.api.queries import read_query
from annotation.api.shapes import PAGE_PARAMETERS, shape
from annotation.api.view import ApiView
from annotation.errors import AbsentError
from annotation.models import Project
from reviewers.algorithms.person_accuracy import MEASURES
from reviewers.algorithms.person_flags import KINDS
from reviewers.api.agreement import METRIC
from reviewers.people.report import people_report, person_for, report_for, visible_items
from reviewers.people.words import tell_flag
from reviewers.reports import pick_question

_FLAG = shape(
    "AnnotatorFlag",
    kind=s.ChoiceField(list(KINDS)),
    evidence=s.CharField(),
    other_reasons=s.CharField(),
    figures=s.DictField(),
    other=s.CharField(allow_null=True),
    items=type(shape("FlagItem", id=s.CharField(), external_id=s.CharField()))(many=True),
)


_PACE = shape(
    "AnnotatorPace", n=s.IntegerField(), median_seconds=s.FloatField(), fast_share=s.FloatField(allow_null=True)
)
_TREND = shape("AnnotatorTrend", direction=s.ChoiceField(["up", "down", "none"]), p_adjusted=s.FloatField())
_WEEK = shape(
    "AnnotatorWeek",
    week=s.DateField(),
    n=s.IntegerField(),
    value=s.FloatField(allow_null=True),
    interval=s.ListField(child=s.FloatField(), allow_null=True, min_length=2, max_length=2),
)


def _person_fields() -> dict[str, Any]:
    return {
        "id": s.CharField(),
        "name": s.CharField(),
        "source": s.ChoiceField(["human", "simulated", "imported"]),
        "n_labels": s.IntegerField(),
        "accuracy": type(METRIC)(many=True),
        "pace": type(_PACE)(allow_null=True),
        "trend": type(_TREND)(allow_null=True),
    }


_HEAD: dict[str, Any] = {
    "question": s.CharField,
    "computed_at": s.DateTimeField,
    "refusal": lambda: s.CharField(allow_null=True),
    "is_sample": s.BooleanField,
    "is_paced": s.BooleanField,
}
_PEOPLE = shape(
    "Annotators",
    **{name: make() for name, make in _HEAD.items()},
    n_items=s.IntegerField(),
    n_labels=s.IntegerField(),
    weeks=type(_WEEK)(many=True),
    results=type(shape("Annotator", **_person_fields(), flags=type(_FLAG)(many=True)))(many=True),
    next=s.URLField(allow_null=True),
)
_PERSON = shape(
    "AnnotatorDetail",
    **{name: make() for name, make in _HEAD.items()},
    **_person_fields(),
    weeks=type(_WEEK)(many=True),
    confusion=type(shape("AnnotatorConfusion", reference=s.CharField(), said=s.CharField(), n=s.IntegerField()))(
        many=True
    ),
    flags=type(_FLAG)(many=True, required=False),
)
_QUESTION = OpenApiParameter("question", OpenApiTypes.STR, description="the first question where left out")


class AnnotatorsView(ApiView):
    """How reliable people are."""

    @extend_schema(parameters=[_QUESTION, *PAGE_PARAMETERS], responses=_PEOPLE)
    def get(self, request: Request, slug: str) -> Response:
        """Everybody who labelled a question, by name: accuracy, pace, trend, and reasons to look, with the evidence."""
        access = project_for(self.caller, slug, "review")
        query = read_query(request, ("question", *PAGING))
        filters = {name: value for name, value in query.items() if name not in PAGING}
        report = people_report(access.project, pick_question(access.project, query.get("question")))
        rows = list(report["people"].values())
        start, limit = (read_cursor(request, filters) or [0])[0], read_limit(request)
        page = rows[start : start + limit]
        following = [start + limit] if len(rows) > start + limit else None
        counts = {name: report[name] for name in ("n_items", "n_labels", "weeks")}
        results = {"results": _show_rows(access.project, page), "next": next_url(request, following, filters)}
        return Response(_head(report) | counts | results)


class AnnotatorView(ApiView):
    """How reliable one person is."""

    @extend_schema(parameters=[_QUESTION], responses=_PERSON)
    def get(self, request: Request, slug: str, person_id: str) -> Response:
        """One person, `me` for oneself, with their weeks and what they mix up.

        Who may not review sees themselves alone, without flags.
        """
        access = project_for(self.caller, slug)
        person = person_for(access, person_id)
        question = pick_question(access.project, read_query(request, ("question",)).get("question"))
        report = report_for(access, question, person)
        row = report["people"].get(person.pk)
        if row is None:
            raise AbsentError(_("This person has no label on this question."))
        (shown,) = _show_rows(access.project, [row])
        if not access.may("review"):
            del shown["flags"]
        return Response(_head(report) | shown | {"weeks": row["weeks"], "confusion": row["confusion"]})


def _head(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in _HEAD}


def _show_rows(project: Project, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as they are sent: the flags with their evidence in words, and those items that can be shown."""
    ids = [item for row in rows for flag in row["flags"] for item in flag["items"]]
    items = {item["id"]: item for item in visible_items(project, ids)}
    shown = []
    for row in rows:
        one = {name: row[name] for name in ("id", "name", "source", "n_labels", "pace", "trend")}
        one["accuracy"] = [row["accuracy"][measure] for measure in MEASURES]
        one["flags"] = [_show_flag(flag, items) for flag in row["flags"]]
        shown.append(one)
    return shown


def _show_flag(flag: dict[str, Any], items: dict[str, dict[str, Any]]) -> dict[str, Any]:
    told = tell_flag(flag)
    return {
        "kind": flag["kind"],
        "evidence": told["text"],
        "other_reasons": told["other_reasons"],
        "figures": flag["figures"],
        "other": flag["other"] and flag["other"]["id"],
        "items": [items[str(pk)] for pk in flag["items"] if str(pk) in items],
    }
