"""What one fault showed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Figures by name, and what is wrong in words: nothing, where all is as promised."""

    name: str
    facts: dict[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, **facts: object) -> None:
        """Keep figures and print them."""
        for what, value in facts.items():
            print(f"  {what.replace('_', ' ')}: {value}", flush=True)
        self.facts |= facts

    def expect(self, is_so: bool, what: str) -> None:
        """Note `what` as wrong unless `is_so`."""
        if not is_so:
            self.blame([what])

    def blame(self, faults: list[str]) -> None:
        """Note what is wrong, and print it."""
        for fault in faults:
            print(f"  WRONG: {fault}", flush=True)
        self.faults += faults
