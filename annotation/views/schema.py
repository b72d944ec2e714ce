"""The questions of a project: a draft of the label schema as a form and as JSON, and the desk as it would be."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import timedelta
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from annotation.access import Access
from annotation.actions.drafts import drop_draft, keep_draft
from annotation.api.bodies import parse_body
from annotation.errors import AbsentError, StateError, TouchstoneError
from annotation.hints import read_hint
from annotation.list_form import find_open, read_whole
from annotation.models import Draft, Item, LabelSchema
from annotation.schema import Compiled, classify_change, parse_answers, render_schema, show_schema
from annotation.schema_form import (
    Fault,
    RawSchema,
    add_question,
    change_choices,
    find_faults,
    find_line,
    in_order,
    move_question,
    questions_of,
    read_question,
    remove_question,
    rename_in_conditions,
    show_question,
)
from annotation.serializers import show_part, show_time
from annotation.strict_json import StrictJsonError, parse_json
from annotation.views.desk import desk_page
from annotation.views.page import ProjectPage, go_to

SAMPLES, LOOKED_AT = 3, 30
_FOLLOWING = {"form": "project-schema", "publish": "project-schema-publish"}  # pages, by the button's value
PREVIEW = "preview"  # the version that a previewed schema goes by


def schema_in_force(access: Access) -> LabelSchema:
    """The version in force. Raises AbsentError for the moment in which a project has none yet."""
    if access.project.schema is None:
        raise AbsentError
    return access.project.schema


def load_draft(access: Access) -> tuple[RawSchema, int, bool]:
    """What this owner is editing: the draft, the version it began from, and whether it was kept (else: in force)."""
    in_force = schema_in_force(access)
    kept = Draft.objects.filter(project=access.project, user=access.user, kind=Draft.Kind.SCHEMA).first()
    if kept is None:
        return show_schema(in_force.compiled), in_force.version, False
    return in_order(kept.content), kept.base_version, True


def digest_of(draft: RawSchema) -> str:
    """What tells one draft from another."""
    return hashlib.sha256(json.dumps(draft, sort_keys=True).encode()).hexdigest()[:16]


class SchemaView(ProjectPage):
    """The editor: a list of questions, one of them open; or all of them as JSON."""

    right = "manage"
    tab = "schema"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The draft, or the version in force where there is none."""
        access = self.enter(slug)
        draft, _base, _is_kept = load_draft(access)
        if request.GET.get("view") == "json":
            return self._show_json(access, draft, json.dumps(draft, ensure_ascii=False, indent=2))
        return self._show_form(access, draft, read_whole(request.GET.get("q", "")))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Take over what the form holds, then do what the button says."""
        access = self.enter(slug)
        action, _colon, argument = request.POST.get("action", "keep").partition(":")
        if action == "drop":
            drop_draft(project=access.project, user=access.user, kind=Draft.Kind.SCHEMA)
            return redirect("project-schema", slug=slug)
        draft, base, _is_kept = load_draft(access)
        draft = copy.deepcopy(draft)
        if action == "json":
            return self._take_json(access, base, request.POST.get("json", ""))
        try:
            place = self._take_form(draft)
        except StateError as error:
            messages.error(request, error.detail)
            return go_to(request, reverse("project-schema", kwargs={"slug": slug}))
        focus = ""
        index = read_whole(argument)
        if action == "open":
            place = index
        elif action == "add":
            place, focus = add_question(draft), "name"
        elif action == "remove":
            place = remove_question(draft, place)
        elif action in ("up", "down"):
            place = move_question(draft, place, -1 if action == "up" else 1)
            focus = f"question-{action}"
        elif action.startswith("choice-") and place < len(questions_of(draft)):
            what = action.removeprefix("choice-")
            index = change_choices(questions_of(draft)[place], what, index)
            focus = f"c-{index}-value" if what in ("add", "remove") else f"c-{index}-{what}"
        keep_draft(project=access.project, user=access.user, kind=Draft.Kind.SCHEMA, content=draft, base_version=base)
        if action == "publish":
            return go_to(request, reverse("project-schema-publish", kwargs={"slug": slug}))
        if action == "show-json":
            return go_to(request, f"{reverse('project-schema', kwargs={'slug': slug})}?view=json")
        if not request.headers.get("HX-Request"):
            return redirect(f"{reverse('project-schema', kwargs={'slug': slug})}?q={place}")
        return self._show_form(access, draft, place, focus)

    def _take_form(self, draft: RawSchema) -> int:
        """Read the open question out of the posted form into the draft; its place."""
        data = self.request.POST
        questions = questions_of(draft)
        draft["questions"] = questions
        place = find_open(data, questions, "name")
        if place is None:
            raise StateError(_("This question was changed in another tab. Load the page again."))
        if "was" not in data:
            return place
        was = data["was"]
        questions[place] = read_question(data, data.getlist)
        if was and questions[place]["name"]:
            rename_in_conditions(draft, was, questions[place]["name"])
        return place

    def _take_json(self, access: Access, base: int, text: str) -> HttpResponse:
        try:
            draft = parse_json(text.encode("utf-8", "surrogatepass"))
            if not isinstance(draft, dict):
                raise StrictJsonError(_('A label schema is an object: {"questions": [...]}.'))
        except StrictJsonError as error:
            # The text is shown as it was sent; what was kept before stays.
            return self._show_json(access, None, text, str(error), 400)
        keep_draft(project=access.project, user=access.user, kind=Draft.Kind.SCHEMA, content=draft, base_version=base)
        following = _FOLLOWING.get(self.request.POST.get("then", ""))
        if following is not None:
            return redirect(following, slug=access.project.slug)
        return self._show_json(access, draft, text)

    def _context(self, access: Access, draft: RawSchema | None) -> dict[str, Any]:
        """What both views of the editor show: faults, what would change, and whether somebody else published."""
        in_force = schema_in_force(access)
        kept, base, is_kept = load_draft(access)
        shown = kept if draft is None else draft
        faults, compiled = find_faults(shown, in_force.compiled)
        is_changed = shown != show_schema(in_force.compiled)
        change = classify_change(in_force.compiled, compiled) if compiled is not None and not faults else None
        return {
            "version": in_force.version,
            "draft_is_kept": is_kept,
            "draft_is_changed": is_changed,
            "is_outdated": base != in_force.version,
            "faults": faults,
            "change": change,
            "preview_digest": digest_of(shown),
            "n_questions": len(questions_of(shown)),
        }

    def _show_form(self, access: Access, draft: RawSchema, place: int, focus: str = "") -> HttpResponse:
        context = self._context(access, draft)
        questions = questions_of(draft)
        place = max(0, min(place, len(questions) - 1))
        bad = {fault.question for fault in context["faults"]}
        context |= {
            "questions": [
                {
                    "place": index,
                    "name": one.get("name") or _("no name"),
                    "kind": one.get("kind"),
                    "text": one.get("text") if isinstance(one.get("text"), str) else "",
                    "is_open": index == place,
                    "is_faulty": index in bad,
                    "is_conditional": one.get("when") is not None,
                    "is_required": one.get("required") is True,
                }
                for index, one in enumerate(questions)
            ],
            "question": show_question(draft, place, context["faults"]),
            "focus": focus,
            "is_last": place == len(questions) - 1,
        }
        if self.request.headers.get("HX-Request"):
            is_state = self.request.headers.get("HX-Target") == "schema-state"
            template = "annotation/_schema_state.html" if is_state else "annotation/_schema_editor.html"
            return render(self.request, template, {"project": access.project, "is_swap": is_state, **context})
        return self.show(access, "annotation/schema.html", context)

    def _show_json(
        self, access: Access, draft: RawSchema | None, text: str, fault: str = "", status: int = 200
    ) -> HttpResponse:
        context = self._context(access, draft)
        shown = draft or {}
        faults: list[Fault] = [Fault(fault)] if fault else context["faults"]
        lines = [_line_of_character(text, fault) if fault else find_line(text, one, shown) for one in faults]
        context |= {
            "text": text,
            "n_lines": min(40, max(16, text.count("\n") + 2)),
            "placed": [{"line": line, "sentence": one.sentence} for line, one in zip(lines, faults, strict=True)],
            "is_broken": bool(fault),
        }
        return self.show(access, "annotation/schema_json.html", context, status)


def _line_of_character(text: str, sentence: str) -> int:
    """The line of a place that a sentence about JSON names ("at character 12"), from 1."""
    digits = [int(word) for word in sentence.replace(".", " ").split() if word.isdecimal()]
    return text.count("\n", 0, digits[-1] - 1) + 1 if digits and "character" in sentence else 1


@method_decorator(xframe_options_sameorigin, name="dispatch")
@method_decorator(csp_replace({"frame-ancestors": [SELF]}), name="dispatch")
class SchemaPreviewView(ProjectPage):
    """The desk with the questions of the draft, in a frame of the editor. What is answered there is stored nowhere."""

    right = "manage"
    tab = "schema"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The real desk, which is handed sample items."""
        access = self.enter(slug)
        draft, _base, _is_kept = load_draft(access)
        compiled = self._compile(access, draft)
        if compiled is None:
            return render(request, "annotation/schema_preview_empty.html", {"project": access.project})
        calls = reverse("project-schema-preview", kwargs={"slug": slug})
        context = desk_page(access, {PREVIEW: {"questions": render_schema(compiled)}}, "label", request.get_full_path())
        context["desk"] |= {
            "project": f"{slug}:{PREVIEW}",
            "n_today": 0,
            "n_total": 0,
            "leases_url": f"{calls}leases",
            "lease_url": f"{calls}leases/",
            "annotation_url": f"{calls}annotations/",
            "items_url": f"{calls}items/",
            "media_url": f"{calls}media/",
            "care": context["desk"]["care"] | {"care_url": f"{calls}care"},
        }
        return self.show(access, "annotation/schema_preview.html", context)

    @staticmethod
    def _compile(access: Access, draft: RawSchema) -> Compiled | None:
        return find_faults(draft, schema_in_force(access).compiled)[1]


