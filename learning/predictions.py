"""A line of predictions, checked: `{"external_id", "model", "version"?, "question"?, "proba" or "answers"}`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import KINDS, AnswerError, Question
from annotation.plain_text import find_line_fault, quote
from learning.actions.models import TRAINED_NAMES
from learning.questions import class_names, classes_of, holds_several, only_one, scale_of

DEFAULT_VERSION = "1"
MAX_NAME = 100
TOLERANCE = 1e-6
LLM_PREFIX = "llm:"
_KEYS = frozenset({"external_id", "model", "version", "question", "proba", "answers"})


class PredictionError(ValueError):
    """The line is not a valid prediction; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities of one item over the classes of the question, summing to 1 unless several of them may hold."""

    external_id: str
    model: str
    version: str
    question: int
    proba: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Learnable:
    """A question that can be learned, as lines speak of it: looked up once for a million of them.

    `values` are its classes as `proba` names them, `classes` their codes; `is_meant`: where a line names no question;
    `is_several`: whether several classes may hold.
    """

    question: Question
    id: int
    name: str
    values: tuple[str, ...]
    classes: tuple[int, ...]
    is_meant: bool
    is_several: bool

    def read_answer(self, answer: object) -> tuple[float, ...]:
        """An answer as probabilities: 1 for what it says. Raises PredictionError."""
        kind = KINDS[self.question["kind"]]
        try:
            said = kind.codes(self.question, kind.parse_answer(self.question, answer))
        except AnswerError as error:
            raise PredictionError(error.detail) from error
        return tuple(float(code in said) for code in self.classes)

    def tell_unknown(self, value: str) -> str:
        """That no class is so named, as a sentence."""
        if scale_of(self.question) is None:
            return _("%(value)s is not one of the choices.") % {"value": quote(value)}
        ends = {"value": quote(value), "low": self.values[0], "high": self.values[-1]}
        return _("%(value)s is not on the scale from %(low)s to %(high)s.") % ends


def list_learnable(questions: Sequence[Question]) -> list[Learnable]:
    """The questions (`learnable_questions`), ready for `parse_prediction`."""
    meant = only_one(list(questions))
    return [
        Learnable(
            question=question,
            id=question["id"],
            name=question["name"],
            values=tuple(class_names(question)),
            classes=tuple(classes_of(question)),
            is_meant=question is meant,
            is_several=holds_several(question),
        )
        for question in questions
    ]


def parse_prediction(row: Mapping[str, Any], learnable: Sequence[Learnable]) -> list[Prediction]:
    """Check one line; one prediction for each question that it speaks about.

    `learnable` are the questions that can be learned. `proba`: choice, or point of a scale as text -> probability;
    those left out share what is missing to 1 equally, or have 0 where several may hold. `answers`: question -> answer,
    which gets probability 1. Raises PredictionError.
    """
    if not row.keys() <= _KEYS:
        raise PredictionError(
            _("There is no field %(name)s. Known: %(known)s.")
            % {"name": quote(min(set(row) - _KEYS)), "known": ", ".join(sorted(_KEYS))}
        )
    external_id = _read_name(row, "external_id", 200)
    model = _read_name(row, "model", MAX_NAME)
    if model in TRAINED_NAMES.values():
        raise PredictionError(_("The name %(name)s belongs to models trained here.") % {"name": quote(model)})
    if model.startswith(LLM_PREFIX):
        raise PredictionError(_("Names that begin with llm: belong to language models that are asked from here."))
    version = DEFAULT_VERSION if row.get("version") is None else _read_name(row, "version", MAX_NAME)
    if ("proba" in row) == ("answers" in row):
        raise PredictionError(_("Give either `proba` or `answers`."))
    if "proba" in row:
        question = _find_question(row, learnable)
        found = {question.id: _read_proba(row["proba"], question)}
    else:
        found = _read_answers(row, learnable)
    return [Prediction(external_id, model, version, number, proba) for number, proba in found.items()]


def _read_name(row: Mapping[str, Any], field: str, most: int) -> str:
    value = row.get(field)
    fault = find_line_fault(value, most)
    if fault is not None:
        raise PredictionError(_("`%(field)s` %(fault)s.") % {"field": field, "fault": fault})
    return str(value)


def _find_question(row: Mapping[str, Any], learnable: Sequence[Learnable]) -> Learnable:
    name = row.get("question")
    if name is None:
        meant = next((question for question in learnable if question.is_meant), None)
        if meant is not None:
            return meant
        raise PredictionError(_("Say which `question`: one of: %(names)s.") % {"names": _names(learnable)})
    for question in learnable:
        if question.name == name:
            return question
    raise PredictionError(
        _("%(name)s is no question that can be learned. There are: %(names)s.")
        % {"name": quote(name), "names": _names(learnable)}
    )


def _names(learnable: Sequence[Learnable]) -> str:
    return ", ".join(question.name for question in learnable) or "-"


def _read_proba(sent: object, question: Learnable) -> tuple[float, ...]:
    values = question.values
    if not isinstance(sent, dict):
        raise PredictionError(_('`proba` must be an object: {"CHOICE": probability}.'))
    unknown = [str(value) for value in sent if value not in values]
    if unknown:
        raise PredictionError(question.tell_unknown(min(unknown)))
    for value, p in sent.items():
        if (
            isinstance(p, bool)
            or not isinstance(p, (int, float))
            or not math.isfinite(p)
            or not 0 <= p <= 1 + TOLERANCE
        ):
            raise PredictionError(
                _("The probability of %(value)s must be a number from 0 to 1.") % {"value": quote(value)}
            )
    if question.is_several:
        return tuple(min(1.0, float(sent.get(value, 0))) for value in values)
    total = math.fsum(sent.values())
    if total > 1 + TOLERANCE:
        raise PredictionError(_("The probabilities sum to %(sum).6g, which is more than 1.") % {"sum": total})
    left_out = len(values) - len(sent)
    if left_out == 0 and total < 1 - 1e-3:  # rounded figures pass
        raise PredictionError(
            _("All choices are named and their probabilities sum to %(sum).6g, not 1.") % {"sum": total}
        )
    each = max(0.0, 1 - total) / left_out if left_out else 0.0
    proba = [float(sent.get(value, each)) for value in values]
    whole = math.fsum(proba)
    return tuple(p / whole for p in proba)


def _read_answers(row: Mapping[str, Any], learnable: Sequence[Learnable]) -> dict[int, tuple[float, ...]]:
    answers = row["answers"]
    if not isinstance(answers, dict) or not answers:
        raise PredictionError(_('`answers` must be an object: {"QUESTION": "CHOICE"}.'))
    names = [row["question"]] if row.get("question") is not None else list(answers)
    if len(names) < len(answers) or names[0] not in answers:
        raise PredictionError(_("`answers` and `question` name different questions."))
    found: dict[int, tuple[float, ...]] = {}
    for name in names:
        question = _find_question({"question": name}, learnable)
        found[question.id] = question.read_answer(answers[name])
    return found
