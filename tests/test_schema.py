"""Label schemas: what is refused, ids that last, what counts as breaking, whole submissions."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from annotation.kinds import LabelValue, SchemaError
from annotation.schema import (
    AnswersError,
    MapError,
    asked,
    carry_value,
    classify_change,
    compile_schema,
    find_question,
    leaf_choices,
    parse_answers,
    render_schema,
    show_answers,
    show_schema,
    validate_map,
)

RAW: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "text": "Which policy does it break?",
            "required": True,
            "choices": [
                {"value": "none", "text": "None", "key": "1"},
                {"value": "hate", "children": [{"value": "slur"}, {"value": "threat"}]},
                {"value": "spam", "key": "2", "severity": "minor", "clause": "spam-1", "codes": {"DSA": "SCAMS"}},
            ],
        },
        {
            "name": "targets",
            "kind": "choices",
            "required": True,
            "when": {"question": "verdict", "in": ["hate"]},
            "choices": [{"value": "group"}, {"value": "person"}],
        },
        {"name": "severity", "kind": "rating", "required": False, "min": 1, "max": 5},
    ]
}


def change(**paths: Any) -> dict[str, Any]:
    """Return RAW with keys of the question `q` (0, 1, 2) replaced; None takes a key away."""
    raw = copy.deepcopy(RAW)
    question = raw["questions"][paths.pop("q")]
    question.update(paths)
    for key in [key for key, value in paths.items() if value is None]:
        del question[key]
    return raw


def with_choices(*choices: dict[str, Any]) -> dict[str, Any]:
    return {"questions": [{"name": "verdict", "kind": "choice", "choices": list(choices)}]}


def test_schema_is_shown_as_it_was_sent() -> None:
    assert show_schema(compile_schema(RAW)) == RAW


def test_compiled_schema_is_json_and_the_input_untouched() -> None:
    raw = copy.deepcopy(RAW)
    compiled = compile_schema(raw)
    assert json.loads(json.dumps(compiled)) == compiled
    assert raw == RAW


def test_when_on_a_branch_means_its_leaves() -> None:
    when = compile_schema(RAW)["questions"][1]["when"]
    assert when == {"question": "verdict", "question_id": 1, "in": ["hate"], "choice_ids": [3, 4]}
    assert render_schema(compile_schema(RAW))[1]["when"] == {"question": "verdict", "in": ["slur", "threat"]}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (None, "object"),
        ([], "object"),
        ({}, "at least one question"),
        ({"questions": []}, "at least one question"),
        ({"questions": [RAW["questions"][0]], "extra": 1}, '"extra"'),
        ({"questions": [{"name": f"q{i}", "kind": "rating", "min": 1, "max": 2} for i in range(51)]}, "at most 50"),
        ({"questions": ["verdict"]}, "Question 1"),
        (change(q=0, name="Verdict"), "Question 1"),
        (change(q=0, name="a" * 64), "1 to 63"),
        (change(q=0, name="a\n"), "1 to 63"),
        (change(q=1, name="verdict"), "twice"),
        (change(q=0, kind="colour"), "Known are"),
        (change(q=0, kind=["choice"]), "not a known kind"),
        (change(q=0, requierd=True), '"requierd"'),
        (change(q=0, min=1), '"min"'),
        (change(q=0, required="yes"), "true or false"),
        (change(q=0, text="\x00"), "U+0000"),
        (change(q=0, choices=None), "at least one choice"),
        (change(q=1, when={"question": "severity", "in": ["x"]}), "earlier question"),
        (change(q=1, when={"question": "targets", "in": ["group"]}), "earlier question"),
        (change(q=1, when={"question": "verdict", "in": ["nothing"]}), "no choice of"),
        (change(q=1, when={"question": "verdict", "in": []}), "at least one choice"),
        (change(q=1, when={"question": "verdict", "in": ["none"], "not": 1}), "unknown key"),
        (change(q=2, min=5), "less than"),
        (change(q=2, min=True), "whole numbers"),
        (change(q=2, max=1001), "whole numbers"),
        (change(q=2, max=None), "whole numbers"),
        (with_choices({"value": ""}), "1 to 100"),
        (with_choices({"value": "a" * 101}), "1 to 100"),
        (with_choices({"value": "a\tb"}), "control character"),
        (with_choices({"value": "\ud800"}), "surrogate"),
        (with_choices({"value": 3}), "not a text"),
        (with_choices({"text": "no value"}), "`value`"),
        (with_choices({"value": "a", "colour": "red"}), '"colour"'),
        (with_choices({"value": "a"}, {"value": "b", "children": [{"value": "a"}]}), "twice"),
        (with_choices({"value": "a", "key": "1"}, {"value": "b", "key": "1"}), "taken"),
        (with_choices({"value": "a", "key": "12"}), "one visible character"),
        (with_choices({"value": "a", "key": " "}), "one visible character"),
        (with_choices({"value": "a", "children": []}), "`children`"),
        (with_choices({"value": "a", "codes": {"DSA": 3}}), "`codes`"),
        (with_choices(*({"value": f"c{i}"} for i in range(1001))), "1000 choices"),
    ],
)
def test_faulty_schema_is_refused_with_a_sentence(raw: object, sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        compile_schema(raw)
    assert sentence in caught.value.detail
    assert caught.value.detail.endswith(".")


def test_choices_nested_without_end_are_refused() -> None:
    choice: dict[str, Any] = {"value": "leaf"}
    for level in range(900):
        choice = {"value": f"branch {level}", "children": [choice]}
    with pytest.raises(SchemaError, match="deeper than 5"):
        compile_schema(with_choices(choice))


def test_case_counts_and_any_script_may_stand_in_a_value() -> None:
    compiled = compile_schema(with_choices({"value": "Spam"}, {"value": "spam"}, {"value": "спам 🙂 <b>"}))
    assert [choice["id"] for choice in leaf_choices(compiled["questions"][0])] == [1, 2, 3]


def test_ids_last_and_are_never_reused() -> None:
    first = compile_schema(with_choices({"value": "a"}, {"value": "b"}))
    second = compile_schema(with_choices({"value": "c"}, {"value": "b"}), first)
    third = compile_schema(with_choices({"value": "d"}, {"value": "a"}), second)
    ids = [{c["value"]: c["id"] for c in leaf_choices(s["questions"][0])} for s in (first, second, third)]
    assert ids == [{"a": 1, "b": 2}, {"c": 3, "b": 2}, {"d": 4, "a": 1}]


def test_question_that_comes_back_has_its_old_ids() -> None:
    first = compile_schema(RAW)
    without = compile_schema({"questions": [RAW["questions"][2]]}, first)
    other = compile_schema(
        {"questions": [RAW["questions"][2], {"name": "n", "kind": "rating", "min": 1, "max": 2}]}, without
    )
    back = compile_schema(RAW, other)
    assert [q["id"] for q in without["questions"]] == [3]
    assert [q["id"] for q in other["questions"]] == [3, 4]
    assert back["questions"] == first["questions"]


def test_choice_ids_survive_a_spell_as_another_kind() -> None:
    first = compile_schema(with_choices({"value": "a"}, {"value": "b"}))
    rating = compile_schema({"questions": [{"name": "verdict", "kind": "rating", "min": 1, "max": 2}]}, first)
    gone = compile_schema({"questions": [{"name": "other", "kind": "rating", "min": 1, "max": 2}]}, rating)
    back = compile_schema(with_choices({"value": "c"}, {"value": "b"}), gone)
    assert {c["value"]: c["id"] for c in leaf_choices(back["questions"][0])} == {"c": 3, "b": 2}
    assert back["questions"][0]["id"] == 1


NEW_QUESTION = {"name": "extra", "kind": "rating", "min": 1, "max": 2}


@pytest.mark.parametrize(
    "new",
    [
        RAW,
        {"questions": [*RAW["questions"], NEW_QUESTION]},
        change(q=0, text="Other words"),
        change(q=0, choices=[*RAW["questions"][0]["choices"], {"value": "other"}]),
        change(q=0, choices=RAW["questions"][0]["choices"][::-1]),
        change(q=2, min=0, max=10),
        change(q=1, required=False),
    ],
    ids=["same", "optional question", "text", "choice", "order", "wider range", "no longer required"],
)
def test_change_is_compatible(new: dict[str, Any]) -> None:
    result = classify_change(compile_schema(RAW), compile_schema(new, compile_schema(RAW)))
    assert (result.kind, result.reasons) == ("compatible", [])


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ({"questions": RAW["questions"][:2]}, "gone"),
        ({"questions": [*RAW["questions"], NEW_QUESTION | {"required": True}]}, "becomes required"),
        (change(q=2, required=True), "becomes required"),
        (change(q=0, choices=RAW["questions"][0]["choices"][:2]), 'no longer offers "spam"'),
        (change(q=0, kind="choices"), "changes its kind"),
        (change(q=2, min=2), "narrows"),
        (change(q=1, when=None), "more items"),
        (change(q=1, when={"question": "verdict", "in": ["hate", "spam"]}), "more items"),
        (change(q=1, when={"question": "verdict", "in": ["slur"]}), "fewer items"),
        (change(q=2, when={"question": "verdict", "in": ["spam"]}), "fewer items"),
    ],
)
def test_change_is_breaking_and_says_why(new: dict[str, Any], reason: str) -> None:
    result = classify_change(compile_schema(RAW), compile_schema(new, compile_schema(RAW)))
    assert result.kind == "breaking"
    assert [reason for sentence in result.reasons if reason in sentence]


def test_map_is_completed_and_carries_values() -> None:
    old = compile_schema(RAW)
    fewer = RAW["questions"][0]["choices"][0], {"value": "hate"}
    new = compile_schema({"questions": [RAW["questions"][0] | {"choices": list(fewer)}]}, old)
    complete = validate_map(old, new, {"verdict": {"slur": "hate", "threat": "hate", "spam": None}})
    assert complete == {1: {1: 1, 3: 2, 4: 2, 5: None}, 2: {1: None, 2: None}, 3: dict.fromkeys(range(1, 6))}
    before, after = old["questions"][0], new["questions"][0]
    assert carry_value(before, after, complete[1], LabelValue(choice=3)) == LabelValue(choice=2)
    assert carry_value(before, after, complete[1], LabelValue(choice=5)) is None


def test_map_from_one_choice_to_many_needs_no_words() -> None:
    old = compile_schema(RAW)
    new = compile_schema(change(q=0, kind="choices"), old)
    complete = validate_map(old, new, {})
    carried = carry_value(old["questions"][0], new["questions"][0], complete[1], LabelValue(choice=3))
    assert carried == LabelValue(choices=[3])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"kind": "number"}, LabelValue(number=5.0)),
        ({"kind": "text"}, LabelValue(text="x")),
        ({"kind": "spans", "labels": [{"value": "a"}]}, LabelValue(data=[])),
        ({"kind": "ranking", "choices": [{"value": "a"}, {"value": "b"}]}, LabelValue(data=[[1], [2]])),
    ],
    ids=lambda one: one.get("kind", "") if isinstance(one, dict) else "",
)
def test_value_that_is_not_listed_does_not_become_an_empty_answer(kind: dict[str, Any], value: LabelValue) -> None:
    old = compile_schema({"questions": [{"name": "q", **kind}]})
    new = compile_schema({"questions": [{"name": "q", "kind": "choices", "choices": [{"value": "c"}]}]}, old)
    complete = validate_map(old, new, {})
    assert carry_value(old["questions"][0], new["questions"][0], complete[1], value) is None


@pytest.mark.parametrize(
    ("raw", "field", "sentence"),
    [
        ({}, "severity", '"1"'),
        ({"severity": {"1": "2"}}, "severity", '"5"'),
        ({"severity": {"1": "2", "5": "9"}}, "severity", "no answer in the new"),
        ({"severity": {"1": 2, "5": None}}, "severity", "no answer in the new"),
        ({"severity": {"1": None, "5": None, "7": None}}, "severity", "was no answer"),
        ({"severity": "all"}, "severity", "object"),
        ({"severity": {"1": None, "5": None}, "colour": {}}, "colour", "no question"),
    ],
)
def test_incomplete_map_is_refused_by_question(raw: dict[str, Any], field: str, sentence: str) -> None:
    old = compile_schema(RAW)
    with pytest.raises(MapError) as caught:
        validate_map(old, compile_schema(change(q=2, min=2, max=4), old), raw)
    assert sentence in caught.value.fields[field]


def test_submission_is_parsed_and_shown_again() -> None:
    compiled = compile_schema(RAW)
    answers = {"verdict": "slur", "targets": ["person"], "severity": 2}
    values = parse_answers(compiled, answers)
    assert values == {1: LabelValue(choice=3), 2: LabelValue(choices=[2]), 3: LabelValue(number=2.0)}
    assert show_answers(compiled, values) == answers
    assert asked(compiled, values) == {1, 2, 3}


def test_question_that_is_not_asked_needs_no_answer() -> None:
    compiled = compile_schema(RAW)
    values = parse_answers(compiled, {"verdict": "none", "targets": None})
    assert values == {1: LabelValue(choice=1)}
    assert asked(compiled, values) == {1, 3}


@pytest.mark.parametrize(
    ("answers", "fields"),
    [
        ({}, {"verdict"}),
        ({"verdict": "slur"}, {"targets"}),
        ({"verdict": "none", "targets": ["person"]}, {"targets"}),
        ({"verdict": "nope", "targets": ["person"], "severity": 9}, {"verdict", "severity"}),
        ({"verdict": "none", "colour": 1, "x" * 1000: 2}, {"colour", "x" * 63}),
        (["none"], {"answers"}),
        (None, {"answers"}),
    ],
)
def test_every_fault_of_a_submission_is_named_at_once(answers: object, fields: set[str]) -> None:
    with pytest.raises(AnswersError) as caught:
        parse_answers(compile_schema(RAW), answers)
    assert set(caught.value.fields) == fields


def test_adjudication_answers_only_what_is_disputed() -> None:
    compiled = compile_schema(RAW)
    known = {1: LabelValue(choice=3)}
    assert parse_answers(compiled, {"targets": ["group"]}, known=known, required={2}) == {2: LabelValue(choices=[1])}
    assert parse_answers(compiled, {"severity": 3}, required={3}) == {3: LabelValue(number=3.0)}
    with pytest.raises(AnswersError) as caught:
        parse_answers(compiled, {}, known=known, required={2})
    assert set(caught.value.fields) == {"targets"}


def test_questions_are_found_by_name() -> None:
    compiled = compile_schema(RAW)
    assert find_question(compiled, "severity") == compiled["questions"][2]
    assert find_question(compiled, "absent") is None
