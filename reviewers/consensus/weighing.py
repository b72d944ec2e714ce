"""Which questions the posterior rule weighs, and their labels, skills and verdicts as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Item, Project
from annotation.schema import Compiled
from annotation.strides import stride
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.posterior import Skills, weigh
from reviewers.algorithms.voter import MODEL, ModelAnswers, add_answers, is_checked
from reviewers.loading import load_stored
from reviewers.models import ConsensusFit, Resolution

MOST_VALUES = 50  # a confusion matrix of more rests on nothing
KINDS_WEIGHED = ("choice", "rating")
MOVED = 0.01  # a confidence that another fit moves by less stays as it was stored (`vote.sql` says the same)
BATCH = 20_000
SUFFIX = "+model"  # of a resolution's method, where a model voted too (`posterior.sql` says the same)


def weighed_questions(compiled: Compiled) -> list[Question]:
    """The questions that are weighed; all others are put to the vote under the posterior rule too."""
    return [q for q in compiled["questions"] if q["kind"] in KINDS_WEIGHED and len(values_of(q)) <= MOST_VALUES]


def values_of(question: Question) -> list[int]:
    """The codes that answers to a choice or rating can have: choice ids, or the ratings."""
    if question["kind"] == "choice":
        return list(question["leaf_ids"])
    return list(range(int(question["min"]), int(question["max"]) + 1))


def load_crowd(project: Project, question: Question) -> CrowdLabels:
    """The answers that count to a question; a value is its position in `values_of`.

    Gold is what items came with and what reviewers decided; where both are there, the decision. Answers that are no
    value of the schema in force are left out.
    """
    values = values_of(question)
    stored = load_stored(project, question)
    item, person = stored["item"].astype(np.int64), stored["person"].astype(np.int64)
    gold = load_gold(project, question)
    return CrowdLabels.from_codes(item, person, positions(stored["value"], values), len(values), gold=gold)


def load_gold(project: Project, question: Question) -> dict[int, int]:
    """Item to known value, by its position in `values_of`; of items too that nobody answered."""
    return _brought(project, question) | _decided(project, question)


def find_unselected(project: Project, question: Question, labels: CrowdLabels) -> tuple[CrowdLabels, dict[int, int]]:
    """What a fit beside a model may learn from: the labels of some items, and what is known of these and others.

    All, where every item has two people's answers. Else those that are people's alone, and those that came with a gold
    label: on others it hangs on what the model said how many people were asked.
    """
    gold = load_gold(project, question)
    if project.overlap_min >= 2:
        return labels, gold
    brought = _brought(project, question)
    came = np.isin(labels.item_ids, np.array(list(brought), np.int64))
    kept = {item: value for item, value in gold.items() if item in brought or is_checked(np.array([item]))[0]}
    return labels.only(is_checked(labels.item_ids) | came), kept


def skills_of(fit: ConsensusFit) -> Skills | None:
    """What a stored fit found; None where it found that the vote is as much as can be had."""
    n = len(fit.values)
    if n == 0:
        return None
    rows = list(fit.annotators.order_by("person_id").values_list("person_id", "log_chances"))
    if fit.voter_model is not None:
        rows.insert(0, (MODEL, fit.voter_chances))
    return Skills(
        annotator_ids=np.array([person for person, _chances in rows], np.int64),
        log_prior=np.array(fit.log_prior),
        log_chances=np.array([chances for _person, chances in rows], np.float64).reshape(len(rows), n, n),
        stranger=np.array(fit.stranger).reshape(n, n),
    )


def find_outdated(
    project: Project, fit: ConsensusFit, labels: CrowdLabels, answers: ModelAnswers | None = None
) -> list[int]:
    """The items on which another thing is accepted than the fit and the project's rule make of `labels`, by id.

    `answers` are those of the fit's model, where it has one: it counts where the rule names it, and not on items that
    are people's alone. An item on which they agree may be among them, where another question keeps it open.
    """
    skills = skills_of(fit)
    if skills is None:
        return [int(item) for batch in _verdicts(project, fit.question) for item in batch["item"][batch["is_weighed"]]]
    needs_two = project.overlap_min < 2
    said = np.full(labels.n_items, -1)
    if answers is not None and fit.voter is not None and fit.voter["name"] == project.rule.get("voter"):
        answers = answers.only(~is_checked(answers.item)) if needs_two else answers
        said = answers.values_on(labels.item_ids)
        labels = add_answers(labels, answers)
    posterior = weigh(labels, skills)
    likeliest = posterior.argmax(axis=1)
    confidence, best, is_backed = posterior.max(axis=1), np.array(fit.values)[likeliest], said == likeliest
    method = np.where(said >= 0, fit.method + SUFFIX, fit.method)
    threshold = float(project.rule["threshold"])
    found: list[int] = []
    for batch in _verdicts(project, fit.question):
        at = np.minimum(np.searchsorted(labels.item_ids, batch["item"]), labels.n_items - 1)
        is_labelled = labels.item_ids[at] == batch["item"]
        is_full = batch["n"] >= np.minimum(batch["overlap"], project.overlap_min)
        is_sure = (confidence[at] >= threshold) & (is_backed[at] | (batch["n"] >= (2 if needs_two else 1)))
        has_moved = (batch["value"] != best[at]) | ~(np.abs(batch["confidence"] - confidence[at]) < MOVED)
        is_off = (is_sure != batch["is_agreed"]) | (is_sure & (has_moved | (batch["method"] != method[at])))
        found += batch["item"][is_labelled & is_full & is_off].tolist()
    return found


_VERDICTS = """
    select i.id, q.n_submitted, q.overlap, coalesce(r.state = 1, false), coalesce(r.choice, r.number, 0)::float8,
      coalesce(r.confidence, -1), coalesce(r.method, ''), r.fit_id is not null
    from annotation_item i
    join lateral (select x.n_submitted, x.overlap, x.pass_no, x.state from annotation_queuerow x
                  where x.item_id = i.id and x.kind in (1, 4) order by x.pass_no desc limit 1) q on true
    left join reviewers_resolution r on r.item_id = i.id and r.question = %(question)s and r.pass_no = q.pass_no
    where i.project_id = %(project)s and i.lifecycle = %(open)s and i.id between %(first)s and %(last)s
      and q.n_submitted > 0 and q.state <> 3
    order by i.id
