"""Every kind of question on one item, in a real Chromium: by keys alone, within the window, and as axe-core sees it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.items import erase_items
from annotation.actions.media import add_media
from annotation.models import Annotation, Label
from tests.cast import Desk, MakeDesk, import_rows
from tests.media_files import make_image, make_wav
from tests.test_accessibility import find_surplus, find_violations
from tests.test_browser import faults, sign_in, watched
from tests.test_browser_boxes import press

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CHOICES = [{"value": "a", "text": "Reply A"}, {"value": "b", "text": "Reply B"}, {"value": "c", "text": "Reply C"}]
LAWS = [{"value": "all", "text": "All laws", "children": [{"value": f"law-{n}"} for n in range(31)]}]
QUESTIONS: list[dict[str, Any]] = [
    {"name": "said", "kind": "spans", "text": "What is said?", "labels": [{"value": "slur"}, {"value": "name"}]},
    {"name": "named", "kind": "spans", "text": "Who is named?", "labels": [{"value": "person"}], "overlapping": True},
    {"name": "seen", "kind": "boxes", "text": "What is seen?", "labels": [{"value": "face"}, {"value": "logo"}]},
    {"name": "heard", "kind": "segments", "text": "What is heard?", "labels": [{"value": "speech"}]},
    {"name": "order", "kind": "ranking", "text": "Which is best?", "choices": CHOICES, "ties": True},
    {"name": "law", "kind": "choice", "text": "Which law?", "choices": LAWS},
    {"name": "why", "kind": "text", "text": "Why?", "max_length": 100},
]


@pytest.fixture
def desk(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """One item of a text, an image and a recording, with a question of each kind."""
    schema = {"questions": [{"required": True, **question} for question in QUESTIONS]}
    desk = make_desk(n=1, schema=schema, overlap=1)
    media = {
        kind: add_media(project=desk.project, source=io.BytesIO(raw), actor=desk.cast.enzo)[0].sha256
        for kind, raw in (("image", make_image("PNG", (400, 300))), ("audio", make_wav(10)))
    }
    erase_items(project=desk.project, item_ids=[desk.item("t-1").pk], actor=None, reason="made room")
    parts = [
        {"kind": "text", "text": "You muppet, Ann."},
        *({"kind": kind, "media": sha} for kind, sha in media.items()),
    ]
    import_rows(desk.project, [{"external_id": "m-1", "parts": parts}])
    return desk


def open_item(page: Page, live_server: LiveServer) -> None:
    sign_in(page, f"{live_server.url}/p/forum/label/", "alice")
    expect(page.locator("#item img")).to_have_js_property("complete", True)
    expect(page.locator("#item audio")).to_have_js_property("duration", 10)


def answer_all_but_the_text(page: Page) -> None:
    press(page, "ArrowRight", *["ArrowRight"] * 4, *["Shift+ArrowRight"] * 6, "1", "Escape", "Escape", "j")
    press(page, "ArrowRight", "End", "ArrowLeft", "Control+Shift+ArrowLeft", "1", "Escape", "Escape", "j")
    press(page, "n", "2", "Escape", "j", "n")
    page.evaluate("document.querySelector('#item audio').currentTime = 2.5")
    expect(page.locator("#item audio")).to_have_js_property("currentTime", 2.5)
    press(page, "n", "Escape", "j", "2", "1", "3", "j", "/")
    page.keyboard.type("law-30")
    press(page, "Enter")


def test_an_item_with_every_kind_is_answered_by_keys_alone(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_item(watched, live_server)
    answer_all_but_the_text(watched)
    press(watched, "Enter")  # the text is still to be written
    watched.keyboard.type("Because.")
    press(watched, "Control+Enter")
    expect(watched.locator("#saved")).to_have_text("Saved")
    labels = Label.objects.filter(project=desk.project).order_by("question")
    assert [label.choice or label.data for label in labels] == [
        [{"part": "text", "start": 4, "end": 10, "label": 1}],
        [{"part": "text", "start": 12, "end": 15, "label": 1}],
        [{"part": "image", "x": 0.375, "y": 0.375, "w": 0.25, "h": 0.25, "label": 2}],
        [{"part": "audio", "start": 0, "end": 2.5, "label": 1}],
        [[2], [1], [3]],
        32,
        None,
    ]
    assert list(Annotation.objects.get().text.answers.values()) == ["Because."]


def test_no_kind_breaks_a_rule_of_accessibility_or_is_wider_than_the_window(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_item(watched, live_server)
    empty = find_violations(watched)
    watched.set_viewport_size({"width": 320, "height": 800})
    answer_all_but_the_text(watched)
    expect(watched.locator("mark.span")).to_have_count(2)
    assert find_surplus(watched, (1280, 390, 320)) == {}
    full = find_violations(watched)
    assert (empty, full) == ({}, {})


def test_suggested_marks_are_shown_unlike_answers_and_taken_over_by_a_press(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    suggested = {
        "said": [{"part": "text", "start": 4, "end": 10, "label": "slur"}],
        "seen": [{"part": "image", "x": 0.1, "y": 0.1, "w": 0.2, "h": 0.2, "label": "logo"}],
        "heard": [{"part": "audio", "start": 1, "end": 9, "label": "speech"}],
        "order": [["c"], ["a", "b"]],
    }

    def suggest(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        for lease in body["leases"]:
            lease["item"]["suggestion"] = {"model": "clf", "answers": suggested, "score": 0.9}
        route.fulfill(response=answer, json=body)

    watched.route("**/leases", suggest)
    open_item(watched, live_server)
    expect(watched.locator("#suggestion")).to_contain_text("slur 4–10")
    expect(watched.locator("mark.span.is-suggested")).to_have_text("muppet")
    expect(watched.locator(".span-tag")).to_have_attribute("data-label", "slur, suggested")
    expect(watched.locator(".box.is-suggested")).to_contain_text("logo, suggested")
    expect(watched.locator(".segment.is-suggested")).to_have_text("speech, suggested")
    expect(watched.locator(".is-left .rank-choice >> nth=2")).to_contain_text("suggested: 1")
    press(watched, "Enter")
    expect(watched.locator(".toast")).to_have_text("Answer “What is said?” first.")
    watched.locator(".marks-suggested >> nth=0").click()
    expect(watched.locator("mark.span")).to_have_count(1)
    expect(watched.locator("mark.span.is-suggested")).to_have_count(0)
