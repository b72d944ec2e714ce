"""The form of questions, without a page: choices flat and nested, what a form says, faults at their place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from annotation.schema import compile_schema, show_schema
from annotation.schema_changes import describe_changes
from annotation.schema_form import (
    add_question,
    change_choices,
    find_faults,
    find_line,
    flatten_choices,
    move_question,
    nest_choices,
    read_question,
    remove_question,
    rename_in_conditions,
    show_question,
)

NESTED: list[dict[str, Any]] = [
    {"value": "none", "key": "1"},
    {
        "value": "spam",
        "text": "Spam",
        "codes": {"DSA": "X"},
        "children": [{"value": "scam", "clause": "s-1", "severity": "major"}, {"value": "ads"}],
    },
    {"value": "abuse", "children": [{"value": "insult", "children": [{"value": "slur"}]}]},
]


def question(**changes: Any) -> dict[str, Any]:
    return {"name": "verdict", "kind": "choice", "required": True, "choices": NESTED, **changes}


def values(choices: list[dict[str, Any]]) -> list[Any]:
    """The choices by value alone: a branch is (value, what is below it)."""
    return [(one["value"], values(one["children"])) if "children" in one else one["value"] for one in choices]


def test_nested_choices_come_back_from_their_rows_with_all_that_they_hold() -> None:
    assert nest_choices(flatten_choices(NESTED)) == NESTED


def test_a_row_that_is_too_deep_goes_below_the_one_before() -> None:
    rows = flatten_choices([{"value": "a"}, {"value": "b"}])
    rows[0]["depth"], rows[1]["depth"] = 3, 9
    assert values(nest_choices(rows)) == [("a", ["b"])]


@pytest.mark.parametrize(
    ("what", "index", "expected", "focus"),
    [
        ("add", 0, ["none", "", ("spam", ["scam", "ads"]), ("abuse", [("insult", ["slur"])])], 1),
        ("add", 1, ["none", ("spam", ["scam", "ads"]), "", ("abuse", [("insult", ["slur"])])], 4),
        ("add", 7, ["none", ("spam", ["scam", "ads"]), ("abuse", [("insult", ["slur"])]), ""], 7),
        ("remove", 1, ["none", "scam", "ads", ("abuse", [("insult", ["slur"])])], 1),
        ("up", 4, ["none", ("abuse", [("insult", ["slur"])]), ("spam", ["scam", "ads"])], 1),
        ("down", 0, [("spam", ["scam", "ads"]), "none", ("abuse", [("insult", ["slur"])])], 3),
        ("down", 2, ["none", ("spam", ["ads", "scam"]), ("abuse", [("insult", ["slur"])])], 3),
        ("down", 3, ["none", ("spam", ["scam", "ads"]), ("abuse", [("insult", ["slur"])])], 3),
        ("in", 1, [("none", [("spam", ["scam", "ads"])]), ("abuse", [("insult", ["slur"])])], 1),
        ("in", 0, ["none", ("spam", ["scam", "ads"]), ("abuse", [("insult", ["slur"])])], 0),
        ("out", 5, ["none", ("spam", ["scam", "ads"]), "abuse", ("insult", ["slur"])], 5),
        ("remove", 99, ["none", ("spam", ["scam", "ads"]), ("abuse", [("insult", ["slur"])])], 0),
    ],
)
def test_buttons_change_the_choices(what: str, index: int, expected: list[Any], focus: int) -> None:
    one = question()
    assert change_choices(one, what, index) == focus
    assert values(one["choices"]) == expected


def fill(shown: dict[str, Any], **changes: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What a browser would send for the form of a question, with some fields filled in anew."""
    data = {"name": shown["name"], "kind": shown["kind"], "text": shown["text"], "rest": shown["rest"]}
    data |= {"when_question": shown["when_question"], "was_kind": shown["kind"]}
    data |= {"required": "on"} if shown["required"] else {}
    for field in shown["fields"]:
        if field["widget"] == "choices":
            data["n_choices"] = str(len(field["rows"]))
            for index, row in enumerate(field["rows"]):
                data |= {f"c-{index}-{key}": str(row[key]) for key in row if key != "fault"}
        elif field["widget"] == "check":
            data |= {f"field-{field['key']}": "on"} if field["is_on"] else {}
        else:
            data[f"field-{field['key']}"] = field["value"]
    chosen = [one["value"] for one in shown["when_in"] if one["is_in"]] + shown["when_lost"]
    return data | changes, {"when_in": chosen}


