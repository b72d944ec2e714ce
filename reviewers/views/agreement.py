"""The agreement explorer: every measure of a question, which labels are confused, and by what agreement differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation.access import Access
from annotation.actions.carrying import is_carrying
from annotation.kinds import KINDS, Question
from annotation.kinds.choice_tree import choice_texts, name_choices
from annotation.models import Member, Project
from annotation.progress import show_job_for_people
from annotation.schema import find_question, text_of
from annotation.templatetags.charts import format_number
from annotation.views.page import ProjectPage
from reviewers.actions.strata import Strata, ask_for_strata
from reviewers.agreement.marks import MARK_METRICS
from reviewers.agreement.measures import LEAST_ITEMS, Row
from reviewers.agreement.recount import known_alarm
from reviewers.agreement.report import MARKED_KINDS, MEASURED_KINDS, has_strata, project_agreement
from reviewers.agreement.vote_counts import COUNTED_KINDS
from reviewers.answers import compiled_schema, tell_value
from reviewers.loading import METADATA, is_stratifier

MOST_IN_MATRIX = 16
MOST_KEYS = 12
KEYS_LOOKED_AT = 500  # items whose metadata is looked into for keys
LATE_SECONDS = 2.0
NO_STRATA: Row = {"strata": [], "left_out": [], "n_left_out": 0, "strata_computed_at": None}


class AgreementView(ProjectPage):
    """How far annotators agree, on one question at a time."""

    right = "agreement"
    tab = "agreement"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """What is asked for and unknown is left out of the question."""
        access = self.enter(slug)
        project = access.project
        compiled = compiled_schema(project)
        questions = sorted(compiled["questions"], key=lambda one: one["kind"] not in MEASURED_KINDS)
        question = find_question(compiled, request.GET.get("question", "")) or questions[0]
        ways = list_ways(access, question)
        by = request.GET.get("by", "")
        by = by if by in dict(ways) else ""
        report = project_agreement(project, question, "label" if question["kind"] in COUNTED_KINDS else None)
        strata = Strata(None)
        if by and has_strata(project, question, by):
            strata = ask_for_strata(project=project, question=question, by=by, actor=access.user)
        apart = strata.report or NO_STRATA
        context = {
            "questions": [(one["name"], text_of(one)) for one in questions],
            "question": question,
            "question_text": text_of(question),
            "is_measured": question["kind"] in MEASURED_KINDS,
            "has_pairs": any(figure["value"] is not None for figure in report["metrics"]),
            "is_carrying": is_carrying(project),  # then nothing is compared
            "is_single": project.overlap_max == 1,
            "measures": show_measures(question, report["metrics"]),
            "n_simulated": report["n_simulated_annotators"],
            "late_seconds": report["behind_seconds"] if report["behind_seconds"] > LATE_SECONDS else None,
            "alarm": known_alarm(project) if access.may("manage") else None,
            "labels": show_labels(project, question, report),
            "confusion": show_confusion(project, question, report["confusion"]),
            "ways": [
                {"title": title, "url": f"?{urlencode({'question': question['name'], 'by': way})}#strata", "key": way}
                for way, title in ways
            ],
            "by": by,
            "by_title": dict(ways).get(by, ""),
            "strata": show_strata(question, apart) if by and by != "pair" else [],
            "trend": show_trend(question, apart) if by == "week" and strata.report else None,
            "pairs": show_pairs(project, question, apart) if by == "pair" and strata.report else None,
            "columns": pair_columns(question) if by == "pair" else strata_columns(question),
            "is_by_label": by == "label",
            "least_items": LEAST_ITEMS,
            "compared_at": apart["strata_computed_at"],
            "is_counting": strata.job is not None,
            "jobs": [show_job_for_people(strata.job)] if strata.job is not None else [],
        }
        return self.show(access, "reviewers/agreement.html", context)


def list_ways(access: Access, question: Question) -> list[tuple[str, str]]:
    """By what the labels of a question can be told apart, for this person: `(by, title)`."""
    if question["kind"] not in MEASURED_KINDS:
        return []
    project = access.project
    ways = [("label", _("label"))] if question["kind"] in MARKED_KINDS else []
    ways += [("pair", _("pair of annotators"))] if access.may("review") and question["kind"] != "number" else []
    if Member.objects.filter(project=project).exclude(team="").exists():
        ways.append(("team", _("team")))
    keys = metadata_keys(project)
    if "language" in keys:
        ways.append(("language", _("language")))
    ways += [("week", _("week")), ("guideline", _("guideline version")), ("source", _("source"))]
    ways.append(("split", _("pool or holdout")))
    return ways + [(f"{METADATA}{key}", key) for key in keys if key != "language"]


def metadata_keys(project: Project) -> list[str]:
    """The keys that some items have in their metadata and that could make strata; ids are random, so any do."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select k.key from (select i.metadata from annotation_item i where i.project_id = %s
              order by i.id limit %s) m cross join lateral jsonb_each(m.metadata) k
            where jsonb_typeof(k.value) in ('string', 'number', 'boolean')
            group by 1 having count(distinct k.value) < count(*) or count(*) < 20 order by count(*) desc, 1 limit %s
            """,
            [project.pk, KEYS_LOOKED_AT, MOST_KEYS],
        )
        return [row[0] for row in cursor.fetchall() if is_stratifier(f"{METADATA}{row[0]}")]


# --- In words --------------------------------------------------------------------------------------------------------


def measure_words() -> dict[str, tuple[str, str]]:
    """Each measure's name, and what it says in a sentence."""
    return {
        "raw_agreement": (
            _("Observed agreement"),
            _("How often two people who answer the same item say the same. Agreement by chance is in it."),
        ),
        "alpha_nominal": (
            _("Krippendorff's alpha"),
            _("Agreement beyond chance: 1 is perfect, 0 what chance alone would give. Two answers are alike or not."),
        ),
        "alpha_ordinal": (_("Alpha, ordinal"), _("The same, where a 4 beside a 5 is nearly alike: in ranks.")),
        "alpha_interval": (_("Alpha, interval"), _("The same, in units: from 1 to 3 is as far as from 3 to 5.")),
        "alpha_ratio": (_("Alpha, ratio"), _("The same, in proportion: from 1 to 2 is as far as from 2 to 4.")),
        "alpha_jaccard": (
            _("Alpha, Jaccard"),
            _("Whole answers as sets: alike by the share of the choices that both ticked."),
        ),
        "alpha_masi": (_("Alpha, MASI"), _("As Jaccard, and milder where one answer holds the other.")),
        "fleiss_kappa": (_("Fleiss' kappa"), _("Agreement beyond chance, as older papers report it.")),
        "gwet_ac1": (
            _("Gwet's AC1"),
            _("Agreement beyond chance that stays near the observed one where one answer is rare."),
        ),
        "gwet_ac2_linear": (_("Gwet's AC2, linear"), _("As AC1; near answers count in part, step by step.")),
        "gwet_ac2_quadratic": (_("Gwet's AC2, quadratic"), _("As AC1; answers far apart count most.")),
        "cohen_kappa": (_("Cohen's kappa"), _("Two annotators beyond chance.")),
        "character_f1": (_("F1, characters"), _("How far what two people marked is the same, letter by letter.")),
        "span_f1_exact": (_("F1, exact spans"), _("How many spans are the same, start, end and label.")),
        "span_f1_partial": (_("F1, spans that overlap"), _("How many spans meet one of the other's with its label.")),
        "token_f1": (_("F1, words"), _("As characters, word by word: a missed comma does not count.")),
        "box_iou": (
            _("Overlap of boxes"),
            _("Intersection over union of boxes paired off; one without a partner is 0."),
        ),
        "box_f1": (_("F1, boxes"), _("How many boxes have a partner that overlaps as far as the question asks.")),
        "segment_iou": (_("Overlap of segments"), _("Time that both marked, of the time that either did.")),
        "segment_f1": (_("F1, segments"), _("How many segments have a partner that overlaps as far as asked.")),
        "kendall_tau_b": (
            _("Kendall's tau-b"),
            _("How many pairs of choices two people put in the same order: 1 all, -1 none."),
        ),
        "alpha_u": (
            _("Alpha, unitized"),
            _("Marks with their labels and the gaps between them, by length, beyond chance: 1 is perfect, 0 chance."),
        ),
        "alpha_u_binary": (_("Alpha, unitized, any label"), _("The same, of what is marked at all.")),
        "spearman_rho": (
            _("Spearman's rank correlation"),
            _("The same, where a choice far from its place counts more."),
        ),
    }


