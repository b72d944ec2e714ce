"""How far annotators agree on a question: every measure that fits its kind, as a whole and by what tells labels apart.

Figures of a whole project rest on the histogram of votes (`vote_counts.py`) and take milliseconds at any size. Strata
(`strata.py`) are computed when they are asked for; of a large project a worker does that (`kept.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, cast

import numpy as np
from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.actions.carrying import is_carrying
from annotation.errors import InvalidError
from annotation.kinds import Question
from annotation.models import Project
from annotation.serializers import show_time
from reviewers.agreement.marks import MARK_METRICS, mark_figures
from reviewers.agreement.measures import (
    LEAST_ITEMS,
    TOO_MANY_SETS,
    Row,
    measure,
    members,
    refuse,
    refuse_kind,
    seeded,
    show_all,
    show_figure,
    size_of,
    spell,
    too_rare,
)
from reviewers.agreement.strata import MOST_VALUES, number_strata, stratify
from reviewers.agreement.vote_counts import COUNTED_KINDS, Value, read_votes
from reviewers.algorithms.coincidences import coincidence_matrix, items_with_both, one_against_rest
from reviewers.algorithms.labels import CountVectors
from reviewers.loading import STRATIFIERS, count_simulated_persons, is_stratifier

WAYS = ("label", "pair", *STRATIFIERS)
MARKED_KINDS = ("spans", "boxes", "segments")
MEASURED_KINDS = (*COUNTED_KINDS, "number", *MARK_METRICS)
SLOW_SECONDS, KEPT_SECONDS, KEPT_TIMES = 0.3, 60, 100


def project_agreement(project: Project, question: Question, by: str | None = None) -> Row:
    """How far annotators agree on one question.

    Parameters
    ----------
    project, question
        A project and a compiled question of it.
    by : str, optional
        Adds measures for each stratum: ``"label"`` (each value against all others; of marks each label by itself),
        ``"pair"`` (of two annotators), or what `reviewers.loading.load_labels` takes. Numbers have neither pairs nor
        labels, rankings no labels.

    Returns
    -------
    dict
        `{"question", "metrics", "computed_at", "behind_seconds", "strata", "strata_computed_at", "left_out",
        "n_left_out", "confusion", "n_simulated_annotators"}`. Metrics are figures with an interval or a refusal, and
        the prevalence of each value; which ones, the kind of the question says. Of texts raw agreement alone, refused.
        While labels are carried over to another version of the schema all are refused.
        A stratum is `{"by", "value", "metrics"}`, of a pair with its `persons` too; one with fewer than 10 items that
        two people labelled is refused. `left_out` names pairs that share fewer, up to 50 of `n_left_out`.
        `confusion` is `{"values", "items", "coincidences"}`, None where there is no table of label by label.
        The same labels give the same intervals.

    Raises
    ------
    InvalidError
        If `by` is none of the above.
    """
    check_way(by)
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
            "metrics": [refuse_kind(project, question)],
            "n_simulated_annotators": count_simulated_persons(project, question),
        }
    if is_carrying(project):
        told = _("labels are being carried over to a new version of the label schema")
        return report | {"metrics": [show_figure(one) for one in refuse(question, told, n_items=0, n_labels=0)]}
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
    if by is not None and has_strata(project, question, by):
        report |= strata_by(project, question, by)
    return report


def check_way(by: str | None) -> None:
    """Raise InvalidError where labels cannot be told apart in this way; None is no way, and fine."""
    if by is not None and by not in WAYS and not is_stratifier(by):
        known = ", ".join((*WAYS, "metadata:KEY"))
        raise InvalidError(fields={"by": _("One of: %(known)s.") % {"known": known}})


def has_strata(project: Project, question: Question, by: str) -> bool:
    """Whether there are strata to compute. Label by label those of counted votes come with the whole."""
    kind = question["kind"]
    is_none = (by == "label" and kind not in MARKED_KINDS) or (by == "pair" and kind == "number")
    return kind in MEASURED_KINDS and not is_none and not is_carrying(project)


def strata_by(project: Project, question: Question, by: str) -> Row:
    """The strata of `project_agreement` alone, where there are any (`has_strata`), computed now or a moment ago.

    `{"strata", "strata_computed_at", "left_out", "n_left_out"}`.
    """

    def compute() -> Row:
        return stratify(project, question, by) | {"strata_computed_at": show_time(timezone.now())}

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


# --- All labels ------------------------------------------------------------------------------------------------------


def _whole(
    project: Project, question: Question, vectors: CountVectors | None, values: Sequence[Value], digest: str
) -> Row:
    """Figures, label by label, and each label against the rest; kept for as long as the counts stay the same."""
    if vectors is None:
        told = _(TOO_MANY_SETS)
        refused = [show_figure(one) for one in refuse(question, told, n_items=0, n_labels=0)]
        return {"metrics": refused, "confusion": None, "labels": []}
    key = f"agreement:{project.pk}:{digest}"
    found: Row | None = cache.get(key)
    if found is None:
        found = {
            "metrics": show_all(project, question, vectors, values),
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
        holds = members(values).T
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
            figures = refuse(two_sided, too_rare(n_given), **size_of(both))
        else:
            figures = measure(two_sided, both, (0, 1), seeded(project, question))
        share = float((vectors.n_items @ vectors.counts)[is_one].sum() / vectors.n_labels)
        strata.append(
            {
                "by": "label",
                "value": name,
                "metrics": [show_figure(figure, {name: share}) for figure in figures],
                "n_items_given": n_given,
            }
        )
    return strata


def _compare(project: Project, question: Question) -> list[Row]:
    """The measures of a question whose answers have no few values to be counted."""
    if question["kind"] in MARK_METRICS:
        return [show_figure(figure) for figure in mark_figures(project, question, seeded(project, question))]
    metrics: list[Row] = number_strata(project, question, None)[0]["metrics"]
    return metrics