RATING = {"name": "tone", "kind": "rating", "min": -2, "max": 2, "when": {"question": "verdict", "in": ["spam"]}}
NUMBER = {"name": "price", "kind": "number", "text": "How\nmuch?", "min": 0.5, "unit": "€", "tolerance": 0.1}
SPANS = {
    "name": "odd",
    "kind": "spans",
    "labels": [{"value": "slur"}],
    "overlapping": True,
    "parts": ["body"],
    "min": 1,
}
TEXT = {"name": "why", "kind": "text", "text": "Why?", "max_length": 200}
RANKING = {"name": "best", "kind": "ranking", "choices": [{"value": "a"}, {"value": "b"}], "ties": True, "top": 1}
STRANGE = {"name": "odd", "kind": "essay", "labels": [{"value": "slur"}], "overlap": True, "text": "Mark them"}


@pytest.mark.parametrize(
    "one", [question(), RATING, NUMBER, SPANS, TEXT, RANKING, STRANGE, question(kind="rating", min=1)]
)
def test_a_form_that_is_sent_back_unchanged_changes_nothing(one: dict[str, Any]) -> None:
    draft = {"questions": [question(name="first"), question(), one | {"name": "last"}]}
    shown = show_question(draft, 2, [])
    assert shown is not None
    data, lists = fill(shown)
    assert read_question(data, lists.__getitem__) == draft["questions"][2]


def test_a_form_that_changes_the_kind_keeps_what_the_old_kind_had_however_often_it_is_sent() -> None:
    shown = show_question({"questions": [question()]}, 0, [])
    assert shown is not None
    data, lists = fill(shown, kind="spans")
    once = read_question(data, lists.__getitem__)
    assert (once["kind"], once["choices"]) == ("spans", question()["choices"])
    assert read_question(data, lists.__getitem__) == once


def test_fields_are_read_as_what_they_mean() -> None:
    draft = {"questions": [NUMBER]}
    shown = show_question(draft, 0, [])
    assert shown is not None
    data, lists = fill(shown, **{"field-min": "7", "field-max": "many", "field-unit": "", "rest": '{"note": [1]}'})
    read = read_question(data, lists.__getitem__)
    assert read == {
        "name": "price",
        "kind": "number",
        "text": "How\nmuch?",
        "min": 7,
        "max": "many",
        "tolerance": 0.1,
        "note": [1],
    }


def test_further_fields_that_are_no_json_are_kept_and_are_a_fault() -> None:
    data, lists = fill(show_question({"questions": [NUMBER]}, 0, []) or {}, rest="{oops")
    read = read_question(data, lists.__getitem__)
    assert read["not_json"] == "{oops"
    [fault] = find_faults({"questions": [read]}, None)[0]
    assert "not_json" in fault.sentence


def test_labels_of_marks_are_edited_as_choices_are() -> None:
    one: dict[str, Any] = copy.deepcopy(SPANS)
    assert change_choices(one, "add", 0) == 1
    one["labels"][1]["value"] = "threat"
    assert find_faults({"questions": [one]}, None)[0] == []
    one["labels"][1]["key"] = "too long"
    [fault] = find_faults({"questions": [one]}, None)[0]
    assert (fault.field, fault.choice) == ("key", "threat")


def test_questions_are_added_moved_and_taken_out() -> None:
    draft: dict[str, Any] = {"questions": [question(), RATING]}
    assert add_question(draft) == 2
    assert find_faults(draft, None)[0] == []
    assert move_question(draft, 2, -1) == 1
    assert move_question(draft, 0, -1) == 0
    assert [one["name"] for one in draft["questions"]] == ["verdict", "question_3", "tone"]
    assert remove_question(draft, 1) == 1
    assert remove_question(draft, 1) == 0
    assert [one["name"] for one in draft["questions"]] == ["verdict"]


