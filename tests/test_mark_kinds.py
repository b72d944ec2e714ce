"""Spans, boxes and segments without a database: schema, refusals, code points, versions, when two are the same."""

from __future__ import annotations

import unicodedata
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.kinds import KINDS, AnswerError, LabelValue, Part, SchemaError, marks
from annotation.schema import classify_change, compile_schema, show_schema, validate_map
from reviewers.answers import tell_value

LABELS: list[dict[str, Any]] = [
    {"value": "slur", "text": "Slur", "key": "1", "clause": "hate-1", "severity": "severe"},
    {"value": "name"},
]
SPANS: dict[str, Any] = {"name": "marks", "kind": "spans", "labels": LABELS}
BOXES = SPANS | {"kind": "boxes"}
SEGMENTS = SPANS | {"kind": "segments"}
ALL = (SPANS, BOXES, SEGMENTS)
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"  # one picture, five code points
ACCENTED = "e\N{COMBINING ACUTE ACCENT}"  # one letter on the screen, two code points
TEXT = f"a {FAMILY} {ACCENTED}!"
PARTS = {
    "body": Part("text", len(TEXT)),
    "title": Part("text", 5),
    "photo": Part("image"),
    "clip": Part("audio", seconds=120.5),
    "film": Part("video"),
}


def question_of(raw: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = compile_schema({"questions": [raw]})["questions"][0]
    return question


def span(start: Any = 0, end: Any = 1, label: Any = "slur", part: Any = "body") -> dict[str, Any]:
    return {"part": part, "start": start, "end": end, "label": label}


def box(
    x: Any = 0.1, y: Any = 0.2, w: Any = 0.3, h: Any = 0.1, label: Any = "slur", part: Any = "photo"
) -> dict[str, Any]:
    return {"part": part, "x": x, "y": y, "w": w, "h": h, "label": label}


def segment(start: Any = 1.25, end: Any = 3.5, label: Any = "slur", part: Any = "clip") -> dict[str, Any]:
    return {"part": part, "start": start, "end": end, "label": label}


def parse(raw: dict[str, Any], answer: object) -> LabelValue:
    return KINDS[raw["kind"]].parse_answer(question_of(raw), answer, PARTS)


def refusal(raw: dict[str, Any], answer: object) -> str:
    with pytest.raises(AnswerError) as caught:
        parse(raw, answer)
    assert set(caught.value.fields) == {"marks"}
    return caught.value.detail


# Schema


@pytest.mark.parametrize(
    "raw",
    [
        *ALL,
        SPANS | {"parts": ["body"], "min": 1, "max": 3, "iou": 0.5, "overlapping": True},
        BOXES | {"parts": ["photo"], "min": 0, "iou": 0.75},
        SEGMENTS | {"iou": 1},
    ],
)
def test_schema_is_shown_as_it_was_sent(raw: dict[str, Any]) -> None:
    sent = {"questions": [raw | {"required": True}]}
    assert show_schema(compile_schema(sent)) == sent


@pytest.mark.parametrize("raw", ALL, ids=lambda raw: raw["kind"])
@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"labels": []}, "`labels` must be a list of at least one choice"),
        ({"labels": None}, "`labels` must be a list"),
        ({"labels": [{"value": "a", "children": [{"value": "b"}]}]}, 'unknown key "children"'),
        ({"labels": [{"value": "a"}, {"value": "a"}]}, "stands there twice"),
        ({"choices": LABELS}, 'unknown key "choices"'),
        ({"parts": []}, "`parts` must be a list of different names"),
        ({"parts": "body"}, "`parts` must be a list"),
        ({"parts": ["body", "body"]}, "different names"),
        ({"parts": [3]}, "`parts` must be a list"),
        ({"min": -1}, "`min` must be a whole number from 0 to 500"),
        ({"max": 501}, "`max` must be a whole number from 0 to 500"),
        ({"max": 2.5}, "`max` must be a whole number"),
        ({"max": True}, "`max` must be a whole number"),
        ({"min": 3, "max": 2}, "`min` must not be more than `max`"),
        ({"iou": 0}, "`iou` must be a number above 0 and at most 1"),
        ({"iou": 1.01}, "`iou` must be"),
        ({"iou": True}, "`iou` must be"),
        ({"iou": float("nan")}, "`iou` must be"),
    ],
)
def test_faulty_schema_is_refused_with_a_sentence_that_names_the_question(
    raw: dict[str, Any], own: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        question_of(raw | own)
    assert sentence in caught.value.detail
    assert '"marks"' in caught.value.detail


def test_only_spans_say_whether_they_may_overlap() -> None:
    with pytest.raises(SchemaError, match="`overlapping` must be true or false"):
        question_of(SPANS | {"overlapping": 1})
    with pytest.raises(SchemaError, match='unknown key "overlapping"'):
        question_of(BOXES | {"overlapping": True})


def test_label_keeps_its_id_over_versions_and_gives_it_to_no_other() -> None:
    first = compile_schema({"questions": [SPANS]})
    without = compile_schema({"questions": [SPANS | {"labels": [{"value": "other"}, {"value": "name"}]}]}, first)
    again = compile_schema({"questions": [SPANS]}, without)
    ids = [
        {one["value"]: one["id"] for one in version["questions"][0]["choices"]} for version in (first, without, again)
    ]
    assert ids == [{"slur": 1, "name": 2}, {"other": 3, "name": 2}, {"slur": 1, "name": 2}]


def test_answer_under_a_label_that_left_is_still_shown() -> None:
    first = compile_schema({"questions": [SPANS]})
    value = KINDS["spans"].parse_answer(first["questions"][0], [span()], PARTS)
    later = compile_schema({"questions": [SPANS | {"labels": [{"value": "name"}]}]}, first)["questions"][0]
    assert KINDS["spans"].show_value(later, value) == [span()]
    assert tell_value(later, [span()]) == "slur 0–1"


# What is accepted


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (SPANS, []),
        (SPANS, [span(0, 1), span(1, len(TEXT), "name")]),  # they may touch, up to the end of the text
        (SPANS, [span(0, 3), span(0, 3, part="title")]),
        (SPANS | {"overlapping": True}, [span(0, 3), span(0, 3, "name"), span(1, 2)]),
        (BOXES, [box()]),
        (BOXES, [box(0, 0, 1, 1), box(0.65, 0, 0.35, 1), box(0.7, 0.7, 0.3, 0.3)]),
        (SEGMENTS, [segment(), segment(0, 1000.5, part="film"), segment(2, 3, "name"), segment(120, 121)]),
    ],
)
def test_marks_that_fit_are_accepted_and_shown_again(raw: dict[str, Any], answer: list[dict[str, Any]]) -> None:
    shown = KINDS[raw["kind"]].show_value(question_of(raw), parse(raw, answer))
    assert sorted(shown, key=str) == sorted(answer, key=str)


