"""The job that takes in scores from elsewhere: line by line into one table, then the same selection as any round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.importing.ahead import read_ahead
from annotation.importing.formats import RowProblem, Source, read_rows
from annotation.job_kinds.uploads import uploaded_file
from annotation.jobs import RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Project
from annotation.plain_text import quote
from annotation.settings import learning_settings
from learning.actions.models import ensure_external_model, make_current, remove_old_scores, write_scores
from learning.actions.predictions import KIND
from learning.actions.rounds import open_round
from learning.judging import judge_sent
from learning.loading import load_named
from learning.models import ModelVersion, Round
from learning.outcome import Taken
from learning.predictions import Learnable, Prediction, PredictionError, list_learnable, parse_prediction
from learning.questions import classes_of, default_question, holds_several, learnable_questions
from learning.scoring import utilities_for
from learning.tasks.rounds import conduct

BATCH = 50_000

Line = tuple[int, dict[str, Any] | RowProblem]
Key = tuple[int, str, str]  # question, model, version


@dataclass(slots=True)
class TakenScores(Taken):
    """With the model that came last for each question (the last question last)."""

    models: dict[int, ModelVersion] = field(default_factory=dict)


@job_kind(KIND)
def run_predictions(running: RunningJob) -> None:
    """Take in the spooled lines; the result is `{"accepted", "rejected", "errors"}`."""
    with uploaded_file(running) as path:
        taken = _take(running, path)
        _use(running, taken)
        running.finish(taken.as_result())


def _take(running: RunningJob, path: Path) -> TakenScores:
    project, taken, done = running.project, TakenScores(), 0
    learnable = learnable_questions(project)
    rows = read_rows(path, Source("jsonl", running.args["compression"]))
    with closing(read_ahead(_batches(rows, list_learnable(learnable)))) as batches:
        for batch in batches:
            _take_batch(running, project, learnable, batch, taken)
            done += batch.n_lines
            running.progress(done)
    return taken


@dataclass(slots=True)
class _Batch:
    """Lines of the file: what the good ones say, and why the others are not good."""

    n_lines: int = 0
    parsed: list[tuple[int, list[Prediction]]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def _batches(rows: Iterable[Line], known: Sequence[Learnable]) -> Iterator[_Batch]:
    batch = _Batch()
    for line, row in rows:
        batch.n_lines += 1
        try:
            if isinstance(row, RowProblem):
                raise PredictionError(row.reason)
            batch.parsed.append((line, parse_prediction(row, known)))
        except PredictionError as error:
            batch.faults.append((line, str(error)))
        if batch.n_lines == BATCH:
            yield batch
            batch = _Batch()
    if batch.n_lines:
        yield batch


def _take_batch(
    running: RunningJob, project: Project, learnable: list[Question], batch: _Batch, taken: TakenScores
) -> None:
    """Good lines become scores, in the order of the file, so that the last one about an item stands."""
    parsed, faults = batch.parsed, batch.faults
    items = load_named(project, {found[0].external_id for _line, found in parsed})
    questions = {question["id"]: question for question in learnable}
    classes = {question["id"]: classes_of(question) for question in learnable}
    models: dict[Key, ModelVersion | str] = {}
    scores: dict[Key, dict[int, tuple[float, ...]]] = {}
    for line, found in parsed:
        item = items.get(found[0].external_id)
        if item is None:
            faults.append(
                (line, _("There is no item with the external_id %(id)s.") % {"id": quote(found[0].external_id)})
            )
            continue
        keys = [(one.question, one.model, one.version) for one in found]
        for key in keys:
            if key not in models:
                models[key] = _find_model(project, key, classes[key[0]])
        refusal = next((model for key in keys if isinstance(model := models[key], str)), None)
        if refusal is not None:
            faults.append((line, refusal))
            continue
        taken.accepted += 1
        for key, one in zip(keys, found, strict=True):
            scores.setdefault(key, {})[item] = one.proba
            model = models[key]
            assert isinstance(model, ModelVersion)
            taken.models.pop(key[0], None)
            taken.models[key[0]] = model
    taken.reject(faults)
    strategy = str(learning_settings(project)["strategy"])
    for key, rows in scores.items():
        model = models[key]
        assert isinstance(model, ModelVersion)
        proba = np.array(list(rows.values()), np.float64)
        write_scores(
            model=model,
            items=np.array(list(rows), np.int64),
            proba=proba,
            utilities=utilities_for(questions[key[0]], strategy, proba),
            classes=classes[key[0]],
            check=running.check,
            is_sent=True,
            is_several=holds_several(questions[key[0]]),
        )


def _find_model(project: Project, key: Key, classes: list[int]) -> ModelVersion | str:
    """The model's row, or the sentence why it takes no scores."""
    question, name, version = key
    try:
        return ensure_external_model(project=project, question=question, name=name, version=version, classes=classes)
    except InvalidError as error:
        return error.detail


def _use(running: RunningJob, taken: TakenScores) -> None:
    """Let the models that came last be the current ones; raise a batch by one of them, unless told not to."""
    project = running.project
    if not taken.models:
        return
    questions = {question["id"]: question for question in learnable_questions(project)}
    default = default_question(project)
    asked = default["id"] if default is not None and default["id"] in taken.models else list(taken.models)[-1]
    for number, model in taken.models.items():
        if number != asked or not running.args["select"]:
            figures = judge_sent(project, questions[number], model, seed=0)
            make_current(model=model, check=running.check, evaluation=figures)
            remove_old_scores(project=project, question=number, check=running.check)
    if running.args["select"]:
        round_ = open_round(
            project=project,
            job=running.job,
            question=questions[asked],
            trigger=Round.Trigger.PREDICTIONS,
            check=running.check,
        )
        conduct(running, round_, train=False, model_id=taken.models[asked].pk)
