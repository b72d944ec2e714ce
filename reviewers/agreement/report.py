"""How far annotators agree on a question: every measure that fits its kind, as a whole and by what tells labels apart.

Figures of a whole project rest on the histogram of votes (`vote_counts.py`) and take milliseconds at any size. Strata
load the labels when they are asked for, and are kept for a while where that took long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, cast

import numpy as np
from django.core.cache import cache
from django.db.models import Count, F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from numpy.typing import NDArray

from annotation.actions.carrying import is_carrying
from annotation.errors import InvalidError
from annotation.kinds import Question
from annotation.kinds.choice_tree import name_choices
from annotation.models import Label, Project, User
from annotation.serializers import show_time
from reviewers.agreement.marks import MARK_METRICS, mark_figures
from reviewers.agreement.vote_counts import COUNTED_KINDS, Value, read_votes
from reviewers.algorithms.agreement import Coefficient, Distance, agreement_of
from reviewers.algorithms.coincidences import coincidence_matrix, items_with_both, one_against_rest
from reviewers.algorithms.distances import set_distances
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.labels import CountVectors, LabelTable, count_vectors
from reviewers.algorithms.number_agreement import METRICS as NUMBER_METRICS
from reviewers.algorithms.number_agreement import agreement_of_numbers
from reviewers.algorithms.pairs import pair_agreement_of, pair_tables
from reviewers.loading import STRATIFIERS, count_simulated_persons, is_stratifier, load_coded, load_numbers

WAYS = ("label", "pair", *STRATIFIERS)
LEAST_ITEMS = 10  # with two labels or more: of fewer the interval says nothing
MOST_PAIRS = 200  # those that share most
MOST_VALUES = 100  # a table of label by label beyond it is not read by anybody
MOST_SETS = 400  # a distance between any two of them
MOST_NAMED = 50
MEASURED_KINDS = (*COUNTED_KINDS, "number", *MARK_METRICS)
SLOW_SECONDS, KEPT_SECONDS, KEPT_TIMES = 0.3, 60, 100
NO_LEVEL = "agreement on {kind} is not measured"
Row = dict[str, Any]


def project_agreement(project: Project, question: Question, by: str | None = None) -> Row:
    """How far annotators agree on one question.

    Parameters
    ----------
    project, question
        A project and a compiled question of it.
    by : str, optional
        Adds measures for each stratum: ``"label"`` (each value against all others), ``"pair"`` (of two annotators), or
        what `reviewers.loading.load_labels` takes.

    Returns
    -------
    dict
        `{"question", "metrics", "computed_at", "behind_seconds", "strata", "strata_computed_at", "left_out",
        "n_left_out", "confusion", "n_simulated_annotators"}`. Metrics are figures with an interval or a refusal, and
        the prevalence of each value; which ones, the kind of the question says. Of texts raw agreement alone, refused.
        While labels are carried over to another version of the schema all are refused. Of marks and rankings there are
        no strata.
        A stratum is `{"by", "value", "metrics"}`, of a pair with its `persons` too; one with fewer than 10 items that
        two people labelled is refused. `left_out` names pairs that share fewer, up to 50 of `n_left_out`.
        `confusion` is `{"values", "items", "coincidences"}`, None where there is no table of label by label.
        The same labels give the same intervals.

    Raises
    ------
    InvalidError
        If `by` is none of the above.
    """
    if by is not None and by not in WAYS and not is_stratifier(by):
        known = ", ".join((*WAYS, "metadata:KEY"))
        raise InvalidError(fields={"by": _("One of: %(known)s.") % {"known": known}})
    report: Row = {
        "question": question["name"],
        "metrics": [],
        "computed_at": show_time(timezone.now()),
        "behind_seconds": 0.0,
        "strata": [],
        "strata_computed_at": None,
        "left_out": [],
        "n_left_out": 0,
        "confusion": None,
        "n_simulated_annotators": 0,
    }
    if question["kind"] not in MEASURED_KINDS:
        return report | {
            "metrics": [_refuse_kind(project, question)],
            "n_simulated_annotators": count_simulated_persons(project, question),
        }
    if is_carrying(project):
        told = _("labels are being carried over to a new version of the label schema")
        return report | {"metrics": [_show(one) for one in _refuse(question, told, n_items=0, n_labels=0)]}
    if question["kind"] in COUNTED_KINDS:
        counts = read_votes(project, question)
        whole = _whole(project, question, counts.vectors, counts.values, counts.digest)
        report |= {
            "metrics": whole["metrics"],
            "confusion": whole["confusion"],
            "behind_seconds": counts.behind_seconds,
            "n_simulated_annotators": counts.n_simulated,
        }
        if by == "label":
            report["strata"] = whole["labels"]
    else:
        metrics = _kept(project, question, "whole", lambda: _compare(project, question))
        report |= {"metrics": metrics, "n_simulated_annotators": count_simulated_persons(project, question)}
    if by is not None and by != "label":
        report |= strata_by(project, question, by)
    return report


def strata_by(project: Project, question: Question, by: str) -> Row:
    """The strata of `project_agreement` alone, where labels are told apart by anything but what they say.

    `{"strata", "strata_computed_at", "left_out", "n_left_out"}`. Not for questions whose agreement is not measured, nor
    while labels are carried over.
    """

    def compute() -> Row:
        found = {"left_out": [], "n_left_out": 0, **_stratify(project, question, by)}
        return found | {"strata_computed_at": show_time(timezone.now())}

    return cast(Row, _kept(project, question, by, compute))


def _kept(project: Project, question: Question, name: str, compute: Callable[[], Any]) -> Any:
    """What takes long is kept for a minute, or a hundred times as long as it took."""
    key = f"agreement:{project.pk}:{project.schema_id}:{question['id']}:{name}"
    found: tuple[Any] | None = cache.get(key)
    if found is None:
        started = monotonic()
        found = (compute(),)
        if (took := monotonic() - started) > SLOW_SECONDS:
            cache.set(key, found, max(KEPT_SECONDS, KEPT_TIMES * took))
    return found[0]


def _rng(project: Project, question: Question) -> np.random.Generator:
    """The same for the same question, so that the same labels give the same intervals."""
    return np.random.default_rng([int.from_bytes(bytes(project.seed)[:8], "big"), question["id"]])


# --- One set of labels -----------------------------------------------------------------------------------------------


def _scales(question: Question) -> tuple[tuple[Distance, ...], tuple[Coefficient, ...]]:
    """The alphas and the coefficients that fit a question. Of a rating from below 0 nothing is a ratio."""
    if question["kind"] == "rating":
        ratio: tuple[Distance, ...] = ("ratio",) if question["min"] >= 0 else ()
        return (
            ("nominal", "ordinal", "interval", *ratio),
            ("fleiss_kappa", "gwet_ac1", "gwet_ac2_linear", "gwet_ac2_quadratic"),
        )
    return ("nominal",), ("fleiss_kappa", "gwet_ac1")


def _measure(
    question: Question, vectors: CountVectors, values: Sequence[Value], rng: np.random.Generator
) -> list[Figure]:
    """All measures of a counted kind."""
    distances, coefficients = _scales(question)
    given: dict[str, NDArray[np.float64]] = {}
    refused: list[Figure] = []
    if question["kind"] == "choices" and len(values) <= MOST_SETS:
        sets = _members(values)
        given = {"jaccard": set_distances(sets, "jaccard"), "masi": set_distances(sets, "masi")}
    elif question["kind"] == "choices":
        told = _("%(n)d different sets of choices; at most %(most)d are compared") % {
            "n": len(values),
            "most": MOST_SETS,
        }
        refused = [Figure.refused(name, told, **_size(vectors)) for name in ("alpha_jaccard", "alpha_masi")]
    figures = agreement_of(
        vectors,
        rng=rng,
        distances=distances,
        values=[float(value) for value in values if isinstance(value, int)] if question["kind"] == "rating" else None,
        given=given,
        coefficients=coefficients,
    )
    return [*figures, *refused]


def _members(values: Sequence[Value]) -> NDArray[np.bool_]:
    """What is in each set, (n_sets, n_choices), in the order of the choices' ids."""
    sets = [set(value) if isinstance(value, tuple) else {value} for value in values]
    choices = sorted(set().union(*sets))
    return np.array([[choice in one for choice in choices] for one in sets], bool).reshape(len(sets), len(choices))


