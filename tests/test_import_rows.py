"""What a row must be to become an item."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.importing.rows import ItemRow, PartRow, RowError, make_image_row, parse_row
from annotation.kinds import LabelValue
from annotation.schema import compile_schema

SCHEMA = compile_schema(
    {
        "questions": [
            {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "none"}, {"value": "spam"}]},
            {"name": "severity", "kind": "rating", "required": True, "min": 1, "max": 5},
        ]
    }
)
SHA = "0a" * 32
FULL: dict[str, Any] = {
    "external_id": "a-17",
    "group": "creator-9",
    "parts": [
        {"name": "body", "kind": "text", "role": "target", "text": "Buy now\n"},
        {"name": "photo", "kind": "image", "media": SHA, "role": "context"},
    ],
    "metadata": {"language": "en", "likes": 3},
    "annotations": [{"annotator": "n", "answers": {"verdict": "spam", "severity": 2}}],
    "gold": {"verdict": "spam"},
}


def text_row(**keys: Any) -> dict[str, Any]:
    return {"text": "hello"} | keys


def part_row(**part: Any) -> dict[str, Any]:
    return {"parts": [part]}


def test_full_row_becomes_an_item() -> None:
    row = parse_row(FULL, SCHEMA)
    assert row.external_id == "a-17"
    assert row.group == "creator-9"
    assert row.parts == (
        PartRow(name="body", kind="text", role="target", text="Buy now\n"),
        PartRow(name="photo", kind="image", role="context", media=SHA),
    )
    assert row.metadata == {"language": "en", "likes": 3}
    assert row.annotations[0].annotator == "n"
    assert row.annotations[0].values == {1: LabelValue(choice=2), 2: LabelValue(number=2.0)}
    assert row.gold == {1: LabelValue(choice=2)}
    assert row.media() == [("image", SHA)]
    assert [part.as_json() for part in row.parts] == [
        {"name": "body", "kind": "text", "role": "target", "text": "Buy now\n"},
        {"name": "photo", "kind": "image", "role": "context", "media": SHA},
    ]


def test_only_kind_and_content_are_needed() -> None:
    kinds = [{"kind": "text", "text": "a"}, {"kind": "text", "text": "b"}, {"kind": "image", "media": SHA}]
    row = parse_row({"parts": [*kinds, {"kind": "text", "text": "c", "name": "text-2"}]}, SCHEMA)
    assert [part.name for part in row.parts] == ["text", "text-3", "image", "text-2"]
    assert {part.role for part in row.parts} == {"target"}
    assert (row.external_id, row.group, row.metadata, row.annotations, row.gold) == (None, None, {}, (), None)


def test_text_column_is_an_item_and_further_columns_are_metadata() -> None:
    row = parse_row({"text": "hello", "external_id": "7", "group": "g", "id": "9", "language": "pt-BR"}, SCHEMA)
    assert row == ItemRow(
        external_id="7",
        group="g",
        parts=(PartRow(name="text", kind="text", role="target", text="hello"),),
        metadata={"id": "9", "language": "pt-BR"},
    )


def test_another_column_may_hold_the_text() -> None:
    row = parse_row({"tweet": "hello", "text": "x", "count": "3"}, SCHEMA, text_column="tweet")
    assert row.parts[0] == PartRow(name="text", kind="text", role="target", text="hello")
    assert row.metadata == {"text": "x", "count": "3"}


def test_cells_of_a_table_may_hold_json() -> None:
    row = parse_row({"parts": '[{"kind": "text", "text": "a"}]', "gold": '{"verdict": "none"}'}, SCHEMA)
    assert row.parts[0].text == "a"
    assert row.gold == {1: LabelValue(choice=1)}
    assert parse_row(text_row(metadata='{"a": 1}', b="2"), SCHEMA).metadata == {"a": 1, "b": "2"}


def test_counted_ids_become_text_and_nulls_count_as_absent() -> None:
    row = parse_row(text_row(external_id=17, group=None, language=None, parts=None, gold={}), SCHEMA)
    assert (row.external_id, row.group, row.metadata, row.gold) == ("17", None, {}, None)


def test_image_out_of_an_archive_is_an_item() -> None:
    row = make_image_row("cats/1.png", SHA)
    assert (row.external_id, row.group) == ("cats/1.png", None)
    assert row.parts == (PartRow(name="image", kind="image", role="target", media=SHA),)
    with pytest.raises(RowError):
        make_image_row("x" * 201, SHA)


@pytest.mark.parametrize(
    "text", ["=1+1", "<script>alert(1)</script>", "\u202eevil", "a\u0301" * 50, "🙂", " ", "\t\n\x1b", "x" * 1_000_000]
)
def test_hostile_text_is_kept_as_it_is(text: str) -> None:
    assert parse_row(text_row(text=text), SCHEMA).parts[0].text == text


@pytest.mark.parametrize("tag", ["en", "pt-BR", "zh-Hant-TW", "und", "x-klingon", "de-1996"])
def test_language_tags_are_accepted(tag: str) -> None:
    assert parse_row(text_row(language=tag), SCHEMA).metadata == {"language": tag}


NESTED: dict[str, Any] = {}
for _level in range(30):
    NESTED = {"a": NESTED}

ANNOTATION = {"annotator": "n", "answers": {"verdict": "spam", "severity": 2}}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (["text"], "not an object"),
        ({}, "no `parts`"),
        ({"text": None}, "no `parts`"),
        ({"text": ""}, "empty"),
        ({"text": 3}, "not a text"),
        ({"text": "x" * 1_000_001}, "1000000"),
        ({"text": "a\x00b"}, "U+0000"),
        ({"text": "a\ud800b"}, "surrogate"),
        (text_row(external_id=""), "`external_id`"),
        (text_row(external_id="x" * 201), "`external_id`"),
        (text_row(external_id="a\nb"), "control character"),
        (text_row(external_id=1.5), "`external_id`"),
        (text_row(external_id=True), "`external_id`"),
        (text_row(group="\x00"), "`group`"),
        (text_row(group=["a"]), "`group`"),
        (FULL | {"extra": 1}, '"extra"'),
        (FULL | {"text": "both"}, '"text"'),
        ({"parts": []}, "1 to 50"),
        ({"parts": [{"kind": "text", "text": "a"}] * 51}, "1 to 50"),
        ({"parts": {"kind": "text"}}, "a list"),
        ({"parts": "[{"}, "not JSON"),
        ({"parts": '[],"x":[]'}, "not JSON"),
        ({"parts": ["text"]}, "Part 1"),
        (part_row(text="a"), "`kind`"),
        (part_row(kind="html", text="a"), "`kind`"),
        (part_row(kind=["text"], text="a"), "`kind`"),
        (part_row(kind="text"), "has a `text`"),
        (part_row(kind="text", text="a", media=SHA), "no `media`"),
        (part_row(kind="image"), "has a `media`"),
        (part_row(kind="image", text="a", media=SHA), "no `text`"),
        (part_row(kind="image", media=SHA.upper()), "SHA-256"),
        (part_row(kind="image", media="../../etc/passwd"), "SHA-256"),
        (part_row(kind="image", media=SHA + "\n"), "SHA-256"),
        (part_row(kind="image", url="file:///etc/passwd"), "must begin with https"),
        (part_row(kind="image", url="https://example.org/a.png", media=SHA), "a `media` or a `url`"),
        (part_row(kind="image", url="https://example.org/a.png", text="a"), "no `text`"),
        (part_row(kind="text", text="a", url="https://example.org/a.png"), "no `media` or `url`"),
        (part_row(kind="text", url="https://example.org/a.txt"), "has a `text`"),
        (part_row(kind="text", text="a", role="context"), "must be the target"),
        (part_row(kind="text", text="a", role="judge"), "`role`"),
        (part_row(kind="text", text="a", role=[]), "`role`"),
        (part_row(kind="text", text="a", name=""), "`name`"),
        (part_row(kind="text", text="a", colour=1), '"colour"'),
        ({"parts": [{"kind": "text", "text": "a", "name": "n"}] * 2}, "Two parts"),
        (text_row(language="English"), "language tag"),
        (text_row(language="en_GB"), "language tag"),
        (text_row(language=3), "language tag"),
        (text_row(metadata="[1]"), "an object"),
        (text_row(metadata={"a": 1}, a=2), "column"),
        (text_row(a={"b": ["\x00"]}), "U+0000"),
        (text_row(a=float("inf")), "finite"),
        (text_row(a=b"bytes"), "JSON cannot hold"),
        (text_row(**{"a\x00": 1}), "metadata key"),
        (text_row(a=NESTED), "nested"),
        (text_row(a="x" * 70_000), "bytes"),
        (text_row(annotations={}), "a list"),
        (text_row(annotations=["n"]), "Annotation 1"),
        (text_row(annotations=[ANNOTATION | {"seconds": 3}]), "Annotation 1"),
        (text_row(annotations=[{"answers": ANNOTATION["answers"]}]), "`annotator`"),
        (text_row(annotations=[ANNOTATION, ANNOTATION]), "twice"),
        (text_row(annotations=[{"annotator": "n", "answers": {"verdict": "spam"}}]), "severity: This question needs"),
        (text_row(annotations=[{"annotator": "n"}]), "Annotation 1"),
        (text_row(gold={"verdict": "ham"}), "Gold"),
        (text_row(gold={"colour": "red"}), "no question"),
        (text_row(gold="spam"), "`gold` is not JSON"),
    ],
)
def test_faulty_row_is_refused_with_a_sentence(raw: object, sentence: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_row(raw, SCHEMA)
    assert sentence in caught.value.detail
    assert len(caught.value.detail) < 500
