"""A guideline as a form, one clause open at a time, and what a version changes of the one before, word by word.

A draft is a list of clauses as they are sent, possibly faulty. Nothing here reads the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from django.utils.text import slugify
from django.utils.translation import gettext as _

Clause = dict[str, Any]
MOST_WORDS = 4000  # of one text that is compared word by word; longer ones are shown whole
MOST_EXAMPLES = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text of a comparison."""

    op: Literal["same", "out", "in"]
    text: str


@dataclass(frozen=True, slots=True)
class ClauseChange:
    """One clause of the newer version (of the older one where it was removed) and what changed in it."""

    id: str
    title: str
    status: Literal["same", "new", "changed", "removed"]
    pieces: list[tuple[str, list[Piece]]]  # (title, text or example in words; its pieces), only what changed


def compare_words(old: str, new: str) -> list[Piece]:
    """The way from one text to another, by words."""
    before, after = re.findall(r"\s+|\S+", old), re.findall(r"\s+|\S+", new)
    if len(before) > MOST_WORDS or len(after) > MOST_WORDS:
        return [Piece("out", old), Piece("in", new)]
    pieces: list[Piece] = []
    for op, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if op == "equal":
            pieces.append(Piece("same", "".join(before[a:b])))
        else:
            pieces += [Piece(kind, "".join(text)) for kind, text in (("out", before[a:b]), ("in", after[c:d])) if text]  # type: ignore[arg-type]
    return pieces


def compare_clauses(old: Sequence[Clause], new: Sequence[Clause]) -> list[ClauseChange]:
    """What each clause of `new` is beside the one of its id in `old`, in order; then those that were removed."""
    before = {clause.get("id"): clause for clause in old}
    changes = []
    for clause in new:
        earlier = before.get(clause.get("id"))
        if earlier is None:
            changes.append(ClauseChange(str(clause.get("id")), str(clause.get("title", "")), "new", []))
            continue
        pieces = []
        for label, key in ((_("Title"), "title"), (_("Text"), "text")):
            if str(earlier.get(key, "")) != str(clause.get(key, "")):
                pieces.append((label, compare_words(str(earlier.get(key, "")), str(clause.get(key, "")))))
        said, says = _tell_examples(earlier), _tell_examples(clause)
        if said != says:
            pieces.append((_("Examples"), compare_words("\n".join(said), "\n".join(says))))
        status: Literal["same", "changed"] = "changed" if pieces else "same"
        changes.append(ClauseChange(str(clause["id"]), str(clause.get("title", "")), status, pieces))
    kept = {clause.get("id") for clause in new}
    return changes + [
        ClauseChange(str(clause["id"]), str(clause.get("title", "")), "removed", [])
        for clause in old
        if clause["id"] not in kept
    ]


def _tell_examples(clause: Clause) -> list[str]:
    told = []
    for one in examples_of(clause):
        note = f" ({one['note']})" if one.get("note") else ""
        told.append(f"{_('In') if one.get('in_scope') else _('Out')}: {one.get('text', '')}{note}")
    return told


def examples_of(clause: Clause) -> list[dict[str, Any]]:
    """The examples of a clause; what is no object is left out."""
    examples = clause.get("examples")
    return [one for one in examples if isinstance(one, dict)] if isinstance(examples, list) else []


def read_clause(data: Mapping[str, Any], clause: Clause, *, may_rename: bool) -> Clause:
    """The clause that a posted form says. Its id stays, unless it was never published (`may_rename`)."""
    given = data.get("clause_id", "").strip()
    read = {
        "id": given if may_rename and given else clause.get("id", ""),
        "title": data.get("title", "").strip(),
        "text": data.get("text", "").replace("\r\n", "\n").strip(),
    }
    n = data.get("n_examples", "0")
    examples = []
    for index in range(min(int(n), MOST_EXAMPLES) if n.isdecimal() else 0):
        examples.append(
            {
                "in_scope": data.get(f"e-{index}-scope", "in") == "in",
                "text": data.get(f"e-{index}-text", "").replace("\r\n", "\n").strip(),
                "note": data.get(f"e-{index}-note", "").strip(),
            }
        )
    return {**read, "examples": examples}


def add_clause(clauses: list[Clause], known: Sequence[str] = ()) -> int:
    """Put a new clause at the end, with an id that no version had (`known`); its place."""
    taken = {str(clause.get("id")) for clause in clauses} | set(known)
    number = next(n for n in range(len(clauses) + 1, len(clauses) + len(taken) + 2) if f"clause-{n}" not in taken)
    clauses.append({"id": f"clause-{number}", "title": "", "text": "", "examples": []})
    return len(clauses) - 1


def suggest_id(clause: Clause, clauses: Sequence[Clause], known: Sequence[str] = ()) -> str:
    """An id made of the title, where the clause still has the one that it was given at first and none has this."""
    wanted = slugify(str(clause.get("title", "")))[:60].strip("-")
    taken = {str(one.get("id")) for one in clauses} | set(known)
    if not wanted or wanted in taken or not re.fullmatch(r"clause-\d+", str(clause.get("id"))):
        return str(clause.get("id"))
    return wanted


def move(rows: list[Any], place: int, by: int) -> int:
    """Move a row up (-1) or down (1); its new place."""
    target = place + by
    if 0 <= place < len(rows) and 0 <= target < len(rows):
        rows[place], rows[target] = rows[target], rows[place]
        return target
    return place


def change_examples(clause: Clause, what: str, index: int) -> int:
    """Do to example `index`: `in` or `out` (add one such at the end), `remove`, `up`, `down`; the one to show."""
    examples = clause["examples"] = examples_of(clause)
    if what in ("in", "out"):
        examples.append({"in_scope": what == "in", "text": "", "note": ""})
        return len(examples) - 1
    if what == "remove" and 0 <= index < len(examples):
        del examples[index]
        return max(0, min(index, len(examples) - 1))
    return move(examples, index, -1 if what == "up" else 1)
