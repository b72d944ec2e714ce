"""Stored values as callers spell them: resolutions, votes and labels; a choice that left the schema keeps its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from annotation.errors import StateError
from annotation.kinds import KINDS, LabelValue, Question
from annotation.kinds import number as number_kind
from annotation.kinds.choice_tree import walk
from annotation.models import Project
from annotation.schema import Compiled


class ValueRow(Protocol):
    """The typed columns that labels and resolutions share."""

    choice: int | None
    choices: list[int] | None
    number: float | None


def read_value(row: ValueRow) -> LabelValue | None:
    """The value in a row's typed columns; None where none of them is set."""
    if row.choice is None and row.choices is None and row.number is None:
        return None
    return LabelValue(choice=row.choice, choices=row.choices, number=row.number)


def store_value(value: LabelValue) -> dict[str, Any]:
    """The one column that a value sets, as in `Adjudication.answers` and in the labels of a submit."""
    columns = {"choice": value.choice, "choices": value.choices, "number": value.number}
    return {name: column for name, column in columns.items() if column is not None}


def restore_value(stored: Mapping[str, Any]) -> LabelValue:
    """The inverse of `store_value`."""
    return LabelValue(choice=stored.get("choice"), choices=stored.get("choices"), number=stored.get("number"))


def spell_value(question: Question, value: LabelValue | None) -> Any:
    """The answer as callers send it; None for none. A choice that left the schema keeps the value that it had."""
    if value is None:
        return None
    try:
        return KINDS[question["kind"]].show_value(question, value)
    except KeyError:
        names = _names(question)
        if value.choice is not None:
            return names.get(value.choice, str(value.choice))
        return [names.get(code, str(code)) for code in value.choices or ()]


def spell_votes(question: Question, votes: Mapping[str, int]) -> dict[str, int]:
    """Votes by choice id, rating or number (as text) -> votes by value, most first."""
    names = {str(code): name for code, name in _names(question).items()}
    if question["kind"] == number_kind.NAME:
        names = {text: str(number_kind.shorten(float(text))) for text in votes}
    ordered = sorted(votes.items(), key=lambda vote: (-vote[1], float(vote[0])))
    return {names.get(code, code): n for code, n in ordered}


def spell_answers(questions: Mapping[int, Question], values: Mapping[int, LabelValue]) -> dict[str, Any]:
    """Question name -> answer, in schema order; questions that left the schema are left out."""
    return {q["name"]: spell_value(q, values[number]) for number, q in questions.items() if number in values}


def compiled_schema(project: Project) -> Compiled:
    """The compiled schema in force. Raises StateError for the moment in which a project has none yet."""
    if project.schema is None:
        raise StateError
    compiled: Compiled = project.schema.compiled
    return compiled


def questions_by_id(compiled: Compiled) -> dict[int, Question]:
    """The questions of a compiled schema by their stable id, in schema order."""
    return {question["id"]: question for question in compiled["questions"]}


def choice_clauses(question: Question) -> dict[int, str]:
    """Choice id -> the clause of the guideline that it names; choices without one are left out."""
    return {choice["id"]: choice["clause"] for choice in walk(question.get("choices", ())) if choice.get("clause")}


def _names(question: Question) -> dict[int, str]:
    retired = {choice["id"]: choice["value"] for choice in question.get("retired_choices", ())}
    return retired | {choice["id"]: choice["value"] for choice in walk(question.get("choices", ()))}


def tell_value(question: Question, value: Any) -> str:
    """An answer in the words of the schema: the choices' texts, with commas; numbers with their unit; "" for none."""
    texts = {choice["value"]: choice.get("text") or choice["value"] for choice in walk(question.get("choices", ()))}
    unit = f"\N{NO-BREAK SPACE}{question['unit']}" if question.get("unit") else ""
    return ", ".join(texts.get(one, one) + unit for one in tell_values(value))


def tell_values(value: Any) -> list[str]:
    """The single values of an answer, as text: one for a choice, any number for choices, none for no answer."""
    if value is None:
        return []
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def tell_answers(compiled: Compiled, answers: Mapping[str, Any]) -> list[dict[str, str]]:
    """Answers in words, in schema order: `[{"question": its name, "text"}]`."""
    return [
        {
            "question": question["name"],
            "text": tell_value(question, answers[question["name"]]) or "–",
        }
        for question in compiled["questions"]
        if question["name"] in answers
    ]
