"""The kinds `text` and `ranking` without a database: schema, refusals, versions, comparison."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.kinds import AnswerError, LabelValue, SchemaError, ranking, text
from annotation.schema import classify_change, compile_schema, show_schema
from reviewers.answers import tell_value

WHY: dict[str, Any] = {"name": "why", "kind": "text"}
CHOICES = [{"value": "a", "text": "Apple"}, {"value": "b"}, {"value": "c"}]
ORDER: dict[str, Any] = {"name": "order", "kind": "ranking", "choices": CHOICES}
TIED = ORDER | {"ties": True}


def question_of(raw: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = compile_schema({"questions": [raw]})["questions"][0]
    return question


@pytest.mark.parametrize(
    "raw", [WHY, WHY | {"min_length": 3, "max_length": 20}, ORDER, TIED, ORDER | {"ties": False, "top": 2}]
)
def test_schema_is_shown_as_it_was_sent(raw: dict[str, Any]) -> None:
    sent = {"questions": [raw | {"required": False}]}
    assert show_schema(compile_schema(sent)) == sent


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (WHY | {"max_length": 0}, "`max_length` must be a whole number from 1 to 100000"),
        (WHY | {"max_length": 100_001}, "`max_length` must be"),
        (WHY | {"min_length": 1.5}, "`min_length` must be"),
        (WHY | {"min_length": True}, "`min_length` must be"),
        (WHY | {"min_length": 5, "max_length": 4}, "`min_length` must not be more than `max_length`"),
        (WHY | {"min_length": 10_001}, "`min_length` must not be more than `max_length`"),
        (WHY | {"choices": CHOICES}, "unknown key"),
        (ORDER | {"choices": CHOICES[:1]}, "a ranking needs at least two choices"),
        (ORDER | {"choices": [{"value": "a", "children": [{"value": "b"}]}]}, 'unknown key "children"'),
        (ORDER | {"ties": "yes"}, "`ties` must be true or false"),
        (ORDER | {"top": 0}, "`top` must be a whole number from 1 to 3, the number of choices"),
        (ORDER | {"top": 4}, "`top` must be"),
        (ORDER | {"top": True}, "`top` must be"),
    ],
)
def test_faulty_schema_is_refused_with_a_sentence(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        question_of(raw)
    assert sentence in caught.value.detail
    assert f'"{raw["name"]}"' in caught.value.detail


# Text


@pytest.mark.parametrize(
    "answer",
    ["x", "Zeile eins\nZeile zwei\n", " e\N{COMBINING ACUTE ACCENT} ", "\N{THUMBS UP SIGN}" * 10_000, "a" * 10_000],
)
def test_text_is_kept_as_it_was_written(answer: str) -> None:
    value = text.parse_answer(question_of(WHY), answer)
    assert value == LabelValue(text=answer)
    assert text.show_value(question_of(WHY), value) == answer
    assert tell_value(question_of(WHY), answer) == answer


@pytest.mark.parametrize(
    ("own", "answer", "sentence"),
    [
        ({}, "", "The answer must be 1 to 10000 characters long."),
        ({}, "a" * 10_001, "The answer must be 1 to 10000 characters long."),
        ({"min_length": 3}, "ab", "The answer must be 3 to 10000 characters long."),
        ({"max_length": 3}, "\N{THUMBS UP SIGN}" * 4, "The answer must be 1 to 3 characters long."),
        ({}, " \n\t", "The answer is empty."),
        ({}, 5, "The answer is not a text."),
        ({}, ["a"], "The answer is not a text."),
        ({}, "a\x00b", "The answer holds the character U+0000, which cannot be stored."),
        ({}, "\ud800", "The answer holds half of a surrogate pair"),
    ],
)
def test_text_that_does_not_fit_is_refused(own: dict[str, Any], answer: object, sentence: str) -> None:
    with pytest.raises(AnswerError) as caught:
        text.parse_answer(question_of(WHY | own), answer)
    assert caught.value.fields["why"].startswith(sentence)


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({"max_length": 20_000}, "compatible"),
        ({"max_length": 9_999}, "breaking"),
        ({"min_length": 2}, "breaking"),
        ({"text": "Why?"}, "compatible"),
    ],
)
def test_shorter_texts_break(own: dict[str, Any], kind: str) -> None:
    old = compile_schema({"questions": [WHY]})
    assert classify_change(old, compile_schema({"questions": [WHY | own]}, old)).kind == kind


# Ranking


@pytest.mark.parametrize(
    ("raw", "answer", "stored"),
    [
        (ORDER, [["b"], ["a"], ["c"]], [[2], [1], [3]]),
        (TIED, [["c", "a"], ["b"]], [[1, 3], [2]]),
        (TIED, [["a", "b", "c"]], [[1, 2, 3]]),
        (ORDER | {"top": 1}, [["c"]], [[3]]),
        (TIED | {"top": 2}, [["b", "a"]], [[1, 2]]),
    ],
)
def test_ranking_is_stored_by_ids_and_shown_again(raw: dict[str, Any], answer: list[Any], stored: list[Any]) -> None:
    question = question_of(raw)
    value = ranking.parse_answer(question, answer)
    assert value == LabelValue(data=stored)
    assert ranking.parse_answer(question, ranking.show_value(question, value)) == value
    assert [set(place) for place in ranking.show_value(question, value)] == [set(place) for place in answer]


@pytest.mark.parametrize(
    ("raw", "answer", "sentence"),
    [
        (ORDER, "a", "The answer must be a list of places, each a list of choices"),
        (ORDER, ["a", "b", "c"], "The answer must be a list of places"),
        (ORDER, [["a"], [], ["b"]], "The answer must be a list of places"),
        (ORDER, [["a"], ["b"], ["d"]], '"d" is not one of the choices of this question.'),
        (ORDER, [["a"], ["b"], [3]], '"3" is not one of the choices'),
        (ORDER, [["a"], ["b"], [["c"]]], "is not one of the choices"),
        (TIED, [["a", "a"], ["b"]], '"a" stands there twice.'),
        (ORDER, [["a"], ["b"], ["a"]], '"a" stands there twice.'),
        (ORDER, [["a", "b"], ["c"]], "Two choices share a place; this question does not allow ties."),
        (ORDER, [["a"], ["b"]], "Rank all 3 choices."),
        (ORDER, [], "Rank all 3 choices."),
        (ORDER | {"top": 2}, [["a"]], "Rank the best 2 choices."),
        (TIED | {"top": 2}, [["a"], ["b", "c"]], "Rank the best 2 choices."),
    ],
)
def test_ranking_that_does_not_fit_is_refused(raw: dict[str, Any], answer: object, sentence: str) -> None:
    with pytest.raises(AnswerError) as caught:
        ranking.parse_answer(question_of(raw), answer)
    assert sentence in caught.value.fields["order"]


@pytest.mark.parametrize(
    ("raw", "own", "kind"),
    [
        (ORDER, {"ties": True}, "compatible"),
        (ORDER, {"choices": CHOICES[::-1]}, "compatible"),
        (ORDER, {"top": 3}, "compatible"),  # all of them, as before
        (TIED, {"ties": False}, "breaking"),
        (ORDER, {"top": 2}, "breaking"),
        (ORDER, {"choices": CHOICES[:2]}, "breaking"),
        (ORDER, {"choices": [*CHOICES, {"value": "d"}]}, "breaking"),  # which earlier rankings do not have
        (ORDER | {"top": 2}, {"choices": [*CHOICES, {"value": "d"}]}, "compatible"),
    ],
)
def test_another_number_to_rank_breaks(raw: dict[str, Any], own: dict[str, Any], kind: str) -> None:
    old = compile_schema({"questions": [raw]})
    assert classify_change(old, compile_schema({"questions": [raw | own]}, old)).kind == kind


def test_choice_keeps_its_id_and_its_value_after_it_left() -> None:
    first = compile_schema({"questions": [ORDER]})
    later = compile_schema({"questions": [ORDER | {"choices": [{"value": "d"}, {"value": "c"}]}]}, first)["questions"][
        0
    ]
    assert {one["value"]: one["id"] for one in later["choices"]} == {"d": 4, "c": 3}
    assert ranking.show_value(later, LabelValue(data=[[2], [1, 3]])) == [["b"], ["c", "a"]]
    assert tell_value(later, [["b"], ["c", "a"]]) == "b > c = a"


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([[1], [2], [3]], [[1], [2], [3]], 0.0),
        ([[1], [2], [3]], [[3], [2], [1]], 1.0),
        ([[1], [2], [3]], [[2], [1], [3]], 1 / 3),
        ([[1], [2, 3]], [[1], [2], [3]], 1 / 6),
        ([[1]], [[2]], 2 / 3),  # of the best alone: 1 before 2 turned round, 1 and 2 each before a level 3
    ],
)
def test_rankings_are_the_same_or_so_many_pairs_apart(one: list[Any], other: list[Any], distance: float) -> None:
    question, left, right = question_of(TIED), LabelValue(data=one), LabelValue(data=other)
    assert ranking.is_same(question, left, right) is (distance == 0.0)
    assert ranking.distance(question, left, right) == pytest.approx(distance)
    assert ranking.distance(question, right, left) == pytest.approx(distance)


def test_page_gets_choices_with_keys_and_how_many_to_rank() -> None:
    rendered = ranking.render(question_of(TIED | {"top": 2}))
    assert [(one["value"], one["key"]) for one in rendered["options"]] == [("a", "1"), ("b", "2"), ("c", "3")]
    assert (rendered["widget"], rendered["ties"], rendered["top"]) == ("ranking", True, 2)
    assert ranking.render(question_of(ORDER))["top"] == 3
    shown = text.render(question_of(WHY | {"max_length": 200}))
    assert (shown["widget"], shown["min_length"], shown["max_length"]) == ("text", 1, 200)
