"""Question kinds: what they accept, store, show, compare and render."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.kinds import KINDS, AnswerError, LabelValue, SchemaError, get_kind
from annotation.kinds.hotkeys import RESERVED_KEYS
from annotation.schema import compile_schema, render_schema

CHOICES = [
    {"value": "none", "text": "None", "key": "1"},
    {"value": "hate", "children": [{"value": "slur"}, {"value": "threat", "key": "t"}]},
    {"value": "spam", "severity": "minor", "clause": "spam-1", "codes": {"DSA": "SCAMS"}},
]
CHOICE = {"name": "verdict", "kind": "choice", "required": True, "choices": CHOICES}
MANY = {"name": "verdict", "kind": "choices", "choices": CHOICES}
RATING = {"name": "verdict", "kind": "rating", "min": 1, "max": 5}


def make_question(raw: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = compile_schema({"questions": [raw]})["questions"][0]
    return question


def test_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(SchemaError, match="choice, choices, rating, number"):
        get_kind("colour")


@pytest.mark.parametrize(
    ("raw", "answer", "stored"),
    [
        (CHOICE, "none", LabelValue(choice=1)),
        (CHOICE, "threat", LabelValue(choice=4)),
        (MANY, ["spam", "none"], LabelValue(choices=[1, 5])),
        (MANY, [], LabelValue(choices=[])),
        (RATING, 4, LabelValue(number=4.0)),
        (RATING, 4.0, LabelValue(number=4.0)),
    ],
)
def test_answer_is_stored_typed(raw: dict[str, Any], answer: object, stored: LabelValue) -> None:
    assert KINDS[raw["kind"]].parse_answer(make_question(raw), answer) == stored


@pytest.mark.parametrize(
    ("raw", "answer"), [(CHOICE, "slur"), (MANY, ["none", "threat"]), (MANY, []), (RATING, 1), (RATING, 5)]
)
def test_shown_value_is_the_answer_again(raw: dict[str, Any], answer: object) -> None:
    kind, question = KINDS[raw["kind"]], make_question(raw)
    assert kind.show_value(question, kind.parse_answer(question, answer)) == answer


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (CHOICE, "hate"),  # a branch is no answer
        (CHOICE, "None"),  # case counts, and it is the text, not the value
        (CHOICE, 1),
        (CHOICE, ["none"]),
        (CHOICE, {}),
        (CHOICE, "\x00" * 5000),
        (MANY, "none"),
        (MANY, ["none", "none"]),
        (MANY, ["none", 3]),
        (MANY, [["none"]]),
        (MANY | {"required": True}, []),
        (RATING, 0),
        (RATING, 6),
        (RATING, 2.5),
        (RATING, True),
        (RATING, "4"),
        (RATING, float("nan")),
        (RATING, float("inf")),
        (RATING, 10**400),
    ],
)
def test_answer_that_does_not_fit_is_refused_with_the_questions_name(raw: dict[str, Any], answer: object) -> None:
    with pytest.raises(AnswerError) as caught:
        KINDS[raw["kind"]].parse_answer(make_question(raw), answer)
    assert set(caught.value.fields) == {"verdict"}
    assert caught.value.detail.endswith(".")


def test_comparison_of_each_kind() -> None:
    choice, many, rating = KINDS["choice"], KINDS["choices"], KINDS["rating"]
    one, several, number = make_question(CHOICE), make_question(MANY), make_question(RATING)
    assert choice.is_same(one, LabelValue(choice=1), LabelValue(choice=1))
    assert choice.distance(one, LabelValue(choice=1), LabelValue(choice=3)) == 1.0
    assert many.is_same(several, LabelValue(choices=[1, 3]), LabelValue(choices=[1, 3]))
    assert many.distance(several, LabelValue(choices=[1, 3]), LabelValue(choices=[3, 4])) == pytest.approx(2 / 3)
    assert many.distance(several, LabelValue(choices=[]), LabelValue(choices=[])) == 0.0
    assert rating.distance(number, LabelValue(number=1.0), LabelValue(number=5.0)) == 1.0
    assert rating.distance(number, LabelValue(number=2.0), LabelValue(number=3.0)) == 0.25


def test_codes_are_ids_or_numbers_and_lead_back() -> None:
    for raw, value, codes in (
        (CHOICE, LabelValue(choice=3), (3,)),
        (MANY, LabelValue(choices=[1, 5]), (1, 5)),
        (RATING, LabelValue(number=4.0), (4,)),
    ):
        kind, question = KINDS[str(raw["kind"])], make_question(raw)
        assert kind.codes(question, value) == codes
        assert kind.from_codes(question, codes) == value
        assert kind.from_codes(question, (999,)) is None


def test_default_keys_avoid_given_and_reserved_ones() -> None:
    choices = [{"value": f"c{i}"} for i in range(40)]
    choices[20]["key"] = "2"
    options = KINDS["choice"].render(make_question({"name": "q", "kind": "choice", "choices": choices}))["options"]
    keys = [option["key"] for option in options]
    assert keys[:3] == ["1", "3", "4"]
    assert keys[20] == "2"
    given = [key for key in keys if key is not None]
    assert len(given) == len(set(given))
    assert not set(given) & RESERVED_KEYS
    assert keys[-1] is None


def test_nested_choices_render_flat_with_depth() -> None:
    (rendered,) = render_schema(compile_schema({"questions": [CHOICE]}))
    assert [(o["value"], o["depth"], o["is_leaf"], o["key"]) for o in rendered["options"]] == [
        ("none", 0, True, "1"),
        ("hate", 0, False, None),
        ("slur", 1, True, "2"),
        ("threat", 1, True, "t"),
        ("spam", 0, True, "3"),
    ]
    assert rendered["template"] == "annotation/kinds/choice.html"
    assert rendered["text"] == "verdict"


@pytest.mark.parametrize(
    ("low", "high", "keys"),
    [
        (0, 3, ["0", "1", "2", "3"]),
        (-1, 1, ["1", "2", "3"]),
        (-1000, 1000, []),
    ],
)
def test_rating_keys_are_its_digits_where_it_has_them(low: int, high: int, keys: list[str]) -> None:
    question = make_question({"name": "q", "kind": "rating", "min": low, "max": high})
    assert [option["key"] for option in KINDS["rating"].render(question)["options"]] == keys
