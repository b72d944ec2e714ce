"""Care for people who look at content: one's own settings, the organisation's, and how hard an item is."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.access import item_for, require_superuser
from annotation.actions import care as actions
from annotation.api.bodies import read_object, read_text, read_texts
from annotation.api.shapes import shape
from annotation.api.view import ApiView, require_scope
from annotation.care import LIMITS, show_care, show_organisation_care
from annotation.hints import SEVERITIES, read_hint
from annotation.models import Organisation

_EXPOSURE = shape(
    "Exposure",
    items=s.IntegerField(),
    minutes=s.FloatField(),
    most_items=s.IntegerField(),
    most_minutes=s.IntegerField(),
)
_CARE = shape(
    "Care",
    opted_out=s.ListField(child=s.CharField()),
    harms=s.ListField(child=s.CharField()),
    views=s.DictField(),
    in_force=s.DictField(),
    break_minutes=s.IntegerField(allow_null=True),
    support=s.CharField(),
    exposure=_EXPOSURE,
)
_CHANGE = shape(
    "CareChange",
    opted_out=s.ListField(child=s.CharField(), required=False),
    views=s.DictField(required=False, help_text="level -> kind -> view; all of them are replaced"),
    break_minutes=s.IntegerField(required=False, allow_null=True),
)


def _organisation_fields(*, required: bool) -> dict[str, s.Field[Any, Any, Any, Any]]:
    return {
        **{name: s.IntegerField(required=required) for name in (*LIMITS, "break_minutes")},
        "support": s.CharField(required=required),
        "masked_words": s.ListField(child=s.CharField(), required=required),
        "floor": s.DictField(required=required, help_text="kind -> view: how severe items are shown at least"),
    }


class OwnCareView(ApiView):
    """What the caller has set for themselves. Nobody else is shown it."""

    @extend_schema(responses=_CARE)
    def get(self, request: Request) -> Response:
        """The settings, the harms that occur in the caller's projects, and what they were handed in 24 hours."""
        caller = self.caller
        require_scope(caller, "label")
        return Response(show_care(caller.user))

    @extend_schema(request=_CHANGE, responses=_CARE)
    def patch(self, request: Request) -> Response:
        """Change what is named. Held items of a harm that is opted out of go back to the queue."""
        caller = self.caller
        require_scope(caller, "label")
        actions.change_care(person=caller.user, changes=read_object(request.data))
        return Response(show_care(caller.user))


class OrganisationCareView(ApiView):
    """What the organisation sets for everybody: limits that no project passes, floors, words and support."""

    @extend_schema(responses=shape("OrganisationCare", **_organisation_fields(required=True)))
    def get(self, request: Request) -> Response:
        """What is in force."""
        require_scope(self.caller, "see")
        return Response(show_organisation_care(Organisation.objects.get()))

    @extend_schema(
        request=shape("OrganisationCareChange", **_organisation_fields(required=False)),
        responses=shape("NewOrganisationCare", **_organisation_fields(required=True)),
    )
    def patch(self, request: Request) -> Response:
        """Change what is named. Administrators only."""
        caller = self.caller
        require_superuser(caller)
        changed = actions.change_organisation_care(changes=read_object(request.data), actor=caller.user)
        return Response(show_organisation_care(changed))


class ItemHintView(ApiView):
    """How hard an item is to look at."""

    @extend_schema(
        request=shape(
            "NewHint", severity=s.ChoiceField(list(SEVERITIES)), harms=s.ListField(child=s.CharField(), required=False)
        ),
        responses=shape(
            "ItemHint",
            id=s.CharField(),
            severity=s.ChoiceField(list(SEVERITIES)),
            harms=s.ListField(child=s.CharField()),
        ),
    )
    def put(self, request: Request, slug: str, item_id: str) -> Response:
        """Set severity and harms, in the item's metadata. The work on it moves to the lane of those."""
        access, item = item_for(self.caller, slug, item_id, "manage")
        body = read_object(request.data, known=("severity", "harms"), required=("severity",))
        item = actions.set_hint(
            item=item, severity=read_text(body, "severity"), harms=read_texts(body, "harms") or [], actor=access.user
        )
        return Response({"id": str(item.pk), **read_hint(item.metadata).as_json()})
