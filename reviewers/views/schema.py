"""Publishing the questions: what changes, what becomes of labels and decisions, and the map where it breaks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.actions.carrying import KIND, start_carrying
from annotation.actions.drafts import drop_draft
from annotation.actions.projects import put_schema
from annotation.carrying import make_passage
from annotation.errors import TouchstoneError
from annotation.kinds import KINDS, Question
from annotation.list_form import read_whole
from annotation.models import Draft, Job, LabelSchema
from annotation.progress import jobs_to_show
from annotation.schema import Compiled, classify_change, find_question, show_schema
from annotation.schema_changes import describe_changes
from annotation.schema_form import find_faults
from annotation.views.page import ProjectPage, sentence_of
from annotation.views.schema import load_draft, schema_in_force
from reviewers.forecast import count_values, make_forecast

AGAIN = "again"  # the option that asks for an answer again; a value's option is "to:VALUE"


class PublishSchemaView(ProjectPage):
    """The last look before a draft becomes the next version; afterwards, how far the labels are."""

    right = "manage"
    tab = "schema"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """What would change, or what was changed where nothing is being edited."""
        access = self.enter(slug)
        if self._is_nothing_to_publish(access):
            return self._show_result(access)
        return self._show(access, request.GET)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Publish the draft, or start the carrying over again where it was given up."""
        access = self.enter(slug)
        if request.POST.get("action") == "again":
            start_carrying(project=access.project, actor=access.user)
            return redirect("project-schema-publish", slug=slug)
        if self._is_nothing_to_publish(access):
            return redirect("project-schema-publish", slug=slug)
        draft, _base, _is_kept = load_draft(access)
        in_force = schema_in_force(access)
        try:
            row, _job = put_schema(
                project=access.project,
                schema=draft,
                map=complete_map(access, draft, in_force.compiled, read_map(in_force.compiled, request.POST)),
                actor=access.user,
                expected_version=read_whole(request.POST.get("seen_version", "")),
            )
        except TouchstoneError as error:
            access = self.enter(slug)
            return self._show(access, request.POST, sentence_of(error), error.status)
        drop_draft(project=access.project, user=access.user, kind=Draft.Kind.SCHEMA)
        messages.success(request, _("Version %(version)d is in force.") % {"version": row.version})
        return redirect("project-schema-publish", slug=slug)

    @staticmethod
    def _is_nothing_to_publish(access: Access) -> bool:
        draft, _base, _is_kept = load_draft(access)
        return bool(draft == show_schema(schema_in_force(access).compiled))

    def _show_result(self, access: Access) -> HttpResponse:
        in_force = schema_in_force(access)
        last = Job.objects.filter(project=access.project, kind=KIND, args={}).order_by("-pk").first()
        context = {
            "version": in_force.version,
            "is_breaking": in_force.change == LabelSchema.Change.BREAKING,
            "is_given_up": last is not None and last.state in (Job.State.FAILED, Job.State.DEAD),
            "jobs": jobs_to_show(access.project, [KIND]),
        }
        return self.show(access, "reviewers/schema_published.html", context)

    def _show(self, access: Access, data: Mapping[str, Any], fault: str = "", status: int = 200) -> HttpResponse:
        in_force = schema_in_force(access)
        draft, base, _is_kept = load_draft(access)
        faults, compiled = find_faults(draft, in_force.compiled)
        if faults or compiled is None:
            messages.error(self.request, _("Mend what is marked before you publish."))
            return redirect("project-schema", slug=access.project.slug)
        old = in_force.compiled
        change = classify_change(old, compiled)
        context: dict[str, Any] = {
            "version": in_force.version,
            "next_version": in_force.version + 1,
            "is_outdated": base != in_force.version,
            "change": change,
            "other_changes": describe_changes(old, compiled),
            "fault": fault,
        }
        if change.kind == "breaking":
            context |= self._show_map(access, old, compiled, data)
        if self.request.headers.get("HX-Target") == "forecast":
            return render(self.request, "reviewers/_forecast.html", context)
        return self.show(access, "reviewers/schema_publish.html", context, status)

    def _show_map(self, access: Access, old: Compiled, new: Compiled, data: Mapping[str, Any]) -> dict[str, Any]:
        """The map's form, and what it would do; a value that nothing is said about yet counts as asked again."""
        given = read_map(old, data)
        lost = lost_values(old, new)
        whole = {name: {value: given.get(name, {}).get(value) for value in values} for name, values in lost.items()}
        counts = count_values(access.project, old)
        questions = []
        for name, values in lost.items():
            before, after = find_question(old, name), find_question(new, name)
            assert before is not None
            assert after is not None
            codes, n = KINDS[before["kind"]].domain(before), counts.get(before["id"], Counter())
            rows = [
                {
                    "value": value,
                    "n": n[codes[value]],
                    "field": _field_of(before, codes[value]),
                    "said": _option_of(data, before, codes[value]),
                }
                for value in values
                if n[codes[value]]
            ]
            options = [(f"to:{value}", value) for value in KINDS[after["kind"]].domain(after)]
            if rows:
                questions.append({"name": name, "rows": rows, "options": options})
        passage = make_passage(old, new, whole)
        return {"map_questions": questions, "forecast": make_forecast(access.project, passage)}


def complete_map(
    access: Access, draft: Mapping[str, Any], old: Compiled, given: dict[str, dict[str, str | None]]
) -> dict[str, dict[str, str | None]] | None:
    """The map to publish with: what was chosen, and "ask again" for values that no label has. None: none is needed."""
    _faults, new = find_faults(dict(draft), old)
    if new is None or classify_change(old, new).kind == "compatible":
        return None
    counts = count_values(access.project, old)
    for name, values in lost_values(old, new).items():
        question = find_question(old, name)
        assert question is not None
        codes, n = KINDS[question["kind"]].domain(question), counts.get(question["id"], Counter())
        for value in values:
            if not n[codes[value]]:
                given.setdefault(name, {}).setdefault(value, None)
    return given


def lost_values(old: Compiled, new: Compiled) -> dict[str, list[str]]:
    """Question -> the values of which a map must say what becomes of them; questions without any are left out."""
    lost = {}
    for question in old["questions"]:
        after = find_question(new, question["name"])
        if after is not None:
            offered = KINDS[after["kind"]].domain(after)
            values = [value for value in KINDS[question["kind"]].domain(question) if value not in offered]
            if values:
                lost[question["name"]] = values
    return lost


def _field_of(question: Question, code: int) -> str:
    return f"map-{question['id']}-{code}"


def _option_of(data: Mapping[str, Any], question: Question, code: int) -> str:
    return str(data.get(_field_of(question, code), ""))


def read_map(old: Compiled, data: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """The map that a form says, as it would be sent: only what was chosen."""
    found: dict[str, dict[str, str | None]] = {}
    for question in old["questions"]:
        for value, code in KINDS[question["kind"]].domain(question).items():
            option = _option_of(data, question, code)
            if option == AGAIN:
                found.setdefault(question["name"], {})[value] = None
            elif option.startswith("to:"):
                found.setdefault(question["name"], {})[value] = option.removeprefix("to:")
    return found
