"""Agreement on spans, boxes, segments and rankings: from stored answers to figures, over all pairs of annotators.

Such answers have no few values to be counted, so that each pair is compared by itself; of a large project as many items
as take a few seconds, drawn by chance.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from django.db import connection
from django.utils.translation import gettext as _

from annotation.kinds import KINDS, LabelValue, Question
from annotation.models import ItemPayload, Project
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.mark_agreement import (
    Box,
    Stretch,
    agreement_of_pairs,
    covered_f1,
    covered_iou,
    exact_f1,
    kendall_tau,
    overlap_f1,
    paired_f1,
    paired_iou,
    spearman_rho,
)

# kind -> its measures; the second one stands for the kind where there is room for one
MARK_METRICS = {
    "spans": ("raw_agreement", "character_f1", "span_f1_exact", "span_f1_partial", "token_f1"),
    "boxes": ("raw_agreement", "box_iou", "box_f1"),
    "segments": ("raw_agreement", "segment_iou", "segment_f1"),
    "ranking": ("raw_agreement", "kendall_tau_b", "spearman_rho"),
}
MOST_ITEMS = 5_000
_WORD = re.compile(r"\w+")
Token = tuple[str, int, int]  # part, label, number of the word


@dataclass(frozen=True, slots=True, eq=False)
class _Marked:
    """One answer: as stored, and as what its kind compares. `tokens` is None where the text is not there any more."""

    data: list[Any]
    stretches: list[Stretch]
    boxes: list[Box]
    tokens: frozenset[Token] | None


Score = Callable[[_Marked, _Marked], float]

_STANDING = """
    from annotation_label l
    join annotation_seat s on s.annotation_id = l.annotation_id and s.state = 2
    join annotation_queuerow q on q.id = s.queue_row_id
    where l.project_id = %(project)s and l.question = %(question)s and l.data is not null
      and not exists (select 1 from annotation_queuerow n
                      where n.item_id = q.item_id and n.kind = 4 and n.pass_no > q.pass_no)
"""


def mark_figures(project: Project, question: Question, rng: np.random.Generator) -> list[Figure]:
    """The measures of a question whose kind is in MARK_METRICS: its own, and how often two answers are the same."""
    params = {"project": project.pk, "question": question["id"], "most": MOST_ITEMS}
    with connection.cursor() as cursor:
        cursor.execute(
            f"select l.item_id, count(*) over () {_STANDING} group by 1 having count(*) > 1"
            " order by hashtextextended(l.item_id::text, 1), 1 limit %(most)s",
            params,
        )
        chosen = cursor.fetchall()
        ids = [item for item, _n in chosen]
        cursor.execute(
            f"select l.item_id, l.person_id, l.data::text {_STANDING} and l.item_id = any(%(items)s) order by 1, 2",
            {**params, "items": ids},
        )
        rows = cursor.fetchall()
    words = _find_words(ids) if question["kind"] == "spans" else {}
    answers: defaultdict[int, list[_Marked]] = defaultdict(list)
    for item, _person, data in rows:
        answers[item].append(_read(question, data, words.get(item)))
    scores, methods = _scores(question)
    figures = agreement_of_pairs(
        answers.values(), scores, methods, rng=rng, n_annotators=len({person for _item, person, _data in rows})
    )
    if chosen and chosen[0][1] > MOST_ITEMS:
        told = _("%(n)d of %(all)d items, drawn by chance") % {"n": MOST_ITEMS, "all": chosen[0][1]}
        figures = [replace(figure, method=f"{figure.method}; {told}") for figure in figures]
    return figures


def _scores(question: Question) -> tuple[dict[str, Score], dict[str, str]]:
    """The scores of a kind, and what each is."""
    least = question.get("least_overlap") or 1.0
    is_same = KINDS[question["kind"]].is_same

    def same(a: _Marked, b: _Marked) -> float:
        return float(is_same(question, LabelValue(data=a.data), LabelValue(data=b.data)))

    known: dict[str, tuple[Score, str]] = {
        "raw_agreement": (same, "whole answers that are the same"),
        "character_f1": (lambda a, b: covered_f1(a.stretches, b.stretches), "F1 of characters, by label"),
        "span_f1_exact": (lambda a, b: exact_f1(a.stretches, b.stretches), "F1 of spans that are the same"),
        "span_f1_partial": (lambda a, b: overlap_f1(a.stretches, b.stretches), "F1 of spans that overlap"),
        "token_f1": (
            lambda a, b: nan if a.tokens is None or b.tokens is None else exact_f1(a.tokens, b.tokens),
            "F1 of words that a span touches, by label",
        ),
        "box_iou": (lambda a, b: paired_iou(a.boxes, b.boxes), "intersection over union of boxes paired off"),
        "box_f1": (lambda a, b: paired_f1(a.boxes, b.boxes, least), f"F1 of boxes with an overlap of {least:g}"),
        "segment_iou": (
            lambda a, b: covered_iou(a.stretches, b.stretches),
            "time that both mark over time that either does, by label",
        ),
        "segment_f1": (lambda a, b: paired_f1(a.boxes, b.boxes, least), f"F1 of segments with an overlap of {least:g}"),
        "kendall_tau_b": (lambda a, b: kendall_tau(a.data, b.data), "Kendall's tau-b"),
        "spearman_rho": (lambda a, b: spearman_rho(a.data, b.data), "Spearman's rank correlation"),
    }
    names = MARK_METRICS[question["kind"]]
    return {name: known[name][0] for name in names}, {name: known[name][1] for name in names}


def _read(question: Question, text: str, words: Mapping[str, Sequence[tuple[int, int]]] | None) -> _Marked:
    data = json.loads(text)
    kind = question["kind"]
    stretches, boxes = [], []
    if kind in ("spans", "segments"):
        stretches = [Stretch(mark["part"], mark["label"], mark["start"], mark["end"]) for mark in data]
        boxes = [Box(one.part, one.label, one.start, 0, one.end - one.start, 1) for one in stretches]
    if kind == "boxes":
        boxes = [Box(m["part"], m["label"], m["x"], m["y"], m["w"], m["h"]) for m in data]
    return _Marked(data, stretches, boxes, None if words is None else _touched(stretches, words))


def _touched(stretches: Sequence[Stretch], words: Mapping[str, Sequence[tuple[int, int]]]) -> frozenset[Token]:
    """The words that a span covers at least in part, with its label."""
    return frozenset(
        (str(one.part), int(str(one.label)), number)
        for one in stretches
        for number, (start, end) in enumerate(words.get(str(one.part), ()))
        if start < one.end and one.start < end
    )


def _find_words(ids: Sequence[int]) -> dict[int, dict[str, list[tuple[int, int]]]]:
    """Where the words of each text part begin and end, by item; items whose content was erased are left out."""
    found: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for item, parts in ItemPayload.objects.filter(item__in=ids).values_list("item", "parts"):
        found[item] = {
            part["name"]: [match.span() for match in _WORD.finditer(part["text"])] for part in parts if "text" in part
        }
    return found
