"""Texts by runs of their characters: against scikit-learn's, and when a project's texts are learned so."""

from __future__ import annotations

import doctest
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from learning.algorithms.features import characters, choose_text_blocks, texts
from learning.algorithms.features.characters import CharacterFeatures, count_characters, is_unspaced
from learning.features.counting import count_blocks
from learning.features.stored import refresh_shards
from learning.scoring import fit_space, unpack_model
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, empty_desk, play, teach

THAI = "วันนี้อากาศดีมาก"


@settings(max_examples=60, deadline=None)
@given(found=st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_runs_are_those_of_scikit_learn(found: list[str]) -> None:
    theirs = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    analyse = theirs.build_analyzer()
    counts = count_characters(found)
    assert counts.shape == (len(found), 2**18)
    assert counts.sum(axis=1).ravel().tolist()[0] == [len(analyse(text)) for text in found]
    # Two runs may share a column, seldom.
    n_different = [len(set(analyse(text))) for text in found]
    assert (np.array(n_different) - counts.getnnz(axis=1)).max() <= 2


def test_the_same_run_has_the_same_column_in_any_text_and_another_one_another() -> None:
    counts = count_characters(["abba", "abba cd", "abba", "bab"]).tocsr()
    first, longer, again, other = (set(counts[row].indices.tolist()) for row in range(4))
    assert first == again
    assert first < longer
    assert len(first & other) == 2  # "ab", "ba"


def test_texts_are_counted_alike_in_parts_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["buy now " * n for n in range(8)]
    whole = count_characters(found)
    monkeypatch.setattr(characters, "AT_ONCE", 20)
    assert (count_characters(found) != whole).nnz == 0
    assert count_characters([]).shape == (0, 2**18)


def test_half_a_surrogate_does_no_harm() -> None:
    assert count_characters(["a\ud800b"]).nnz > 0


def test_whoever_counts_in_another_way_raises_the_version() -> None:
    """If this fails, `count_characters` counts otherwise than before: raise VERSION and put the new digest here."""
    counts = count_characters(["Buy buy NOW, it's 50% off!", "Füße, 東京 and été_2", ""])
    digest = hashlib.sha256(counts.indices.astype("<i4").tobytes() + counts.data.astype("<f4").tobytes()).hexdigest()
    assert (CharacterFeatures.VERSION, digest[:16]) == (1, "1c21c0f6e067c016")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(THAI, True), ("今日はいい天気", True), ("좋은 아침입니다", False), ("доброе утро", False), ("12 !?", False)],
)
def test_scripts_without_spaces_are_known(text: str, is_one: bool) -> None:
    assert is_unspaced([text]) is is_one


@pytest.mark.parametrize(
    ("asked", "text", "n", "blocks"),
    [
        ("auto", "good morning", 100_000, ("characters",)),
        ("auto", "good morning", 100_001, ("words",)),
        ("auto", THAI, 100_001, ("characters",)),
        ("words", THAI, 1, ("words",)),
        ("characters", "good", 100_001, ("characters",)),
        ("both", "good", 1, ("words", "characters")),
    ],
)
def test_what_is_asked_for_decides_else_how_many_there_are_and_their_script(
    asked: str, text: str, n: int, blocks: tuple[str, ...]
) -> None:
    assert choose_text_blocks(asked, [text], n) == blocks


def test_processes_count_characters_too() -> None:
    parts = [
        json.dumps([{"name": "a", "kind": "text", "role": "target", "text": text}]).encode() for text in ("a", "b")
    ]
    (alone,), (together,) = list(count_blocks([parts], 0, "characters")), list(count_blocks([parts], 1, "characters"))
    assert (alone.words != together.words).nnz == 0
    assert alone.words.sum() == 6


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(characters).failed == 0
    assert doctest.testmod(texts).failed == 0


# --- In a project ----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> Desk:
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "models", tmp_path / "features"
    return empty_desk(make_desk, learning={"every": None, "holdout_share": 0})


def blocks_of(desk: Desk, items: list[int]) -> list[str]:
    shards = refresh_shards(desk.project, lambda: None)
    return list(fit_space(shards, np.array(sorted(items)), np.random.default_rng(0)).blocks)


@pytest.mark.django_db
def test_a_project_learns_by_what_its_settings_say_and_counts_no_more(desk: Desk, settings: Any) -> None:
    items = add(desk, 3, SPAM, "s")
    found = {}
    for asked in ("both", "words", "characters", "auto"):
        desk.project.learning = {**(desk.project.learning or {}), "text": asked}
        found[asked] = blocks_of(desk, items), {path.name for path in settings.FEATURE_DIR.glob("*/*")}
    assert found == {
        "both": (["words", "characters"], {"words-1", "characters-1"}),
        "words": (["words"], {"words-1"}),
        "characters": (["characters"], {"words-1", "characters-1"}),
        "auto": (["characters"], {"words-1", "characters-1"}),
    }


@pytest.mark.django_db
def test_the_script_of_a_large_project_decides(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MANY_TEXTS", 2)
    english = add(desk, 3, PLAIN, "p")
    assert blocks_of(desk, english) == ["words"]
    thai = add(desk, 3, THAI * 3, "thai")
    assert blocks_of(desk, [*english, *thai]) == ["characters"]


@pytest.mark.django_db
def test_a_model_of_words_still_scores_where_characters_are_learned_now(desk: Desk) -> None:
    teach(desk)
    add(desk, 2, SPAM, "o")
    desk.project.learning = {**(desk.project.learning or {}), "text": "words"}
    desk.project.save()
    first = play(desk)
    desk.project.learning["text"] = "characters"
    desk.project.save()
    again, second = play(desk, train=False), play(desk)
    assert again.model_version == first.model_version
    assert first.model_version is not None
    assert second.model_version is not None
    assert list(unpack_model(first.model_version)[0].blocks) == ["words"]
    assert list(unpack_model(second.model_version)[0].blocks) == ["characters"]
