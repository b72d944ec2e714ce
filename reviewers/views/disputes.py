"""The reviewers' pages: what waits for a decision, and one item to decide."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random, SystemRandom
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import queue
from annotation.access import Access, item_for
from annotation.errors import TouchstoneError
from annotation.faces import Face, dress_parts, excerpt_of, find_faces
from annotation.kinds import KINDS, AnswerError, Question
from annotation.models import Item, Member, Project, QueueLane, QueueRow, Seat
from annotation.progress import today_began
from annotation.schema import find_question
from annotation.templatetags.charts import format_number
from annotation.views.page import ProjectPage, next_url, read_position, sentence_of
from reviewers.actions.adjudication import adjudicate
from reviewers.answers import compiled_schema, has_votes_by_value, tell_answers, tell_value, tell_values
from reviewers.disputes import count_disputes, dispute_detail, dispute_list
from reviewers.drawings import Sizes, draw_answer, image_sizes
from reviewers.errors import StaleDecisionError
from reviewers.mark_standings import Standings, find_standings
from reviewers.models import Adjudication

ROWS = 30
LEAST_CHANCE = 0.005  # below that an answer's chance is shown as 0.00, which says nothing
_chance: Random = SystemRandom()
Row = dict[str, Any]


class DisputesView(ProjectPage):
    """What waits for a decision."""

    right = "review"
    tab = "disputes"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The list, most urgent first. It takes nothing: reading is free."""
        access = self.enter(slug)
        after = read_position(request)
        rows, position = dispute_list(
            access.project, access.user, after=(after[0], after[1]) if after else None, limit=ROWS
        )
        faces = find_faces(access, {int(row["item"]["id"]): row["item"]["parts"] for row in rows})
        context = {
            "disputes": [self._show_row(access, row, faces[int(row["item"]["id"])]) for row in rows],
            "n_disputes": count_disputes(access.project),
            "next_page_url": next_url(request, position),
            "n_decided_today": Adjudication.objects.filter(
                project=access.project, reviewer=access.user, created_at__gte=today_began()
            ).count(),
        }
        return self.show(access, "reviewers/disputes.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Take the next one: it is this reviewer's until it is decided, let go, or the lease ends."""
        return go_to_next(request, self.enter(slug))

    def _show_row(self, access: Access, row: Row, face: Face) -> Row:
        compiled = compiled_schema(access.project)
        first = row["questions"][0] if row["questions"] else None
        question = find_question(compiled, first["name"]) if first else None
        votes = first["votes"] if first else {}
        if first and question and not has_votes_by_value(question):
            told = Counter(
                tell_value(question, answer["answers"][first["name"]])
                for answer in row["answers"]
                if first["name"] in answer["answers"]
            )
            votes = dict(told.most_common())
            question = None  # told already
        return {
            "item": row["item"],
            "face": face,
            "question": ", ".join(one["name"] for one in row["questions"]),
            "reason": self._reason(row),
            "votes": [
                {"text": tell_value(question, value) if question else value, "n": n} for value, n in votes.items()
            ],
            "n_annotators": len(row["answers"]),
            "since": row["since"],
            "held_by": row["held_by"],
            "is_own_work": row["is_own_work"],
            "url": reverse("project-dispute", kwargs={"slug": access.project.slug, "item_id": row["item"]["id"]}),
        }

    @staticmethod
    def _reason(row: Row) -> str:
        if any(answer["flag"] for answer in row["answers"]):
            return "flag"
        return "skipped" if row["skips"] and not row["answers"] else "votes"


def go_to_next(request: HttpRequest, access: Access) -> HttpResponse:
    """Lease the next dispute and go there; back to the list, with the reason, where there is none."""
    slug = access.project.slug
    found = queue.lease(
        project_id=access.project.pk,
        person_id=access.user.pk,
        kind="adjudicate",
        n=1,
        languages=access.languages,
        rng=_chance,
    )
    if found.leases:
        return redirect("project-dispute", slug=slug, item_id=found.leases[0]["item"])
    sentences = {
        "paused": _("The project is paused: nothing is handed out now."),
        "all_leased": _("Other reviewers are at the last ones."),
        "limit": _("You hold as many items as you may. Decide those first."),
        "not_qualified": _("What is left needs a language that your membership does not list."),
        "done_by_you": _("What is left you labelled or passed over yourself; somebody else has to decide it."),
    }
    messages.info(request, sentences.get(found.reason or "", _("Nothing is left to decide.")))
    return redirect("project-disputes", slug=slug)


class DisputeView(ProjectPage):
    """One item to decide, in whatever state it is."""

    right = "review"
    tab = "disputes"

    def get(self, request: HttpRequest, slug: str, item_id: str) -> HttpResponse:
        """Who said what, and the form."""
        access, item = item_for(self.caller, slug, item_id, self.right)
        return self._show(access, item)

    def post(self, request: HttpRequest, slug: str, item_id: str) -> HttpResponse:
        """Decide, or (`action=pass`) let it go and look at the next one."""
        access, item = item_for(self.caller, slug, item_id, self.right)
        if request.POST.get("action") == "pass":
            return self._pass(access, item)
        detail = dispute_detail(access, item)
        try:
            adjudicate(
                access=access,
                item=item,
                answers=read_answers(request.POST, detail, access),
                reason=request.POST.get("reason", ""),
                note=request.POST.get("note", "").strip(),
                precedent=request.POST.get("precedent") == "1",
                expected_version=_read_version(request.POST),
            )
        except StaleDecisionError as error:
            return self._show(access, item, conflict=error)
        except TouchstoneError as error:
            return self._show(access, item, fault=error)
        messages.success(request, _("%(id)s is decided.") % {"id": item.external_id})
        if detail["state"] != "disputed":
            return redirect("project-items", slug=slug)
        return go_to_next(request, access)

    def _pass(self, access: Access, item: Item) -> HttpResponse:
        held = Seat.objects.filter(
            item=item, person=access.user, kind=QueueLane.Kind.ADJUDICATE, state=Seat.State.HELD
        ).first()
        if held is not None:
            queue.release(seat_id=held.pk, generation=held.generation, person_id=access.user.pk)
        following = next_after(access.project, item)
        if following is None:
            messages.info(self.request, _("That was the last one."))
            return redirect("project-disputes", slug=access.project.slug)
        return redirect("project-dispute", slug=access.project.slug, item_id=following)

    def _show(
        self,
        access: Access,
        item: Item,
        *,
        fault: TouchstoneError | None = None,
        conflict: StaleDecisionError | None = None,
    ) -> HttpResponse:
        detail = dispute_detail(access, item)
        sent = self.request.POST if self.request.method == "POST" else None
        error = fault or conflict
        faults = fault.fields if fault else {}
        names = {question["name"] for question in detail["questions"]}
        parts = detail["item"]["parts"]
        sizes = image_sizes(access.project, parts)
        standings = find_standings(compiled_schema(access.project), detail["answers"], access.project.rule)
        context = {
            "item": detail["item"] | {"state": detail["state"], "parts": dress_parts(access, parts)},
            "votes": [_show_vote(answer, access.project, parts, sizes, standings) for answer in detail["answers"]],
            "has_split_marks": any(
                mark["standing"] for one in standings.values() for marks in one.answers.values() for mark in marks
            ),
            "skips": [
                {"name": skip["person"], "reason": reason_words(skip["reason"]), "comment": ""}
                for skip in detail["skips"]
            ],
            "weighed": [_tell_posterior(row, access.project) for row in detail["questions"] if row["posterior"]],
            "questions": show_questions(detail, access.project, sent, faults, standings),
            "clauses": detail["clauses"],
            "suggestion": None,
            "earlier": [_show_decision(decision, access.project) for decision in detail["decisions"]],
            "precedents": [
                _show_decision(one, access.project) | {"excerpt": excerpt_of(one["parts"])}
                for one in detail["precedents"]
            ],
            "expected_version": str(detail["version"]),
            "reasons": [("", _("Choose a reason")), *Adjudication.Reason.choices],
            "form_error": sentence_of(fault) if fault and not set(faults) & names else "",
            "values": {
                "reason": sent.get("reason", "") if sent else "",
                "note": sent.get("note", "") if sent else "",
                "precedent": bool(sent and sent.get("precedent")),
            },
            "own_work": detail["is_own_work"],
            "may_decide": detail["may_decide"],
            "is_own_work_refused": detail["is_own_work"] and access.own_role != Member.Role.OWNER,
            "conflict": _show_conflict(conflict, access.project),
            "held_by": detail["held_by"],
            "position": position_of(access.project, item),
        }
        return self.show(access, "reviewers/dispute.html", context, error.status if error else 200)


def _tell_posterior(row: Row, project: Project) -> str:
    """How likely each answer is by what is known of the annotators, most likely first."""
    question = find_question(compiled_schema(project), row["name"])
    chances = [
        f"{tell_value(question, value) if question else value} {format_number(chance)}"
        for value, chance in row["posterior"].items()
        if chance >= LEAST_CHANCE
    ]
    if row["voter"] is None:
        return _("By what is known of these annotators: %(told)s") % {"told": ", ".join(chances)}
    return _("By what is known of these annotators and of the model “%(name)s” (version %(version)s): %(told)s") % {
        **row["voter"],
        "told": ", ".join(chances),
    }


def reason_words(reason: str) -> str:
    """Why somebody skipped or flagged an item, in words."""
    words = {
        "ambiguous": _("could be several answers"),
        "missing_context": _("something is missing to judge it"),
        "language": _("a language they do not read"),
        "technical": _("it does not load or show properly"),
        "harmful": _("would rather not look at this"),
        "other": _("something else"),
    }
    return words.get(reason, reason)


def _show_vote(
    answer: Row, project: Project, parts: Sequence[Row], sizes: Sizes, standings: Mapping[str, Standings]
) -> Row:
    compiled = compiled_schema(project)
    told = tell_answers(compiled, answer["answers"])
    for one in told:
        name, value = one["question"], answer["answers"][one["question"]]
        if name in standings:
            value = standings[name].answers[answer["annotation"]]
        question = find_question(compiled, name)
        drawing = draw_answer(question, value, parts, sizes) if question else None
        one["drawing"] = drawing
        if drawing and drawing.get("is_whole"):
            one["text"] = ""
    return {
        "name": answer["person"],
        "source": answer["source"],
        "at": answer["at"],
        "answers": told,
        "is_unsure": answer["unsure"],
        "flag": reason_words(answer["flag"]) if answer["flag"] else "",
        "comment": answer["comment"],
        "clauses": answer["clauses"],
        "is_simulated": answer["is_simulated"],
        "trust": None,
    }


def _show_decision(decision: Row, project: Project) -> Row:
    told = tell_answers(compiled_schema(project), decision["answers"])
    return {
        "by": decision["reviewer"],
        "at": decision["at"],
        "text": ", ".join(f"{one['question']}: {one['text']}" if len(told) > 1 else one["text"] for one in told),
        "reason": Adjudication.Reason(decision["reason"]).label,
        "note": decision["note"],
    }


def _show_conflict(error: StaleDecisionError | None, project: Project) -> Row | None:
    """What this reviewer had not seen: another decision, or (`by` empty) new answers."""
    if error is None:
        return None
    decision = error.fields.get("decision")
    if decision is None:
        return {"by": "", "text": ""}
    shown = _show_decision(decision | {"at": timezone.now()}, project)
    return {"by": shown["by"], "text": shown["text"]}


def show_questions(
    detail: Row,
    project: Project,
    sent: QueryDict | None,
    faults: Mapping[str, Any],
    standings: Mapping[str, Standings],
) -> list[Row]:
    """The questions as the page's form shows them.

    Asked is what is disputed or lacks an answer; where nothing is (an agreed or decided item), everything. A key does
    one thing only: a question whose keys an earlier one uses has none.
    """
    compiled = compiled_schema(project)
    is_open = not any(question["is_disputed"] or question["needs_answer"] for question in detail["questions"])
    asked: set[str] = set()
    taken: set[str] = {"n", "enter"}
    shown = []
    for row in detail["questions"]:
        question = find_question(compiled, row["name"])
        when = row["form"].get("when")
        is_asked = row["is_disputed"] or row["needs_answer"] or (is_open and when is None)
        if when is not None and when["question"] in asked:
            is_asked = True
        if is_asked:
            asked.add(row["name"])
        chosen = sent.getlist(f"answer-{row['name']}") if sent is not None else tell_values(row["value"])
        is_given = question is not None and KINDS[question["kind"]].COLUMN == "data"
        offered = () if is_given else row["form"].get("options", ())
        keys = {(option["key"] or "").lower() for option in offered} - {""}
        has_keys = is_asked and not keys & taken
        taken |= keys if is_asked else set()
        options = []
        for option in offered:
            options.append(
                option
                | {
                    "key": option["key"] if has_keys else None,
                    "n_votes": row["votes"].get(str(option["value"]), 0),
                    "is_chosen": str(option["value"]) in chosen and (sent is not None or not row["is_disputed"]),
                }
            )
        shown.append(
            row["form"]
            | {
                "options": options,
                "given": given_answers(question, row, detail["answers"], standings, sent)
                if question and is_given
                else [],
                "is_disputed": is_asked,
                "state": row["state"],
                "accepted": tell_value(question, row["value"]) if question and row["value"] is not None else "",
                "when_text": _tell_when(compiled, when) if is_asked and when else "",
                "error": faults.get(row["name"], ""),
                "value": chosen[0] if chosen else "",
            }
        )
    return shown


NOTHING, ACCEPTED, AGREED = "nothing", "accepted", "agreed"  # beside the ids of annotations, in the field of a question


def given_answers(
    question: Question,
    row: Row,
    answers: Sequence[Row],
    standings: Mapping[str, Standings],
    sent: QueryDict | None,
) -> list[Row]:
    """The different answers that people gave to a question, to take one as it is; those of most people first.

    Before them come the marks that are agreed on, where there are any; after them nothing to mark, where the question
    allows it, and what was accepted before.
    """
    name = question["name"]
    found: dict[str, Row] = {}

    def offer(which: str, value: Any, person: str | None) -> None:
        one = found.setdefault(
            json.dumps(value, sort_keys=True),
            {"id": which, "ids": [], "value": value, "text": tell_value(question, value), "people": []},
        )
        one["ids"].append(which)
        one["people"] += [person] if person else []

    for answer in answers:
        if name in answer["answers"]:
            offer(answer["annotation"], answer["answers"][name], answer["person"])
    if row["value"] is not None:
        offer(ACCEPTED, row["value"], None)
    agreed = standings[name].agreed if name in standings else []
    if agreed and _is_answer(question, agreed):
        offer(AGREED, agreed, None)
    if _is_answer(question, []):
        offer(NOTHING, [], None)
    chosen = sent.getlist(f"answer-{name}") if sent is not None else []
    return [
        {
            "id": one["id"],
            "text": one["text"],
            "people": ", ".join(one["people"]),
            "is_agreed": AGREED in one["ids"],
            "n": len(one["people"]),
            "is_chosen": bool(set(chosen) & set(one["ids"])) if sent is not None else one["value"] == row["value"],
        }
        for one in sorted(found.values(), key=lambda one: (AGREED not in one["ids"], -len(one["people"])))
    ]


def _is_answer(question: Question, value: Any) -> bool:
    try:
        KINDS[question["kind"]].parse_answer(question, value)
    except AnswerError:
        return False
    return True


def _tell_when(compiled: Row, when: Mapping[str, Any]) -> str:
    parent = find_question(compiled, when["question"])
    return ", ".join(tell_value(parent, value) if parent else value for value in when["in"])


def read_answers(sent: QueryDict, detail: Row, access: Access) -> dict[str, Any]:
    """The answers of a sent form, by question; those that the other answers do not ask for are left out."""
    compiled = compiled_schema(access.project)
    answers: dict[str, Any] = {}
    values: dict[str, Any] = dict(detail["known"])
    for row in detail["questions"]:
        name, form = row["name"], row["form"]
        when = form.get("when")
        if when is not None and not set(when["in"]) & set(tell_values(values.get(when["question"]))):
            continue
        question = find_question(compiled, name)
        given = sent.getlist(f"answer-{name}")
        if question is None or (not any(given) and not (question["kind"] == "choices" and row["is_disputed"])):
            continue
        if KINDS[question["kind"]].COLUMN == "data":
            answers[name] = _find_given(given[0], row, detail["answers"], access.project)
        else:
            answers[name] = _read_value(question["kind"], [one for one in given if one])
        values[name] = answers[name]
    return answers


def _read_value(kind: str, given: list[str]) -> Any:
    if kind == "choices":
        return given
    if KINDS[kind].COLUMN != "number":
        return given[0].replace("\r\n", "\n")  # as it was typed: a form sends line breaks so
    try:  # what is no number stays as it was sent, and is refused by the question's kind
        return int(given[0]) if given[0].lstrip("-").isdecimal() else float(given[0])
    except ValueError:
        return given[0]


def _find_given(which: str, row: Row, answers: Sequence[Row], project: Project) -> Any:
    """The answer that a form's field names; the field's text where there is none, which its kind refuses."""
    if which == NOTHING:
        return []
    if which == ACCEPTED:
        return row["value"]
    if which == AGREED:
        standing = find_standings(compiled_schema(project), answers, project.rule).get(row["name"])
        return standing.agreed if standing else which
    said = (answer["answers"].get(row["name"]) for answer in answers if answer["annotation"] == which)
    return next((value for value in said if value is not None), which)


def _read_version(sent: QueryDict) -> int | None:
    text = sent.get("expected_version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _waiting(project: Project) -> Any:
    return QueueRow.objects.filter(
        project=project, kind=QueueLane.Kind.ADJUDICATE, is_closed=False, item__lifecycle=Item.Lifecycle.OPEN
    )


def position_of(project: Project, item: Item) -> dict[str, int] | None:
    """Which of how many waiting items this is; None where it does not wait."""
    row = _waiting(project).filter(item=item).first()
    if row is None:
        return None
    before = Q(rank__lt=row.rank) | Q(rank=row.rank, item_id__lt=item.pk)
    return {"at": _waiting(project).filter(before).count() + 1, "of": _waiting(project).count()}


def next_after(project: Project, item: Item) -> int | None:
    """The waiting item after this one, in the order of the list; from the end on to its beginning. None: no other."""
    waiting = _waiting(project).exclude(item=item).order_by("rank", "item_id")
    row = QueueRow.objects.filter(item=item, kind=QueueLane.Kind.ADJUDICATE).order_by("-pass_no").first()
    if row is not None:
        after = Q(rank__gt=row.rank) | Q(rank=row.rank, item_id__gt=item.pk)
        found = waiting.filter(after).values_list("item_id", flat=True).first()
        if found is not None:
            return int(found)
    first = waiting.values_list("item_id", flat=True).first()
    return None if first is None else int(first)
