"""A label schema as a form: one question open at a time, its fields as its kind lists them, all else as JSON.

What is edited is a draft: a schema as it is sent, possibly faulty. Nothing that stands in it is lost: a key that no
field shows is in the JSON of its question or choice. Nothing here reads the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation.kinds import KINDS, SchemaError, form_of
from annotation.kinds.choice_tree import MAX_DEPTH
from annotation.list_form import move, read_whole
from annotation.plain_text import quote
from annotation.schema import MAX_QUESTIONS, Compiled, compile_schema
from annotation.strict_json import StrictJsonError, parse_json

RawSchema = dict[str, Any]
WITH_CHOICES = ("choice", "choices")
_SHARED = ("name", "kind", "text", "required", "when")
_CHOICE_FIELDS = ("value", "text", "key", "severity", "clause")
_NAMED = re.compile(r"`(\w+)[`.]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a draft, and where: a question by its place, one of its fields, one of its choices.

    None: it cannot be said more closely.
    """

    sentence: str
    question: int | None = None
    field: str | None = None
    choice: str | None = None


def questions_of(draft: RawSchema) -> list[dict[str, Any]]:
    """The questions of a draft; what is no object is left out."""
    sent = draft.get("questions")
    return [one for one in sent if isinstance(one, dict)] if isinstance(sent, list) else []


def in_order(draft: RawSchema) -> RawSchema:
    """The same draft with its keys in the order in which people write them: the database keeps none."""
    return (
        {**draft, "questions": [_in_order(one, _SHARED) for one in draft["questions"]]}
        if (isinstance(draft.get("questions"), list))
        else draft
    )


def _in_order(one: Any, first: Sequence[str]) -> Any:
    if not isinstance(one, dict):
        return one
    ordered = {key: one[key] for key in first if key in one} | one
    for key in ("choices", "labels", "children"):
        if isinstance(one.get(key), list):
            ordered[key] = [_in_order(choice, _CHOICE_FIELDS) for choice in one[key]]
    return ordered


def find_faults(draft: RawSchema, previous: Compiled | None) -> tuple[list[Fault], Compiled | None]:
    """All that is wrong with a draft, and the questions that are right, compiled (None: not one is).

    A question that depends on a faulty one is left out without a fault of its own.
    """
    faults: list[Fault] = []
    good: dict[str, dict[str, Any]] = {}
    bad: set[str] = set()
    for place, question in enumerate(questions_of(draft)):
        name, when = str(question.get("name")), question.get("when")
        wanted = str(when.get("question")) if isinstance(when, dict) else ""
        if wanted in bad:
            bad.add(name)
            continue
        # With the one it depends on, for itself: so many questions take no longer than one after the other.
        before = [{k: v for k, v in good[wanted].items() if k != "when"}] if wanted in good else []
        try:
            if name in good:
                raise SchemaError(_("Question %(name)s: this name stands there twice.") % {"name": quote(name)})
            compile_schema({"questions": [*before, question]})
            good[name] = question
        except SchemaError as error:
            bad.add(name)
            # It was checked by itself: a sentence that counts questions has counted only these.
            counted, told = (_("Question %(position)d") % {"position": n} for n in (len(before) + 1, place + 1))
            sentence = (
                f"{told}:{error.detail.removeprefix(counted + ':')}"
                if error.detail.startswith(counted + ":")
                else error.detail
            )
            faults.append(_place(sentence, place, question))
    if not faults:
        try:
            return [], compile_schema(draft, previous)
        except SchemaError as error:
            faults.append(Fault(error.detail))
    kept = list(good.values())[:MAX_QUESTIONS]
    return faults, compile_schema({"questions": kept}, previous) if kept else None


