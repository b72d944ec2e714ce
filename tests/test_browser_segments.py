"""Segments on the desk in a real Chromium: by keys, by mouse, times that are typed, and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.models import Label
from tests.cast import Desk, MakeDesk
from tests.media_files import make_wav
from tests.test_browser import faults, sign_in, watched
from tests.test_browser_boxes import press, put_media

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LABELS = [{"value": "speech", "text": "Speech"}, {"value": "music", "text": "Music"}]
SEGMENTS: dict[str, Any] = {"name": "heard", "kind": "segments", "text": "What is heard?", "required": True}

OpenClip = Callable[..., Desk]


@pytest.fixture
def open_clip(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> OpenClip:
    """Open the desk with ten seconds of silence, and one question for segments."""

    def show(**question: Any) -> Desk:
        desk = make_desk(n=1, schema={"questions": [SEGMENTS | {"labels": LABELS} | question]}, overlap=1)
        put_media(desk, "audio", make_wav(10))
        sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
        expect(watched.locator("#item audio")).to_have_js_property("duration", 10)
        return desk

    return show


def seek(page: Page, seconds: float) -> None:
    page.evaluate("(to) => { document.querySelector('#item audio').currentTime = to; }", seconds)
    expect(page.locator("#item audio")).to_have_js_property("currentTime", seconds)


def stored(page: Page, desk: Desk) -> list[tuple[float, float, int]]:
    """The segments of the one answer: start, end, the label's id."""
    expect(page.locator("#n-sitting")).to_have_text("1")
    expect(page.locator("#saved")).to_have_text("Saved")
    [label] = Label.objects.filter(project=desk.project)
    return [(one["start"], one["end"], one["label"]) for one in label.data or []]


def mark(page: Page, start: float, end: float) -> None:
    seek(page, start)
    press(page, "n")
    seek(page, end)
    press(page, "n")


def test_one_key_starts_and_ends_segments_and_labels_have_keys(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    mark(watched, 1.25, 3.5)
    expect(watched.locator(".segments-bar .segment")).to_have_text("Speech")
    expect(watched.locator("#live")).to_have_text("Speech: 0:01.25–0:03.5. 1 of 1.")
    press(watched, "Escape", "2")
    mark(watched, 6, 5)  # the other way round
    press(watched, "Enter")
    assert stored(watched, desk) == [(1.25, 3.5, 1), (5, 6, 2)]


def test_label_can_change_while_a_segment_is_open_and_after(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    seek(watched, 2)
    press(watched, "n", "2")
    seek(watched, 4)
    expect(watched.locator(".segment.is-open")).to_have_text("Music")
    press(watched, "n", "1")
    expect(watched.locator(".mark-tag")).to_have_text("Speech")
    press(watched, "Enter")
    assert stored(watched, desk) == [(2, 4, 1)]


def test_open_segment_is_not_sent_and_escape_gives_it_up(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    mark(watched, 1, 2)
    press(watched, "n", "Enter")
    expect(watched.locator(".toast")).to_contain_text("The segment from 0:02 has no end yet")
    press(watched, "Escape", "Enter")
    assert stored(watched, desk) == [(1, 2, 1)]


def test_brackets_set_the_ends_and_delete_removes(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    mark(watched, 1, 2)
    mark(watched, 4, 5)
    seek(watched, 3.25)
    press(watched, "[")
    seek(watched, 6)
    press(watched, "]")
    expect(watched.locator(".mark-list li")).to_have_count(2)
    mark(watched, 8, 9)
    press(watched, "Delete", "Control+z", "Control+z", "Enter")
    assert stored(watched, desk) == [(1, 2, 1), (3.25, 6, 1)]


def test_times_are_typed_and_wrong_ones_are_told(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    mark(watched, 1, 2)
    end = watched.get_by_label("End of Speech")
    end.fill("nine")
    end.press("Enter")
    expect(end).to_have_attribute("aria-invalid", "true")
    expect(watched.locator(".toast")).to_have_text("A time such as 1:23.5, the start before the end.")
    end.fill("0:07,5")
    end.press("Enter")
    expect(watched.locator(".mark-name")).to_have_attribute("aria-label", "Speech, 0:01–0:07.5")
    end.fill("99")  # no further than the recording
    end.press("Enter")
    press(watched, "Enter")
    assert stored(watched, desk) == [(1, 10, 1)]


def test_mouse_alone_marks_plays_and_selects(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    seek(watched, 1)
    watched.click(".marks-new >> text=Start a segment")
    bar = watched.locator(".segments-bar").bounding_box()
    assert bar is not None
    watched.mouse.click(bar["x"] + bar["width"] * 0.2, bar["y"] + bar["height"] - 2)  # where nothing lies
    seek(watched, 1.5)
    watched.click(".marks-new >> text=End Speech from 0:01")
    watched.click("[aria-label^='Play Speech']")
    expect(watched.locator("#item audio")).to_have_js_property("paused", False)
    expect(watched.locator("#item audio")).to_have_js_property("paused", True, timeout=5000)
    assert watched.evaluate("document.querySelector('#item audio').currentTime") == pytest.approx(1.5, abs=0.25)
    watched.click(".segments-bar .segment")
    watched.click(".marks-labels .choice >> text=Music")
    watched.click("#submit")
    assert stored(watched, desk) == [(1, 1.5, 2)]


def test_draft_of_segments_is_there_after_a_reload(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    mark(watched, 1, 2)
    watched.reload()
    expect(watched.locator(".segments-bar .segment")).to_have_text("Speech")
    press(watched, "Enter")
    assert stored(watched, desk) == [(1, 2, 1)]


def test_nothing_heard_is_an_answer_that_has_to_be_given(watched: Page, open_clip: OpenClip) -> None:
    desk = open_clip()
    press(watched, "Enter")
    expect(watched.locator(".toast")).to_have_text("Answer “What is heard?” first.")
    press(watched, "0", "Enter")
    assert stored(watched, desk) == []