"""
_VERDICT = np.dtype(
    [
        ("item", "i8"),
        ("n", "i8"),
        ("overlap", "i8"),
        ("is_agreed", "?"),
        ("value", "f8"),
        ("confidence", "f8"),
        ("method", "U20"),
        ("is_weighed", "?"),
    ]
)


def _verdicts(project: Project, question: int) -> Iterator[NDArray[Any]]:
    """What is stored of the items with answers that no reviewer has decided, in batches by item."""
    params = {"project": project.pk, "question": question, "open": int(Item.Lifecycle.OPEN)}
    for ids in stride(Item.objects.filter(project=project), BATCH):
        with connection.cursor() as cursor:
            cursor.execute(_VERDICTS, params | {"first": ids[0], "last": ids[-1]})
            rows = cursor.fetchall()
        if rows:
            yield np.array(rows, _VERDICT)


def _brought(project: Project, question: Question) -> dict[int, int]:
    """The gold labels that items came with."""
    number, column = str(question["id"]), _column(question)
    gold = Item.objects.filter(project=project, gold__has_key=number).values_list("pk", "gold")
    return _coded(question, ((pk, (stored or {})[number].get(column)) for pk, stored in gold))


def _decided(project: Project, question: Question) -> dict[int, int]:
    """What reviewers decided, in the newest pass."""
    decided = Resolution.objects.filter(
        project=project, question=question["id"], state=Resolution.State.ADJUDICATED
    ).order_by("item_id", "pass_no")
    return _coded(question, decided.values_list("item_id", _column(question)))


def _column(question: Question) -> str:
    return "choice" if question["kind"] == "choice" else "number"


def _coded(question: Question, known: Iterable[tuple[int, float | None]]) -> dict[int, int]:
    """The last value of each item by its position; what is no value of the schema in force is left out."""
    values = values_of(question)
    return {pk: values.index(int(value)) for pk, value in known if value is not None and value in values}


def positions(stored: NDArray[Any], values: Sequence[int]) -> NDArray[np.int64]:
    """Position of each stored value among `values`, -1 for others."""
    known = np.array(values, np.int64)
    order = np.argsort(known)
    codes = stored.astype(np.int64)
    at = order[np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)]
    return np.where(known[at] == codes, at, -1)