def _refuse(question: Question, told: str, **size: Any) -> list[Figure]:
    """Every measure of the question, refused with one sentence."""
    if question["kind"] not in COUNTED_KINDS:
        names: Sequence[str] = MARK_METRICS.get(question["kind"], NUMBER_METRICS)
        return [Figure.refused(name, told, **size) for name in names]
    distances, coefficients = _scales(question)
    given = ("alpha_jaccard", "alpha_masi") if question["kind"] == "choices" else ()
    names = ["raw_agreement", *(f"alpha_{distance}" for distance in distances), *given, *coefficients]
    return [Figure.refused(name, told, **size) for name in names]


def _refuse_kind(project: Project, question: Question) -> Row:
    """Say that agreement on this kind is not measured, and on how many labels that stand it could be."""
    labels = Label.objects.filter(
        project=project, question=question["id"], annotation__seat__annotation=F("annotation")
    )
    n = labels.aggregate(
        n_items=Count("item", distinct=True), n_labels=Count("question"), n_annotators=Count("person", distinct=True)
    )
    return _show(Figure.refused("raw_agreement", NO_LEVEL.format(kind=question["kind"]), **n))


def _show(figure: Figure, prevalence: Mapping[str, float] | None = None) -> Row:
    return figure.as_dict() | {"prevalence": prevalence}