def main_metric(question: Question) -> str:
    """The measure that stands for the question where there is room for one."""
    kind = question["kind"]
    return MARK_METRICS[kind][1] if kind in MARK_METRICS else f"alpha_{KINDS[kind].LEVEL}"


def show_measures(question: Question, metrics: Sequence[Row]) -> list[Row]:
    """Every measure as a row: what it is called, what it says, and its figure."""
    words = measure_words()
    is_order = question["kind"] == "ranking"
    return [
        {
            "name": words.get(figure["metric"], (figure["metric"], ""))[0],
            "says": words.get(figure["metric"], ("", ""))[1],
            "figure": figure,
            "low": figure["interval"][0] if figure["interval"] else None,
            "high": figure["interval"][1] if figure["interval"] else None,
            "is_main": figure["metric"] == main_metric(question),
            "start": -0.2 if figure["metric"].startswith(("alpha", "gwet", "fleiss")) else -1.0 if is_order else 0.0,
        }
        for figure in metrics
    ]


def find_figure(metrics: Sequence[Row], name: str) -> Row | None:
    """The figure of that name."""
    return next((figure for figure in metrics if figure["metric"] == name), None)


def items_url(project: Project, question: Question, **asked: str) -> str:
    """The list of the items of which people said that."""
    where = reverse("project-items", kwargs={"slug": project.slug})
    return f"{where}?{urlencode({'question': question['name'], **asked})}"


