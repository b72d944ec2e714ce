"""Questions as columns: which name, which type, and how a stored value is spelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from annotation.kinds import KINDS, LabelValue, Question
from annotation.kinds.choice_tree import name_choices
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
_TYPES = {
    "choice": pa.string(),
    "choices": pa.list_(pa.string()),
    "rating": pa.int64(),
    "number": pa.float64(),
    "spans": pa.list_(
        pa.struct([("part", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())])
    ),
    "boxes": pa.list_(
        pa.struct([("part", pa.string()), *((side, pa.float64()) for side in "xywh"), ("label", pa.string())])
    ),
    "segments": pa.list_(
        pa.struct([("part", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("label", pa.string())])
    ),
    "ranking": pa.list_(pa.list_(pa.string())),
}


@dataclass(frozen=True, slots=True)
class QuestionColumn:
    """One question as a column. `values`: choice id -> the value that the schema has, or last had, for it."""

    question: Question
    values: Mapping[int, str]

    @property
    def question_id(self) -> int:
        return int(self.question["id"])

    @property
    def name(self) -> str:
        return str(self.question["name"])

    @property
    def kind(self) -> str:
        return str(self.question["kind"])

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
        """How Parquet stores it; a kind that is not known here is canonical JSON, as text."""
        return _TYPES.get(self.kind, pa.string())

    def spell(self, *, choice: int | None, choices: Sequence[int] | None, number: float | None, data: Any) -> Any:
        """Return a stored value as callers send it; None where nothing is set, or the value is of another kind."""
        if self.kind == "choice":
            return None if choice is None else self.values.get(choice)
        if self.kind == "choices":
            return None if choices is None else [self.values[code] for code in choices if code in self.values]
        if self.kind == "rating":
            return None if number is None else int(number)
        if self.kind == "number":
            return number
        if data is None:
            return None
        shown = KINDS[self.kind].show_value(self.question, LabelValue(data=data))
        return shown if self.kind in _TYPES else to_canonical(shown).decode()

    def count(self, value: Any) -> list[str]:
        """What an accepted value (spelled) counts for: itself, its choices, its labels once each, the best ones."""
        if value is None:
            return []
        if self.kind in ("spans", "boxes", "segments"):
            return list(dict.fromkeys(mark["label"] for mark in value))
        if self.kind == "ranking":
            return list(value[0])
        return list(map(str, value)) if isinstance(value, list) else [str(value)]


def columns_of(compiled: Compiled) -> list[QuestionColumn]:
    """Return a column for each question of a compiled schema, in schema order; none for texts, which are content."""
    # A choice that has left the schema keeps its value: old answers still name it.
    return [
        QuestionColumn(question=question, values=name_choices(question))
        for question in compiled["questions"]
        if KINDS[question["kind"]].COLUMN != "text"
    ]
