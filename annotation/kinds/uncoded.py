"""What the kinds share whose answers no code stands for, and are compared as themselves."""

from __future__ import annotations

from collections.abc import Sequence

from annotation.kinds.kind import LabelValue, Question


def domain(question: Question) -> dict[str, int]:
    """Return {}: the answers are not listed, so that a map to another version names none and all are asked again."""
    return {}


def codes(question: Question, value: LabelValue) -> tuple[int, ...]:
    """Return ()."""
    return ()


def from_codes(question: Question, codes: Sequence[int]) -> LabelValue | None:
    """Return None: codes stand for no answer."""
    return None
