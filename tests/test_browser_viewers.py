"""How the desk shows each kind of content, in a real Chromium, by keyboard alone and by mouse."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.derivatives import keep_derivatives
from annotation.actions.media import add_media
from annotation.actions.projects import create_project, set_member
from annotation.derivatives import Derivation
from annotation.media_reading import Derived
from annotation.models import Media, Project
from tests.cast import CHOICE_SCHEMA, Cast, import_rows
from tests.media_files import make_animation, make_image, make_tones, make_video
from tests.test_accessibility import find_violations
from tests.test_browser import faults, forgive_network, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

Part = dict[str, Any]
ShowItems = Callable[..., Page]
ITEM = "#item"
STAGE = "#item .image-stage"
MADE = {
    "image": lambda n: make_image("PNG", (1200, 800 + n)),
    "audio": lambda n: make_tones(12 + n),
    "video": lambda n: make_video([Image.new("RGB", (160, 90), (2 * i, 80, 120)) for i in range(50 + 25 * n)]),
}


@pytest.fixture
def show_items(watched: Page, live_server: LiveServer, cast: Cast) -> Iterator[ShowItems]:
    """Import items, each a list of parts (bytes stand for a file), and open the desk on one of them."""
    waiting: list[Request] = []
    watched.on("request", lambda request: waiting.append(request))
    watched.on("requestfinished", lambda request: waiting.remove(request))
    watched.on("requestfailed", lambda request: waiting.remove(request))

    def show(*items: list[Part], schema: Mapping[str, Any] = CHOICE_SCHEMA) -> Page:
        settings = {"learning": {"holdout_share": 0, "every": None}}
        project = create_project(slug="forum", name="Forum", schema=schema, settings=settings, owner=cast.olga)
        set_member(project=project, user=cast.alice, role="annotator", actor=cast.olga)
        stored = [[store(project, part) for part in parts] for parts in items]
        import_rows(project, [{"external_id": f"i-{n}", "parts": parts} for n, parts in enumerate(stored)])
        sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
        expect(watched.locator("#item .part").first).to_be_visible()
        return watched

    yield show
    # The tables are emptied next: nobody may be at work in them. What a player still fetches is not waited for.
    watched.wait_for_timeout(200)
    while any(request.method == "POST" for request in waiting):
        watched.wait_for_timeout(50)
    watched.goto("about:blank")


def store(project: Project, part: Part) -> Part:
    """The part as an import has it: by the SHA-256 of its file."""
    if "media" not in part:
        return part
    kept, _is_new = add_media(project=project, source=io.BytesIO(part["media"]), actor=None)
    return part | {"media": kept.sha256}


def text(content: str, name: str = "post", role: str = "target") -> Part:
    return {"kind": "text", "name": name, "text": content, "role": role}


def file(kind: str, n: int = 0) -> Part:
    return {"kind": kind, "name": f"{kind}-{n}", "media": MADE[kind](n)}


def picture(width: int, height: int) -> Part:
    return {"kind": "image", "name": "picture", "media": make_image("PNG", (width, height))}


def js(page: Page, selector: str, expression: str) -> Any:
    """`expression` of the element, which is `one`."""
    return page.eval_on_selector(selector, f"(one) => {expression}")


def width_of(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["width"]


def wait_for(page: Page, selector: str, expression: str, seconds: float = 10) -> None:
    """Until `expression` of the element holds. (The page's policy forbids what Playwright would do.)"""
    deadline = time.monotonic() + seconds
    while not js(page, selector, expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def open_image(page: Page) -> float:
    """The width of the image, once it is there."""
    wait_for(page, ".item-image", "one.complete && one.getBoundingClientRect().width > 0")
    return width_of(page, ".item-image")


# --- Text ------------------------------------------------------------------------------------------------------------

HOSTILE = (
    "pay\u200bpal \u202egnp.exe\u202c and \u2066iso\u2069 fr\u00adee\ufeff 100\u00a0%"
    + "".join(chr(0xE0000 + ord(letter)) for letter in "hi")
    + " \u200f\u200b\u200b"
)


def test_hidden_characters_carry_their_names_and_the_text_stays_as_stored(show_items: ShowItems) -> None:
    page = show_items([text(HOSTILE)])
    names = page.eval_on_selector_all(".hidden-char", "(all) => all.map((one) => one.dataset.name)")
    assert names == ["ZWSP", "RLO", "PDF", "LRI", "PDI", "SHY", "BOM", "NBSP", "TAG ×2 hi", "RLM", "ZWSP ×2"]
    assert js(page, ".item-text", "one.textContent") == HOSTILE
    expect(page.locator(".viewer-tools")).to_contain_text("Hidden characters, shown by name: 13")


def test_a_selection_behind_hidden_characters_maps_to_the_code_points_of_the_stored_text(show_items: ShowItems) -> None:
    page = show_items([text("\U0001f6b2 " + HOSTILE)])
    for _shown in ("by name", "as they are"):
        start = page.evaluate(
            """() => {
              const p = document.querySelector(".item-text");
              const walker = document.createTreeWalker(p, NodeFilter.SHOW_TEXT);
              while (!walker.nextNode().data.includes("exe"));
              const selection = getSelection();
              const node = walker.currentNode;
              selection.setBaseAndExtent(node, node.data.indexOf("exe"), node, node.data.length);
              const before = document.createRange();
              before.setStart(p, 0);
              before.setEnd(selection.anchorNode, selection.anchorOffset);
              return [...before.toString()].length;
            }"""
        )
        assert start == ("\U0001f6b2 " + HOSTILE).index("exe")
        page.keyboard.press("x")


def test_an_override_turns_nothing_until_it_is_asked_to(show_items: ShowItems) -> None:
    page = show_items([text("open \u202egnp.exe now")])
    is_in_order = """() => {
      const p = document.querySelector(".item-text");
      const node = p.lastChild;
      const left = (at) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect().left;
      };
      return left(0) < left(1) && left(1) < left(6);
    }"""
    assert page.evaluate(is_in_order)
    page.keyboard.press("x")
    expect(page.locator("[data-do=hidden]")).to_have_attribute("aria-pressed", "true")
    assert not page.evaluate(is_in_order)
    page.click("text=Show them as they are")
    assert page.evaluate(is_in_order)


def test_what_spells_a_word_or_an_emoji_is_no_hidden_character(show_items: ShowItems) -> None:
    usual = (
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 ☺\ufe0f 1\ufe0f\u20e3 "
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f می\u200cخواهم क्\u200dष a\r\nb"
    )
    page = show_items([text(usual)])
    assert js(page, ".item-text", "one.textContent") == usual
    expect(page.locator(".hidden-char")).to_have_count(0)


def test_hostile_text_is_never_run_never_a_link_and_fetches_nothing(
    show_items: ShowItems, watched: Page, live_server: LiveServer
) -> None:
    asked: list[str] = []
    watched.on("request", lambda request: asked.append(request.url))
    content = (
        "<img src=https://evil.example/x.png onerror=window.ran=1><script>window.ran=1</script> https://evil.example/a "
        "<a href='https://evil.example'>here</a> javascript:window.ran=1 "
        "<b hx-get='https://evil.example' hx-trigger=load>"
        "\u202e moc.live//:sptth \u2066<iframe src=//evil.example>\u2069 +49 30 123456 me@evil.example"
    )
    page = show_items([text(content, name="<img src=//evil.example>"), text(content, role="context", name="2")])
    page.keyboard.press("x")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert js(page, ".item-text", "one.textContent") == content
    expect(page.locator("#item a, #item img, #item script, #item iframe, #item b")).to_have_count(0)
    assert [url for url in asked if not url.startswith(live_server.url)] == []


def test_each_paragraph_runs_as_its_own_letters_do(show_items: ShowItems) -> None:
    page = show_items([text("مرحبا بالعالم\nhello world")])
    edges = page.evaluate(
        """() => {
          const node = document.querySelector(".item-text").firstChild;
          const edge = (from, to) => {
            const range = document.createRange();
            range.setStart(node, from);
            range.setEnd(node, to);
            return range.getBoundingClientRect();
          };
          const box = document.querySelector(".item-text").getBoundingClientRect();
          return { arabic: box.right - edge(0, 13).right, latin: edge(14, 25).left - box.left };
        }"""
    )
    assert abs(edges["arabic"]) < 2
    assert abs(edges["latin"]) < 2


def test_a_text_of_100_kb_full_of_hidden_characters_is_there_with_the_key_press(show_items: ShowItems) -> None:
    long = "word\u200b \u202eover\u202c " * 7_000
    page = show_items([text(long)], [text(long + ".")])
    page.wait_for_load_state("networkidle")
    seconds = press_and_look(
        page, "[...document.querySelectorAll('#item .item-text')].at(-1).textContent.length > 90000"
    )
    assert seconds < 1.0  # some 50 ms on an idle machine


def test_a_thread_keeps_its_order_and_the_target_stands_out(show_items: ShowItems) -> None:
    before = [text("Earlier words. " * 40, name=f"{n}", role="context") for n in range(1, 8)]
    page = show_items([*before, text("This one.", name="8"), text("Later.", name="9", role="context")])
    assert page.locator(".part-name").all_inner_texts()[6:] == ["7 · context", "8 · to judge", "9 · context"]
    expect(page.locator(".part-target .item-text")).to_have_text("This one.")
    expect(page.locator(".thread-jump")).to_be_visible()
    expect(page.locator(".part-target")).not_to_be_in_viewport()
    page.keyboard.press("v")
    expect(page.locator(".part-target")).to_be_in_viewport()
    expect(page.locator(".part-target .viewer")).to_be_focused()
    page.keyboard.press("v")
    expect(page.locator(".viewer").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(ITEM)).to_be_focused()
    page.click("text=Go to what is to be judged")
    expect(page.locator(".part-target .viewer")).to_be_focused()


# --- Images ----------------------------------------------------------------------------------------------------------


def test_an_image_is_zoomed_moved_and_turned_by_keys(show_items: ShowItems) -> None:
    page = show_items([picture(1200, 800)])
    fitted = open_image(page)
    assert fitted <= width_of(page, STAGE)
    for key in ("+", "+", "+", "-"):
        page.keyboard.press(key)
    assert width_of(page, ".item-image") == pytest.approx(fitted * 1.25**2, rel=0.01)
    page.keyboard.press("v")
    expect(page.locator(STAGE)).to_be_focused()
    left, top = js(page, STAGE, "[one.scrollLeft, one.scrollTop]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert js(page, STAGE, "[one.scrollLeft, one.scrollTop]") == [
        pytest.approx(left + 60, abs=1),
        pytest.approx(top + 60, abs=1),
    ]
    page.keyboard.press("Home")
    page.keyboard.press(".")
    expect(page.locator(".item-image")).to_have_attribute("data-turn", "90")
    box = page.locator(".item-image").bounding_box()
    assert box is not None
    assert box["height"] > box["width"]
    assert box["height"] <= js(page, STAGE, "one.clientHeight")
    page.keyboard.press(",")
    page.keyboard.press("End")
    assert width_of(page, ".item-image") == pytest.approx(1200, abs=1)
    expect(page.locator(".viewer-told")).to_have_text("100 %")
    page.keyboard.press("1")
    expect(page.locator("#empty")).to_be_visible()


def test_an_image_is_zoomed_moved_and_turned_by_mouse(show_items: ShowItems) -> None:
    page = show_items([picture(1200, 800)])
    fitted = open_image(page)
    stage = page.locator(STAGE).bounding_box()
    assert stage is not None
    x, y = stage["x"] + stage["width"] * 0.8, stage["y"] + stage["height"] * 0.3
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    assert width_of(page, ".item-image") == fitted
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    wait_for(page, ".item-image", f"one.getBoundingClientRect().width > {fitted * 1.3}")
    left = js(page, STAGE, "one.scrollLeft")
    assert left > 0
    page.mouse.down()
    page.mouse.move(x + 50, y)
    page.mouse.up()
    assert js(page, STAGE, "one.scrollLeft") == pytest.approx(max(left - 50, 0), abs=1)
    page.get_by_role("button", name="Fit").click()
    page.get_by_role("button", name="Turn left").click()
    expect(page.locator(".item-image")).to_have_attribute("data-turn", "270")
    page.get_by_role("button", name="Nearer").click()
    assert width_of(page, ".item-image") > 0


def test_two_fingers_zoom_an_image(show_items: ShowItems) -> None:
    page = show_items([picture(1200, 800)])
    fitted = open_image(page)
    stage = page.locator(STAGE).bounding_box()
    assert stage is not None
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    session = page.context.new_cdp_session(page)
    for name, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        session.send("Input.dispatchTouchEvent", {"type": name, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert width_of(page, ".item-image") == pytest.approx(2 * fitted, rel=0.02)


def colour_seen(page: Page) -> tuple[int, ...]:
    """The colour in the middle of the image as it is on the screen."""
    shown = Image.open(io.BytesIO(page.locator(".image-sheet").screenshot())).convert("RGB")
    pixel = shown.getpixel((shown.width // 2, shown.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(round(one) for one in pixel)


def test_an_animation_stands_still_until_it_is_played_and_again(show_items: ShowItems) -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    frames = [Image.new("RGB", (200, 120), colour) for colour in (red, blue)]
    moving = {"kind": "image", "name": "loop", "media": make_animation("PNG", frames)}
    page = show_items([moving])
    open_image(page)
    assert {colour_seen(page) for _ in range(6)} == {red}
    page.keyboard.press("Space")
    deadline = time.monotonic() + 5
    while colour_seen(page) != blue:
        assert time.monotonic() < deadline
    page.get_by_role("button", name="Stop the animation").click()
    assert {colour_seen(page) for _ in range(6)} == {red}


def test_what_is_laid_over_an_image_is_told_when_its_place_changes(show_items: ShowItems) -> None:
    page = show_items([picture(1200, 800)])
    open_image(page)
    page.evaluate(
        """{
          window.changes = 0;
          document.querySelector('.item-image').addEventListener('viewchange', () => { window.changes += 1; });
        }"""
    )
    for n, key in enumerate(("+", ".", "Home", "End"), start=1):
        page.keyboard.press(key)
        assert page.evaluate("window.changes") >= n
    page.keyboard.press("Home")
    page.keyboard.press(".")
    layer = page.evaluate(
        """() => {
          const layer = document.createElement("div");
          Object.assign(layer.style, { position: "absolute", inset: "0" });
          document.querySelector(".image-sheet").append(layer);
          const box = (one) => {
            const { x, y, width, height } = one.getBoundingClientRect();
            return [x, y, width, height];
          };
          return [box(layer), box(document.querySelector(".item-image"))];
        }"""
    )
    assert layer[0] == pytest.approx(layer[1])


def test_every_image_fits_and_a_tiny_one_is_large_and_crisp(show_items: ShowItems) -> None:
    sizes = {(24, 16), (4000, 200), (200, 4000), (3000, 3000)}
    page = show_items(*([picture(*size)] for size in sizes))
    seen = set()
    for _size in sizes:
        wait_for(page, "#item .item-image", "!one.dataset.seen && one.complete && one.naturalWidth > 0")
        size = js(page, ".item-image", "[one.naturalWidth, one.naturalHeight]")
        shown: list[float] = []
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 800})
            wait_for(page, STAGE, "one.clientWidth < innerWidth")
            page.wait_for_timeout(100)
            box = page.locator(".item-image").bounding_box()
            assert box is not None
            assert box["width"] <= width_of(page, STAGE) + 1
            assert box["height"] <= 0.63 * 800
            assert box["width"] / box["height"] == pytest.approx(size[0] / size[1], rel=0.1)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            shown.append(box["width"])
        is_tiny = size == [24, 16]
        assert (js(page, ".item-image", "getComputedStyle(one).imageRendering") == "pixelated") is is_tiny
        assert ([width % size[0] for width in shown] == [0, 0] and min(shown) >= 8 * size[0]) is is_tiny
        seen.add(tuple(size))
        js(page, ".item-image", "{ one.dataset.seen = 1; }")
        page.keyboard.press("1")
    assert seen == sizes


def test_an_image_that_stays_broken_says_so_with_a_next_step(
    show_items: ShowItems, faults: list[str], watched: Page
) -> None:
    watched.route("**/media/**", lambda route: route.fulfill(status=404))
    page = show_items([picture(300, 200)])
    expect(page.locator(".viewer-fault")).to_contain_text("It is being fetched again")
    expect(page.locator(".viewer-fault")).to_contain_text("does not load. Skip the item", timeout=15_000)
    watched.unroute("**/media/**")
    time.sleep(1.1)  # a link is signed for its second
    page.get_by_role("button", name="Try once more").click()
    expect(page.locator(".item-image")).to_be_visible()
    expect(page.locator(".viewer-fault")).to_have_count(0)
    page.keyboard.press("s")
    page.keyboard.press("4")
    expect(page.locator(".toast")).to_contain_text("Skipped")
    forgive_network(faults)


# --- Sound and video -------------------------------------------------------------------------------------------------


def at(page: Page, kind: str = "audio") -> float:
    return float(js(page, f"#item {kind}", "one.currentTime"))


def open_player(page: Page, kind: str) -> None:
    wait_for(page, f"#item {kind}", "one.readyState >= 2")


def test_sound_is_played_sought_and_looped_by_keys(show_items: ShowItems) -> None:
    page = show_items([file("audio")])
    open_player(page, "audio")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert at(page) == pytest.approx(5)
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    expect(page.locator(".timeline-loop")).to_be_visible()
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press(">")
    expect(page.get_by_text("2.5×")).to_be_visible()
    page.keyboard.press("End")
    assert at(page) == pytest.approx(12)
    wait_for(page, "#item audio", "!one.seeking")  # as a person does: a busy Chromium never ends a seek that overtakes
    page.evaluate(
        """{
          window.rounds = 0;
          const count = (event) => { window.rounds += Math.abs(event.target.currentTime - 5) < 0.5; };
          document.querySelector("#item audio").addEventListener("seeking", count);
        }"""
    )
    page.keyboard.press("Space")
    wait_for(page, "#item audio", "window.rounds >= 3")  # from the end to where the loop begins, and around twice
    assert 4.9 < at(page) < 12
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert js(page, "#item audio", "one.paused")
    page.keyboard.press("Backspace")
    expect(page.locator(".timeline-loop")).to_be_hidden()
    page.keyboard.press("<")
    expect(page.get_by_text("2×")).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#item audio")).to_have_count(0)


def test_sound_is_played_sought_and_looped_by_mouse(show_items: ShowItems) -> None:
    page = show_items([file("audio")])
    open_player(page, "audio")
    line = page.locator(".timeline").bounding_box()
    assert line is not None
    middle = line["y"] + line["height"] / 2
    page.mouse.click(line["x"] + line["width"] / 2, middle)
    assert at(page) == pytest.approx(6, abs=0.1)
    page.mouse.move(line["x"] + line["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(line["x"] + line["width"] / 4, middle)
    page.mouse.up()
    assert at(page) == pytest.approx(3, abs=0.1)
    page.click("text=Loop from here")
    page.mouse.click(line["x"] + line["width"] / 3, middle)
    page.click("text=Loop to here")
    expect(page.locator(".timeline-loop")).to_be_visible()
    page.get_by_role("button", name="Faster").click()
    page.get_by_role("button", name="Mute").click()
    assert js(page, "#item audio", "[one.playbackRate, one.muted]") == [1.25, True]
    page.get_by_role("button", name="Play").click()
    wait_for(page, "#item audio", "!one.paused")
    page.get_by_role("button", name="Pause").click()
    assert js(page, "#item audio", "one.paused")
    page.click("text=No loop")
    expect(page.locator(".timeline-loop")).to_be_hidden()


def test_the_speed_goes_on_with_the_next_item_and_the_sound_does_not(show_items: ShowItems) -> None:
    page = show_items([file("audio")], [file("audio", 1)])
    open_player(page, "audio")
    page.evaluate("window.first = document.querySelector('#item audio')")
    page.keyboard.press(">")
    page.keyboard.press("Space")
    wait_for(page, "#item audio", "!one.paused")
    page.keyboard.press("1")
    wait_for(page, "#item audio", "one !== window.first")
    assert page.evaluate("window.first.paused")
    assert js(page, "#item audio", "[one.playbackRate, one.paused]") == [1.25, True]


def test_a_video_begins_without_sound_and_is_stepped_through_by_keys(show_items: ShowItems) -> None:
    page = show_items([file("video")])
    open_player(page, "video")
    assert js(page, "#item video", "[one.muted, one.paused, one.videoWidth]") == [True, True, 160]
    page.keyboard.press("ArrowRight")
    page.keyboard.press(".")
    assert at(page, "video") == pytest.approx(1 + 1 / 30, abs=0.001)
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert at(page, "video") == pytest.approx(1 - 1 / 30, abs=0.001)
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    wait_for(page, "#item video", "one.ended")
    page.keyboard.press("ArrowLeft")
    before = at(page, "video")
    page.keyboard.press(".")
    assert at(page, "video") - before == pytest.approx(1 / 25, abs=0.002)  # what was played told how long a frame is
    page.get_by_role("button", name="One frame back").click()
    assert at(page, "video") == pytest.approx(before, abs=0.002)
    page.get_by_role("button", name="Sound on").click()
    assert not js(page, "#item video", "one.muted")


def test_a_video_that_stays_broken_says_so(show_items: ShowItems, watched: Page, faults: list[str]) -> None:
    watched.route("**/media/**", lambda route: route.fulfill(status=404))
    page = show_items([file("video")])
    expect(page.locator(".viewer-fault")).to_contain_text("does not load. Skip the item", timeout=15_000)
    expect(page.locator("#item video")).to_be_hidden()
    forgive_network(faults)


# --- What the server has made out of a file --------------------------------------------------------------------------


@pytest.fixture
def made() -> dict[str, Derived]:
    """What a worker would have made out of each file that a test sends in, by the kind of file."""
    sheet = {
        "mime": "image/webp",
        "size": 1,
        "width": 160,
        "height": 90,
        "columns": 2,
        "rows": 1,
        "seconds": [0.5, 1.5],
    }
    peaks = json.dumps({"seconds": 12, "peaks": [-10, 20, -127, 127, 0, 0]}).encode()
    return {
        "audio": Derived("peaks", {"mime": "application/json", "size": len(peaks), "seconds": 12}, peaks),
        "video": Derived("sheet", sheet, make_image("WEBP", (320, 90))),
    }


def keep(made: dict[str, Derived]) -> None:
    """Store what was made, for the one file that there is of each kind."""
    for media in Media.objects.all():
        derivation = Derivation(made=[made[media.mime.partition("/")[0]]])
        assert keep_derivatives(project=media.project, media=media, derivation=derivation, check=lambda: None)


def test_a_sound_has_its_waveform_once_there_is_one(show_items: ShowItems, made: dict[str, Derived]) -> None:
    page = show_items([file("audio")])
    expect(page.locator(".timeline")).to_be_visible()
    expect(page.locator(".wave")).to_have_count(0)
    keep(made)
    page.reload()
    expect(page.locator(".timeline.has-wave .wave")).to_have_count(2)
    assert js(page, ".wave path", "one.getAttribute('d')") == "M0,107H1L1,0H2L2,127H3L3,128H2L2,255H1L1,138H0Z"
    open_player(page, "audio")
    page.keyboard.press("Shift+ArrowRight")
    assert js(page, ".timeline", "getComputedStyle(one).getPropertyValue('--played')").startswith("41.6")


def test_a_contact_sheet_leads_to_the_places_of_its_pictures(show_items: ShowItems, made: dict[str, Derived]) -> None:
    page = show_items([file("video")])
    open_player(page, "video")
    expect(page.locator("[data-tool=sheet]")).to_be_hidden()
    keep(made)
    page.reload()
    page.get_by_role("button", name="Contact sheet").click()
    expect(page.locator(".contact-sheet img")).to_have_js_property("naturalWidth", 320)
    page.get_by_role("button", name="Go to 0:01.5").click()
    assert at(page, "video") == pytest.approx(1.5)
    page.get_by_role("button", name="Go to 0:00.5").press("Enter")
    assert at(page, "video") == pytest.approx(0.5)
    expect(page.locator("#desk")).to_be_visible()
    page.get_by_role("button", name="Contact sheet").click()
    expect(page.locator(".contact-sheet")).to_be_hidden()


# --- Keys, and all kinds together ------------------------------------------------------------------------------------

NUMBER_SCHEMA = {"questions": [{"name": "n", "kind": "number", "text": "How many?", "required": True}]}


def test_an_answers_key_comes_before_a_viewers_unless_the_focus_is_in_there(show_items: ShowItems) -> None:
    page = show_items([picture(1200, 800)], schema=NUMBER_SCHEMA)
    fitted = open_image(page)
    page.keyboard.press("+")
    assert width_of(page, ".item-image") == pytest.approx(1.25 * fitted, rel=0.01)
    page.keyboard.press("v")
    page.keyboard.press("-")
    assert width_of(page, ".item-image") == pytest.approx(fitted, rel=0.01)
    page.keyboard.press("Escape")
    page.keyboard.press("-")
    page.keyboard.press("4")
    expect(page.locator("#questions input")).to_have_value("-4")
    assert width_of(page, ".item-image") == pytest.approx(fitted, rel=0.01)


MIXED = [
    text("A title with a hid\u200bden mark", name="title"),
    file("image"),
    file("audio"),
    text("what came before", name="before", role="context"),
    file("video"),
]


def test_any_mix_of_parts_is_shown_in_order_and_reached_by_keys(show_items: ShowItems) -> None:
    page = show_items(MIXED)
    kinds = page.eval_on_selector_all("#item .viewer", "(all) => all.map((one) => one.className.split('viewer-')[1])")
    assert kinds == ["text", "image", "audio", "text", "video"]
    reached = []
    for _ in range(6):
        page.keyboard.press("v")
        reached.append(page.evaluate("document.activeElement.closest('.viewer').getAttribute('aria-label')"))
    assert reached == ["Text “title”", "image-0", "audio-0", "video-0", "Text “before”", "Text “title”"]
    open_player(page, "video")
    page.focus("#item .viewer-video .timeline")
    page.keyboard.press("Space")
    wait_for(page, "#item video", "!one.paused")
    assert js(page, "#item audio", "one.paused")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")  # the one used last
    wait_for(page, "#item video", "one.paused")


def test_every_button_of_the_viewers_is_reached_with_tab_and_has_a_name(show_items: ShowItems) -> None:
    page = show_items(MIXED)
    visible = page.locator("#item button:visible, #item [tabindex='0']:visible").count()
    seen = set()
    for _ in range(visible):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[...document.querySelectorAll('#item *')].indexOf(document.activeElement)"))
    assert len(seen - {-1}) == visible
    for button in page.get_by_role("button").all():
        assert button.get_attribute("aria-label") or button.inner_text()


def test_the_viewers_break_no_rule_of_accessibility_and_fit_a_phone(show_items: ShowItems) -> None:
    page = show_items(MIXED)
    assert find_violations(page) == {}
    page.set_viewport_size({"width": 320, "height": 640})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert find_violations(page) == {}


def press_and_look(page: Page, expression: str) -> float:
    """Press 1 and look, before the browser has drawn anything or the network has said anything. Returns the seconds."""
    found, milliseconds = page.evaluate(
        f"""() => {{
          const before = performance.now();
          const press = new KeyboardEvent("keydown", {{ key: "1", bubbles: true, cancelable: true }});
          document.getElementById("item").dispatchEvent(press);
          const found = Boolean({expression});
          return [found, performance.now() - before];
        }}"""
    )
    assert found
    return float(milliseconds) / 1000


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_the_next_item_is_drawn_with_the_key_press(show_items: ShowItems, kind: str) -> None:
    page = show_items([file(kind, 0)], [file(kind, 1)])
    page.wait_for_load_state("networkidle")
    page.evaluate("window.first = document.querySelector('#item .viewer')")
    look = {
        "image": "document.querySelector('#item img').complete && document.querySelector('#item img').width > 300",
        "audio": "document.querySelector('#item audio').readyState >= 1",
        "video": "document.querySelector('#item video').readyState >= 1",
    }[kind]
    press_and_look(page, f"!document.contains(window.first) && {look}")


def test_each_image_is_fetched_once_however_often_its_lease_comes(show_items: ShowItems, watched: Page) -> None:
    """Every answer brings the leases in hand again, with new links: what was fetched ahead is what is shown."""
    asked: list[str] = []
    watched.on("request", lambda request: asked.append(request.url.partition("?")[0]))
    page = show_items(*[[picture(300 + n, 200)] for n in range(5)])
    page.wait_for_load_state("networkidle")
    time.sleep(1.1)  # a link is signed for its second
    for n in range(1, 5):
        wait_for(page, ".item-image", "one.complete && one.naturalWidth > 0")
        page.keyboard.press("1")
        expect(page.locator("#n-sitting")).to_have_text(f"{n}")
        expect(page.locator("#saved")).to_have_text("Saved")
    wait_for(page, ".item-image", "one.complete && one.naturalWidth > 0")
    fetched = [url for url in asked if "/media/" in url]
    assert len(fetched) == len(set(fetched)) == 5


def test_a_cold_page_with_every_kind_of_content_asks_no_more_than_25_times(
    show_items: ShowItems, watched: Page
) -> None:
    page = show_items([text("A title."), file("image"), file("audio"), file("video")])
    asked: list[str] = []
    watched.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.locator("#item .part")).to_have_count(4)
    page.wait_for_load_state("networkidle")
    assert len(asked) <= 25, asked


def test_what_draws_a_kind_is_fetched_when_an_item_needs_it(show_items: ShowItems, watched: Page) -> None:
    asked: list[str] = []
    watched.on("request", lambda request: asked.append(request.url.rpartition("/viewers/")[2]))
    page = show_items([file("image")])
    page.wait_for_load_state("networkidle")
    assert {name for name in asked if name.endswith(".js") and "/" not in name} == {"image.js"}


def test_a_viewer_that_cannot_be_fetched_is_fetched_again(
    show_items: ShowItems, watched: Page, faults: list[str]
) -> None:
    tries: list[str] = []

    def refuse_once(route: Any) -> None:
        tries.append(route.request.url)
        route.abort() if len(tries) == 1 else route.continue_()

    watched.route("**/viewers/text.js", refuse_once)
    page = show_items([text("There after all.")])
    expect(page.locator(".item-text")).to_have_text("There after all.")
    assert len(tries) == 2
    forgive_network(faults)
