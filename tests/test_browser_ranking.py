"""Rankings, texts and long lists of choices on the desk in a real Chromium: by keys, by mouse, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.models import AnnotationText, Label
from tests.cast import Desk, MakeDesk
from tests.test_browser import expect_another, faults, item_text, sign_in, watched
from tests.test_browser_boxes import press

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

NAMES = ["clear", "kind", "true", "short"]
ORDER: dict[str, Any] = {"name": "order", "kind": "ranking", "text": "Which is best?", "required": True}
ORDER["choices"] = [{"value": name, "text": name.title()} for name in NAMES]
WHY: dict[str, Any] = {"name": "why", "kind": "text", "text": "Why?", "required": True}
LAWS = [
    {
        "value": f"part-{part}",
        "text": f"Part {part}",
        "children": [{"value": f"law-{part}-{n}", "text": f"Law {n} of {part}"} for n in range(12)],
    }
    for part in ("Fraud", "Élections", "Hate")
]
LAW: dict[str, Any] = {"name": "law", "kind": "choice", "text": "Which law?", "required": True, "choices": LAWS}

OpenDesk = Callable[..., Desk]


@pytest.fixture
def open_desk(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> OpenDesk:
    """Open the desk with two texts and these questions."""

    def show(*questions: dict[str, Any]) -> Desk:
        desk = make_desk(n=2, schema={"questions": list(questions)}, overlap=1)
        sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
        expect(watched.locator("#item .item-text")).to_be_visible()
        return desk

    return show


def stored(page: Page, desk: Desk) -> Any:
    """What the one answer holds, with the choices' ids, which are 1, 2, 3, ..."""
    expect(page.locator("#n-sitting")).to_have_text("1")
    expect(page.locator("#saved")).to_have_text("Saved")
    return Label.objects.get(project=desk.project).data


def ranked(page: Page) -> list[str]:
    return page.locator("ol.ranking .choice-text").all_inner_texts()


# Rankings


def test_choices_are_ranked_by_their_keys_in_order(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER)
    press(watched, "3", "1", "4")
    assert ranked(watched) == ["True", "Clear", "Short"]
    press(watched, "Enter")
    expect(watched.locator(".toast")).to_have_text("Rank 1 more in “Which is best?”.")
    press(watched, "1", "2", "1", "Enter")  # out, and in again behind the other
    assert stored(watched, desk) == [[3], [4], [2], [1]]


def test_space_picks_up_arrows_move_and_space_puts_down(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER)
    press(watched, "1", "2", "3", "4", "ArrowDown")
    expect(watched.locator(".rank-choice >> text=Clear")).to_be_visible()
    press(watched, "Space")
    expect(watched.locator("#live")).to_have_text("Clear picked up. Arrows move it, Space puts it down.")
    press(watched, "ArrowDown", "ArrowDown")
    expect(watched.locator("#live")).to_have_text("Clear: place 3 of 4")
    press(watched, "Space", "ArrowDown")
    assert watched.evaluate("document.activeElement.querySelector('.choice-text').textContent") == "Short"
    assert ranked(watched) == ["Kind", "True", "Clear", "Short"]
    press(watched, "Delete")
    assert ranked(watched) == ["Kind", "True", "Clear"]
    press(watched, "4", "Enter")
    assert stored(watched, desk) == [[2], [3], [1], [4]]


def test_ties_where_they_are_allowed(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER | {"ties": True})
    press(watched, "1", "2", "3", "4", "ArrowDown", "ArrowDown", "=")
    assert watched.locator(".rank-place.is-tied .choice-text").all_inner_texts() == ["Clear", "Kind"]
    press(watched, "ArrowDown", "=", "ArrowDown", "=", "=")
    press(watched, "Enter")
    assert stored(watched, desk) == [[1, 2, 3], [4]]


def test_mouse_drags_choices_in_and_about(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER)
    for name in ("Clear", "Kind", "True"):
        watched.click(f".rank-choice >> text={name}")
    watched.locator(".is-left .rank-choice").hover()
    watched.mouse.down()
    first = watched.locator("ol.ranking .rank-choice").first.bounding_box()
    assert first is not None
    watched.mouse.move(first["x"] + 60, first["y"] + 30, steps=3)
    watched.mouse.move(first["x"] + 60, first["y"] + 4)
    watched.mouse.up()
    assert ranked(watched) == ["Short", "Clear", "Kind", "True"]
    watched.click("[aria-label='True up']")
    watched.click("#submit")
    assert stored(watched, desk) == [[4], [1], [3], [2]]