class SchemaPreviewCallView(ProjectPage):
    """What the desk in the preview asks for: leases on samples, and answers that are checked and then forgotten."""

    right = "manage"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, slug: str, call: str) -> HttpResponse:
        """`leases`, `leases/ID/` and `annotation`, `renew` or `skip`, `annotations/ID/undo`; to seal is refused."""
        access = self.enter(slug)
        try:
            return JsonResponse(self._answer(access, call.split("/")))
        except TouchstoneError as error:
            return JsonResponse(error.as_dict(), status=error.status)

    def _answer(self, access: Access, call: list[str]) -> dict[str, Any]:
        draft, _base, _is_kept = load_draft(access)
        samples = sample_items(access)
        digest = digest_of(draft)
        match call:
            case ["leases"]:
                return {"leases": [_lease(samples, digest, n) for n in (0, 1)], "reason": None, "retry_after": None}
            case ["leases", lease_id, "annotation"]:
                number = _number_of(lease_id)
                compiled = find_faults(draft, schema_in_force(access).compiled)[1]
                body = parse_body(self.request.body)
                answers = body.get("answers") if isinstance(body, dict) else None
                if compiled is not None:
                    parse_answers(compiled, answers)
                following = [_lease(samples, digest, number + 2)]
                return {"annotation": lease_id, "item_state": "open", "leases": following}
            case ["leases", lease_id, "renew"]:
                return _lease(samples, digest, _number_of(lease_id))
            case ["leases", _lease_id, "skip"]:
                return {"state": "skipped"}
            case ["items", _item_id, "quarantine"]:
                raise StateError(_("This is a preview: nothing is stored, so nothing is sealed. Seal it on the desk."))
            case ["annotations", lease_id, "undo"]:
                return {"lease": _lease(samples, f"{digest}-again", _number_of(lease_id))}
        raise AbsentError


