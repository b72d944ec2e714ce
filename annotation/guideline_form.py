"""A guideline as a form, one clause open at a time.

A draft is a list of clauses as they are sent, possibly faulty. Nothing here reads the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.text import slugify

from annotation.list_form import move, read_whole

Clause = dict[str, Any]
MOST_EXAMPLES = 200


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
    examples = []
    for index in range(min(read_whole(data.get("n_examples", "")), MOST_EXAMPLES)):
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