def test_conditions_follow_a_new_name() -> None:
    draft: dict[str, Any] = {"questions": [question(name="policy"), copy.deepcopy(RATING)]}
    rename_in_conditions(draft, "verdict", "policy")
    assert draft["questions"][1]["when"]["question"] == "policy"


@pytest.mark.parametrize(
    ("bad", "field", "choice"),
    [
        (question(name="Bad Name"), "name", None),
        (question(kind="essay"), "kind", None),
        (question(text=5), "text", None),
        (question(choices=[]), "choices", None),
        (question(choices=[{"value": "a"}, {"value": "b", "key": "ab"}]), "key", "b"),
        (question(choices=[{"value": "a"}, {"value": "a"}]), None, "a"),
        (question(when={"question": "nowhere", "in": ["x"]}), "when", None),
        ({"name": "tone", "kind": "rating", "min": 5, "max": 1}, "min", None),
    ],
)
def test_a_fault_is_found_at_its_place(bad: dict[str, Any], field: str | None, choice: str | None) -> None:
    draft = {"questions": [question(name="first"), bad, question(name="last")]}
    faults, compiled = find_faults(draft, None)
    [fault] = faults
    assert (fault.question, fault.field, fault.choice) == (1, field, choice)
    assert compiled is not None
    assert [one["name"] for one in compiled["questions"]] == ["first", "last"]


def test_each_faulty_question_has_its_fault_and_what_depends_on_it_has_none() -> None:
    draft = {"questions": [question(choices=[]), RATING, question(name="?"), question(name="ok"), question(name="ok")]}
    faults, compiled = find_faults(draft, None)
    assert [fault.question for fault in faults] == [0, 2, 4]
    assert compiled is not None
    assert [one["name"] for one in compiled["questions"]] == ["ok"]


@pytest.mark.parametrize("draft", [{}, {"questions": 5}, {"questions": []}, {"questions": [7]}])
def test_a_draft_without_questions_has_one_fault(draft: dict[str, Any]) -> None:
    faults, compiled = find_faults(draft, None)
    assert len(faults) == 1
    assert compiled is None


def test_a_fault_is_found_in_the_text_of_the_draft() -> None:
    lines = ['{"questions": [', '{"name": "a", "kind": "choice",', '"choices": [{"value": "x"},']
    text = "\n".join([*lines, '{"value": "y", "key": "yy"}]}]}'])
    draft = {"questions": [{"name": "a", "kind": "choice", "choices": [{"value": "x"}, {"value": "y", "key": "yy"}]}]}
    [fault] = find_faults(draft, None)[0]
    assert find_line(text, fault, draft) == 4


def test_changes_that_keep_every_label_are_told() -> None:
    old = compile_schema({"questions": [question(), NUMBER]})
    wider = show_schema(old)
    wider["questions"].reverse()
    wider["questions"][1] |= {
        "text": "Which?",
        "required": False,
        "choices": [*NESTED[1:], {**NESTED[0], "key": "9"}, {"value": "new"}],
    }
    wider["questions"][0] |= {"tolerance": 1}
    wider["questions"].append({"name": "more", "kind": "rating", "min": 1, "max": 2})
    told = describe_changes(old, compile_schema(wider, old))
    assert told == [
        '"price": `tolerance` is "1" instead of "0.1"',
        '"verdict" has another text',
        '"verdict" becomes optional',
        '"verdict", choice "none": another key',
        '"verdict" offers "new" too',
        'The choices of "verdict" stand in another order',
        'Question "more" is new; it is optional',
        "The questions come in another order",
    ]


def test_the_same_schema_changes_nothing() -> None:
    compiled = compile_schema({"questions": [question(), RATING, NUMBER]})
    assert describe_changes(compiled, compile_schema(show_schema(compiled), compiled)) == []
