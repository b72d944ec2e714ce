"""Rows as the JSON that callers see: the shapes of the API, made in one place for API and pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from annotation import media
from annotation.access import OWNER, Access
from annotation.animations import is_animation
from annotation.hints import read_hint
from annotation.kinds import KINDS, LabelValue
from annotation.models import Job, Member, Project, QueueLane
from annotation.schema import show_answers, show_schema
from annotation.settings import show_settings
from annotation.versions import read_guideline, read_schema


def show_lease(raw: dict[str, Any], access: Access) -> dict[str, Any]:
    """The LEASE of a raw one (`queue_show`): only what this person is to see of the item (Q13)."""
    project = access.project
    item: dict[str, Any] = {
        "id": str(raw["item"]),
        "parts": [_show_leased_part(part, access) for part in raw["parts"]],
        "metadata": {key: raw["metadata"][key] for key in project.shown_metadata if key in raw["metadata"]},
        "suggestion": show_suggestion(raw["suggestion"], raw["schema"]) if raw["suggestion"] else None,
    }
    hint = read_hint(raw["metadata"])
    if not hint.is_empty:
        item["care"] = hint.as_json()
    if project.show_external_id or access.role == OWNER:
        item["external_id"] = raw["external_id"]
    return {
        "id": f"{raw['seat']}-{raw['generation']}",
        "expires_at": raw["expires_at"].replace("+00:00", "Z"),
        "kind": QueueLane.Kind(raw["kind"]).name.lower(),
        "item": item,
        "schema_version": read_schema(raw["schema"]).version,
        "guideline_version": None if raw["guideline"] is None else read_guideline(raw["guideline"]).version,
    }


def show_suggestion(told: list[dict[str, Any]], schema_id: int) -> dict[str, Any] | None:
    """What models say of an item, as `{"model", "answers", "score"}`; None where nothing of it is to be shown.

    Where several models say something, each of another question, all are named and the score is the lowest one.
    """
    compiled = read_schema(schema_id).compiled
    questions = {question["id"]: question for question in compiled["questions"]}
    values: dict[int, LabelValue] = {}
    for one in told:
        question = questions.get(one["question"])
        codes = [one["choice"]] if one.get("choices") is None else one["choices"]
        value = None if question is None else KINDS[question["kind"]].from_codes(question, codes)
        if value is not None:
            values[one["question"]] = value
    told = [one for one in told if one["question"] in values]
    if not told:
        return None
    return {
        "model": ", ".join(dict.fromkeys(one["model"] for one in told)),
        "answers": show_answers(compiled, values),
        "score": min(one["score"] for one in told),
    }


def show_part(part: dict[str, Any], access: Access) -> dict[str, Any]:
    """A part as imported, with a short-lived `src` where it is media."""
    if "media" not in part:
        return part
    return {**part, "src": link_media(part["media"], access)}


def _show_leased_part(part: dict[str, Any], access: Access) -> dict[str, Any]:
    shown = show_part(part, access)
    is_moving = part["kind"] == "image" and "media" in part and is_animation(access.project.pk, part["media"])
    return {**shown, "is_animated": True} if is_moving else shown


def link_media(sha256: str, access: Access, name: str = "") -> str:
    """A short-lived address of a file, or of its derivative `name`, for this person alone."""
    token = media.sign_media(f"{access.project.pk}:{sha256}", access.user.pk, timezone.now())
    query = {"t": token} | ({"v": name} if name else {})
    return f"{reverse('media', args=[access.project.slug, sha256])}?{urlencode(query)}"


def show_project(project: Project, access: Access | None = None) -> dict[str, Any]:
    """A project with its settings and its current schema."""
    assert project.schema is not None
    shown = {
        "id": str(project.pk),
        "slug": project.slug,
        "name": project.name,
        "created_at": show_time(project.created_at),
        "schema": show_schema(project.schema.compiled),
        "schema_version": project.schema.version,
        "guideline_version": project.guideline.version if project.guideline else None,
        **show_settings(project),
    }
    if access is not None:
        shown["role"] = access.role
    return shown


def show_member(member: Member) -> dict[str, Any]:
    """A member of a project."""
    return {
        "username": member.user.username,
        "role": member.role,
        "team": member.team,
        "languages": list(member.languages),
        "joined_at": show_time(member.joined_at),
    }


def show_job(job: Job) -> dict[str, Any]:
    """A job and how far it is."""
    return {
        "id": str(job.pk),
        "kind": job.kind,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "result": job.result,
        "error": job.error or None,
    }


def show_time(at: Any) -> str | None:
    """ISO 8601 in UTC, or None."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
