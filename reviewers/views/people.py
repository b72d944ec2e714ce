"""The pages about people who label: everybody beside one another, by name, and one person's own."""

from __future__ import annotations

from collections import Counter
from datetime import date
from math import floor
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from annotation.access import Access
from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import User
from annotation.schema import find_question, text_of
from annotation.views.page import ProjectPage, first_url, next_url, read_position
from reviewers.algorithms.person_accuracy import MEASURES
from reviewers.answers import compiled_schema
from reviewers.people.loading import MEASURED_KINDS
from reviewers.people.report import LEAST_OF_WEEK, people_report, person_for, report_for, visible_items
from reviewers.people.words import flag_titles, measure_titles, tell_flag, tell_trend

ROWS = 100
WIDEST = 12  # values of a confusion matrix that a page can hold
MOST_CONFUSED = 20
Row = dict[str, Any]


class AnnotatorsView(ProjectPage):
    """Everybody who labelled, in the order of their names: nobody is ranked."""

    right = "review"
    tab = "annotators"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """One page of the people; `only=flagged` leaves those with something to look at."""
        access = self.enter(slug)
        question = pick_shown(access, request.GET.get("question", ""))
        report = people_report(access.project, question)
        people = list(report["people"].values())
        flagged = [row for row in people if row["flags"]]
        filters = {"question": question["name"], "only": "flagged" if request.GET.get("only") == "flagged" else ""}
        shown = flagged if filters["only"] else people
        start = (read_position(request, filters) or [0])[0]
        page = shown[start : start + ROWS]
        following = [start + ROWS] if len(shown) > start + ROWS else None
        dates = [week["week"] for week in report["weeks"]]
        measures = told_measures(people)
        context = {
            "report": report,
            "questions": question_links(access, question, reverse("project-annotators", kwargs={"slug": slug})),
            "question": question,
            "measures": [{"name": name, "title": measure_titles()[name]} for name in measures],
            "people": [_show_row(access, row, measures, question) for row in page],
            "dates": dates,
            "low": _lowest(people),
            "n_people": len(people),
            "n_flagged": len(flagged),
            "only": filters["only"],
            "all_url": f"?{urlencode({'question': question['name']})}",
            "flagged_url": f"?{urlencode({'question': question['name'], 'only': 'flagged'})}",
            "next_url": next_url(request, following, filters),
            "first_url": first_url(request),
        }
        return self.show(access, "reviewers/annotators.html", context)


class AnnotatorView(ProjectPage):
    """One person: for reviewers with the evidence, for the person themselves without anybody else."""

    right = "see"
    tab = "annotators"

    def get(self, request: HttpRequest, slug: str, person_id: str) -> HttpResponse:
        """Accuracy, confusion, weeks, pace, and what is worth a look."""
        access = self.enter(slug)
        person = person_for(access, person_id)
        may_review = access.may("review")
        question = pick_shown(access, request.GET.get("question", ""))
        report = report_for(access, question, person)
        row = report["people"].get(person.pk)
        context = {
            "person": {"name": person.name, "source": "human" if person.kind == User.Kind.PERSON else person.kind},
            "is_self": person.pk == access.user.pk,
            "may_review": may_review,
            "may_label": access.may("label"),
            "report": report,
            "question": question,
            "questions": question_links(access, question, request.path),
            "row": row,
        }
        if row is not None:
            titles = measure_titles()
            context |= {
                "figures": [
                    row["accuracy"][name]
                    | {"label": titles[name], "note": _told_mean(report, name)}
                    | {"n_labels": None, "n_annotators": None}
                    for name in told_measures([row])
                ],
                "flags": [_show_flag(access, flag, question) for flag in row["flags"]],
                "trend": tell_trend(row["trend"]),
                "curve": _curve(report, row),
                "confusion": _confusion(row, question),
            }
        if not may_review:
            context["tab"] = "overview"  # the one that brought them here
        return self.show(access, "reviewers/annotator.html", context)


def pick_shown(access: Access, name: str) -> Question:
    """The question of that name, else the first whose answers are compared, else the first."""
    compiled = compiled_schema(access.project)
    questions: list[Question] = compiled["questions"]
    asked = find_question(compiled, name) if name else None
    return asked or next((one for one in questions if one["kind"] in MEASURED_KINDS), questions[0])


def question_links(access: Access, shown: Question, path: str) -> list[Row]:
    """The questions to choose from; [] where there is one alone."""
    questions = compiled_schema(access.project)["questions"]
    if len(questions) < 2:
        return []
    return [
        {
            "text": text_of(one),
            "url": f"{path}?{urlencode({'question': one['name']})}",
            "is_current": one["name"] == shown["name"],
        }
        for one in questions
    ]


