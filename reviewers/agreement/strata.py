"""A question's labels taken apart: the same measures for each language, team, week or pair of annotators.

What sets items apart is counted in the database, from the votes that the histogram was made of; what is told of the
single label, or of who gave it, needs the labels themselves. `kept.py` says who computes it and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import Project, User
from reviewers.agreement.marks import MARK_METRICS, MarkedItems, load_marked
from reviewers.agreement.measures import (
    LEAST_ITEMS,
    TOO_MANY_SETS,
    Row,
    refuse,
    seeded,
    show_all,
    show_figure,
    too_few,
    too_rare,
)
from reviewers.agreement.vote_counts import (
    COUNTED_KINDS,
    FEW_LABELS,
    Value,
    gather_votes,
    is_small,
    list_values,
    values_in,
)
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.labels import CountVectors, LabelTable, count_vectors
from reviewers.algorithms.number_agreement import agreement_of_numbers
from reviewers.algorithms.pairs import pair_agreement_of, pair_tables
from reviewers.loading import is_of_items, load_coded, load_counted, load_numbers

MOST_PAIRS = 200  # those that share most
MOST_VALUES = 100  # a table of label by label beyond it is not read by anybody
MOST_NAMED = 50
Progress = Callable[[int], object]


def stratify(project: Project, question: Question, by: str, progress: Progress = lambda _n: None) -> Row:
    """The strata of a question whose agreement is measured, as `GET agreement` shows them.

    `{"strata", "left_out", "n_left_out"}`. `by`: where `report.has_strata` says so. `progress` is told how many items
    were looked at, where there are many.
    """
    none: Row = {"strata": [], "left_out": [], "n_left_out": 0}
    if question["kind"] in MARK_METRICS:
        return none | _mark_strata(project, question, by)
    if question["kind"] not in COUNTED_KINDS:
        return none | {"strata": [] if by == "pair" else number_strata(project, question, by)}
    if by == "pair":
        return _pair_strata(project, question)
    if is_of_items(by) and not is_small(project, question, FEW_LABELS):
        found = _count_items(project, question, by, progress)
    else:
        found = _count_labels(project, question, by)
    return none | {
        "strata": [
            {"by": by, "value": name, "metrics": _measure(project, question, vectors, values)}
            for name, vectors, values in found
        ]
    }


Counted = tuple[str, CountVectors | None, Sequence[Value]]


def _count_labels(project: Project, question: Question, by: str) -> list[Counted]:
    labels = load_coded(project, question, by=by)
    return [(name, _in_order(count_vectors(labels.table(name))), labels.values) for name in labels.names]


def _count_items(project: Project, question: Question, by: str, progress: Progress) -> list[Counted]:
    found = load_counted(project, question, by, progress)
    values = list_values(question, values_in(question, [votes for one in found.values() for votes in one.n_items]))
    return [
        (name, gather_votes(question, votes.n_items, values, len(votes.persons)), values)
        for name, votes in found.items()
    ]


def _measure(project: Project, question: Question, vectors: CountVectors | None, values: Sequence[Value]) -> list[Row]:
    if vectors is None:
        return [show_figure(one) for one in refuse(question, _(TOO_MANY_SETS), n_items=0, n_labels=0)]
    return show_all(project, question, vectors, values, least=LEAST_ITEMS)


def _in_order(vectors: CountVectors) -> CountVectors:
    """The same vectors in the order in which a histogram has them: the same labels give the same intervals."""
    order = np.lexsort(vectors.counts.T[::-1])
    return replace(vectors, counts=vectors.counts[order], n_items=vectors.n_items[order])


def _mark_strata(project: Project, question: Question, by: str) -> Row:
    """Of marks and rankings: pairs of answers of which both are in a stratum; each label of marks by itself."""
    marked = load_marked(project, question, None if by in ("label", "pair") else by)
    if by == "pair":
        return _mark_pairs(project, marked)
    if by == "label":
        return {"strata": _mark_labels(project, marked)}
    first, second = marked.stratum[marked.pairs.first], marked.stratum[marked.pairs.second]
    return {
        "strata": [
            {"by": by, "value": name, "metrics": _measure_marks(project, marked, (first == code) & (second == code))}
            for name, code in marked.name_codes.items()
        ]
    }


def _measure_marks(project: Project, marked: MarkedItems, chosen: NDArray[np.bool_]) -> list[Row]:
    pairs = marked.pairs.of(chosen)
    if 0 < pairs.n_items < LEAST_ITEMS:
        used = pairs.answers
        size = {"n_labels": len(used), "n_annotators": len(np.unique(marked.person[used]))}
        figures = refuse(marked.question, too_few(pairs.n_items), n_items=pairs.n_items, **size)
    else:
        figures = marked.figures(chosen, seeded(project, marked.question))
    return [show_figure(figure) for figure in figures]


def _mark_labels(project: Project, marked: MarkedItems) -> list[Row]:
    strata: list[Row] = []
    given = {mark["label"] for answer in marked.answers for mark in answer.data}
    for label, name in name_choices(marked.question).items():
        if label not in given or len(strata) == MOST_VALUES:
            continue
        n_given, figures = marked.figures_of_label(label, seeded(project, marked.question))
        if n_given < LEAST_ITEMS:
            size = {"n_labels": figures[0].n_labels, "n_annotators": figures[0].n_annotators}
            figures = refuse(marked.question, too_rare(n_given), n_items=n_given, **size)
        shown = [show_figure(figure) for figure in figures]
        strata.append({"by": "label", "value": name, "metrics": shown, "n_items_given": n_given})
    return strata


def _mark_pairs(project: Project, marked: MarkedItems) -> Row:
    """Two annotators at a time, those who share most first; the others are named."""
    both = marked.person[np.column_stack([marked.pairs.first, marked.pairs.second])]
    persons, of_pair, n_items = np.unique(np.sort(both, axis=1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-n_items, kind="stable")
    names = {user.pk: user.name for user in User.objects.filter(pk__in=np.unique(persons).tolist())}
    chosen = [int(n) for n in order[:MOST_PAIRS] if n_items[n] >= LEAST_ITEMS]
    strata = []
    for position in chosen:
        people = _sort_people(persons[position].tolist(), names)
        metrics = _measure_marks(project, marked, of_pair.ravel() == position)
        strata.append({"by": "pair", **_show_people(people, names), "metrics": metrics})
    return {
        "strata": strata,
        **_name_rest(order, chosen, persons, n_items, names),
    }


def _sort_people(people: Sequence[int], names: Mapping[int, str]) -> list[int]:
    return sorted(people, key=lambda pk: (names[pk], pk))


def _show_people(people: Sequence[int], names: Mapping[int, str]) -> Row:
    """A pair as a stratum names it."""
    return {
        "value": " / ".join(names[pk] for pk in people),
        "persons": [{"id": str(pk), "name": names[pk]} for pk in people],
    }


def _name_rest(
    order: NDArray[np.int64],
    chosen: Sequence[int],
    persons: NDArray[np.int64],
    n_items: NDArray[np.int64],
    names: Mapping[int, str],
) -> Row:
    """The pairs that are not measured, with the items that they share. `persons`: both of each pair, (n_pairs, 2)."""
    rest = order[~np.isin(order, chosen)].tolist()
    named = [
        {
            "value": " / ".join(names[pk] for pk in _sort_people(persons[n].tolist(), names)),
            "n_items": int(n_items[n]),
        }
        for n in rest[:MOST_NAMED]
    ]
    return {"left_out": named, "n_left_out": len(rest)}


def number_strata(project: Project, question: Question, by: str | None) -> list[Row]:
    strata = []
    for name, numbers in load_numbers(project, question, by=by):
        figures = agreement_of_numbers(
            numbers.item,
            numbers.annotator,
            numbers.number,
            rng=seeded(project, question),
            tolerance=question.get("tolerance", 0),
        )
        n = figures[0].n_items
        if by is not None and 0 < n < LEAST_ITEMS:
            size = {"n_items": n, "n_labels": figures[0].n_labels, "n_annotators": figures[0].n_annotators}
            figures = refuse(question, too_few(n), **size)
        strata.append({"by": by, "value": name, "metrics": [show_figure(figure) for figure in figures]})
    return strata


def _pair_strata(project: Project, question: Question) -> Row:
    """Two annotators at a time, those who share most first; the others are named."""
    labels = load_coded(project, question)
    person_ids, code = np.unique(labels.person, return_inverse=True)
    table = LabelTable.from_codes(labels.item, code.ravel(), labels.code, len(labels.values))
    shared = pair_tables(replace(table, value=np.zeros_like(table.value), n_values=1))
    n_items = shared.counts[:, 0, 0]
    order = np.lexsort((shared.second, shared.first, -n_items))
    persons = person_ids[np.column_stack([shared.first, shared.second])]
    names = {user.pk: user.name for user in User.objects.filter(pk__in=person_ids.tolist())}
    is_readable = table.n_values <= MOST_VALUES
    chosen = [int(n) for n in order[:MOST_PAIRS] if n_items[n] >= LEAST_ITEMS and is_readable]
    strata = []
    if chosen:
        tables = pair_tables(table, min_items=int(n_items[chosen].min()))
        places = {(int(a), int(b)): n for n, (a, b) in enumerate(zip(tables.first, tables.second, strict=True))}
        for position in chosen:
            counts = tables.counts[places[int(shared.first[position]), int(shared.second[position])]]
            figures = _measure_pair(question, counts, labels.values, seeded(project, question))
            people = _sort_people(persons[position].tolist(), names)
            metrics = [show_figure(one) for one in figures]
            strata.append({"by": "pair", **_show_people(people, names), "metrics": metrics})
    return {
        "strata": strata,
        **_name_rest(order, chosen, persons, n_items, names),
    }


def _measure_pair(
    question: Question, counts: NDArray[np.int64], values: Sequence[Value], rng: np.random.Generator
) -> list[Figure]:
    if question["kind"] == "rating":
        scale = [float(value) for value in values if isinstance(value, int)]
        return pair_agreement_of(counts, rng=rng, weights=("identity", "quadratic"), values=scale)
    return pair_agreement_of(counts, rng=rng)
