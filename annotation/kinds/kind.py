"""What every question kind offers, the value that it stores, and the two errors that kinds raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from annotation.errors import TouchstoneError

Question = dict[str, Any]  # one question of a compiled schema, as annotation.schema describes it


@dataclass(frozen=True, slots=True)
class LabelValue:
    """One label's value. Exactly one of these is set: the one that its kind names as COLUMN.

    `choice`: a choice id of the question. `choices`: distinct choice ids, ascending, [] means "none of them".
    `number`: a finite number. `data`: a list of what JSON can hold, in the one spelling that its kind gives it, so that
    equal answers are equal lists. `text`: free text, which is never stored beside the others (see `AnnotationText`).
    """

    choice: int | None = None
    choices: list[int] | None = None
    number: float | None = None
    data: list[Any] | None = None
    text: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the one that is set, by its name."""
        named: dict[str, Any] = {"choice": self.choice, "choices": self.choices, "number": self.number}
        named |= {"data": self.data, "text": self.text}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Part:
    """What an answer may point into: a part of an item.

    `length` is that of a text in code points, `seconds` how long a recording lasts; None for other kinds, and for a
    recording that nobody has measured.
    """

    kind: str
    length: int | None = None
    seconds: float | None = None


Parts = Mapping[str, Part]  # the parts of an item by name


class SchemaError(TouchstoneError):
    """The label schema is not valid."""

    code = "invalid_schema"


class AnswerError(TouchstoneError):
    """The answer does not fit the question."""

    code = "invalid_answers"
    status = 422

    def __init__(self, question: str, sentence: str) -> None:
        """`question` is the question's name, `sentence` says what an answer must be."""
        super().__init__(sentence, fields={question: sentence})
        self.question = question


@dataclass(frozen=True, slots=True)
class FormField:
    """One of a kind's own keys, as a field of the form in which owners edit a question.

    `widget`: "number", "line" (a short text), "check" (true, or left out), or "choices" (a list of choices with their
    texts, keys, clauses and children). A module lists its fields in `FORM`; what it does not list there is edited as
    JSON in the same form.
    """

    key: str
    label: Any  # translated when it is shown
    widget: Literal["number", "line", "check", "choices"] = "line"
    hint: Any = ""


class Kind(Protocol):
    """A module of this package, one per question kind. Questions passed in are compiled ones."""

    NAME: str
    KEYS: frozenset[str]  # what the kind's schema may hold beside name, kind, text, required, when
    FORM: tuple[FormField, ...]  # which of these have fields in the owner's form; the rest is edited there as JSON
    LEVEL: str  # level of measurement for agreement: "nominal", "ordinal" or "interval"; "" where it is not measured
    COLUMN: str  # what holds an answer: "choice", "choices", "number", "data" or "text", as in LabelValue
    PARTS: frozenset[str]  # the kinds of parts that an answer points into; empty where the item need not be known

    def compile_question(self, raw: Question, previous: Question | None) -> Question:
        """Return the kind's own part of the compiled question (ids included), or raise SchemaError.

        `raw` is the question as sent, its shared keys already checked. `previous` is the compiled question of that name
        in the version before (or its tombstone), from which ids are kept; None where there was none.
        """

    def show_question(self, question: Question) -> Question:
        """Return the kind's own part of the question as it was sent."""

    def find_breaks(self, old: Question, new: Question) -> list[str]:
        """Return a sentence for each way in which `new` no longer holds answers to `old`; [] where all still hold."""

    def domain(self, question: Question) -> dict[str, int]:
        """Return every answer value as text -> its code, in schema order; {} for a kind whose values are not listed."""

    def parse_answer(self, question: Question, value: object, parts: Parts | None = None) -> LabelValue:
        """Return the stored form of an answer, or raise AnswerError.

        `parts` are those of the item, for a kind that has PARTS; None where its content is not there any more, or where
        there is no item: then the form of the answer is all that can be checked.
        """

    def show_value(self, question: Question, value: LabelValue) -> Any:
        """Return the answer as callers send it: the inverse of `parse_answer`. KeyError for an id it does not know."""

    def tell(self, question: Question, value: Any) -> str:
        """Return an answer (or one value of it) as `show_value` gives it, in the words of the schema."""

    def codes(self, question: Question, value: LabelValue) -> tuple[int, ...]:
        """Return the code or codes that stand for the value in agreement, ascending; () for a kind without codes."""

    def from_codes(self, question: Question, codes: Sequence[int]) -> LabelValue | None:
        """Return the value that these codes stand for, None where the question cannot hold them."""

    def is_same(self, question: Question, a: LabelValue, b: LabelValue) -> bool:
        """Say whether two answers are the same answer."""

    def distance(self, question: Question, a: LabelValue, b: LabelValue) -> float:
        """Return how far apart two answers are: 0.0 the same, 1.0 as far as this question allows."""

    def render(self, question: Question) -> dict[str, Any]:
        """Return what pages need beside what `render_schema` tells of any question: at least template, widget, options.

        `widget` names the module of static/js/desk/widgets/ that draws the question, `template` the reviewers' form.
        `options` are what a key can choose; [] where there is nothing of the kind.
        """
