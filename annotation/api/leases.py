"""Leases: asking for work, answering it, giving it back. The first two are the hottest requests of all."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from annotation import queue
from annotation.access import KIND_RIGHTS, Caller, annotation_for, lease_for, recent_project_for
from annotation.actions.answers import answer_lease
from annotation.api.bodies import read_object, read_text, read_whole
from annotation.api.shapes import EMPTY, LEASE, LEASE_PAGE, LEASES, SUBMIT, SUBMITTED, shape
from annotation.api.view import ApiView, HotView
from annotation.errors import InvalidError, StateError
from annotation.models import QueueLane
from annotation.serializers import show_lease

MAX_N = 1000  # more than anybody may hold; `max_held` is what bounds a person
_chance: Random = SystemRandom()


class LeasesView(HotView):
    """A person's leases in a project."""

    @extend_schema(responses=LEASE_PAGE)
    def get(self, request: HttpRequest, caller: Caller, body: Any, slug: str) -> JsonResponse:
        """What the caller holds, of any kind, oldest first; always one page."""
        access = recent_project_for(caller, slug, "label")
        held = queue.held(project_id=access.project.pk, person_id=caller.user.pk)
        return JsonResponse({"results": [show_lease(raw, access) for raw in held], "next": None})

    @extend_schema(
        request=shape(
            "LeaseRequest",
            n=s.IntegerField(required=False, default=1),
            kind=s.ChoiceField(list(KIND_RIGHTS), required=False, default="label"),
        ),
        responses=LEASES,
    )
    def post(self, request: HttpRequest, caller: Caller, body: Any, slug: str) -> JsonResponse:
        """Top up to `n` held leases of a kind; those already held come first. `reason` says why there are fewer.

        `limit` is there where `reason` is one that spares the person severe items (docs/care.md).
        """
        kind = body.get("kind", "label") if isinstance(body, dict) else "label"
        right = KIND_RIGHTS.get(kind, "label") if isinstance(kind, str) else "label"
        access = recent_project_for(caller, slug, right)
        sent = read_object(body, known=("n", "kind"))
        if not isinstance(kind, str) or kind not in KIND_RIGHTS:
            raise InvalidError(fields={"kind": _("One of: %(known)s.") % {"known": ", ".join(KIND_RIGHTS)}})
        found = queue.lease(
            project_id=access.project.pk,
            person_id=caller.user.pk,
            kind=kind,
            n=read_whole(sent, "n", 1, 1, MAX_N),
            languages=access.languages,
            rng=_chance,
        )
        answer = {
            "leases": [show_lease(raw, access) for raw in found.leases],
            "reason": found.reason,
            "retry_after": found.retry_after,
        }
        return JsonResponse(answer if found.limit is None else {**answer, "limit": found.limit})


class AnnotationView(HotView):
    """The answer to a lease."""

    @extend_schema(
        request=SUBMIT,
        responses={201: SUBMITTED},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                required=True,
                description="1 to 255 printable characters, new for each answer; the same again is the same request",
            )
        ],
    )
    def post(self, request: HttpRequest, caller: Caller, body: Any, lease_id: str) -> JsonResponse:
        """Store the answer for good, and top up to `lease_next` leases."""
        access, stamp, generation = lease_for(caller, lease_id)
        if stamp.kind in (QueueLane.Kind.ADJUDICATE, QueueLane.Kind.REVIEW):
            raise StateError(
                _("This lease is a dispute. Decide it at projects/%(slug)s/items/%(item)d/adjudication.")
                % {"slug": access.project.slug, "item": stamp.item_id}
            )
        done = answer_lease(
            access=access,
            stamp=stamp,
            generation=generation,
            key=request.META.get("HTTP_IDEMPOTENCY_KEY"),
            body=read_object(body),
            rng=_chance,
        )
        return JsonResponse(
            {
                "annotation": str(done.annotation_id),
                "item_state": done.item_state,
                "leases": [show_lease(raw, access) for raw in done.leases],
            },
            status=201,
            headers={"Idempotency-Replayed": "true"} if done.is_replay else None,
        )


class LeaseView(ApiView):
    """One lease."""

    @extend_schema(request=None, responses=EMPTY)
    def delete(self, request: Request, lease_id: str) -> Response:
        """Give the place back. The item may be offered again, to this person too."""
        _access, stamp, generation = lease_for(self.caller, lease_id)
        queue.release(seat_id=stamp.seat_id, generation=generation, person_id=stamp.person_id)
        return Response({"state": "released"})


class RenewView(ApiView):
    """More time for a lease."""

    @extend_schema(request=None, responses=LEASE)
    def post(self, request: Request, lease_id: str) -> Response:
        """Start the lease's time anew; late too, while nobody took the place."""
        access, stamp, generation = lease_for(self.caller, lease_id)
        read_object(request.data, known=())
        raw = queue.renew(seat_id=stamp.seat_id, generation=generation, person_id=stamp.person_id)
        return Response(show_lease(raw, access))


class SkipView(ApiView):
    """A lease that this person cannot answer."""

    @extend_schema(request=shape("Skip", reason=s.ChoiceField(list(queue.REASONS))), responses=EMPTY)
    def post(self, request: Request, lease_id: str) -> Response:
        """Give the place back for good: not offered to this person again in this pass."""
        _access, stamp, generation = lease_for(self.caller, lease_id)
        body = read_object(request.data, known=("reason",), required=("reason",))
        reason = read_text(body, "reason")
        queue.skip(seat_id=stamp.seat_id, generation=generation, person_id=stamp.person_id, reason=reason)
        return Response({"state": "skipped"})


class UndoView(ApiView):
    """An answer to take back."""

    @extend_schema(request=None, responses=shape("Undone", lease=LEASE))
    def post(self, request: Request, annotation_id: str) -> Response:
        """The same place, to answer again; by its author, for a while, not after a decision or a snapshot used it."""
        access, annotation = annotation_for(self.caller, annotation_id)
        read_object(request.data, known=())
        raw = queue.undo(annotation_id=annotation.pk, person_id=annotation.person_id)
        return Response({"lease": show_lease(raw, access)})
