"""Questions as columns: which name, which type, and how a stored value is spelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from annotation.kinds.choice_tree import walk
from annotation.schema import Compiled
from learning.snapshots.canonical import to_canonical

# Columns of labels.* and annotations.* that are there whatever the questions are called.
FIXED_NAMES = frozenset(
    {
        "annotation_id",
        "annotator",
        "clauses",
        "commitment",
        "created_at",
        "draw",
        "external_id",
        "flag",
        "guideline_version",
        "item_id",
        "n_annotations",
        "n_simulated",
        "schema_version",
        "seconds",
        "source",
        "split",
        "suggestion",
        "unsure",
    }
)
_TYPES = {"choice": pa.string(), "choices": pa.list_(pa.string()), "rating": pa.int64(), "number": pa.float64()}


@dataclass(frozen=True, slots=True)
class QuestionColumn:
    """One question as a column. `values`: choice id -> the text that the schema has, or last had, for it."""

    question_id: int
    name: str
    kind: str
    values: Mapping[int, str]

    @property
    def value_column(self) -> str:
        """The question's own name; `NAME.value` where a fixed column has that name (no question's name holds a dot)."""
        return f"{self.name}.value" if self.name in FIXED_NAMES else self.name

    @property
    def confidence_column(self) -> str:
        return f"{self.name}.confidence"

    @property
    def source_column(self) -> str:
        return f"{self.name}.source"

    @property
    def arrow_type(self) -> pa.DataType:
        """How Parquet stores it; a kind whose values have parts of their own is canonical JSON, as text."""
        return _TYPES.get(self.kind, pa.string())

    def spell(
        self, *, choice: int | None, choices: Sequence[int] | None, number: float | None, data: Any
    ) -> str | list[str] | int | float | None:
        """Return a stored value as callers send it; None where nothing is set, or the value is of another kind."""
        if self.kind == "choice":
            return None if choice is None else self.values.get(choice)
        if self.kind == "choices":
            return None if choices is None else [self.values[code] for code in choices if code in self.values]
        if self.kind == "rating":
            return None if number is None else int(number)
        if self.kind == "number":
            return number
        return None if data is None else to_canonical(data).decode()


def columns_of(compiled: Compiled) -> list[QuestionColumn]:
    """Return a column for each question of a compiled schema, in schema order."""
    return [
        QuestionColumn(
            question_id=question["id"],
            name=question["name"],
            kind=question["kind"],
            # A choice that has left the schema keeps its text: old answers still name it.
            values={
                choice["id"]: choice["value"]
                for choice in (*question.get("retired_choices", ()), *walk(question.get("choices", ())))
            },
        )
        for question in compiled["questions"]
    ]