@pytest.mark.parametrize(
    ("raw", "one", "other"),
    [
        (SPANS, [span(3, 4), span(0, 1)], [span(0.0, 1.0), span(3, 4)]),
        (BOXES, [box(0.5, x_, 0.1, 0.1) for x_ in (0.2, 0)], [box(0.5, y_, 0.1, 0.1) for y_ in (-0.0, 0.2)]),
        (SEGMENTS, [segment(5, 6), segment(1, 2)], [segment(1.0, 2.0), segment(5, 6)]),
    ],
)
def test_equal_answers_are_stored_as_equal_lists(
    raw: dict[str, Any], one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    assert parse(raw, one).data == parse(raw, other).data
    assert str(parse(raw, one).data) == str(parse(raw, other).data)


def test_label_is_stored_as_its_id() -> None:
    assert parse(SPANS, [span(1, 3, "name")]).data == [{"part": "body", "start": 1, "end": 3, "label": 2}]


def test_spans_count_code_points_and_nothing_is_normalised() -> None:
    start = TEXT.index(FAMILY)
    family, accent = span(start, start + 5), span(len(TEXT) - 3, len(TEXT) - 1, "name")
    shown = KINDS["spans"].show_value(question_of(SPANS), parse(SPANS, [family, accent]))
    assert [TEXT[one["start"] : one["end"]] for one in shown] == [FAMILY, ACCENTED]
    assert len(unicodedata.normalize("NFC", TEXT)) < len(TEXT)
    assert "past the end of the text, which has 11 characters" in refusal(SPANS, [span(0, 12)])
    assert len(TEXT.encode("utf-16-le")) // 2 > 12  # as JavaScript's length would have it, that still is inside


# What is refused


@pytest.mark.parametrize(
    ("raw", "answer", "sentence"),
    [
        (SPANS, {}, "The answer must be a list, [] where there is nothing to mark."),
        (SPANS, "slur", "must be a list"),
        (SPANS | {"min": 1}, [], "The answer must have 1 to 500 marks, not 0."),
        (SPANS | {"max": 1}, [span(0, 1), span(1, 2)], "The answer must have 0 to 1 marks, not 2."),
        (SPANS, ["slur"], "Span 1: it must be an object with `part`, `start`, `end`, `label`."),
        (SPANS, [{"start": 0, "end": 1, "label": "slur"}], "Span 1: it must be an object with"),
        (SPANS, [span() | {"text": "a"}], "Span 1: it must be an object with"),
        (SPANS, [span(), span(2, 3, "absent")], 'Span 2: "absent" is not one of the labels of this question.'),
        (SPANS, [span(label=1)], "is not one of the labels"),
        (SPANS, [span(label=["slur"])], "is not one of the labels"),
        (SPANS, [span(part="absent")], 'Span 1: the item has no part "absent".'),
        (SPANS, [span(part=["body"])], "the item has no part"),
        (SPANS, [span(part=None)], "the item has no part"),
        (SPANS, [span(part="photo")], 'the part "photo" is of the kind image, and only text can be marked here.'),
        (SPANS | {"parts": ["body"]}, [span(part="title")], 'its `part` is "title"; this question is about "body".'),
        (SPANS, [span(-1, 2)], "its `start` must be a number from 0 to"),
        (SPANS, [span("0", 2)], "its `start` must be a number"),
        (SPANS, [span(0, True)], "its `end` must be a number"),
        (SPANS, [span(0, 10**400)], "its `end` must be a number"),
        (SPANS, [span(0, float("nan"))], "its `end` must be a number"),
        (SPANS, [span(0, 1.5)], "its `start` and `end` must be whole numbers."),
        (SPANS, [span(3, 3)], "its `start` must be less than its `end`."),
        (SPANS, [span(3, 2)], "its `start` must be less than its `end`."),
        (SPANS, [span(0, 6, part="title")], "its `end` is 6, past the end of the text, which has 5 characters."),
        (SPANS, [span(), span()], "Span 2: it stands there twice."),
        (SPANS | {"overlapping": True}, [span(), span()], "Span 2: it stands there twice."),
        (SPANS, [span(0, 3), span(2, 4, "name")], "The spans 0-3 and 2-4 overlap; this question does not allow that."),
        (BOXES, [box(part="body")], "only image can be marked here"),
        (BOXES, [box(w=0)], "Box 1: its `w` and `h` must be more than 0."),
        (BOXES, [box(h=-0.1)], "its `h` must be a number from 0 to 1."),
        (BOXES, [box(x=1.1)], "its `x` must be a number from 0 to 1."),
        (BOXES, [box(x="0.1")], "its `x` must be a number"),
        (BOXES, [box(0.8, 0, 0.3, 0.1)], "it reaches beyond the image: `x` + `w` and `y` + `h` must be at most 1."),
        (BOXES, [box(0, 0.95, 0.3, 0.1)], "it reaches beyond the image"),
        (BOXES, [box(w=float("inf"))], "its `w` must be a number"),
        (BOXES, [box(), box()], "Box 2: it stands there twice."),
        (SEGMENTS, [segment(part="photo")], "only audio, video can be marked here"),
        (SEGMENTS, [segment(-0.5, 1)], "Segment 1: its `start` must be a number from 0 to"),
        (SEGMENTS, [segment(2, 2)], "its `start` must be less than its `end`."),
        (
            SEGMENTS,
            [segment(2, 121.01)],
            "its `end` is at 121.01 s, past the end of the recording, which lasts 120.5 s.",
        ),
        (SEGMENTS, [segment(), segment()], "Segment 2: it stands there twice."),
    ],
)
def test_answer_that_does_not_fit_is_refused_with_the_mark_and_its_fault(
    raw: dict[str, Any], answer: object, sentence: str
) -> None:
    assert sentence in refusal(raw, answer)


def test_more_marks_than_can_be_are_refused() -> None:
    assert "0 to 500 marks, not 501" in refusal(BOXES, [box(n / 1000, 0, 0.1, 0.1) for n in range(501)])


def test_without_the_content_the_form_is_checked_alone() -> None:
    question = question_of(SPANS)
    assert KINDS["spans"].parse_answer(question, [span(0, 999, part="gone")], None).data is not None
    with pytest.raises(AnswerError, match="less than its `end`"):
        KINDS["spans"].parse_answer(question, [span(3, 2, part="gone")], None)


# Versions


@pytest.mark.parametrize("raw", ALL, ids=lambda raw: raw["kind"])
@pytest.mark.parametrize(
    "own",
    [
        {"labels": [*LABELS, {"value": "new"}]},
        {"labels": LABELS[::-1]},
        {"labels": [LABELS[0] | {"text": "A slur", "key": "s"}, LABELS[1]]},
        {"min": 0},
        {"max": 500},
        {"parts": ["body", "title", "photo"]},
        {"parts": None},
        {"iou": 0.9},
    ],
)
def test_change_that_every_answer_survives_is_compatible(raw: dict[str, Any], own: dict[str, Any]) -> None:
    old = compile_schema({"questions": [raw | {"parts": ["body"], "min": 1, "max": 3}]})
    new = compile_schema({"questions": [raw | {"parts": ["body"], "min": 1, "max": 3} | own]}, old)
    assert classify_change(old, new).reasons == []


@pytest.mark.parametrize("raw", ALL, ids=lambda raw: raw["kind"])
@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"labels": LABELS[:1]}, 'no longer offers "name"'),
        ({"min": 1}, "needs more marks than before"),
        ({"max": 3}, "allows fewer marks than before"),
        ({"parts": ["body"]}, "is asked of fewer parts"),
    ],
)
def test_change_that_stored_answers_need_not_survive_is_breaking(
    raw: dict[str, Any], own: dict[str, Any], reason: str
) -> None:
    old = compile_schema({"questions": [raw]})
    (sentence,) = classify_change(old, compile_schema({"questions": [raw | own]}, old)).reasons
    assert reason in sentence


