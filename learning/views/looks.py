"""How items look in a list: what stands for each, and where a reviewer decides about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.urls import reverse

from annotation.access import Access
from annotation.faces import Face, find_faces
from annotation.models import ItemPayload


def find_looks(access: Access, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`{"face", "url"}` of each item, by its id; the address is "" for who may not review.

    An item without a payload has an empty face. Sealed items are the caller's to leave out.
    """
    numbers = [int(pk) for pk in ids]
    parts = dict(ItemPayload.objects.filter(item__in=numbers).values_list("item", "parts"))
    faces = find_faces(access, {pk: parts.get(pk, []) for pk in numbers})
    may_review = access.may("review")
    return {
        str(pk): {
            "face": faces.get(pk, Face()),
            "url": reverse("project-dispute", args=[access.project.slug, str(pk)]) if may_review else "",
        }
        for pk in numbers
    }
