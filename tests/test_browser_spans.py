"""Spans on the desk in a real Chromium: by mouse, by keys alone, in every script, and what is stored of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.models import Label
from tests.cast import Desk, MakeDesk
from tests.test_browser import faults, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LABELS = [{"value": "slur", "text": "Slur"}, {"value": "name", "text": "Name"}]
MARKS: dict[str, Any] = {"name": "marks", "kind": "spans", "text": "What is said?", "required": True, "labels": LABELS}
VERDICT = {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "ok", "key": "q"}]}

OpenSpans = Callable[..., Desk]


@pytest.fixture
def open_spans(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> OpenSpans:
    """Open the desk with these texts, each an item of its own, and one question for spans."""

    def show(*texts: str, **question: Any) -> Desk:
        rows = [{"external_id": f"t-{i}", "text": text} for i, text in enumerate(texts)]
        desk = make_desk(schema={"questions": [MARKS | question]}, rows=rows, overlap=1)
        sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
        expect(watched.locator("#item .item-text")).to_be_visible()
        return desk

    return show


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def stored(page: Page, desk: Desk, n: int = 1) -> list[list[tuple[int, int, int]]]:
    """The spans of each answer, (start, end, label's id), once `n` answers are stored."""
    expect(page.locator("#n-sitting")).to_have_text(str(n))
    expect(page.locator("#saved")).to_have_text("Saved")
    labels = (
        Label.objects.filter(project=desk.project, question=1).order_by("annotation_id").values_list("data", flat=True)
    )
    return [[(one["start"], one["end"], one["label"]) for one in data or []] for data in labels]


def select(page: Page, words: str) -> None:
    """Select these words in the text by dragging the mouse over them."""
    box = page.evaluate(
        """(words) => {
             const root = document.querySelector("#item .item-text");
             const range = document.createRange();
             const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
             let found = null;
             while (walker.nextNode()) if (walker.currentNode.data.includes(words)) found = walker.currentNode;
             const at = found.data.indexOf(words);
             range.setStart(found, at);
             range.setEnd(found, at + words.length);
             const rects = [...range.getClientRects()];
             const [first, last] = [rects[0], rects[rects.length - 1]];
             return { x: first.left, y: first.top + first.height / 2, ex: last.right, ey: last.top + last.height / 2 };
           }""",
        words,
    )
    page.mouse.move(box["x"] + 0.5, box["y"])
    page.mouse.down()
    page.mouse.move(box["ex"] - 3, box["ey"], steps=4)
    page.mouse.move(box["ex"] - 0.5, box["ey"])
    page.mouse.up()


def test_words_are_marked_by_keys_alone_and_stored(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("You rotten egg, said Ann.")
    press(watched, "ArrowRight")
    expect(watched.locator("#item .item-text")).to_be_focused()
    press(watched, *["ArrowRight"] * 4, *["Shift+ArrowRight"] * 6, "1")
    expect(watched.locator("mark.span")).to_have_text("rotten")
    expect(watched.locator(".span-tag")).to_have_attribute("data-label", "Slur")
    expect(watched.locator("#live")).to_have_text("Slur: “rotten”. 1 of 1.")
    press(watched, "End", *["ArrowLeft"], "Control+Shift+ArrowLeft", "2")
    expect(watched.locator("mark.span").nth(1)).to_have_text("Ann")
    press(watched, "Enter")
    assert stored(watched, desk) == [[(4, 10, 1), (21, 24, 2)]]


def test_tab_walks_the_marks_a_label_changes_one_and_delete_removes_it(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("one two three")
    press(watched, "ArrowRight", "Control+Shift+ArrowRight", "1", "Control+Shift+ArrowRight", "1")
    expect(watched.locator("mark.span")).to_have_count(2)
    press(watched, "Escape", "Escape", "ArrowRight", "Tab")
    expect(watched.locator("mark.is-selected")).to_have_text("one")
    press(watched, "2")
    expect(watched.locator(".span-tag").first).to_have_attribute("data-label", "Name")
    press(watched, "Tab", "Delete")
    expect(watched.locator("mark.span")).to_have_count(1)
    press(watched, "Control+z")
    expect(watched.locator("mark.span")).to_have_count(2)
    press(watched, "Control+z", "Enter")  # the change of the label, too
    assert stored(watched, desk) == [[(0, 3, 1), (4, 7, 1)]]


def test_tab_leaves_the_text_behind_the_last_mark(watched: Page, open_spans: OpenSpans) -> None:
    open_spans("one two")
    press(watched, "ArrowRight", "Control+Shift+ArrowRight", "1", "Escape", "ArrowRight", "Tab", "Tab")
    expect(watched.locator("#item .item-text")).not_to_be_focused()
    assert watched.evaluate("document.activeElement.closest('#questions') !== null")


def test_mouse_marks_what_is_selected_and_what_follows_a_label_in_hand(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("The quick brown fox jumps over the lazy dog.")
    select(watched, "quick ")
    watched.click(".marks-labels .choice >> text=Slur")
    expect(watched.locator("mark.span")).to_have_text("quick")  # without the space
    watched.keyboard.press("Escape")
    watched.click(".marks-labels .choice >> text=Name")
    select(watched, "fox")
    expect(watched.locator("mark.span")).to_have_count(2)
    select(watched, "lazy dog")
    expect(watched.locator("mark.span")).to_have_text(["quick", "fox", "lazy dog"])
    watched.click("mark.span >> text=fox")
    watched.click("[aria-label='Remove Name, “fox”']")
    watched.click("#submit")
    assert stored(watched, desk) == [[(4, 9, 1), (35, 43, 2)]]


def test_places_are_code_points_with_emoji_and_combining_characters(watched: Page, open_spans: OpenSpans) -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    text = f"a {family} cafe\N{COMBINING ACUTE ACCENT} \N{PILE OF POO} end"
    desk = open_spans(text)
    select(watched, "cafe\N{COMBINING ACUTE ACCENT}")
    press(watched, "1")
    select(watched, "end")
    press(watched, "2")
    press(watched, "Home", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "1")  # the family is one step
    expect(watched.locator("mark.span").first).to_have_text(family)
    press(watched, "Enter")
    [spans] = stored(watched, desk)
    assert [text[start:end] for start, end, _label in spans] == [family, "cafe\N{COMBINING ACUTE ACCENT}", "end"]


def test_right_to_left_text_is_marked_where_it_is_read(watched: Page, open_spans: OpenSpans) -> None:
    text = "שלום עולם, hello עברית"
    desk = open_spans(text)
    select(watched, "hello")
    press(watched, "1")
    press(watched, "Home", "ArrowLeft", "ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "2")
    press(watched, "Enter")
    [spans] = stored(watched, desk)
    assert [text[start:end] for start, end, _label in spans] == ["ום", "hello"]


def test_nothing_to_mark_is_an_answer_that_has_to_be_given(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("all is well")
    press(watched, "Enter")
    expect(watched.locator(".toast")).to_have_text("Answer “What is said?” first.")
    press(watched, "Escape", "0", "Enter")
    assert stored(watched, desk) == [[]]


def test_spans_overlap_only_where_the_schema_allows_it(watched: Page, open_spans: OpenSpans) -> None:
    open_spans("one two three")
    select(watched, "one two")
    press(watched, "1")
    select(watched, "two")
    press(watched, "2")
    expect(watched.locator(".toast")).to_have_text("That would overlap Slur, “one two”, which is not allowed here.")
    expect(watched.locator(".mark-list li")).to_have_count(1)


def test_overlapping_spans_are_drawn_and_stored(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("one two three", overlapping=True)
    select(watched, "one two")
    press(watched, "1")
    select(watched, "two")
    press(watched, "2")
    expect(watched.locator("mark.span")).to_have_text(["one ", "two"])
    expect(watched.locator(".span-tag")).to_have_count(2)
    press(watched, "Enter")
    assert stored(watched, desk) == [[(0, 7, 1), (4, 7, 2)]]


def test_draft_is_there_after_a_reload_and_the_next_item_begins_empty(watched: Page, open_spans: OpenSpans) -> None:
    desk = open_spans("one \N{PILE OF POO} two", "one \N{PILE OF POO} two.")
    select(watched, "two")
    press(watched, "1")
    expect(watched.locator("mark.span")).to_have_text("two")
    kept = watched.evaluate("Object.entries(localStorage).filter(([n]) => n.startsWith('touchstone:')).flat().join()")
    assert "two" not in kept
    watched.reload()
    expect(watched.locator("mark.span")).to_have_text("two")
    press(watched, "Enter")
    expect(watched.locator("#n-sitting")).to_have_text("1")
    expect(watched.locator("mark.span")).to_have_count(0)
    press(watched, "0", "Enter")
    assert stored(watched, desk, 2) == [[(6, 9, 1)], []]


def test_nothing_can_be_typed_into_the_text(watched: Page, open_spans: OpenSpans) -> None:
    open_spans("one two")
    press(watched, "ArrowRight", "w", " ", "Shift+ArrowRight", "Backspace", "Delete", "Control+v")
    watched.keyboard.insert_text("typed")
    assert watched.locator("#item .item-text").evaluate("(one) => one.textContent") == "one two"


def test_marks_of_a_question_that_is_not_asked_any_more_are_not_drawn(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    choices = [{"value": "yes", "key": "y"}, {"value": "no", "key": "n"}]
    asked = {"name": "asked", "kind": "choice", "required": True, "choices": choices}
    when = {"question": "asked", "in": ["yes"]}
    make_desk(n=1, schema={"questions": [asked, MARKS | {"when": when}]}, overlap=1)
    sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
    expect(watched.locator("#item .item-text")).to_be_visible()
    press(watched, "y", "ArrowRight", "Control+Shift+ArrowRight", "1")
    expect(watched.locator("mark.span")).to_have_count(1)
    press(watched, "n")
    expect(watched.locator("mark.span")).to_have_count(0)


def test_marks_of_a_text_that_is_hidden_are_drawn_once_it_is_revealed(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    row = {"external_id": "a", "text": "hard words", "metadata": {"severity": "severe", "harm": "violence"}}
    desk = make_desk(schema={"questions": [MARKS]}, rows=[row], overlap=1)
    sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
    expect(watched.locator(".cover")).to_be_visible()
    press(watched, "r", "ArrowRight", "Control+Shift+ArrowRight", "1")
    expect(watched.locator("mark.span")).to_have_text("hard")
    watched.reload()
    expect(watched.locator(".cover")).to_be_visible()
    expect(watched.locator(".mark-list")).to_have_text("Slur0–4")
    press(watched, "r")
    expect(watched.locator("mark.span")).to_have_text("hard")
    expect(watched.locator(".mark-list")).to_have_text("Slur“hard”")
    press(watched, "Enter")
    assert stored(watched, desk) == [[(0, 4, 1)]]


def test_words_that_are_covered_stay_so_when_they_are_marked(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    row = {"external_id": "a", "text": "you bad words you", "metadata": {"severity": "severe", "harm": "violence"}}
    masked = {"masked_words": ["bad words"]}
    desk = make_desk(schema={"questions": [MARKS]}, rows=[row], overlap=1, care=masked)
    sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
    expect(watched.locator(".cover")).to_be_visible()
    press(watched, "r", "ArrowRight", *["ArrowRight"] * 2, *["Shift+ArrowRight"] * 13, "1")
    expect(watched.locator(".mark-list")).to_have_text("Slur“u ••••••••• y”")
    expect(watched.locator("mark .masked")).to_have_text("bad words")
    press(watched, "Enter")
    assert stored(watched, desk) == [[(2, 15, 1)]]


def test_long_text_with_many_marks_stays_quick(watched: Page, open_spans: OpenSpans) -> None:
    words = " ".join(f"word{i:05}" for i in range(10_000))  # 100 kB
    desk = open_spans(words)
    press(watched, "ArrowRight")
    took = []
    for _ in range(30):
        press(watched, "Control+Shift+ArrowRight")
        began = time.monotonic()
        press(watched, "1")
        watched.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        took.append(time.monotonic() - began)
    expect(watched.locator("mark.span")).to_have_count(30)
    assert sorted(took)[15] < 0.5, took
    press(watched, "Enter")
    [spans] = stored(watched, desk)
    assert [words[start:end] for start, end, _label in spans] == words.split()[:30]


def test_a_finger_selects_and_the_labels_come_to_it(watched: Page, open_spans: OpenSpans) -> None:
    watched.set_viewport_size({"width": 390, "height": 800})
    desk = open_spans("one two three " * 200)
    select(watched, "three")
    bar = watched.locator(".marks-labels")
    expect(bar).to_be_in_viewport()
    bar.locator("text=Name").click()
    watched.click("#submit")
    [[(start, end, label)]] = stored(watched, desk)
    assert (end - start, label) == (5, 2)