def test_a_finger_drags_by_the_grip_and_scrolls_elsewhere(watched: Page, open_desk: OpenDesk) -> None:
    watched.set_viewport_size({"width": 390, "height": 844})
    desk = open_desk(ORDER)
    for name in ("Clear", "Kind", "True"):
        watched.click(f".rank-choice >> text={name}")
    touch = watched.context.new_cdp_session(watched)

    def drag(start: str, end: str) -> None:
        boxes = [watched.locator(one).bounding_box() for one in (start, end)]
        (x, y), (_x, below) = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes if box]
        steps = [y, y + (below - y) / 2, below - 12]
        for kind, at in zip(("touchStart", "touchMove", "touchMove"), steps, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": at}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    drag("[data-value=true] .choice-text", "[data-value=clear] .choice-text")
    assert ranked(watched) == ["Clear", "Kind", "True"]
    watched.evaluate("scrollTo(0, document.body.scrollHeight)")
    drag("[data-value=true] .rank-grip", "[data-value=clear] .rank-grip")
    assert ranked(watched) == ["True", "Clear", "Kind"]
    drag("[data-value=short] .rank-grip", "[data-value=kind] .rank-grip")
    assert ranked(watched) == ["True", "Clear", "Short", "Kind"]
    watched.click("#submit")
    assert stored(watched, desk) == [[3], [1], [4], [2]]


def test_only_the_best_are_ranked_where_the_schema_says_so(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER | {"top": 2})
    press(watched, "2", "4", "1")
    expect(watched.locator(".toast")).to_have_text("2 are ranked, which is all: take one out first.")
    press(watched, "Enter")
    assert stored(watched, desk) == [[2], [4]]


def test_nothing_ranked_is_no_answer_and_a_draft_comes_back(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(ORDER)
    press(watched, "Enter")
    expect(watched.locator(".toast")).to_have_text("Answer “Which is best?” first.")
    press(watched, "Escape", "2", "1")
    watched.reload()
    expect(watched.locator("ol.ranking .choice-text")).to_have_text(["Kind", "Clear"])
    press(watched, "3", "4", "Enter")
    assert stored(watched, desk) == [[2], [1], [3], [4]]


# Texts


def text_of(page: Page, desk: Desk) -> str:
    expect(page.locator("#n-sitting")).to_have_text("1")
    expect(page.locator("#saved")).to_have_text("Saved")
    [text] = AnnotationText.objects.get().answers.values()
    return str(text)


def test_text_is_written_and_sent_by_keys_alone(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(WHY | {"max_length": 20})
    first = item_text(watched)
    press(watched, "t", *"Two", "Enter", *"lines")
    watched.keyboard.insert_text("\N{THUMBS UP SIGN}")
    expect(watched.locator("#questions .text-count")).to_contain_text("10 characters left")
    press(watched, "Control+Enter")
    expect_another(watched, first)
    expect(watched.locator("#questions textarea")).to_have_value("")
    assert text_of(watched, desk) == "Two\nlines\N{THUMBS UP SIGN}"


def test_text_of_the_wrong_length_is_told_and_kept(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(WHY | {"min_length": 3, "max_length": 5})
    area = watched.locator("#questions textarea")
    press(watched, "Enter")
    expect(area).to_be_focused()
    for typed, told in (("ab", "needs at least 3 characters; there are 2."), ("abcdef", "may have 5 characters")):
        area.fill(typed)
        press(watched, "Control+Enter")
        expect(watched.locator(".toast")).to_contain_text(told)
        expect(area).to_have_value(typed)
    area.fill("abc")
    press(watched, "Escape")
    expect(watched.locator("#item")).to_be_focused()
    watched.reload()
    expect(area).to_have_value("abc")
    watched.click("#submit")
    assert text_of(watched, desk) == "abc"


# Many choices


def test_many_choices_are_searched_and_chosen_by_keys(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(LAW)
    first = item_text(watched)
    press(watched, "/")
    expect(watched.locator(".choice-search")).to_be_focused()
    watched.keyboard.type("elections 11")  # of the heading, and without its accent
    expect(watched.locator(".choice:visible")).to_contain_text("Law 11 of Élections")
    expect(watched.locator(".choice-group:visible")).to_have_text("Part Élections")
    press(watched, "Enter")
    expect_another(watched, first)
    expect(watched.locator(".choice:visible")).to_have_count(36)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Label.objects.get(project=desk.project).choice == 26  # ids count the headings, too


def test_arrows_go_through_what_was_found(watched: Page, open_desk: OpenDesk) -> None:
    desk = open_desk(LAW | {"kind": "choices"})
    press(watched, "/")
    watched.keyboard.type("hate")
    press(watched, "ArrowDown", "ArrowDown", "Enter")
    expect(watched.locator(".choice[aria-pressed=true]")).to_contain_text("Law 1 of Hate")
    watched.locator(".choice-search").fill("nothing like it")
    expect(watched.locator("#questions")).to_contain_text("Nothing has these words.")
    press(watched, "Escape", "Escape")
    expect(watched.locator("#item")).to_be_focused()
    press(watched, "1", "Enter")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Label.objects.get(project=desk.project).choices == [2, 29]
