"""Snapshots: the list, one of them, and making a new one."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.access import Access
from annotation.errors import AbsentError, TouchstoneError
from annotation.kinds import KINDS, Question
from annotation.models import Project
from annotation.progress import jobs_to_show
from annotation.schema import find_question, leaf_choices
from annotation.views.page import ProjectPage, sentence_of
from learning.actions.snapshots import start_snapshot
from learning.api.snapshots import find_snapshot
from learning.models import Snapshot
from learning.snapshots.schedule import count_new
from reviewers.answers import compiled_schema, has_votes_by_value, tell_value
from reviewers.consensus.rules import tell_rule

MOST_LISTED = 200


class SnapshotsView(ProjectPage):
    """All published versions; a POST makes one."""

    right = "snapshot"
    tab = "snapshots"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The list, newest first."""
        return self._show(self.enter(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Freeze what is accepted now."""
        access = self.enter(slug)
        try:
            start_snapshot(project=access.project, actor=access.user)
        except TouchstoneError as error:
            return self._show(access, error)
        return redirect("project-snapshots", slug=slug)

    def _show(self, access: Access, error: TouchstoneError | None = None) -> HttpResponse:
        jobs = jobs_to_show(access.project, ["snapshot"])
        if self.request.headers.get("HX-Target") == "jobs":
            return self.show(access, "learning/snapshots.html", {"jobs": jobs})
        found = list(published(access.project)[:MOST_LISTED])
        context = {
            "snapshots": [show_row(snapshot) for snapshot in found],
            "schedule": schedule_words(access.project),
            "n_new": count_new(access.project, found[0]) if found else None,
            "can_make": access.may("snapshot") and access.project.state != Project.State.ARCHIVED,
            "form_error": sentence_of(error) if error else "",
            "jobs": jobs,
        }
        return self.show(access, "learning/snapshots.html", context, error.status if error else 200)


class SnapshotView(ProjectPage):
    """One version: its files, what it holds, how to fetch it."""

    right = "snapshot"
    tab = "snapshots"

    def get(self, request: HttpRequest, slug: str, version: str) -> HttpResponse:
        """What the manifest says, in words."""
        access = self.enter(slug)
        snapshot = find_snapshot(access.project, version)
        if snapshot.state != Snapshot.State.PUBLISHED or snapshot.manifest is None:
            raise AbsentError
        manifest = snapshot.manifest
        context = {
            "snapshot": show_row(snapshot)
            | {
                "schema_version": manifest["schema_version"],
                "guideline_version": manifest["guideline_version"],
                "method": tell_rule(manifest["method"]["rule"]),
                "query": json.dumps(manifest["query"], ensure_ascii=False) if manifest["query"] else "",
            },
            "files": self._show_files(access, snapshot),
            "by_question": [
                _show_question(access.project, question["name"], manifest["counts"]["labels"].get(question["name"], {}))
                for question in manifest["questions"]
                if question["columns"]  # texts are content, which is not counted
            ],
            "server_url": request.build_absolute_uri("/").rstrip("/"),
        }
        return self.show(access, "learning/snapshot.html", context)

    def _show_files(self, access: Access, snapshot: Snapshot) -> list[dict[str, Any]]:
        about = {
            "manifest.json": _("what is in it, with every hash"),
            "labels.parquet": _("one row an item: the accepted labels"),
            "labels.jsonl": _("the same as JSON lines"),
            "labels.leaves": _("the hashes below the Merkle root"),
            "annotations.parquet": _("every annotation behind them, annotators by pseudonym"),
            "items.parquet": _("the content"),
            "card.md": _("how it was made and what it is not, for people"),
            "croissant.json": _("the same for programs"),
            "verify.py": _("checks all of it with Python alone"),
        }
        manifest = snapshot.manifest or {}
        files = [{"path": "manifest.json", "size": None, "sha256": manifest["digest"]}, *manifest["files"]]
        return [
            {
                "name": file["path"],
                "about": about.get(file["path"], ""),
                "size": file["size"],
                "sha256": file["sha256"],
                "url": reverse("api-snapshot-file", args=[access.project.slug, snapshot.version, file["path"]]),
            }
            for file in files
        ]


def published(project: Project) -> Any:
    """A project's published snapshots, newest first."""
    found = Snapshot.objects.filter(project=project, state=Snapshot.State.PUBLISHED).select_related("created_by")
    return found.order_by("-major", "-minor", "-patch")


def show_row(snapshot: Snapshot) -> dict[str, Any]:
    """A published snapshot as the list shows it. `size` is that of all its files."""
    manifest = snapshot.manifest or {}
    where = {"slug": manifest["project"], "version": snapshot.version}
    return {
        "version": snapshot.version,
        "at": snapshot.created_at,
        "by": snapshot.created_by.name if snapshot.created_by else "",
        "n_items": manifest["counts"]["items"],
        "n_annotations": manifest["counts"]["annotations"],
        "n_simulated": manifest["counts"]["simulated_annotations"],
        "size": sum(file["size"] for file in manifest["files"]),
        "merkle_root": snapshot.root,
        "url": reverse("project-snapshot", kwargs=where),
    }


def schedule_words(project: Project) -> dict[str, str] | None:
    """When snapshots are made by themselves, to stand after "One is made"; None where they are not."""
    setting = project.snapshots or {}
    said = []
    if hours := setting.get("every_hours"):
        said.append(ngettext("every hour", "every %(n)d hours", hours) % {"n": hours})
    if number := setting.get("every_resolutions"):
        said.append(ngettext("after every new label", "after every %(n)d new labels", number) % {"n": number})
    return {"text": _(" and ").join(said)} if said else None


def _show_question(project: Project, name: str, counts: dict[str, int]) -> dict[str, Any]:
    question = find_question(compiled_schema(project), name)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    if question is not None and KINDS[question["kind"]].COLUMN == "number":
        ordered.sort(key=lambda one: float(one[0].split("..")[0]))  # of many numbers, ranges were counted
    return {
        "name": name,
        "text": (question.get("text") if question else None) or name,
        "bars": [{"label": _tell_counted(question, value), "value": n} for value, n in ordered],
    }


def _tell_counted(question: Question | None, value: str) -> str:
    """What was counted, in words: a value, or of answers that are lists a label or choice in them."""
    if question is None:
        return value
    if has_votes_by_value(question):
        return tell_value(question, value)
    return next((choice.get("text") or value for choice in leaf_choices(question) if choice["value"] == value), value)
