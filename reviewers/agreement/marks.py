"""Agreement on spans, boxes, segments and rankings: from stored answers to figures, over all pairs of annotators.

Such answers have no few values to be counted, so that each pair is compared by itself; of a large project as many items
as take a few seconds, drawn by chance. Strata are of the same items. Spans and segments have unitized alpha besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.kinds import KINDS, LabelValue, Question
from annotation.models import ItemPayload, Project
from annotation.parts import read_parts_of
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.mark_agreement import (
    Box,
    PairScores,
    Stretch,
    covered_f1,
    covered_iou,
    exact_f1,
    figures_of_pairs,
    kendall_tau,
    overlap_f1,
    paired_f1,
    paired_iou,
    score_pairs,
    spearman_rho,
)
from reviewers.algorithms.unitized import METRICS as UNITIZED
from reviewers.algorithms.unitized import Continuum, unitized_alphas_of
from reviewers.loading import load_answers

# kind -> its measures; the second one stands for the kind where there is room for one
MARK_METRICS: dict[str, tuple[str, ...]] = {
    "spans": ("raw_agreement", "character_f1", "span_f1_exact", "span_f1_partial", "token_f1", *UNITIZED),
    "boxes": ("raw_agreement", "box_iou", "box_f1"),
    "segments": ("raw_agreement", "segment_iou", "segment_f1", *UNITIZED),
    "ranking": ("raw_agreement", "kendall_tau_b", "spearman_rho"),
}
MOST_ITEMS = 5_000
# The least piece of a continuum: a character, a millisecond.
GRAINS = {"spans": 1.0, "segments": 0.001}
_WORD = re.compile(r"\w+")
Token = tuple[str, int, int]  # part, label, number of the word
Words = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """One answer: as stored, and as what its kind compares. `tokens` is None where the text is not there any more."""

    data: list[Any]
    stretches: list[Stretch]
    boxes: list[Box]
    tokens: frozenset[Token] | None

    def only(self, label: int) -> Marked:
        """The marks of one label."""
        return Marked(
            [mark for mark in self.data if mark["label"] == label],
            [one for one in self.stretches if one.label == label],
            [one for one in self.boxes if one.label == label],
            None if self.tokens is None else frozenset(one for one in self.tokens if one[1] == label),
        )


Score = Callable[[Marked, Marked], float]


@dataclass(frozen=True, eq=False)
class MarkedItems:
    """The answers to a question on the items that are compared, each pair of them scored.

    `item`, `person` and `stratum` have one entry an answer; `lengths` says of each item how long its parts are, None
    where that is not known.
    """

    question: Question
    answers: list[Marked]
    item: NDArray[np.int64]
    person: NDArray[np.int64]
    stratum: NDArray[np.int64]
    name_codes: dict[str, int]
    pairs: PairScores
    lengths: dict[int, dict[str, float]]
    n_items: int

    def figures(self, chosen: NDArray[np.bool_], rng: np.random.Generator) -> list[Figure]:
        """All measures over some of the pairs, (n_pairs,)."""
        pairs = self.pairs.of(chosen)
        used = pairs.answers
        n_annotators = len(np.unique(self.person[used]))
        found = figures_of_pairs(pairs, _methods(self.question), rng=rng, n_annotators=n_annotators)
        if self.question["kind"] in GRAINS:
            found += self._unitized(self.answers, used, rng)
        return self._tell_drawn(found)

    def figures_of_label(self, label: int, rng: np.random.Generator) -> tuple[int, list[Figure]]:
        """On how many items a label was given, and all measures of its marks alone.

        A pair in which neither has given it says nothing, and is left out; of unitized alpha, which knows chance, all
        items are, other marks being gaps.
        """
        own = [one.only(label) for one in self.answers]
        has = np.array([bool(one.data) for one in own])
        pairs = self.pairs.of(has[self.pairs.first] | has[self.pairs.second])
        scores = _scores(self.question)
        score = np.array(
            [
                [score(own[a], own[b]) for score in scores.values()]
                for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
            ]
        ).reshape(-1, len(scores))
        pairs = replace(pairs, score=score)
        n_annotators = len(np.unique(self.person[pairs.answers]))
        found = figures_of_pairs(pairs, _methods(self.question), rng=rng, n_annotators=n_annotators)
        if self.question["kind"] in GRAINS:
            found += self._unitized(own, self.pairs.answers, rng)
        return pairs.n_items, self._tell_drawn(found)

    def _unitized(self, answers: Sequence[Marked], used: NDArray[np.int64], rng: np.random.Generator) -> list[Figure]:
        starts = np.flatnonzero(np.diff(self.item[used], prepend=-1))
        continua = []
        for places in np.split(used, starts[1:]) if len(used) else []:
            lengths = self.lengths.get(int(self.item[places[0]]))
            given = [answers[place].stretches for place in places.tolist()]
            is_known = lengths is not None and all(one.part in lengths for answer in given for one in answer)
            continua.append(Continuum(lengths, given) if lengths is not None and is_known else None)
        n_annotators = len(np.unique(self.person[used]))
        return unitized_alphas_of(continua, rng=rng, grain=GRAINS[self.question["kind"]], n_annotators=n_annotators)

    def _tell_drawn(self, figures: list[Figure]) -> list[Figure]:
        if self.n_items <= MOST_ITEMS:
            return figures
        told = _("%(n)d of %(all)d items, drawn by chance") % {"n": MOST_ITEMS, "all": self.n_items}
        return [replace(figure, method=f"{figure.method}; {told}") for figure in figures]


def load_marked(project: Project, question: Question, by: str | None = None) -> MarkedItems:
    """The answers to a question whose kind is in MARK_METRICS, told apart as `loading.load_answers` does, compared."""
    found = load_answers(project, question, most=MOST_ITEMS, by=by)
    ids = np.unique(found.item).tolist()
    words: dict[int, Words] = {}
    lengths: dict[int, dict[str, float]] = {}
    if question["kind"] == "spans":
        words, lengths = _read_texts(question, ids)
    if question["kind"] == "segments":
        lengths = _read_seconds(question, ids)
    answers = [
        _read(question, data, words.get(item)) for item, data in zip(found.item.tolist(), found.data, strict=True)
    ]
    starts = np.flatnonzero(np.diff(found.item, prepend=-1))
    given = [
        [answers[place] for place in places] for places in np.split(np.arange(len(answers)), starts[1:]) if len(places)
    ]
    pairs = score_pairs(given, _scores(question))
    return MarkedItems(
        question=question,
        answers=answers,
        item=found.item,
        person=found.person,
        stratum=found.stratum,
        name_codes=found.name_codes,
        pairs=pairs,
        lengths=lengths,
        n_items=found.n_items,
    )


def mark_figures(project: Project, question: Question, rng: np.random.Generator) -> list[Figure]:
    """The measures of a question whose kind is in MARK_METRICS: its own, and how often two answers are the same."""
    marked = load_marked(project, question)
    return marked.figures(np.ones(len(marked.pairs.item), bool), rng)


def _known(question: Question) -> dict[str, tuple[Score, str]]:
    """Every score of two answers, and what it is."""
    least = question.get("least_overlap") or 1.0
    is_same = KINDS[question["kind"]].is_same

    def same(a: Marked, b: Marked) -> float:
        return float(is_same(question, LabelValue(data=a.data), LabelValue(data=b.data)))

    return {
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


def _scores(question: Question) -> dict[str, Score]:
    known = _known(question)
    return {name: known[name][0] for name in MARK_METRICS[question["kind"]] if name in known}


def _methods(question: Question) -> dict[str, str]:
    return {name: told for name, (_score, told) in _known(question).items()}


def _read(question: Question, text: str, words: Words | None) -> Marked:
    data = json.loads(text)
    kind = question["kind"]
    stretches, boxes = [], []
    if kind in GRAINS:
        stretches = [Stretch(mark["part"], mark["label"], mark["start"], mark["end"]) for mark in data]
        boxes = [Box(one.part, one.label, one.start, 0, one.end - one.start, 1) for one in stretches]
    if kind == "boxes":
        boxes = [Box(m["part"], m["label"], m["x"], m["y"], m["w"], m["h"]) for m in data]
    return Marked(data, stretches, boxes, None if words is None else _touched(stretches, words))


def _touched(stretches: Sequence[Stretch], words: Words) -> frozenset[Token]:
    """The words that a span covers at least in part, with its label."""
    return frozenset(
        (str(one.part), int(str(one.label)), number)
        for one in stretches
        for number, (start, end) in enumerate(words.get(str(one.part), ()))
        if start < one.end and one.start < end
    )


def _read_texts(question: Question, ids: Sequence[int]) -> tuple[dict[int, Words], dict[int, dict[str, float]]]:
    """Where the words of each text part begin and end, and how long those parts are that can be marked, by item.

    Items whose content was erased are left out.
    """
    words: dict[int, Words] = {}
    lengths: dict[int, dict[str, float]] = {}
    for item, parts in ItemPayload.objects.filter(item__in=ids).values_list("item", "parts"):
        texts = {part["name"]: part["text"] for part in parts if "text" in part}
        words[item] = {name: [match.span() for match in _WORD.finditer(text)] for name, text in texts.items()}
        lengths[item] = {name: len(text) for name, text in texts.items() if name in question.get("parts", texts)}
    return words, lengths


def _read_seconds(question: Question, ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """How long the recordings are that can be marked, by item; those with one that was not measured are left out."""
    kinds = KINDS["segments"].PARTS
    found = {}
    for item, parts in read_parts_of(ids).items():
        lengths = {
            name: part.seconds
            for name, part in parts.items()
            if part.kind in kinds and name in question.get("parts", parts)
        }
        told = {name: seconds for name, seconds in lengths.items() if seconds is not None}
        if len(told) == len(lengths):
            found[item] = told
    return found
