"""What became of the lines of a file that was sent in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SHOWN_ERRORS = 100


@dataclass(slots=True)
class Taken:
    """Lines accepted and rejected; the first hundred rejected ones are kept with their reason."""

    accepted: int = 0
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, faults: Iterable[tuple[int, str]]) -> None:
        """Count wrong lines, each with why it is wrong."""
        for line, reason in sorted(faults):
            self.rejected += 1
            if len(self.errors) < SHOWN_ERRORS:
                self.errors.append({"line": line, "reason": reason})

    def as_result(self) -> dict[str, Any]:
        """`{"accepted", "rejected", "errors"}`."""
        return {"accepted": self.accepted, "rejected": self.rejected, "errors": self.errors}
