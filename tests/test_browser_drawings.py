"""The reviewers' page of an item with marks, in a real Chromium: answers drawn, and one of them taken as it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from reviewers.models import Resolution
from tests.cast import Desk, MakeDesk
from tests.test_accessibility import find_violations
from tests.test_browser import faults, sign_in, watched
from tests.test_kinds_end_to_end import ANSWERS, OTHERS, make_project

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def disputed(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """Alice and bob mark and rank one item differently."""
    desk = make_project(make_desk)
    for name, answers in (("alice", ANSWERS), ("bob", OTHERS)):
        desk.label(name, answers)
    return desk


def open_dispute(page: Page, live_server: LiveServer, desk: Desk) -> None:
    sign_in(page, f"{live_server.url}/p/forum/disputes/{desk.item('t-1').pk}/", "rita")
    page.wait_for_load_state("networkidle")


def test_drawn_answers_break_no_rule_of_accessibility_and_fit_a_narrow_page(
    watched: Page, live_server: LiveServer, disputed: Desk
) -> None:
    open_dispute(watched, live_server, disputed)
    assert find_violations(watched) == {}
    watched.set_viewport_size({"width": 320, "height": 700})
    assert watched.evaluate("document.documentElement.scrollWidth") == 320


def test_boxes_lie_where_they_were_drawn(watched: Page, live_server: LiveServer, disputed: Desk) -> None:
    open_dispute(watched, live_server, disputed)
    drawn = watched.locator(".drawn-image").first
    image, box = drawn.locator("img").bounding_box(), drawn.locator("rect").last.bounding_box()
    assert image is not None
    assert box is not None
    told = ANSWERS["faces"][0]
    found = [
        (box["x"] - image["x"]) / image["width"],
        (box["y"] - image["y"]) / image["height"],
        box["width"] / image["width"],
        box["height"] / image["height"],
    ]
    assert found == pytest.approx([told[key] for key in "xywh"], abs=0.02)


def test_reviewer_takes_answers_with_the_keyboard_alone(watched: Page, live_server: LiveServer, disputed: Desk) -> None:
    open_dispute(watched, live_server, disputed)
    watched.focus("input[name=answer-marks]")
    watched.keyboard.press("Space")
    watched.keyboard.press("Tab")
    watched.keyboard.press("ArrowDown")
    watched.select_option("#reason", "ambiguous")
    watched.keyboard.press("Enter")
    expect(watched.locator("body")).to_contain_text("t-1 is decided.")
    rows = {row.question: row for row in Resolution.objects.filter(state=Resolution.State.ADJUDICATED)}
    assert rows[1].data == [{"part": "body", "start": 2, "end": 5, "label": 1}]  # alice's
    assert rows[4].data == [[3], [2], [1]]  # bob's