def told_measures(people: list[Row]) -> list[str]:
    """The measures to show, what is known of most people first: beside the others always, the rest where it occurs."""
    occur = {name for row in people for name in MEASURES if row["accuracy"][name]["n_labels"]}
    return [name for name in ("agreed", "decided", "gold") if name in occur or name == "agreed"]


def _show_row(access: Access, row: Row, measures: list[str], question: Question) -> Row:
    titles = flag_titles()
    return {
        "name": row["name"],
        "source": row["source"],
        "url": _person_url(access, row["id"], question),
        "n_labels": row["n_labels"],
        "accuracies": [{"title": measure_titles()[name], "figure": row["accuracy"][name]} for name in measures],
        "pace": row["pace"],
        "weeks": row["weeks"],
        "trend": tell_trend(row["trend"]) if row["trend"] and row["trend"]["direction"] != "none" else "",
        "flags": [titles[flag["kind"]] for flag in row["flags"]],
    }


def _person_url(access: Access, person_id: str, question: Question) -> str:
    url = reverse("project-annotator", kwargs={"slug": access.project.slug, "person_id": person_id})
    return f"{url}?{urlencode({'question': question['name']})}"


def _show_flag(access: Access, flag: Row, question: Question) -> Row:
    items = visible_items(access.project, flag["items"])
    slug = access.project.slug
    return tell_flag(flag) | {
        "other": flag["other"] and flag["other"] | {"url": _person_url(access, flag["other"]["id"], question)},
        "items": [
            item | {"url": reverse("project-dispute", kwargs={"slug": slug, "item_id": item["id"]})} for item in items
        ],
    }


def _told_mean(report: Row, measure: str) -> str:
    mean = report["means"][measure]
    return "" if mean is None else _("people here: %(mean).2f in the middle") % {"mean": mean["mean"]}


def _lowest(people: list[Row]) -> float:
    """Where the axis of all small lines begins: below the lowest week of anybody, to a tenth."""
    values = [week["value"] for row in people for week in row["weeks"] if week["value"] is not None]
    return floor(min(values, default=0.0) * 10) / 10 if values else 0.0


def _curve(report: Row, row: Row) -> Row:
    """A person's weeks and everybody's, for `charts.line_chart`."""
    weeks = report["weeks"] or row["weeks"]
    first = date.fromisoformat(weeks[0]["week"]) if weeks else None

    def points(of: list[Row]) -> list[Row]:
        return [
            {
                "x": (date.fromisoformat(week["week"]) - first).days // 7 + 1 if first else 1,
                "y": week["value"],
                "low": week["interval"][0] if week["interval"] else None,
                "high": week["interval"][1] if week["interval"] else None,
                "n": week["n"],
            }
            for week in of
        ]

    n_told = sum(week["value"] is not None for week in row["weeks"])
    refusal = _("A line needs two weeks with at least %(least)d labels on agreed items.") % {"least": LEAST_OF_WEEK}
    is_drawn = n_told >= 2
    return {
        "series": [
            {"name": row["name"], "points": points(row["weeks"])},
            {"name": _("everybody"), "points": points(report["weeks"])},
        ]
        if is_drawn
        else [],
        "refusal": "" if is_drawn else refusal,
        "x_label": _("week; 1 began on %(date)s") % {"date": first.isoformat()} if first else "",
    }


def _confusion(row: Row, question: Question) -> Row | None:
    """What somebody said where the reference says what: a matrix, or of many values the cells off its diagonal."""
    cells = row["confusion"]
    if not cells:
        return None
    n: Counter[tuple[str, str]] = Counter({(cell["reference"], cell["said"]): cell["n"] for cell in cells})
    names = _in_order({name for pair in n for name in pair}, question)
    total = Counter[str]()
    for (reference, _said), count in n.items():
        total[reference] += count
    confused = [(pair, count) for pair, count in n.most_common() if pair[0] != pair[1]]
    shown = [name for name in names if total[name]]
    return {
        "n": sum(n.values()),
        "names": names if len(names) <= WIDEST else [],
        "rows": [
            {
                "name": reference,
                "n": total[reference],
                "cells": [{"n": n[reference, said], "is_same": reference == said, "said": said} for said in names],
            }
            for reference in shown
        ],
        "confused": [
            {"reference": reference, "said": said, "n": count, "of": total[reference]}
            for (reference, said), count in confused[: 3 if len(names) <= WIDEST else MOST_CONFUSED]
        ],
    }


def _in_order(names: set[str], question: Question) -> list[str]:
    """Values in the order of the schema, or of a scale; what it does not know comes last."""
    if question["kind"] == "rating":
        return sorted(names, key=lambda name: (not name.lstrip("-").isdigit(), len(name), name))
    known = {name: place for place, name in enumerate(_leaf_names(question))}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def _leaf_names(question: Question) -> list[str]:
    names = name_choices(question)
    return [names[leaf] for leaf in question.get("leaf_ids", ())]