def show_labels(project: Project, question: Question, report: Row) -> list[Row]:
    """Each label: how common it is, and how far people agree on it against all others."""
    return [
        {
            "label": tell_label(question, stratum["value"]),
            "share": next(iter((stratum["metrics"][0]["prevalence"] or {}).values()), None),
            "n_items": stratum["n_items_given"],
            "alpha": find_figure(stratum["metrics"], "alpha_nominal"),
            "ac1": find_figure(stratum["metrics"], "gwet_ac1"),
            "url": items_url(project, question, said=stratum["value"]),
        }
        for stratum in report["strata"]
    ]


def tell_label(question: Question, value: str) -> str:
    """A value, or a label of marks, in the words of the schema; one that left it stays as it was."""
    if question["kind"] in MARKED_KINDS:
        return choice_texts(question).get(value, value)
    known = name_choices(question).values()
    return tell_value(question, value) if value in known else value


def show_confusion(project: Project, question: Question, confusion: Mapping[str, Any] | None) -> Row | None:
    """Label by label: on how many items both were given. Shaded by how often the one is met by the other."""
    if confusion is None:
        return None
    values, items, pairs = confusion["values"], confusion["items"], confusion["coincidences"]
    if len(values) > MOST_IN_MATRIX:
        order = sorted(range(len(values)), key=lambda n: -sum(pairs[n]))[:MOST_IN_MATRIX]
    else:
        order = list(range(len(values)))
    names = [tell_label(question, values[n]) for n in order]
    shares = [[pairs[a][b] / (sum(pairs[a]) or 1) for b in order] for a in order]
    darkest = max((shares[y][x] for y in range(len(order)) for x in range(len(order)) if x != y), default=0) or 1

    def cell(y: int, x: int) -> Row:
        a, b = order[y], order[x]
        n = items[a][b]
        told = format_number(n, digits=0)
        if a == b:
            tip = ngettext("“%(a)s” twice or more on %(n)s item", "“%(a)s” twice or more on %(n)s items", n) % {
                "a": names[y],
                "n": told,
            }
        else:
            tip = ngettext("“%(a)s” and “%(b)s” on %(n)s item", "“%(a)s” and “%(b)s” on %(n)s items", n) % {
                "a": names[y],
                "b": names[x],
                "n": told,
            }
        url = items_url(project, question, said=values[a], also=values[b]) if n else ""
        return {"text": told, "shade": None if a == b else shares[y][x] / darkest, "tip": tip, "url": url}

    size = range(len(order))
    return {"names": names, "cells": [[cell(y, x) for x in size] for y in size], "n_hidden": len(values) - len(order)}


