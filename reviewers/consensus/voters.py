"""Outside models that may vote beside people, and what they said: asked of the learning app, by SQL functions.

`learning/sql/voter.sql` holds them. Only predictions that were sent in count: a model that was trained here, on these
very labels, would be asked about what it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection

from annotation.kinds import Question
from annotation.models import Item, Project
from annotation.strides import stride
from reviewers.algorithms.crowd import LEAST_ITEMS
from reviewers.algorithms.voter import ModelAnswers
from reviewers.columns import Columns, read_columns
from reviewers.consensus.weighing import positions, values_of

ITEMS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Version:
    """One version of an outside model that has sent predictions on a question."""

    question: int
    name: str
    version: str
    model: int
    has_enough: bool  # predictions to be compared with people, if they are on the right items


def outside_models(project: Project) -> list[Version]:
    """All versions of the outside models, of each question the newest first."""
    with connection.cursor() as cursor:
        sql = "select question, name, version, model, has_enough from learning_outside(%s, %s)"
        cursor.execute(sql, [project.pk, LEAST_ITEMS])
        return [Version(*row) for row in cursor.fetchall()]


def names_of(project: Project) -> list[str]:
    """The names of the models that may vote, in order."""
    return sorted({one.name for one in outside_models(project)})


def choose_version(
    project: Project, question: Question, items: Sequence[int]
) -> tuple[Version | None, ModelAnswers | None]:
    """The version of the rule's model that a fit is to compare with people, and its answers.

    It is the newest one that has answered enough of these items (those with two answers, or that are known); where none
    has, the newest. None where the rule's model has sent nothing on this question.
    """
    newest: tuple[Version | None, ModelAnswers | None] = (None, None)
    for version in outside_models(project):
        is_asked = (version.question, version.name) == (question["id"], project.rule["voter"])
        if is_asked and (version.has_enough or newest[0] is None):
            answers = load_answers(project, question, version.model)
            if len(answers.about(np.array(items, np.int64)).item) >= LEAST_ITEMS:
                return version, answers
            newest = newest if newest[0] else (version, answers)
    return newest


def load_answers(project: Project, question: Question, model: int) -> ModelAnswers:
    """What a version says of the items of the pool; what is no value of the question is left out."""
    none: Columns = {name: np.zeros(0, np.int64) for name in ("item", "choice")}
    parts = [none] + [
        read_columns(
            "select item, choice from learning_sent(%(model)s, %(first)s, %(end)s)",
            {"model": model, "first": ids[0], "end": ids[-1] + 1},
            item="int8",
            choice="int8",
        )
        for ids in stride(Item.objects.filter(project=project), ITEMS_AT_ONCE)
    ]
    item, choice = (np.concatenate([part[name] for part in parts]) for name in none)
    value = positions(choice, values_of(question))
    return ModelAnswers(item, value).only(value >= 0)
