"""The measures of one set of labels on a question, as the API shows them: which ones fit, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db.models import Count, F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import Label, Project
from reviewers.agreement.marks import MARK_METRICS
from reviewers.agreement.vote_counts import COUNTED_KINDS, Value
from reviewers.algorithms.agreement import Coefficient, Distance, agreement_of
from reviewers.algorithms.distances import set_distances
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.labels import CountVectors
from reviewers.algorithms.number_agreement import METRICS as NUMBER_METRICS

LEAST_ITEMS = 10  # with two labels or more: of fewer the interval says nothing
MOST_SETS = 400  # a distance between any two of them
TOO_MANY_SETS = gettext_noop("too many different sets of choices to compare whole answers")
NO_LEVEL = "agreement on {kind} is not measured"
Row = dict[str, Any]


def seeded(project: Project, question: Question) -> np.random.Generator:
    """The same for the same question, so that the same labels give the same intervals."""
    return np.random.default_rng([int.from_bytes(bytes(project.seed)[:8], "big"), question["id"]])


def _scales(question: Question) -> tuple[tuple[Distance, ...], tuple[Coefficient, ...]]:
    """The alphas and the coefficients that fit a question. Of a rating from below 0 nothing is a ratio."""
    if question["kind"] == "rating":
        ratio: tuple[Distance, ...] = ("ratio",) if question["min"] >= 0 else ()
        return (
            ("nominal", "ordinal", "interval", *ratio),
            ("fleiss_kappa", "gwet_ac1", "gwet_ac2_linear", "gwet_ac2_quadratic"),
        )
    return ("nominal",), ("fleiss_kappa", "gwet_ac1")


def measure(
    question: Question, vectors: CountVectors, values: Sequence[Value], rng: np.random.Generator
) -> list[Figure]:
    """All measures of a counted kind."""
    distances, coefficients = _scales(question)
    given: dict[str, NDArray[np.float64]] = {}
    refused: list[Figure] = []
    if question["kind"] == "choices" and len(values) <= MOST_SETS:
        sets = members(values)
        given = {"jaccard": set_distances(sets, "jaccard"), "masi": set_distances(sets, "masi")}
    elif question["kind"] == "choices":
        told = _("%(n)d different sets of choices; at most %(most)d are compared") % {
            "n": len(values),
            "most": MOST_SETS,
        }
        refused = [Figure.refused(name, told, **size_of(vectors)) for name in ("alpha_jaccard", "alpha_masi")]
    figures = agreement_of(
        vectors,
        rng=rng,
        distances=distances,
        values=[float(value) for value in values if isinstance(value, int)] if question["kind"] == "rating" else None,
        given=given,
        coefficients=coefficients,
    )
    return [*figures, *refused]


def members(values: Sequence[Value]) -> NDArray[np.bool_]:
    """What is in each set, (n_sets, n_choices), in the order of the choices' ids."""
    sets = [set(value) if isinstance(value, tuple) else {value} for value in values]
    choices = sorted(set().union(*sets))
    return np.array([[choice in one for choice in choices] for one in sets], bool).reshape(len(sets), len(choices))


def refuse(question: Question, told: str, **size: Any) -> list[Figure]:
    """Every measure of the question, refused with one sentence."""
    if question["kind"] not in COUNTED_KINDS:
        names: Sequence[str] = MARK_METRICS.get(question["kind"], NUMBER_METRICS)
        return [Figure.refused(name, told, **size) for name in names]
    distances, coefficients = _scales(question)
    given = ("alpha_jaccard", "alpha_masi") if question["kind"] == "choices" else ()
    names = ["raw_agreement", *(f"alpha_{distance}" for distance in distances), *given, *coefficients]
    return [Figure.refused(name, told, **size) for name in names]


def refuse_kind(project: Project, question: Question) -> Row:
    """Say that agreement on this kind is not measured, and on how many labels that stand it could be."""
    labels = Label.objects.filter(
        project=project, question=question["id"], annotation__seat__annotation=F("annotation")
    )
    n = labels.aggregate(
        n_items=Count("item", distinct=True), n_labels=Count("question"), n_annotators=Count("person", distinct=True)
    )
    return show_figure(Figure.refused("raw_agreement", NO_LEVEL.format(kind=question["kind"]), **n))


def show_figure(figure: Figure, prevalence: Mapping[str, float] | None = None) -> Row:
    """A figure as the API shows it, with the share of each value by its name."""
    return figure.as_dict() | {"prevalence": prevalence}


def size_of(vectors: CountVectors) -> Row:
    """What a figure rests on, as `Figure` takes it."""
    n = int(vectors.n_items.sum())
    return {"n_items": n, "n_labels": vectors.n_labels, "n_annotators": vectors.n_annotators}


def _shares(question: Question, vectors: CountVectors, values: Sequence[Value]) -> dict[str, float] | None:
    """The share of each value among the labels that figures rest on; of choices, of the labels that tick each one."""
    if vectors.n_labels == 0:
        return None
    n = vectors.n_items @ vectors.counts
    if question["kind"] == "choices":
        n = n @ members(values)
        values = sorted({choice for value in values if isinstance(value, tuple) for choice in value})
    return {name: float(count / vectors.n_labels) for name, count in zip(spell(question, values), n, strict=True)}


def spell(question: Question, values: Sequence[Value]) -> list[str]:
    """Stored values as callers spell them; a set of choices with commas, the empty one as ""."""
    if question["kind"] == "rating":
        return [str(value) for value in values]
    names = name_choices(question)
    return [
        ", ".join(names.get(code, str(code)) for code in (value if isinstance(value, tuple) else (value,)))
        for value in values
    ]


def show_all(
    project: Project, question: Question, vectors: CountVectors, values: Sequence[Value], least: int = 0
) -> list[Row]:
    """The measures of one set of labels, all refused where fewer than `least` items have two."""
    size = size_of(vectors)
    if 0 < size["n_items"] < least:
        figures = refuse(question, too_few(size["n_items"]), **size)
    else:
        figures = measure(question, vectors, values, seeded(project, question))
    shares = _shares(question, vectors, values)
    return [show_figure(figure, shares) for figure in figures]


def too_few(n_items: int) -> str:
    """Why a stratum of so few items has no figures."""
    told = ngettext(
        "%(n)d item has two labels; %(least)d needed", "%(n)d items have two labels; %(least)d needed", n_items
    )
    return told % {"n": n_items, "least": LEAST_ITEMS}


def too_rare(n_items: int) -> str:
    """Why a label that was given on so few items has no figures."""
    told = ngettext("given on %(n)d item; %(least)d needed", "given on %(n)d items; %(least)d needed", n_items)
    return told % {"n": n_items, "least": LEAST_ITEMS}
