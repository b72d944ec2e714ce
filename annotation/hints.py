"""How hard an item is to look at, as its metadata says: `severity`, and what of (`harm`). And which lane that makes.

`severity` is `none` (also where it is left out), `mild` or `severe`; `harm` is one or a few short names that the people
of a project agree on, such as `violence`: a list, or a text with commas as a table's cell has it. Nothing here knows
what the names mean: people opt out of the ones that occur in their projects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from annotation.plain_text import quote

SEVERITIES = ("none", "mild", "severe")
SEVERE = SEVERITIES.index("severe")
MAX_HARMS = 5  # of one item
MAX_HARM = 40  # letters of its name

_HARM = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hint:
    """What is said of an item before it is shown: a place in SEVERITIES, and its harms in order, each once."""

    severity: int = 0
    harms: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say."""
        return self.severity == 0 and not self.harms

    def as_json(self) -> dict[str, Any]:
        """The hint as a lease shows it."""
        return {"severity": SEVERITIES[self.severity], "harms": list(self.harms)}


class LaneKey(NamedTuple):
    """What of an item decides who may take it: one lane of a project, stream and kind."""

    language: str
    severity: int
    harms: str


_NO_HINT = Hint()


def read_hint(metadata: Mapping[str, Any]) -> Hint:
    """The hint in an item's metadata. What `find_hint_fault` would refuse counts as not said."""
    if "severity" not in metadata and "harm" not in metadata:
        return _NO_HINT
    severity, harms = metadata.get("severity"), _split(metadata.get("harm"))
    return Hint(
        SEVERITIES.index(severity) if severity in SEVERITIES else 0,
        tuple(sorted({harm for harm in harms or () if _HARM.fullmatch(harm)})[:MAX_HARMS]),
    )


def is_harm(name: object) -> bool:
    """Whether this can be the name of a harm."""
    return isinstance(name, str) and _HARM.fullmatch(name) is not None


def find_hint_fault(metadata: Mapping[str, Any]) -> str | None:
    """A sentence that says what is wrong with `severity` or `harm`; None where they are right or left out.

    They are not taken on trust: a severity that is misspelt would show an item without its hint.
    """
    severity, harm = metadata.get("severity"), metadata.get("harm")
    if severity is not None and severity not in SEVERITIES:
        return _(
            "`severity` is %(found)s; it must be one of %(known)s. Name the column otherwise if it is not that."
        ) % {
            "found": quote(severity),
            "known": ", ".join(SEVERITIES),
        }
    harms = _split(harm)
    if harms is None or len(set(harms)) > MAX_HARMS or not all(_HARM.fullmatch(one) for one in harms):
        return _(
            "`harm` is %(found)s; it must be up to %(most)d short names of a-z, 0-9, _ and -, in a list or with commas."
        ) % {"found": quote(harm), "most": MAX_HARMS}
    return None


def lane_of(metadata: Mapping[str, Any]) -> LaneKey:
    """The lane of an item with this metadata."""
    hint = read_hint(metadata)
    return LaneKey(str(metadata.get("language", "")).lower(), hint.severity, ",".join(hint.harms))


def _split(harm: Any) -> list[str] | None:
    """The names in `harm`, in lower case; None where it is neither a text nor a list of texts."""
    if harm is None:
        return []
    if isinstance(harm, str):
        harm = harm.split(",")
    if not isinstance(harm, list) or not all(isinstance(one, str) for one in harm):
        return None
    return [name for one in harm if (name := one.strip().lower())]