def _size(vectors: CountVectors) -> Row:
    n = int(vectors.n_items.sum())
    return {"n_items": n, "n_labels": vectors.n_labels, "n_annotators": vectors.n_annotators}


def _shares(question: Question, vectors: CountVectors, values: Sequence[Value]) -> dict[str, float] | None:
    """The share of each value among the labels that figures rest on; of choices, of the labels that tick each one."""
    if vectors.n_labels == 0:
        return None
    n = vectors.n_items @ vectors.counts
    if question["kind"] == "choices":
        n = n @ _members(values)
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


def _show_all(
    project: Project, question: Question, vectors: CountVectors, values: Sequence[Value], least: int = 0
) -> list[Row]:
    """The measures of one set of labels, all refused where fewer than `least` items have two."""
    size = _size(vectors)
    if 0 < size["n_items"] < least:
        figures = _refuse(question, _too_few(size["n_items"]), **size)
    else:
        figures = _measure(question, vectors, values, _rng(project, question))
    shares = _shares(question, vectors, values)
    return [_show(figure, shares) for figure in figures]


def _too_few(n_items: int) -> str:
    told = ngettext(
        "%(n)d item has two labels; %(least)d needed", "%(n)d items have two labels; %(least)d needed", n_items
    )
    return told % {"n": n_items, "least": LEAST_ITEMS}


# --- All labels ------------------------------------------------------------------------------------------------------


def _whole(
    project: Project, question: Question, vectors: CountVectors | None, values: Sequence[Value], digest: str
) -> Row:
    """Figures, label by label, and each label against the rest; kept for as long as the counts stay the same."""
    if vectors is None:
        told = _("too many different sets of choices to compare whole answers")
        refused = [_show(one) for one in _refuse(question, told, n_items=0, n_labels=0)]
        return {"metrics": refused, "confusion": None, "labels": []}
    key = f"agreement:{project.pk}:{digest}"
    found: Row | None = cache.get(key)
    if found is None:
        found = {
            "metrics": _show_all(project, question, vectors, values),
            "confusion": _confusion(question, vectors, values),
            "labels": _label_strata(project, question, vectors, values),
        }
        cache.set(key, found, 3600)
    return found


def _confusion(question: Question, vectors: CountVectors, values: Sequence[Value]) -> Row | None:
    """Which values meet on the same items. Values that nobody gave where two answered are left out."""
    is_seen = (vectors.n_items @ vectors.counts) > 0
    if question["kind"] == "choices" or not 0 < is_seen.sum() <= MOST_VALUES:
        return None
    names = spell(question, values)
    return {
        "values": [name for name, seen in zip(names, is_seen, strict=True) if seen],
        "items": items_with_both(vectors)[np.ix_(is_seen, is_seen)].tolist(),
        "coincidences": coincidence_matrix(vectors)[np.ix_(is_seen, is_seen)].round(6).tolist(),
    }


def _label_strata(project: Project, question: Question, vectors: CountVectors, values: Sequence[Value]) -> list[Row]:
    """Each value, or each single choice of choices, against all others. Those that nobody gave are left out."""
    if question["kind"] == "choices":
        singles: Sequence[Value] = sorted({code for value in values if isinstance(value, tuple) for code in value})
        holds = _members(values).T
    else:
        singles, holds = values, np.eye(len(values), dtype=bool)
    two_sided: Question = {"kind": "choice", "id": question["id"]}
    strata = []
    for name, is_one in list(zip(spell(question, singles), holds, strict=True))[:MOST_VALUES]:
        n_given = int(vectors.n_items[(vectors.counts[:, is_one] > 0).any(axis=1)].sum())
        if n_given == 0:
            continue
        both = one_against_rest(vectors, is_one)
        if n_given < LEAST_ITEMS:
            told = ngettext("given on %(n)d item; %(least)d needed", "given on %(n)d items; %(least)d needed", n_given)
            figures = _refuse(two_sided, told % {"n": n_given, "least": LEAST_ITEMS}, **_size(both))
        else:
            figures = _measure(two_sided, both, (0, 1), _rng(project, question))
        share = float((vectors.n_items @ vectors.counts)[is_one].sum() / vectors.n_labels)
        strata.append(
            {
                "by": "label",
                "value": name,
                "metrics": [_show(figure, {name: share}) for figure in figures],
                "n_items_given": n_given,
            }
        )
    return strata