def _place(sentence: str, place: int, question: Mapping[str, Any]) -> Fault:
    """Where a sentence about a question belongs: it names the key in backticks, and the choice by its value."""
    values = [row["value"] for row in flatten_choices(question.get(choices_key(question))) if row["value"]]
    choice = next((value for value in values if quote(value) in sentence and value != question.get("name")), None)
    named = _NAMED.search(sentence)
    field = named[1] if named else None
    if field is None and choice is None and question.get("kind") not in KINDS:
        field = "kind"
    if field in ("when", "in", "min", "max"):
        choice = None
    return Fault(sentence, place, field, choice)


def choices_key(question: Mapping[str, Any]) -> str:
    """The key under which a question has its choices: its kind's form says."""
    return next((field.key for field in form_of(question.get("kind")) if field.widget == "choices"), "choices")


# Choices: nested in the schema, rows with a depth in the form


def flatten_choices(choices: object, depth: int = 0) -> list[dict[str, Any]]:
    """The choices as rows for the form, branches before their children; [] for what is no list of objects."""
    rows: list[dict[str, Any]] = []
    for one in choices if isinstance(choices, list) else []:
        if not isinstance(one, dict):
            continue
        rest = {key: value for key, value in one.items() if key not in (*_CHOICE_FIELDS, "children")}
        shown = {key: "" if one.get(key) is None else str(one[key]) for key in _CHOICE_FIELDS}
        rows.append({**shown, "depth": depth, "rest": json.dumps(rest, ensure_ascii=False) if rest else ""})
        rows += flatten_choices(one.get("children"), depth + 1)
    return rows