def test_spans_that_may_overlap_no_longer_break() -> None:
    old = compile_schema({"questions": [SPANS | {"overlapping": True}]})
    assert classify_change(old, compile_schema({"questions": [SPANS]}, old)).kind == "breaking"
    new = compile_schema({"questions": [SPANS]})
    allowed = compile_schema({"questions": [SPANS | {"overlapping": True}]}, new)
    assert classify_change(new, allowed).kind == "compatible"


def test_map_names_no_marks() -> None:
    old = compile_schema({"questions": [SPANS]})
    assert validate_map(old, compile_schema({"questions": [SPANS | {"max": 1}]}, old), {}) == {1: {}}


# Comparison


def same(raw: dict[str, Any], one: list[dict[str, Any]], other: list[dict[str, Any]]) -> tuple[bool, float]:
    kind, question, left, right = KINDS[raw["kind"]], question_of(raw), parse(raw, one), parse(raw, other)
    assert kind.is_same(question, left, right) is kind.is_same(question, right, left)
    assert kind.distance(question, left, right) == kind.distance(question, right, left)
    return kind.is_same(question, left, right), kind.distance(question, left, right)


@pytest.mark.parametrize(
    ("raw", "one", "other", "expected"),
    [
        (SPANS, [], [], (True, 0.0)),
        (SPANS, [span(0, 4)], [span(0, 4)], (True, 0.0)),
        (SPANS, [span(0, 4)], [span(0, 5)], (False, 1.0)),  # exact unless the schema says otherwise
        (SPANS | {"iou": 0.8}, [span(0, 4)], [span(0, 5)], (True, 0.0)),
        (SPANS | {"iou": 0.8}, [span(0, 4)], [span(0, 5, "name")], (False, 1.0)),
        (SPANS | {"iou": 0.8}, [span(0, 4)], [span(0, 4, part="title")], (False, 1.0)),
        (SPANS, [span(0, 4), span(5, 6)], [span(0, 4)], (False, pytest.approx(1 / 3))),
        (BOXES, [box(0, 0, 0.2, 0.2)], [box(0, 0, 0.2, 0.1)], (True, 0.0)),  # exactly one half
        (BOXES, [box(0, 0, 0.2, 0.2)], [box(0, 0, 0.2, 0.0999)], (False, 1.0)),
        (BOXES, [box(0, 0, 0.1, 0.1)], [box(0.1, 0, 0.1, 0.1)], (False, 1.0)),
        (BOXES | {"iou": 0.3}, [box(0, 0, 0.3, 0.1)], [box(0.1, 0, 0.3, 0.1)], (True, 0.0)),
        (SEGMENTS, [segment(0, 10)], [segment(0, 5)], (True, 0.0)),
        (SEGMENTS, [segment(0, 10)], [segment(0, 4.9)], (False, 1.0)),
        (SEGMENTS, [segment(0, 10), segment(20, 30)], [segment(0, 10), segment(50, 60)], (False, 0.5)),
    ],
)
def test_marks_are_the_same_where_each_has_its_partner(
    raw: dict[str, Any], one: list[dict[str, Any]], other: list[dict[str, Any]], expected: Any
) -> None:
    assert same(raw, one, other) == expected


