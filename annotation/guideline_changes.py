"""What differs between two versions of a guideline, clause by clause, word by word. Pure: no rows, no request.

A clause is the same clause under the same id, wherever it stands and whatever it is called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Literal

from annotation.versions import read_guideline

Clause = Mapping[str, Any]
Piece = tuple[Literal["same", "gone", "new"], str]
MAX_WORDS = 3000  # of both texts together; longer ones are told as a whole, because comparing is quadratic
_WORDS = re.compile(r"\s+|\w+\s*|[^\w\s]\s*")


@dataclass(frozen=True, slots=True)
class ClauseChange:
    """What happened to one clause. `title` and `text` are empty where they are as before; examples likewise."""

    kind: Literal["new", "changed"]
    title: list[Piece] = field(default_factory=list)
    text: list[Piece] = field(default_factory=list)
    examples_new: list[Clause] = field(default_factory=list)
    examples_gone: list[Clause] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GuidelineChanges:
    """What a newer version says otherwise than an older one. `by_clause` leaves out clauses that are as before."""

    since: int
    by_clause: dict[str, ClauseChange]
    gone: list[Clause]

    def __bool__(self) -> bool:
        return bool(self.by_clause or self.gone)


@lru_cache(maxsize=200)
def changes_between(old_id: int, new_id: int) -> GuidelineChanges:
    """The same for two stored versions, by their ids; versions never change, so each pair is compared once."""
    old, new = read_guideline(old_id), read_guideline(new_id)
    return compare_clauses(old.clauses, new.clauses, since=old.version)


def compare_clauses(old: Sequence[Clause], new: Sequence[Clause], *, since: int = 0) -> GuidelineChanges:
    """Compare two lists of clauses as `check_clauses` makes them. Another order alone is no change."""
    before = {clause["id"]: clause for clause in old}
    by_clause = {}
    for clause in new:
        known = before.get(clause["id"])
        change = ClauseChange("new") if known is None else _compare(known, clause)
        if change is not None:
            by_clause[clause["id"]] = change
    left = {clause["id"] for clause in new}
    return GuidelineChanges(since, by_clause, [clause for clause in old if clause["id"] not in left])


def _compare(old: Clause, new: Clause) -> ClauseChange | None:
    if old == new:
        return None
    examples_new = [one for one in new["examples"] if one not in old["examples"]]
    examples_gone = [one for one in old["examples"] if one not in new["examples"]]
    title, text = compare_words(old["title"], new["title"]), compare_words(old["text"], new["text"])
    if not (title or text or examples_new or examples_gone):
        return None
    return ClauseChange("changed", title, text, examples_new, examples_gone)


def compare_words(old: str, new: str) -> list[Piece]:
    """The newer text in pieces, with what is gone where it stood; [] where both are the same.

    The pieces that are not new make up the old text, those that are not gone the new one.
    """
    if old == new:
        return []
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    if len(a) + len(b) > MAX_WORDS:
        return [("gone", old), ("new", new)]
    pieces: list[Piece] = []
    for what, a1, a2, b1, b2 in SequenceMatcher(None, a, b).get_opcodes():
        if what == "equal":
            pieces.append(("same", "".join(a[a1:a2])))
            continue
        if a1 < a2:
            pieces.append(("gone", "".join(a[a1:a2])))
        if b1 < b2:
            pieces.append(("new", "".join(b[b1:b2])))
    return pieces
