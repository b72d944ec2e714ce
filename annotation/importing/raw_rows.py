"""What every format's reader yields instead of a row that it cannot read, and how large a row may be."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LINE_BYTES = 10 * 1024**2
MAX_COLUMNS = 1000


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that could not be read, and why, as a sentence."""

    reason: str