# --- Strata ----------------------------------------------------------------------------------------------------------


def _compare(project: Project, question: Question) -> list[Row]:
    """The measures of a question whose answers have no few values to be counted."""
    if question["kind"] in MARK_METRICS:
        return [_show(figure) for figure in mark_figures(project, question, _rng(project, question))]
    metrics: list[Row] = _number_strata(project, question, None)[0]["metrics"]
    return metrics


def _stratify(project: Project, question: Question, by: str) -> Row:
    if question["kind"] in MARK_METRICS:
        return {"strata": []}
    if question["kind"] not in COUNTED_KINDS:
        return {"strata": [] if by == "pair" else _number_strata(project, question, by)}
    if by == "pair":
        return _pair_strata(project, question)
    labels = load_coded(project, question, by=by)
    return {
        "strata": [
            {
                "by": by,
                "value": name,
                "metrics": _show_all(
                    project, question, _in_order(count_vectors(labels.table(name))), labels.values, least=LEAST_ITEMS
                ),
            }
            for name in labels.names
        ]
    }


def _in_order(vectors: CountVectors) -> CountVectors:
    """The same vectors in the order in which a histogram has them: the same labels give the same intervals."""
    order = np.lexsort(vectors.counts.T[::-1])
    return replace(vectors, counts=vectors.counts[order], n_items=vectors.n_items[order])


def _number_strata(project: Project, question: Question, by: str | None) -> list[Row]:
    strata = []
    for name, numbers in load_numbers(project, question, by=by):
        figures = agreement_of_numbers(
            numbers.item,
            numbers.annotator,
            numbers.number,
            rng=_rng(project, question),
            tolerance=question.get("tolerance", 0),
        )
        n = figures[0].n_items
        if by is not None and 0 < n < LEAST_ITEMS:
            size = {"n_items": n, "n_labels": figures[0].n_labels, "n_annotators": figures[0].n_annotators}
            figures = _refuse(question, _too_few(n), **size)
        strata.append({"by": by, "value": name, "metrics": [_show(figure) for figure in figures]})
    return strata


def _pair_strata(project: Project, question: Question) -> Row:
    """Two annotators at a time, those who share most first; the others are named."""
    labels = load_coded(project, question)
    persons, code = np.unique(labels.person, return_inverse=True)
    table = LabelTable.from_codes(labels.item, code.ravel(), labels.code, len(labels.values))
    shared = pair_tables(replace(table, value=np.zeros_like(table.value), n_values=1))
    n_items = shared.counts[:, 0, 0]
    order = np.lexsort((shared.second, shared.first, -n_items))
    names = {user.pk: user.name for user in User.objects.filter(pk__in=persons.tolist())}

    def pair_at(position: int) -> list[int]:
        both = [int(persons[shared.first[position]]), int(persons[shared.second[position]])]
        return sorted(both, key=lambda pk: (names[pk], pk))

    def name_of(position: int) -> str:
        return " / ".join(names[pk] for pk in pair_at(position))

    is_readable = table.n_values <= MOST_VALUES
    chosen = [int(n) for n in order[:MOST_PAIRS] if n_items[n] >= LEAST_ITEMS and is_readable]
    rest = [int(n) for n in order if int(n) not in set(chosen)]
    strata = []
    if chosen:
        tables = pair_tables(table, min_items=int(n_items[chosen].min()))
        places = {(int(a), int(b)): n for n, (a, b) in enumerate(zip(tables.first, tables.second, strict=True))}
        for position in chosen:
            counts = tables.counts[places[int(shared.first[position]), int(shared.second[position])]]
            figures = _measure_pair(question, counts, labels.values, _rng(project, question))
            strata.append(
                {
                    "by": "pair",
                    "value": name_of(position),
                    "persons": [{"id": str(pk), "name": names[pk]} for pk in pair_at(position)],
                    "metrics": [_show(one) for one in figures],
                }
            )
    named = [{"value": name_of(n), "n_items": int(n_items[n])} for n in rest[:MOST_NAMED]]
    return {"strata": strata, "left_out": named, "n_left_out": len(rest)}


def _measure_pair(
    question: Question, counts: NDArray[np.int64], values: Sequence[Value], rng: np.random.Generator
) -> list[Figure]:
    if question["kind"] == "rating":
        scale = [float(value) for value in values if isinstance(value, int)]
        return pair_agreement_of(counts, rng=rng, weights=("identity", "quadratic"), values=scale)
    return pair_agreement_of(counts, rng=rng)
