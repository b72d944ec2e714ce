"""The kind `number` without a database: its schema, what it accepts, what breaks, how two answers compare."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.kinds import AnswerError, LabelValue, SchemaError, number
from annotation.schema import classify_change, compile_schema, show_schema, validate_map
from reviewers.answers import spell_votes, tell_value

DISTANCE = {"name": "distance", "kind": "number", "min": 0, "max": 10, "step": 0.1, "unit": "km", "tolerance": 0.2}
FREE = {"name": "distance", "kind": "number"}


def question_of(raw: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = compile_schema({"questions": [raw]})["questions"][0]
    return question


def test_schema_is_shown_as_it_was_sent_and_absent_keys_stay_absent() -> None:
    sent = {"questions": [DISTANCE | {"required": True}, {"name": "free", "kind": "number", "required": False}]}
    assert show_schema(compile_schema(sent)) == sent


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"min": "0"}, "`min` must be a number from"),
        ({"min": True}, "`min` must be a number from"),
        ({"max": float("nan")}, "`max` must be a number from"),
        ({"max": float("inf")}, "`max` must be a number from"),
        ({"min": -(10**400)}, "`min` must be a number from"),
        ({"step": 0}, "`step` must be a number from 0.000001"),
        ({"step": -1}, "`step` must be a number from"),
        ({"tolerance": -0.5}, "`tolerance` must be a number from 0 to"),
        ({"min": 3, "max": 3}, "`min` must be less than `max`"),
        ({"min": 0, "max": 1, "step": 2}, "`step` is too large"),
        ({"min": 0, "max": 1, "tolerance": 1}, "`tolerance` is too large"),
        ({"unit": ""}, "`unit` must be 1 to 20"),
        ({"unit": "k\nm"}, "`unit` holds a control character"),
        ({"unit": 5}, "`unit` is not a text"),
        ({"choices": []}, "unknown key"),
    ],
)
def test_faulty_schema_is_refused_with_a_sentence_that_names_the_question(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        question_of(FREE | own)
    assert sentence in caught.value.detail
    assert '"distance"' in caught.value.detail


@pytest.mark.parametrize(
    ("raw", "answer", "stored"),
    [
        (DISTANCE, 0, 0.0),
        (DISTANCE, 10, 10.0),
        (DISTANCE, 0.3, 0.3),  # three steps of 0.1, though no three doubles of 0.1
        (DISTANCE, 7.7, 7.7),
        (FREE, -12.25, -12.25),
        (FREE, 10**12, 1e12),
        (FREE | {"min": 0.5, "step": 1}, 2.5, 2.5),
        (FREE | {"step": 5}, -15, -15.0),
    ],
)
def test_number_within_bounds_and_steps_is_stored_and_shown_again(
    raw: dict[str, Any], answer: float, stored: float
) -> None:
    question = question_of(raw)
    value = number.parse_answer(question, answer)
    assert value == LabelValue(number=stored)
    assert number.show_value(question, value) == answer


def test_minus_zero_is_zero() -> None:
    assert str(number.parse_answer(question_of(FREE), -0.0).number) == "0.0"


def test_whole_number_is_shown_as_an_integer() -> None:
    assert str(number.show_value(question_of(FREE), LabelValue(number=12.0))) == "12"


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (DISTANCE, -0.1),
        (DISTANCE, 10.1),
        (DISTANCE, 0.35),
        (DISTANCE, 1e-300),
        (DISTANCE, "3"),
        (DISTANCE, True),
        (DISTANCE, [3]),
        (DISTANCE, float("nan")),
        (FREE, float("inf")),
        (FREE, 10**400),
        (FREE, 10**12 + 1),
        (FREE | {"min": 0.5, "step": 1}, 2),
        (FREE | {"step": 1}, 2.5),
    ],
)
def test_answer_that_does_not_fit_is_refused_with_the_questions_name(raw: dict[str, Any], answer: object) -> None:
    with pytest.raises(AnswerError) as caught:
        number.parse_answer(question_of(raw), answer)
    assert caught.value.fields["distance"].startswith("The answer must be a number: ")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({}, ""),
        ({"min": 0, "max": 10, "step": 0.5}, "from 0 to 10, in steps of 0.5"),
        ({"min": 3}, "3 or more"),
        ({"max": -2.5, "step": 1}, "-2.5 or less, whole numbers"),
        ({"min": 0.5, "step": 1}, "0.5 or more, in steps of 1"),
    ],
)
def test_hint_says_what_may_be_answered(own: dict[str, Any], told: str) -> None:
    assert number.render(question_of(FREE | own))["hint"] == told


@pytest.mark.parametrize(
    "own",
    [
        {"max": 20},
        {"min": -1},
        {"min": None, "max": None},
        {"step": 0.05},
        {"step": None},
        {"tolerance": 5},
        {"text": "How far?"},
    ],
)
def test_wider_range_finer_steps_and_another_tolerance_are_compatible(own: dict[str, Any]) -> None:
    old = compile_schema({"questions": [DISTANCE]})
    assert classify_change(old, compile_schema({"questions": [DISTANCE | own]}, old)).reasons == []


@pytest.mark.parametrize(
    ("raw", "own", "reason"),
    [
        (DISTANCE, {"max": 9}, "narrows its range from 0..10 to 0..9"),
        (DISTANCE, {"min": 1}, "narrows its range"),
        (DISTANCE, {"step": 0.25}, "other steps"),
        (DISTANCE, {"min": -0.05}, "other steps"),
        (DISTANCE, {"unit": "mi"}, 'its unit from "km" to "mi"'),
        (FREE, {"step": 1}, "other steps"),
        (FREE, {"min": 0}, "narrows its range"),
        (FREE, {"unit": "km"}, "its unit"),
    ],
)
def test_change_that_stored_answers_need_not_survive_is_breaking(
    raw: dict[str, Any], own: dict[str, Any], reason: str
) -> None:
    old = compile_schema({"questions": [raw]})
    (sentence,) = classify_change(old, compile_schema({"questions": [raw | own]}, old)).reasons
    assert reason in sentence


def test_map_names_no_numbers() -> None:
    old = compile_schema({"questions": [DISTANCE]})
    assert validate_map(old, compile_schema({"questions": [DISTANCE | {"max": 9}]}, old), {}) == {1: {}}


@pytest.mark.parametrize(
    ("a", "b", "is_same", "distance"),
    [(0.3, 0.3, True, 0.0), (0.3, 0.5, True, 0.02), (0.3, 0.6, False, 0.03), (0.0, 10.0, False, 1.0)],
)
def test_comparison_counts_in_decimals(a: float, b: float, is_same: bool, distance: float) -> None:
    question = question_of(DISTANCE)
    one, other = LabelValue(number=a), LabelValue(number=b)
    assert number.is_same(question, one, other) is is_same
    assert number.is_same(question, other, one) is is_same
    assert number.distance(question, one, other) == pytest.approx(distance)


def test_without_a_range_different_numbers_are_as_far_apart_as_can_be() -> None:
    question = question_of(FREE)
    assert number.distance(question, LabelValue(number=1.0), LabelValue(number=1.5)) == 1.0
    assert number.distance(question, LabelValue(number=1.0), LabelValue(number=1.0)) == 0.0


def test_answer_is_told_with_its_unit_and_votes_without() -> None:
    question = question_of(DISTANCE)
    assert tell_value(question, 2.5) == "2.5\N{NO-BREAK SPACE}km"
    assert tell_value(question, None) == ""
    assert list(spell_votes(question, {"10": 1, "2.5": 1, "9": 2}).items()) == [("9", 2), ("2.5", 1), ("10", 1)]
