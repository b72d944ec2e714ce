"""Boxes on the desk in a real Chromium: drawn, moved and resized with a mouse, a finger and keys; what is stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.items import erase_items
from annotation.actions.media import add_media
from annotation.models import Label
from tests.cast import Desk, MakeDesk, import_rows
from tests.media_files import make_image
from tests.test_browser import faults, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LABELS = [{"value": "face", "text": "Face"}, {"value": "logo", "text": "Logo"}]
BOXES: dict[str, Any] = {"name": "faces", "kind": "boxes", "text": "Where are faces?", "required": True}
PHOTO = make_image("PNG", (400, 300))

OpenImage = Callable[..., Desk]


@pytest.fixture
def open_image(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> OpenImage:
    """Open the desk with this image, and one question for boxes."""

    def show(photo: bytes = PHOTO, labels: list[dict[str, Any]] = LABELS, **question: Any) -> Desk:
        desk = make_desk(n=1, schema={"questions": [BOXES | {"labels": labels} | question]}, overlap=1)
        put_media(desk, "image", photo)
        sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
        expect(watched.locator("#item img")).to_have_js_property("complete", True)
        return desk

    return show


def put_media(desk: Desk, kind: str, raw: bytes) -> None:
    """Replace the text of the desk by an item of this one part."""
    media, _is_new = add_media(project=desk.project, source=io.BytesIO(raw), actor=desk.cast.enzo)
    erase_items(project=desk.project, item_ids=[desk.item("t-1").pk], actor=None, reason="made room")
    import_rows(desk.project, [{"external_id": "m-1", "parts": [{"kind": kind, "media": media.sha256}]}])


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def stored(page: Page, desk: Desk) -> list[tuple[float, float, float, float, int]]:
    """The boxes of the one answer: x, y, w, h to the hundredth, and the label's id."""
    expect(page.locator("#n-sitting")).to_have_text("1")
    expect(page.locator("#saved")).to_have_text("Saved")
    [label] = Label.objects.filter(project=desk.project)
    return [(*(round(one[key], 2) for key in "xywh"), one["label"]) for one in label.data or []]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse between two places, in shares of the image."""
    box = page.locator("#item img").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"])
    page.mouse.up()


def test_keys_alone_make_move_resize_and_label_boxes(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    press(watched, "n")
    expect(watched.locator(".box")).to_be_focused()
    expect(watched.locator(".box")).to_have_attribute("aria-label", "Face, box 1 of 1: 25% × 25% at 38%, 38%")
    press(watched, *["ArrowLeft"] * 5, *["ArrowUp"] * 3, *["Shift+ArrowRight"] * 10, *["Shift+ArrowDown"] * 2, "2")
    expect(watched.locator(".box-tag")).to_have_text("Logo")
    press(watched, "n", "1", *["Control+ArrowRight"] * 10, "Enter")
    assert stored(watched, desk) == [(0.33, 0.34, 0.35, 0.27, 2), (0.39, 0.38, 0.25, 0.25, 1)]


def test_held_arrow_goes_on_and_stops_at_the_edge(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    press(watched, "n")
    for _ in range(60):
        watched.keyboard.down("ArrowLeft")
    watched.keyboard.up("ArrowLeft")
    press(watched, "Enter")
    assert stored(watched, desk) == [(0.0, 0.38, 0.25, 0.25, 1)]


def test_tab_walks_boxes_delete_removes_and_what_was_done_is_taken_back(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    press(watched, "n", *["ArrowLeft"] * 20, "n", *["ArrowRight"] * 20)
    watched.locator(".box").first.focus()
    press(watched, "Tab")
    expect(watched.locator(".box").last).to_be_focused()
    press(watched, "Delete")
    expect(watched.locator(".box")).to_have_count(1)
    press(watched, "Control+z")
    expect(watched.locator(".box")).to_have_count(2)
    press(watched, "Control+z")  # the twenty steps of one box
    press(watched, "Enter")
    assert [box[0] for box in stored(watched, desk)] == [0.17, 0.38]


def test_mouse_draws_moves_and_resizes(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    drag(watched, (0.1, 0.2), (0.4, 0.6))
    expect(watched.locator(".box")).to_have_count(1)
    drag(watched, (0.2, 0.3), (0.3, 0.5))  # inside: moves it
    drag(watched, (0.5, 0.8), (0.7, 0.9))  # the corner: resizes it
    watched.keyboard.press("Escape")
    watched.click(".marks-labels .choice >> text=Logo")
    drag(watched, (0.95, 0.05), (1.4, -0.3))  # past the edge: as far as the image goes
    expect(watched.locator(".box")).to_have_count(2)
    watched.click("#submit")
    assert stored(watched, desk) == [(0.2, 0.4, 0.5, 0.5, 1), (0.95, 0.0, 0.05, 0.05, 2)]


def test_escape_gives_up_what_is_being_drawn_and_a_click_draws_nothing(watched: Page, open_image: OpenImage) -> None:
    open_image()
    box = watched.locator("#item img").bounding_box()
    assert box is not None
    watched.mouse.move(box["x"] + 20, box["y"] + 20)
    watched.mouse.down()
    watched.mouse.move(box["x"] + 90, box["y"] + 90)
    expect(watched.locator(".box.is-drawn")).to_have_count(1)
    watched.keyboard.press("Escape")
    watched.mouse.up()
    watched.mouse.click(box["x"] + 50, box["y"] + 50)
    expect(watched.locator(".box")).to_have_count(0)


def test_places_are_right_after_the_window_changed_its_size(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    drag(watched, (0.25, 0.25), (0.75, 0.75))
    watched.keyboard.press("Escape")
    watched.set_viewport_size({"width": 390, "height": 800})
    image, box = watched.locator("#item img").bounding_box(), watched.locator(".box").bounding_box()
    assert image is not None
    assert box is not None
    assert (box["x"] - image["x"]) / image["width"] == pytest.approx(0.25, abs=0.01)
    assert box["width"] / image["width"] == pytest.approx(0.5, abs=0.01)
    drag(watched, (0.1, 0.05), (-0.2, 0.2))
    watched.keyboard.press("Enter")
    assert stored(watched, desk) == [(0.0, 0.05, 0.1, 0.15, 1), (0.25, 0.25, 0.5, 0.5, 1)]


def test_places_are_relative_to_the_image_as_it_is_turned_by_its_exif(watched: Page, open_image: OpenImage) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    desk = open_image(make_image("JPEG", (400, 300), exif=exif))
    image = watched.locator("#item img").bounding_box()
    assert image is not None
    assert image["height"] > image["width"]
    drag(watched, (0.1, 0.7), (0.4, 0.9))
    watched.keyboard.press("Enter")
    assert stored(watched, desk) == [(0.1, 0.7, 0.3, 0.2, 1)]


def test_places_are_right_on_an_image_that_is_turned_and_nearer(watched: Page, open_image: OpenImage) -> None:
    """A quarter to the right, the place (x, y) of the image is seen at (1 - y, x) of where it stands."""
    desk = open_image()
    press(watched, ".", "+", "+")
    drag(watched, (0.4, 0.3), (0.7, 0.5))
    seen = place_of_box(watched)
    assert seen == pytest.approx((0.4, 0.3, 0.3, 0.2), abs=0.01)
    press(watched, "Escape", ",", "Home")
    seen = place_of_box(watched)
    assert seen == pytest.approx((0.3, 0.3, 0.2, 0.3), abs=0.01)
    press(watched, "+", "+", ",")  # the other way about: seen at (y, 1 - x)
    watched.click(".mark-list .mark-name")
    drag(watched, (0.45, 0.6), (0.5, 0.6))  # moves it, a little on along the image's y
    watched.click("#submit")
    assert stored(watched, desk) == [(0.3, 0.35, 0.2, 0.3, 1)]


def place_of_box(page: Page) -> tuple[float, float, float, float]:
    """Where the one box is seen, in shares of the image as it is seen."""
    image, box = page.locator("#item img").bounding_box(), page.locator(".box").bounding_box()
    assert image is not None
    assert box is not None
    x, y = (box["x"] - image["x"]) / image["width"], (box["y"] - image["y"]) / image["height"]
    return x, y, box["width"] / image["width"], box["height"] / image["height"]


def test_a_finger_draws(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    watched.evaluate(
        """() => {
             const layer = document.querySelector(".boxes");
             const box = layer.getBoundingClientRect();
             layer.setPointerCapture = () => {};
             const send = (kind, x, y) => layer.dispatchEvent(new PointerEvent(kind, {
               bubbles: true, cancelable: true, pointerId: 7, pointerType: "touch", isPrimary: true,
               clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
             send("pointerdown", 0.1, 0.1);
             send("pointermove", 0.3, 0.3);
             send("pointermove", 0.5, 0.4);
             send("pointerup", 0.5, 0.4);
           }"""
    )
    watched.click("#submit")
    assert stored(watched, desk) == [(0.1, 0.1, 0.4, 0.3, 1)]


def test_draft_of_boxes_is_there_after_a_reload(watched: Page, open_image: OpenImage) -> None:
    desk = open_image()
    drag(watched, (0.1, 0.1), (0.3, 0.3))
    expect(watched.locator(".mark-list li")).to_have_count(1)
    watched.reload()
    expect(watched.locator(".box")).to_have_count(1)
    watched.click(".mark-list .mark-name")
    expect(watched.locator(".box")).to_be_focused()
    press(watched, "2", "Enter")
    assert stored(watched, desk) == [(0.1, 0.1, 0.2, 0.2, 2)]


def test_no_more_boxes_than_allowed_and_no_fewer(watched: Page, open_image: OpenImage) -> None:
    open_image(min=2, max=2)
    press(watched, "n", "Enter")
    expect(watched.locator(".toast")).to_have_text("“Where are faces?” needs at least 2 marks.")
    press(watched, "n", "n")
    expect(watched.locator(".toast")).to_have_text("No more than 2 may be marked here.")
    expect(watched.locator(".box")).to_have_count(2)
    expect(watched.locator(".marks-labels")).not_to_contain_text("Nothing to mark")
