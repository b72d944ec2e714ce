"""Writing the guideline: a draft in clauses, what it changes of the version in force, and publishing it."""

from __future__ import annotations

import copy
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.drafts import drop_draft, keep_draft
from annotation.actions.projects import check_clauses, put_guideline
from annotation.errors import InvalidError, StateError, TouchstoneError
from annotation.guideline_changes import compare_clauses
from annotation.guideline_form import (
    Clause,
    add_clause,
    change_examples,
    examples_of,
    read_clause,
    suggest_id,
)
from annotation.kinds.choice_tree import walk
from annotation.list_form import find_open, move, read_whole
from annotation.models import Draft, Guideline
from annotation.views.page import ProjectPage, go_to, sentence_of


def load_draft(access: Access) -> tuple[list[Clause], int, bool]:
    """What this owner is writing: the clauses, the version that they began from (0: none), and whether it was kept."""
    in_force = access.project.guideline
    kept = Draft.objects.filter(project=access.project, user=access.user, kind=Draft.Kind.GUIDELINE).first()
    if kept is not None:
        return kept.content, kept.base_version, True
    return (in_force.clauses, in_force.version, False) if in_force else ([], 0, False)


class GuidelineEditView(ProjectPage):
    """The editor: a list of clauses, one of them open, and what would change."""

    right = "manage"
    tab = "guideline"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The draft, or the version in force where there is none."""
        access = self.enter(slug)
        return self._show(access, load_draft(access)[0], read_whole(request.GET.get("c", "")))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Take over what the form holds, then do what the button says."""
        access = self.enter(slug)
        action, _colon, argument = request.POST.get("action", "keep").partition(":")
        if action == "drop":
            drop_draft(project=access.project, user=access.user, kind=Draft.Kind.GUIDELINE)
            return redirect("project-guideline-edit", slug=slug)
        stored, base, _is_kept = load_draft(access)
        clauses = copy.deepcopy(stored)
        published = self._published_ids(access)
        try:
            place = self._take_form(clauses, published, is_done=action != "keep")
        except StateError as error:
            messages.error(request, error.detail)
            return go_to(request, reverse("project-guideline-edit", kwargs={"slug": slug}))
        index = read_whole(argument)
        focus = ""
        if action == "open":
            place = index
        elif action == "add":
            place, focus = add_clause(clauses, published), "title"
        elif action == "remove" and place < len(clauses):
            del clauses[place]
        elif action in ("up", "down"):
            place = move(clauses, place, -1 if action == "up" else 1)
            focus = f"move-{action}"
        elif action.startswith("example-") and place < len(clauses):
            what = action.removeprefix("example-")
            index = change_examples(clauses[place], what, index)
            focus = f"e-{index}-text" if what in ("in", "out", "remove") else f"e-{index}-{what}"
        keep_draft(
            project=access.project, user=access.user, kind=Draft.Kind.GUIDELINE, content=clauses, base_version=base
        )
        if action == "publish":
            return self._publish(access, clauses, place)
        if not request.headers.get("HX-Request"):
            return redirect(f"{reverse('project-guideline-edit', kwargs={'slug': slug})}?c={place}")
        return self._show(access, clauses, place, focus)

    @staticmethod
    def _published_ids(access: Access) -> list[str]:
        """The ids of all clauses of all versions: an id stays with what it stood for."""
        versions = Guideline.objects.filter(project=access.project).values_list("clauses", flat=True)
        return sorted({clause["id"] for clauses in versions for clause in clauses})

    def _take_form(self, clauses: list[Clause], published: list[str], *, is_done: bool) -> int:
        """Read the open clause out of the posted form; its place.

        `is_done` False: somebody is still typing, so that no id is made of a title yet.
        """
        data = self.request.POST
        place = find_open(data, clauses, "id")
        if place is None:
            raise StateError(_("This clause was changed in another tab. Load the page again."))
        if "was" not in data:
            return place
        was = data["was"]
        read = read_clause(data, clauses[place], may_rename=was not in published)
        if is_done and was not in published and read["id"] == was:
            others = [clause for i, clause in enumerate(clauses) if i != place]
            read["id"] = suggest_id(read, others, published)
        clauses[place] = read
        return place

    def _publish(self, access: Access, clauses: list[Clause], place: int) -> HttpResponse:
        try:
            row = put_guideline(
                project=access.project,
                change=self.request.POST.get("change", ""),
                clauses=clauses,
                actor=access.user,
                expected_version=read_whole(self.request.POST.get("seen_version", "")),
            )
        except TouchstoneError as error:
            access = self.enter(access.project.slug)
            return self._show(access, clauses, place, fault=sentence_of(error), status=error.status)
        drop_draft(project=access.project, user=access.user, kind=Draft.Kind.GUIDELINE)
        messages.success(self.request, _("Version %(version)d is in force.") % {"version": row.version})
        return go_to(self.request, reverse("project-guideline", kwargs={"slug": access.project.slug}))

    def _show(
        self, access: Access, clauses: list[Clause], place: int, focus: str = "", fault: str = "", status: int = 200
    ) -> HttpResponse:
        in_force = access.project.guideline
        _kept, base, is_kept = load_draft(access)
        now = in_force.version if in_force else 0
        before = in_force.clauses if in_force else []
        place = max(0, min(place, len(clauses) - 1))
        changes = compare_clauses(before, clauses, since=now)
        published = self._published_ids(access)
        opened = clauses[place] if clauses else None
        context: dict[str, Any] = {
            "version": now,
            "next_version": now + 1,
            "draft_is_kept": is_kept,
            "draft_is_changed": clauses != before,
            "is_outdated": base != now,
            "fault": fault,
            "sentence": _find_fault(clauses) if clauses else "",
            "clauses": [
                {
                    **clause,
                    "place": i,
                    "is_open": i == place,
                    "change": changes.by_clause.get(str(clause["id"])) if now else None,
                }
                for i, clause in enumerate(clauses)
            ],
            "clause": opened
            and {
                **opened,
                "place": place,
                "number": place + 1,
                "examples": examples_of(opened),
                "may_rename": str(opened.get("id")) not in published,
            },
            "gone": changes.gone,
            "has_changes": bool(changes),
            "lost_links": self._lost_links(access, clauses),
            "is_last": place == len(clauses) - 1,
            "focus": focus,
            "chosen_change": self.request.POST.get("change", Guideline.Change.MAJOR),
        }
        if self.request.headers.get("HX-Request"):
            is_state = self.request.headers.get("HX-Target") == "guideline-draft"
            template = "annotation/_guideline_draft.html" if is_state else "annotation/_guideline_editor.html"
            context |= {"project": access.project, "is_swap": is_state}
            return render(self.request, template, context)  # htmx shows nothing of an answer that is an error
        return self.show(access, "annotation/guideline_edit.html", context, status)

    @staticmethod
    def _lost_links(access: Access, clauses: list[Clause]) -> list[str]:
        """Clauses that a choice of the questions names and that the draft does not have."""
        compiled = access.project.schema.compiled if access.project.schema else {"questions": []}
        named = {
            str(choice["clause"])
            for question in compiled["questions"]
            for choice in walk(question.get("choices", ()))
            if choice.get("clause")
        }
        return sorted(named - {str(clause.get("id")) for clause in clauses})


def _find_fault(clauses: list[Clause]) -> str:
    """Why this draft could not be published, or ""."""
    empty = next((number for number, one in enumerate(clauses, start=1) if not one.get("title")), None)
    if empty is not None:
        return _("Clause %(number)d has no title yet.") % {"number": empty}
    for clause in clauses:
        if any(not one.get("text") for one in examples_of(clause)):
            return _("An example of “%(title)s” has no text yet.") % {"title": clause["title"]}
    try:
        check_clauses(clauses)
    except InvalidError as error:
        return sentence_of(error)
    return ""
