"""Numbers on the desk in a real Chromium: typed at once, told to screen readers, and never carried to another item."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.models import Label
from reviewers.models import Resolution
from tests.cast import Desk, MakeDesk
from tests.test_browser import expect_another, faults, item_text, open_desk, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

DISTANCE: dict[str, Any] = {
    "name": "distance",
    "kind": "number",
    "text": "How far is it?",
    "required": True,
    "min": 0,
    "max": 100,
    "step": 0.5,
    "unit": "km",
}
VERDICT = {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "near"}, {"value": "far"}]}


@pytest.fixture
def desk(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """Three texts, each with one number to give."""
    return make_desk(n=3, schema={"questions": [DISTANCE]}, overlap=1)


def numbers(desk: Desk) -> list[float | None]:
    return sorted(Label.objects.filter(project=desk.project).values_list("number", flat=True), key=str)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_digits_and_enter_answer_an_item_and_the_next_begins_empty(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_desk(watched, live_server, "alice")
    field = watched.get_by_label("How far is it?, km, from 0 to 100, in steps of 0.5")
    for typed in ("42", "7.5"):
        first = item_text(watched)
        press(watched, *typed)
        expect(field).to_have_value(typed)
        press(watched, "Enter")
        expect_another(watched, first)
        expect(field).to_have_value("")
    press(watched, "0", "Enter")
    expect(watched.locator("#empty-title")).to_have_text("Nothing to label just now")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert numbers(desk) == [0.0, 42.0, 7.5]


def test_mouse_alone_answers_too(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    first = item_text(watched)
    watched.locator(".number-field input").fill("3.5")
    watched.click("#submit")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert numbers(desk) == [3.5]


def test_number_that_does_not_fit_is_told_and_not_sent(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    field, first = watched.locator(".number-field input"), item_text(watched)
    for wrong in ("101", "2.3", "-1", "-"):
        field.fill("")
        press(watched, *wrong, "Enter")
        expect(watched.locator(".toast")).to_have_text(
            "“How far is it?” needs another number: from 0 to 100, in steps of 0.5"
        )
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        assert item_text(watched) == first
    press(watched, "Control+a", "9", "Enter")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert numbers(desk) == [9.0]


def test_number_that_does_not_fit_stays_with_its_item(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    field, first = watched.locator(".number-field input"), item_text(watched)
    press(watched, "1", "0", "1", "Escape", "u")
    expect(field).to_have_value("101")  # to be seen and mended
    press(watched, "s", "2")
    expect_another(watched, first)
    expect(field).to_have_value("")
    expect(field).to_have_attribute("aria-invalid", "false")


def test_wheel_over_the_field_changes_no_answer(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    field = watched.locator(".number-field input")
    press(watched, "4", "2")
    field.hover()
    watched.mouse.wheel(0, 300)
    watched.wait_for_timeout(300)
    expect(field).to_have_value("42")


def test_undo_brings_the_number_back_to_be_typed_anew(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    field, first = watched.locator(".number-field input"), item_text(watched)
    press(watched, "4", "2", "Enter")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    press(watched, "z")
    expect(watched.locator("#item .item-text")).to_have_text(first)
    expect(field).to_have_value("42")
    press(watched, "8", "Enter")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Resolution.objects.get(state=Resolution.State.AGREED).number == 8.0


def test_number_beside_a_choice_is_answered_by_keys_alone(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(n=2, schema={"questions": [DISTANCE, VERDICT]}, overlap=1)
    open_desk(watched, live_server, "alice")
    first = item_text(watched)
    press(watched, "5", "Enter")
    expect(watched.locator(".toast")).to_have_text("Answer “verdict” first.")
    press(watched, "2")  # the choice's key, not a digit of the number
    expect(watched.locator('.choice[value="far"]')).to_have_attribute("aria-pressed", "true")
    expect(watched.locator(".number-field input")).to_have_value("5")
    press(watched, "Enter")
    expect_another(watched, first)
    press(watched, "6", "Escape", "1", "Enter")
    expect(watched.locator("#empty-title")).to_have_text("Nothing to label just now")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert numbers(desk)[:2] == [5.0, 6.0]


def test_field_fits_a_narrow_window(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    watched.set_viewport_size({"width": 320, "height": 640})
    open_desk(watched, live_server, "alice")
    field = watched.locator(".number-field input")
    expect(field).to_be_visible()
    assert watched.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    box = field.bounding_box()
    assert box is not None
    assert box["height"] >= 36
    assert box["x"] + box["width"] <= 320


def test_reviewer_decides_on_a_number_by_keys(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema={"questions": [DISTANCE]}, overlap=2)
    desk.label("alice", {"distance": 10})
    desk.label("bob", {"distance": 20})
    watched.set_viewport_size({"width": 320, "height": 640})
    sign_in(watched, f"{live_server.url}/p/forum/disputes/{desk.item('t-1').pk}/", "rita")
    expect(watched.locator(".votes")).to_contain_text("20\N{NO-BREAK SPACE}km")
    assert watched.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    watched.select_option("#reason", "ambiguous")
    watched.get_by_label("How far is it?, km").focus()
    press(watched, "1", "5", "Enter")
    expect(watched.locator("main")).to_contain_text("Nothing is in dispute")
    assert Resolution.objects.get().number == 15.0
