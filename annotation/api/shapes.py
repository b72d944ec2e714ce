"""The shapes of requests and answers, for the API's document. What is sent is checked by the actions, not by these."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field, inline_serializer
from rest_framework import serializers as s

from annotation.access import KIND_RIGHTS, RIGHTS
from annotation.hints import SEVERITIES
from annotation.models import Job, Member, Project
from annotation.queue import REASONS

ANYTHING = s.JSONField


def shape(name: str, /, **fields: s.Field[Any, Any, Any, Any]) -> Any:
    """An object with these fields."""
    return inline_serializer(name, fields=dict(fields))


_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_MARK = {
    "type": "object",
    "description": "spans and segments have `start` and `end`, boxes `x`, `y`, `w` and `h`",
    "properties": {
        "part": _TEXT,
        "label": _TEXT,
        **dict.fromkeys(("start", "end", "x", "y", "w", "h"), _NUMBER),
    },
    "required": ["part", "label"],
}


@extend_schema_field(
    {
        "description": "a choice or a text; a rating or a number; choices; spans, boxes or segments; a ranking",
        "anyOf": [
            _TEXT,
            _NUMBER,
            *(
                {"type": "array", "items": items}
                for items in (_TEXT, _MARK, {"type": "array", "items": _TEXT, "minItems": 1})
            ),
        ],
    }
)
class AnswerField(s.JSONField):
    """An answer in the shape of its question's kind, see `docs/kinds.md`."""


def page_of(name: str, /, **fields: s.Field[Any, Any, Any, Any]) -> Any:
    """A page of rows with these fields."""
    rows = inline_serializer(name, fields=dict(fields), many=True)
    return inline_serializer(f"{name}Page", fields={"results": rows, "next": s.URLField(allow_null=True)})


PAGE_PARAMETERS = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="as `next` gave it"),
    OpenApiParameter("limit", OpenApiTypes.INT, description="rows of a page: 30, at most 500"),
]
ERROR = shape("Error", code=s.CharField(), detail=s.CharField(), fields=s.DictField())
STARTED = shape("Started", job=s.CharField())
EMPTY = shape("Done", state=s.CharField())

SETTINGS: dict[str, Any] = {
    "name": lambda: s.CharField(required=False),
    "description": lambda: s.CharField(required=False),
    "state": lambda: s.ChoiceField(Project.State.values, required=False),
    "overlap": lambda: s.JSONField(required=False, help_text='n, or {"min": n, "max": n}'),
    "rule": lambda: s.JSONField(required=False, help_text='{"kind": "majority", "unanimous" or "posterior", ...}'),
    "skips_to_dispute": lambda: s.IntegerField(required=False),
    "lease_seconds": lambda: s.IntegerField(required=False),
    "max_held": lambda: s.IntegerField(required=False),
    "shown_metadata": lambda: s.ListField(child=s.CharField(), required=False),
    "show_external_id": lambda: s.BooleanField(required=False),
    "learning": lambda: s.JSONField(required=False, allow_null=True),
    "snapshots": lambda: s.JSONField(required=False, allow_null=True),
    "gold_rate": lambda: s.FloatField(required=False),
    "suggestions": lambda: s.BooleanField(required=False),
    "blind_share": lambda: s.FloatField(required=False),
    "care": lambda: s.JSONField(required=False, allow_null=True),
}


def settings_fields() -> dict[str, Any]:
    """The settings, as fields of a body or an answer."""
    return {name: make() for name, make in SETTINGS.items()}


def project_fields() -> dict[str, Any]:
    """A project, as `show_project` gives it."""
    return {
        "id": s.CharField(),
        "slug": s.CharField(),
        "created_at": s.DateTimeField(),
        "schema": s.JSONField(),
        "schema_version": s.IntegerField(),
        "guideline_version": s.IntegerField(allow_null=True),
        "role": s.ChoiceField(Member.Role.values),
        **settings_fields(),
    }


def member_fields() -> dict[str, Any]:
    """A member, as `show_member` gives it."""
    return {
        "username": s.CharField(),
        "role": s.ChoiceField(Member.Role.values),
        "team": s.CharField(),
        "languages": s.ListField(child=s.CharField()),
        "joined_at": s.DateTimeField(),
    }


LEASE = shape(
    "Lease",
    id=s.CharField(),
    expires_at=s.DateTimeField(),
    kind=s.ChoiceField(list(KIND_RIGHTS)),
    item=shape(
        "LeasedItem",
        id=s.CharField(),
        external_id=s.CharField(required=False),
        parts=s.ListField(child=s.DictField()),
        metadata=s.DictField(),
        suggestion=inline_serializer(
            "Suggestion",
            fields={
                "model": s.CharField(help_text="name and version"),
                "answers": s.DictField(),
                "score": s.FloatField(help_text="the probability that the model gives them"),
            },
            allow_null=True,
        ),
        care=inline_serializer(
            "Hint",
            fields={"severity": s.ChoiceField(list(SEVERITIES)), "harms": s.ListField(child=s.CharField())},
            required=False,
        ),
    ),
    schema_version=s.IntegerField(),
    guideline_version=s.IntegerField(allow_null=True),
)
LEASE_PAGE = shape("LeasePage", results=type(LEASE)(many=True), next=s.URLField(allow_null=True))
LEASES = shape(
    "Leases",
    leases=type(LEASE)(many=True),
    reason=s.ChoiceField(["empty", "all_leased", "done_by_you", "limit", "paused", "not_qualified"], allow_null=True),
    retry_after=s.IntegerField(allow_null=True),
    limit=s.ChoiceField(["exposure", "in_a_row", "opted_out"], required=False),
)
SUBMIT = shape(
    "Submit",
    answers=s.DictField(child=AnswerField()),
    seconds=s.FloatField(required=False, allow_null=True),
    unsure=s.BooleanField(required=False),
    flag=s.ChoiceField(list(REASONS), required=False, allow_null=True),
    comment=s.CharField(required=False, allow_blank=True),
    clauses=s.ListField(child=s.CharField(), required=False),
    lease_next=s.IntegerField(required=False),
)
SUBMITTED = shape(
    "Submitted",
    annotation=s.CharField(),
    item_state=s.CharField(),
    leases=type(LEASE)(many=True),
)
CLAUSE = inline_serializer(
    "Clause",
    fields={
        "id": s.CharField(),
        "title": s.CharField(required=False),
        "text": s.CharField(required=False),
        "examples": inline_serializer(
            "Example",
            fields={"in_scope": s.BooleanField(), "text": s.CharField(), "note": s.CharField(required=False)},
            many=True,
            required=False,
        ),
    },
    many=True,
)
TOKEN_REQUEST = shape(
    "TokenRequest",
    scopes=s.ListField(child=s.ChoiceField(list(RIGHTS)), required=False, allow_null=True),
    days=s.IntegerField(required=False),
)
JOB = shape(
    "Job",
    id=s.CharField(),
    kind=s.CharField(),
    state=s.ChoiceField(Job.State.values),
    done=s.IntegerField(),
    total=s.IntegerField(allow_null=True),
    result=s.JSONField(allow_null=True),
    error=s.CharField(allow_null=True),
)