def test_partners_are_found_where_the_nearest_one_is_needed_by_another() -> None:
    """The first segment is near both of the other answer, the second near one alone: that one it must leave."""
    one, other = [segment(0, 10), segment(4, 14)], [segment(2, 12), segment(-0.0, 6)]
    assert same(SEGMENTS | {"iou": 0.6}, one, other) == (True, 0.0)


MARKS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 6), st.sampled_from([1, 2])), min_size=0, max_size=5, unique=True
).map(lambda found: [{"part": "clip", "start": a, "end": a + n, "label": label} for a, n, label in found])


@given(one=MARKS, other=MARKS, least=st.sampled_from([None, 0.2, 0.5, 0.8]))
def test_as_many_pairs_are_found_as_there_can_be(
    one: list[dict[str, Any]], other: list[dict[str, Any]], least: float | None
) -> None:
    few, many = sorted((one, other), key=len)
    best = max(
        sum(marks.count_pairs([a], [b], least) for a, b in zip(few, order, strict=True))
        for order in permutations(many, len(few))
    )
    assert marks.count_pairs(one, other, least) == marks.count_pairs(other, one, least) == best


# Pages


def test_page_gets_labels_with_keys_and_what_may_be_marked() -> None:
    rendered = KINDS["spans"].render(question_of(SPANS | {"parts": ["body"], "max": 3, "overlapping": True}))
    assert [(one["value"], one["key"], one["clause"]) for one in rendered["options"]] == [
        ("slur", "1", "hate-1"),
        ("name", "2", None),
    ]
    assert {key: rendered[key] for key in ("widget", "parts", "part_kinds", "min", "max", "overlapping")} == {
        "widget": "spans",
        "parts": ["body"],
        "part_kinds": ["text"],
        "min": 0,
        "max": 3,
        "overlapping": True,
    }
    assert KINDS["segments"].render(question_of(SEGMENTS))["part_kinds"] == ["audio", "video"]


@pytest.mark.parametrize(
    ("raw", "answer", "told"),
    [
        (SPANS, [span(0, 3), span(4, 9, "name")], "Slur 0–3, name 4–9"),
        (BOXES, [box(), box(0, 0, 0.1, 0.1), box(label="name")], "2 × Slur, 1 × name"),
        (SEGMENTS, [segment()], "Slur 1.25 to 3.5 s"),
        (SPANS, [], "nothing marked"),
        (BOXES, [], "nothing marked"),
        (SEGMENTS, [], "nothing marked"),
    ],
)
def test_answer_is_told_in_words(raw: dict[str, Any], answer: list[dict[str, Any]], told: str) -> None:
    assert tell_value(question_of(raw), answer) == told
