"""Stored values as callers spell them: resolutions, votes and labels; a choice that left the schema keeps its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from annotation.errors import StateError
from annotation.kinds import KINDS, LabelValue, Question
from annotation.kinds import number as number_kind
from annotation.kinds.choice_tree import name_choices, walk
from annotation.models import Project
from annotation.schema import Compiled


class ValueRow(Protocol):
    """The typed columns that labels and resolutions share. A text is in neither."""

    choice: int | None
    choices: list[int] | None
    number: float | None
    data: list[Any] | None


def read_value(row: ValueRow) -> LabelValue | None:
    """The value in a row's typed columns; None where none of them is set."""
    value = LabelValue(choice=row.choice, choices=row.choices, number=row.number, data=row.data)
    return value if value.columns() else None


def restore_value(stored: Mapping[str, Any]) -> LabelValue | None:
    """The value in stored columns by their name (the inverse of `LabelValue.columns`); None where none is set."""
    value = LabelValue(**{name: stored.get(name) for name in ("choice", "choices", "number", "data")})
    return value if value.columns() else None


def restore_texts(texts: Mapping[str, str]) -> dict[int, LabelValue]:
    """Stored texts by question id as text -> values by question id."""
    return {int(number): LabelValue(text=text) for number, text in texts.items()}


def spell_value(question: Question, value: LabelValue | None) -> Any:
    """The answer as callers send it; None for none. A choice that left the schema keeps the value that it had."""
    if value is None:
        return None
    try:
        return KINDS[question["kind"]].show_value(question, value)
    except KeyError:
        names = name_choices(question)
        if value.choice is not None:
            return names.get(value.choice, str(value.choice))
        return [names.get(code, str(code)) for code in value.choices or ()]


Counted = TypeVar("Counted", int, float)


def spell_votes(question: Question, votes: Mapping[str, Counted]) -> dict[str, Counted]:
    """Votes by choice id, rating or number (as text) -> votes by value, most first. {} for kinds without such names.

    Chances likewise.
    """
    names = {str(code): name for code, name in name_choices(question).items()}
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


def tell_value(question: Question, value: Any) -> str:
    """An answer in the words of the schema: the choices' texts, with commas; numbers with their unit; "" for none."""
    return "" if value is None else KINDS[question["kind"]].tell(question, value)


def has_votes_by_value(question: Question) -> bool:
    """Whether its answers have short names by which votes are counted; spans, texts and their like have none."""
    return KINDS[question["kind"]].COLUMN not in ("data", "text")


def tell_values(value: Any) -> list[str]:
    """The single values of an answer, as text: one for a choice, any number for choices, none for no answer."""
    if value is None:
        return []
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def named_choices(value: Any) -> Iterator[str]:
    """Every choice or label that an answer names, in whatever shape its kind has."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from named_choices(one)
    elif isinstance(value, dict):
        yield from named_choices(value.get("label"))


def tell_answers(compiled: Compiled, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answers in words, in schema order: `[{"question": its name, "text"}]`."""
    return [
        {
            "question": question["name"],
            "text": tell_value(question, answers[question["name"]]) or "–",
        }
        for question in compiled["questions"]
        if question["name"] in answers
    ]