def nest_choices(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The inverse of `flatten_choices`. A row lies at most one level deeper than the one before it."""
    top: list[dict[str, Any]] = []
    path: list[dict[str, Any]] = []  # the last choice of each level
    for row in rows:
        depth = max(0, min(int(row["depth"]), len(path), MAX_DEPTH - 1))
        one = {key: row[key] for key in _CHOICE_FIELDS if key == "value" or row[key] != ""} | _read_rest(row["rest"])
        del path[depth:]
        (path[-1].setdefault("children", []) if path else top).append(one)
        path.append(one)
    return top


def _read_rest(text: str) -> dict[str, Any]:
    """Further keys, as JSON. What is no object is kept under a key that says so, and is then a fault of the schema."""
    if not text.strip():
        return {}
    try:
        found = parse_json(text.encode("utf-8", "surrogatepass"))
    except StrictJsonError:
        return {"not_json": text}
    return found if isinstance(found, dict) else {"not_json": text}


# Showing and reading the open question


def show_question(draft: RawSchema, place: int, faults: Sequence[Fault]) -> dict[str, Any] | None:
    """The open question as the template takes it; None where there is none at that place."""
    questions = questions_of(draft)
    if not 0 <= place < len(questions):
        return None
    question = questions[place]
    kind = question.get("kind")
    fields = form_of(kind)
    known = {*_SHARED, *(field.key for field in fields)}
    rest = {key: value for key, value in question.items() if key not in known}
    mine = [fault for fault in faults if fault.question == place]
    raw_when = question.get("when")
    when = raw_when if isinstance(raw_when, dict) else {}
    earlier = [one for one in questions[:place] if one.get("kind") in WITH_CHOICES]
    target = next((one for one in earlier if one.get("name") == when.get("question")), None)
    raw_wanted = when.get("in")
    wanted = raw_wanted if isinstance(raw_wanted, list) else []
    offered = [] if target is None else flatten_choices(target.get("choices"))
    return {
        "place": place,
        "number": place + 1,
        "name": _as_text(question.get("name")),
        "kind": _as_text(kind),
        "kinds": sorted(
            {*KINDS, _as_text(kind)} - {""}, key=lambda name: list(KINDS).index(name) if name in KINDS else 99
        ),
        "text": _as_text(question.get("text")),
        "required": question.get("required") is True,
        "when_question": _as_text(when.get("question")),
        "when_targets": [_as_text(one.get("name")) for one in earlier],
        "when_in": [
            {
                "value": row["value"],
                "text": row["text"] or row["value"],
                "depth": row["depth"],
                "is_in": row["value"] in wanted,
            }
            for row in offered
        ],
        "when_lost": [str(value) for value in wanted if value not in [row["value"] for row in offered]],
        "fields": [_show_field(field, question, mine) for field in fields],
        "plain_fields": [_show_field(field, question, mine) for field in fields if field.widget != "choices"],
        "rest": json.dumps(rest, ensure_ascii=False, indent=2) if rest else "",
        "faults": [fault.sentence for fault in mine],
        "faulty": {fault.field for fault in mine if fault.field and not fault.choice},
        "sentences": {fault.field or "": fault.sentence for fault in mine},
    }


def _show_field(field: Any, question: Mapping[str, Any], faults: Sequence[Fault]) -> dict[str, Any]:
    value = question.get(field.key)
    shown = {"key": field.key, "label": field.label, "widget": field.widget, "hint": field.hint}
    if field.widget == "choices":
        sentences = {fault.choice: fault.sentence for fault in faults if fault.choice is not None}
        rows = flatten_choices(value)
        for row in rows:
            row["fault"] = sentences.get(row["value"], "")
        return shown | {"rows": rows}
    if field.widget == "check":
        return shown | {"is_on": value is True}
    return shown | {"value": _as_text(value)}


def _as_text(value: object) -> str:
    return "" if value is None else str(value)


def read_question(data: Mapping[str, Any], get_list: Callable[[str], list[str]]) -> dict[str, Any]:
    """The question that a posted form says; `get_list` gives all values of a name.

    Its fields are those of the kind for which the form was drawn, `was_kind`: by what is stored, the same form sent
    twice would be read in two ways once it has changed the kind.
    """
    kind = data.get("was_kind", "")
    fields = form_of(kind)
    read: dict[str, Any] = {"name": data.get("name", "").strip(), "kind": data.get("kind") or kind}
    if data.get("text", "").strip():
        read["text"] = data["text"].replace("\r\n", "\n")
    if data.get("required"):
        read["required"] = True
    if data.get("when_question"):
        read["when"] = {"question": data["when_question"], "in": get_list("when_in")}
    for field in fields:
        if field.widget == "choices":
            read[field.key] = nest_choices(_read_rows(data))
        elif field.widget == "check":
            if data.get(f"field-{field.key}"):
                read[field.key] = True
        elif data.get(f"field-{field.key}", "").strip():
            text = data[f"field-{field.key}"].strip()
            read[field.key] = _as_number(text) if field.widget == "number" else text
    rest = _read_rest(data.get("rest", ""))
    return {**{key: value for key, value in rest.items() if key not in read}, **read}


def _as_number(text: str) -> int | float | str:
    """The number that a text says; the text itself where it says none, so that the schema's check names it."""
    try:
        return int(text)
    except ValueError:
        try:
            number = float(text)
        except ValueError:
            return text
        return number if number == number and abs(number) != float("inf") else text


def _read_rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for index in range(_count(data)):
        row: dict[str, Any] = {key: data.get(f"c-{index}-{key}", "").strip() for key in _CHOICE_FIELDS}
        depth = read_whole(data.get(f"c-{index}-depth", ""))
        rows.append({**row, "depth": depth, "rest": data.get(f"c-{index}-rest", "")})
    return rows


def _count(data: Mapping[str, Any]) -> int:
    return min(read_whole(data.get("n_choices", "")), 2000)


# What buttons do


def add_question(draft: RawSchema) -> int:
    """Put a new question at the end, with a name that is free; its place."""
    questions = _open(draft)
    names = {one.get("name") for one in questions}
    number = next(n for n in range(len(questions) + 1, len(questions) + 1000) if f"question_{n}" not in names)
    questions.append(
        {
            "name": f"question_{number}",
            "kind": "choice",
            "text": _("New question"),
            "required": True,
            "choices": [{"value": _("yes")}, {"value": _("no")}],
        }
    )
    return len(questions) - 1


def remove_question(draft: RawSchema, place: int) -> int:
    """Take a question out; the place of the one to show next."""
    questions = _open(draft)
    if 0 <= place < len(questions):
        del questions[place]
    return max(0, min(place, len(questions) - 1))


def move_question(draft: RawSchema, place: int, by: int) -> int:
    """Move a question up (-1) or down (1); its new place."""
    return move(_open(draft), place, by)


def rename_in_conditions(draft: RawSchema, old: str, new: str) -> None:
    """Let conditions on a question follow its new name."""
    for question in _open(draft):
        when = question.get("when")
        if isinstance(when, dict) and when.get("question") == old:
            when["question"] = new


def change_choices(question: dict[str, Any], what: str, index: int) -> int:
    """Do to row `index` of the flat choices: `add` (one below), `remove`, `up`, `down`, `in`, `out`.

    A branch moves with all below it. Returns the row to look at next.
    """
    key = choices_key(question)
    rows = flatten_choices(question.get(key))
    end = _end_of(rows, index)
    if what == "add":
        depth = rows[index]["depth"] if rows and index < len(rows) else 0
        at = end if rows else 0
        rows.insert(at, {**dict.fromkeys(_CHOICE_FIELDS, ""), "depth": depth, "rest": ""})
        index = at
    elif not 0 <= index < len(rows):
        return 0
    elif what == "remove":
        for row in rows[index + 1 : end]:
            row["depth"] -= 1
        del rows[index]
        index = max(0, min(index, len(rows) - 1))
    elif what == "up":
        before = next((i for i in range(index - 1, -1, -1) if rows[i]["depth"] <= rows[index]["depth"]), None)
        if before is not None and rows[before]["depth"] == rows[index]["depth"]:
            rows[before:end] = rows[index:end] + rows[before:index]
            index = before
    elif what == "down" and end < len(rows) and rows[end]["depth"] == rows[index]["depth"]:
        after = _end_of(rows, end)
        rows[index:after] = rows[end:after] + rows[index:end]
        index += after - end
    elif what in ("in", "out"):
        by = 1 if what == "in" else -1
        deepest = max(row["depth"] for row in rows[index:end]) + by
        is_free = what == "out" or (index > 0 and rows[index - 1]["depth"] >= rows[index]["depth"])
        if is_free and rows[index]["depth"] + by >= 0 and deepest < MAX_DEPTH:
            for row in rows[index:end]:
                row["depth"] += by
    question[key] = nest_choices(rows)
    return index


def _end_of(rows: Sequence[Mapping[str, Any]], index: int) -> int:
    """One past the last row below row `index`."""
    if not 0 <= index < len(rows):
        return len(rows)
    return next((i for i in range(index + 1, len(rows)) if rows[i]["depth"] <= rows[index]["depth"]), len(rows))


def _open(draft: RawSchema) -> list[dict[str, Any]]:
    """The draft's list of questions, to be changed in place."""
    draft["questions"] = questions_of(draft)
    questions: list[dict[str, Any]] = draft["questions"]
    return questions


# JSON


def find_line(text: str, fault: Fault, draft: RawSchema) -> int:
    """The line of a JSON text that a fault is about, from 1: its choice, else its question, else the first."""
    at = 0
    questions = questions_of(draft)
    if fault.question is not None and fault.question < len(questions):
        name = json.dumps(str(questions[fault.question].get("name")), ensure_ascii=False)
        found = re.search(rf'"name"\s*:\s*{re.escape(name)}', text)
        at = found.start() if found else 0
        if fault.choice is not None:
            value = json.dumps(fault.choice, ensure_ascii=False)
            inner = re.compile(rf'"value"\s*:\s*{re.escape(value)}').search(text, at)
            at = inner.start() if inner else at
        elif fault.field is not None:
            inner = re.compile(rf'"{re.escape(fault.field)}"\s*:').search(text, at)
            at = inner.start() if inner else at
    return text.count("\n", 0, at) + 1
