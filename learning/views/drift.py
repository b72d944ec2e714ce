"""Whether what came in is like what taught the model: a chart by batch, and what differs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.access import Access
from annotation.errors import TouchstoneError
from annotation.models import Project
from annotation.progress import jobs_to_show
from annotation.schema import text_of
from annotation.templatetags.charts import format_number
from annotation.views.page import ProjectPage, sentence_of
from learning.actions.drift import KIND, start_drift
from learning.drift import MEASURES, MIN_SAMPLED, show_drift
from learning.questions import class_texts
from learning.reports import current_model
from learning.views.learning import shown_question, start_about_shown
from learning.views.looks import find_looks
from reviewers.algorithms.intervals import wilson

MOST_CHOICES = 6


def measure_words() -> dict[str, str]:
    """What is compared, for people."""
    return {
        "choices": _("what the model says"),
        "certainty": _("how sure it is"),
        "contents": _("the contents"),
    }


class DriftView(ProjectPage):
    """Batches of imports beside the reference."""

    right = "learn"
    tab = "learning"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """What the newest comparison found."""
        return self._show(self.enter(slug))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Compare anew."""
        access = self.enter(slug)
        error = start_about_shown(access, start_drift)
        return self._show(access, error) if error else redirect("project-drift", slug=slug)

    def _show(self, access: Access, error: TouchstoneError | None = None) -> HttpResponse:
        project, question = access.project, shown_question(access.project)
        context: dict[str, Any] = {"jobs": jobs_to_show(project, [KIND]), "question": None}
        if question is not None:
            found = show_drift(project, question)
            batches = [show_batch(batch, found["unit"]) for batch in found["batches"]]
            context |= {
                "question": text_of(question),
                "has_model": current_model(project, question) is not None,
                "compared_at": datetime.fromisoformat(found["compared_at"]) if found["compared_at"] else None,
                "model": found["model"],
                "is_current_model": found["is_current_model"],
                "n_imports_since": found["n_imports_since"],
                "reference": found["reference"],
                "n_left_out": found["n_left_out"],
                "has_space": found["has_space"],
                "percent": 100 * (found["alpha"] or 0),
                "batches": batches,
                "n_alarms": sum(bool(batch["alarms"]) for batch in batches),
                "chart": show_chart(found, class_texts(question)),
                "strange": show_strange(access, found["batches"], found["unit"]),
                "can_compare": project.state != Project.State.ARCHIVED,
                "form_error": sentence_of(error) if error else "",
            }
        return self.show(access, "learning/drift.html", context, error.status if error else 200)


def name_batch(batch: dict[str, Any], unit: str | None, *, is_short: bool = False) -> str:
    """A batch's name: the time of its import, its day or its month."""
    since = datetime.fromisoformat(batch["since"])
    whole, short = {"import": ("j M Y, H:i", "j M"), "day": ("j M Y", "j M"), "month": ("F Y", "M Y")}[unit or "import"]
    return date_format(since, short if is_short else whole)


def show_batch(batch: dict[str, Any], unit: str | None) -> dict[str, Any]:
    """A batch as a row: its name, size, and what each comparison found."""
    words = measure_words()
    return {
        "name": name_batch(batch, unit),
        "imports": batch["imports"],
        "n_items": batch["n_items"],
        "n_sampled": batch["n_sampled"],
        "alarms": [words[name] for name in batch["alarms"]],
        "is_told": any(one is not None for one in batch["comparisons"].values()),
        "measures": [
            {"name": words[name], "is_alarm": name in batch["alarms"], "told": tell_comparison(name, batch)}
            for name in MEASURES
        ],
    }


def tell_comparison(name: str, batch: dict[str, Any]) -> str:
    """What a comparison found, in one line; why there is none."""
    made = batch["comparisons"][name]
    if made is None:
        n = batch["n_sampled"] if name == "contents" else batch["n_scored"]
        if n < MIN_SAMPLED:
            return ngettext("%(n)d item, %(needed)d needed", "%(n)d items, %(needed)d needed", n) % {
                "n": n,
                "needed": MIN_SAMPLED,
            }
        return _("not compared")
    figures = {
        "choices": ("PSI", made["value"]),
        "certainty": ("D", made["value"]),
        "contents": (_("distance"), made["value"]),
    }
    label, value = figures[name]
    chance = _("p under 0.0001") if made["adjusted"] < 0.0001 else f"p {format_number(made['adjusted'], digits=4)}"
    return f"{label} {format_number(value, digits=2)}, {chance}"


def show_chart(found: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """What the model says, as one line a choice over the reference and the batches: the choices that moved most."""
    columns = [found["reference"], *found["batches"]] if found["reference"] else []
    names = {0.0: _("taught on")} | {
        float(place): name_batch(batch, found["unit"], is_short=True)
        for place, batch in enumerate(found["batches"], start=1)
    }
    shares = [column["shares"] for column in columns]
    known = [one for one in shares if one is not None]
    moved = (
        {value: max(one[value] for one in known) - min(one[value] for one in known) for value in known[0]}
        if known
        else {}
    )
    chosen = sorted(moved, key=lambda value: -moved[value])[:MOST_CHOICES]
    return {
        "series": [
            {
                "name": texts.get(value, value),
                "points": [_show_share(place, columns[place], value) for place in range(len(columns))],
            }
            for value in chosen
        ],
        "x_names": names,
        "x_label": _("what taught the model, then batches as they came"),
        "y_label": _("share of the sample that the model calls so"),
        "refusal": _("The model has scored none of these items."),
    }


def _show_share(place: int, column: dict[str, Any], value: str) -> dict[str, Any]:
    """A point of the chart; without a value where too few items were looked at to say anything."""
    n = column["n_scored"]
    point: dict[str, Any] = {"x": float(place), "y": None, "low": None, "high": None, "n": n}
    if column["shares"] is None or n < MIN_SAMPLED:
        return point
    low, high = wilson(column["shares"][value] * n, n)
    return point | {"y": column["shares"][value], "low": low, "high": high}


def show_strange(access: Access, batches: list[dict[str, Any]], unit: str | None) -> list[dict[str, Any]]:
    """Of each batch whose contents differ the items that are least like the reference, with their contents."""
    differing = [batch for batch in batches if "contents" in batch["alarms"] and batch["strange"]]
    looks = find_looks(access, [one["id"] for batch in differing for one in batch["strange"]])
    return [
        {"name": name_batch(batch, unit), "items": [one | looks[one["id"]] for one in batch["strange"]]}
        for batch in differing
    ]