def _number_of(lease_id: str) -> int:
    number = lease_id.rpartition("-")[2]
    if not number.isdecimal() or len(number) > 9:
        raise AbsentError
    return int(number)


def _lease(samples: list[dict[str, Any]], digest: str, number: int) -> dict[str, Any]:
    """A lease on a sample, in the shape of the API's; `digest` keeps what was answered to one draft off another."""
    return {
        "id": f"{digest}-{number}",
        "expires_at": show_time(timezone.now() + timedelta(hours=1)),
        "kind": "label",
        "item": {**samples[number % len(samples)], "suggestion": None},
        "schema_version": PREVIEW,
        "guideline_version": None,
    }


def sample_items(access: Access) -> list[dict[str, Any]]:
    """A few items of the project as the desk shows them, gentle ones first; a made-up one where there is none."""
    project = access.project
    items = Item.objects.filter(
        project=project, lifecycle=Item.Lifecycle.OPEN, imported_by__is_visible=True, payload__isnull=False
    )
    looked_at = list(items.select_related("payload").order_by("pk")[:LOOKED_AT])
    looked_at.sort(key=lambda item: not read_hint(item.metadata).is_empty)
    found = []
    for number, item in enumerate(looked_at[:SAMPLES]):
        hint = read_hint(item.metadata)
        found.append(
            {
                "id": f"sample-{number}",
                "parts": [show_part(part, access) for part in item.payload.parts],
                "metadata": {key: item.metadata[key] for key in project.shown_metadata if key in item.metadata},
                **({} if hint.is_empty else {"care": hint.as_json()}),
            }
        )
    text = _("This text was made up, because the project has no items yet. Here stands what people label.")
    part = {"name": "text", "kind": "text", "role": "target", "text": text}
    return found or [{"id": "sample-0", "parts": [part], "metadata": {}}]