def strata_columns(question: Question) -> Row:
    """Which measures stand for a stratum, what they are called, and where the axis of the first one begins."""
    kind = question["kind"]
    words = measure_words()
    names = [main_metric(question), "alpha_u" if kind in ("spans", "segments") else "gwet_ac1"]
    has_other = kind in COUNTED_KINDS or kind in ("spans", "segments")
    titles = [_("Alpha"), _("AC1")] if kind not in MARK_METRICS else [words[name][0] for name in names]
    return {
        "main": names[0],
        "main_title": titles[0],
        "other": names[1] if has_other else "",
        "other_title": titles[1] if has_other else "",
        "start": -1.0 if kind == "ranking" else 0.0 if kind in MARK_METRICS else -0.2,
    }


def show_strata(question: Question, report: Row) -> list[Row]:
    """Strata as rows, those with a figure first; the others name why they have none."""
    rows = []
    columns = strata_columns(question)
    for stratum in report["strata"]:
        main = find_figure(stratum["metrics"], columns["main"]) or stratum["metrics"][0]
        low, high = main["interval"] or (None, None)
        name = tell_label(question, stratum["value"]) if stratum["by"] == "label" else stratum["value"]
        rows.append(
            {
                "name": name or _("none stated"),
                "main": main,
                "low": low,
                "high": high,
                "raw": find_figure(stratum["metrics"], "raw_agreement"),
                "other": find_figure(stratum["metrics"], columns["other"]),
            }
        )
    return sorted(rows, key=lambda row: row["raw"]["value"] is None)


def show_trend(question: Question, report: Row) -> Row:
    """Week by week as a line with its interval."""
    weeks = {float(n): stratum["value"] for n, stratum in enumerate(report["strata"])}
    series = []
    columns = strata_columns(question)
    for name, title in ((columns["main"], columns["main_title"]), ("raw_agreement", _("Observed"))):
        points = []
        for n, stratum in enumerate(report["strata"]):
            figure = find_figure(stratum["metrics"], name) or {"value": None, "interval": None, "n_items": None}
            low, high = figure["interval"] or (None, None)
            points.append({"x": float(n), "y": figure["value"], "low": low, "high": high, "n": figure["n_items"]})
        series.append({"name": title, "points": points})
    return {"series": series, "weeks": weeks}


def pair_columns(question: Question) -> Row:
    """As `strata_columns`, of two annotators: Cohen's kappa where values are counted."""
    if question["kind"] in MARK_METRICS:
        return strata_columns(question)
    return {"main": "cohen_kappa", "main_title": _("kappa"), "other": "gwet_ac1", "other_title": _("AC1")}


def show_pairs(project: Project, question: Question, report: Row) -> Row:
    """Pairs of annotators: a square of those who share most with others, and every pair as a row."""
    rows = []
    shared: dict[str, int] = {}
    columns = pair_columns(question)
    names = {person["id"]: person["name"] for stratum in report["strata"] for person in stratum["persons"]}
    cells: dict[tuple[str, str], Row] = {}
    for stratum in report["strata"]:
        main = find_figure(stratum["metrics"], columns["main"]) or {}
        other = find_figure(stratum["metrics"], columns["other"])
        a, b = (person["id"] for person in stratum["persons"])
        for person in (a, b):
            shared[person] = shared.get(person, 0) + stratum["metrics"][0]["n_items"]
        # Items can be listed by who counted votes are from; marks are not counted.
        url = items_url(project, question, people=f"{a},{b}") if question["kind"] in COUNTED_KINDS else ""
        row = {"name": stratum["value"], "main": main, "other": other, "raw": stratum["metrics"][0], "url": url}
        rows.append(row)
        cells[a, b] = cells[b, a] = row
    order = sorted(names, key=lambda person: (-shared[person], names[person]))[:MOST_IN_MATRIX]

    def cell(a: str, b: str) -> Row | None:
        row = cells.get((a, b))
        if row is None:
            return None
        value = row["main"].get("value")
        tip = _("%(pair)s: %(measure)s %(value)s on %(n)s items") % {
            "pair": row["name"],
            "measure": columns["main_title"],
            "value": format_number(value),
            "n": format_number(row["raw"]["n_items"], digits=0),
        }
        return {"text": format_number(value), "shade": value or 0.0, "tip": tip, "url": row["url"]}

    return {
        "names": [names[person] for person in order],
        "cells": [[cell(a, b) for b in order] for a in order],
        "rows": rows,
        "n_hidden": max(0, len(names) - len(order)),
        "left_out": report["left_out"],
        "n_left_out": report["n_left_out"],
        "n_unnamed": report["n_left_out"] - len(report["left_out"]),
    }
