"""Care on the desk, in a real Chromium: the hint before the content, what is hidden, words, sealing, breaks."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.care import change_care, change_organisation_care
from annotation.actions.media import add_media
from annotation.actions.projects import put_guideline
from annotation.models import Annotation, Item, Label
from reviewers.actions.adjudication import adjudicate
from tests.api_client import make_png
from tests.cast import Desk, MakeDesk, import_rows
from tests.media_files import make_video, make_wav
from tests.test_browser import faults, forgive_network, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def start(page: Page, live_server: LiveServer, name: str = "alice") -> None:
    """Sign in and open the desk."""
    sign_in(page, f"{live_server.url}/p/forum/label/", name)


def severe(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"external_id": name, "text": text, "metadata": {"severity": "severe", "harm": "violence", **more}}


def test_the_hint_stands_before_a_severe_text_and_one_key_reveals_it(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    make_desk(rows=[severe("a", "hard words")])
    start(watched, live_server)
    expect(watched.locator(".care-hint")).to_have_text("severeviolence · text")
    assert "hard words" not in watched.content()  # nor in what is said to those who listen
    assert "hard words" not in watched.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    watched.keyboard.press("r")
    expect(watched.locator("#item .item-text")).to_have_text("hard words")
    expect(watched.locator(".care-hint")).to_be_visible()
    watched.keyboard.press("1")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.count() == 1


def test_an_ordinary_item_comes_as_it_always_did(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> None:
    make_desk(n=1)
    start(watched, live_server)
    expect(watched.locator("#item .item-text")).to_have_text("text number 1")
    assert watched.locator(".care-hint, .cover").count() == 0


def test_media_of_a_severe_item_are_not_requested_before_they_are_revealed(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk, faults: list[str]
) -> None:
    desk = make_desk(n=1)
    desk.label("alice")
    files = [io.BytesIO(make_png(200, 100, shade)) for shade in (9, 99)]
    pictures = [add_media(project=desk.project, source=file, actor=None)[0] for file in files]
    metadata = {"severity": "severe"}
    import_rows(
        desk.project,
        [{"parts": [{"kind": "image", "media": one.sha256}], "metadata": metadata} for one in pictures],
    )
    change_care(person=desk.cast.alice, changes={"views": {"severe": {"image": {"grey": True, "blur": 4}}}})
    asked: list[str] = []

    def listen(request: Request) -> None:
        if "/media/" in request.url and "v=blurred" not in request.url:
            asked.append(request.url)

    watched.on("request", listen)
    start(watched, live_server)
    expect(watched.locator(".cover")).to_contain_text("The image “image” is hidden.")
    watched.wait_for_timeout(500)
    assert asked == []
    watched.click(".cover >> text=Reveal")
    image = watched.locator("#item img.item-image")
    expect(image).to_have_class(re.compile(r"view-blur-4.*view-grey|view-grey.*view-blur-4"))
    expect(image).to_have_js_property("naturalWidth", 200)
    assert len(asked) == 1  # not the next one's
    assert "blur(18px)" in image.evaluate("one => getComputedStyle(one).filter")
    watched.keyboard.press("r")
    expect(image).not_to_have_class(re.compile("view-blur"))
    watched.keyboard.press("r")
    expect(image).to_have_class(re.compile("view-blur-4"))
    forgive_network(faults)  # no worker has made the blurred pictures


def test_of_several_media_each_is_requested_once_it_is_revealed_and_none_before(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk, faults: list[str]
) -> None:
    desk = make_desk(rows=[{"text": "an item that is answered before"}])
    desk.label("alice")
    film = make_video([Image.new("RGB", (64, 36), (shade, 80, 120)) for shade in range(0, 200, 20)])
    files = {"audio": make_wav(), "video": film, "image": make_png(40, 30, 9)}
    kept = {
        kind: add_media(project=desk.project, source=io.BytesIO(data), actor=None)[0] for kind, data in files.items()
    }
    parts = [{"kind": kind, "media": media.sha256} for kind, media in kept.items()]
    import_rows(desk.project, [{"parts": parts, "metadata": {"severity": "severe"}}])
    asked: list[str] = []

    def listen(request: Request) -> None:
        found = re.search(r"/media/(?:forum/)?([0-9a-f]{64})", request.url)
        if found and "v=blurred" not in request.url:
            asked.append(found[1])

    watched.on("request", listen)
    start(watched, live_server)
    expect(watched.locator(".cover")).to_have_count(3)
    watched.wait_for_timeout(500)
    assert asked == []
    for n, (kind, media) in enumerate(kept.items()):
        watched.keyboard.press("r")
        expect(watched.locator(".cover")).to_have_count(2 - n)
        expect(watched.locator(f"#item [data-part={kind}], #item img.item-image")).to_have_count(1)
        watched.wait_for_timeout(200)
        assert set(asked) == {one.sha256 for one in list(kept.values())[: n + 1]}, kind
        assert media.sha256 in asked
    forgive_network(faults)  # no worker has made the blurred pictures


def test_words_on_the_list_are_covered_until_a_key_shows_them(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(rows=[severe("a", "A Slur, a slurp and BAD  words")], care={"masked_words": ["slur", "bad words"]})
    change_care(person=desk.cast.alice, changes={"views": {"severe": {"text": {"hidden": False}}}})
    start(watched, live_server)
    text = watched.locator("#item .item-text")
    expect(text).to_have_text("A Slur, a slurp and BAD words")
    expect(text.locator(".masked")).to_have_text(["Slur", "BAD words"])
    transparent = "rgba(0, 0, 0, 0)"
    assert text.locator(".masked").first.evaluate("one => getComputedStyle(one).webkitTextFillColor") == transparent
    watched.keyboard.press("r")
    assert text.locator(".masked").count() == 0
    watched.keyboard.press("r")
    expect(text.locator(".masked")).to_have_count(2)


def test_listed_words_are_covered_in_last_answers_and_decided_cases_until_the_same_key_shows_them(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    rows = [{"external_id": f"t-{i}", "text": f"cheap slurs, cheap slur number {i}"} for i in range(3)]
    desk = make_desk(rows=rows, care={"masked_words": ["slur"]})
    put_guideline(
        project=desk.project,
        change="minor",
        clauses=[{"id": "c-1", "title": "Clause", "text": "One.", "examples": []}],
        actor=desk.cast.olga,
    )
    adjudicate(
        access=desk.access("rita"),
        item=desk.item("t-0"),
        answers={"verdict": "spam"},
        reason="ambiguous",
        note="This slur sells.",
        precedent=True,
    )
    change_care(person=desk.cast.alice, changes={"views": {"ordinary": {"text": {"mask": True}}}})
    desk.label("alice")
    start(watched, live_server)
    expect(watched.locator("#item .masked")).to_have_text("slur")
    watched.keyboard.press("g")
    cases = watched.locator("#precedents")
    expect(cases.locator(".masked")).to_have_text(["slur", "slur", "slur"])  # its text, its note, the words in common
    shown_by = "one => getComputedStyle(one).webkitTextFillColor"
    transparent = "rgba(0, 0, 0, 0)"
    assert cases.locator(".masked").first.evaluate(shown_by) == transparent
    watched.keyboard.press("r")
    expect(watched.locator("#item .masked")).to_have_count(0)
    assert cases.locator(".masked").first.evaluate(shown_by) != transparent
    watched.keyboard.press("r")
    assert cases.locator(".masked").first.evaluate(shown_by) == transparent
    watched.keyboard.press("l")
    words = watched.locator("#history .history-item .masked")
    expect(words).to_have_text("slur")
    assert words.evaluate(shown_by) == transparent
    watched.keyboard.press("r")
    assert words.evaluate(shown_by) != transparent
    watched.click("#history >> text=Show or cover listed words")
    assert words.evaluate(shown_by) == transparent


def test_decided_cases_tell_nothing_of_a_text_before_it_is_revealed(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(rows=[severe("a", "hard words")])
    put_guideline(
        project=desk.project,
        change="minor",
        clauses=[{"id": "c-1", "title": "Clause", "text": "One.", "examples": []}],
        actor=desk.cast.olga,
    )
    asked: list[str] = []
    watched.on("request", lambda request: asked.append(request.url) if "/precedents/" in request.url else None)
    start(watched, live_server)
    expect(watched.locator(".cover")).to_be_visible()
    watched.keyboard.press("g")
    watched.wait_for_timeout(600)
    assert asked == []
    watched.keyboard.press("r")
    expect(watched.locator("#precedents")).to_contain_text("No decided case is like this one yet.")
    assert len(asked) == 1


def test_a_text_is_marked_once_it_is_revealed_and_its_words_stay_covered(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    question = {"name": "marks", "kind": "spans", "required": True, "labels": [{"value": "place", "key": "1"}]}
    make_desk(
        schema={"questions": [question]}, rows=[severe("a", "in a slur of Rome")], care={"masked_words": ["slur"]}
    )
    start(watched, live_server)
    expect(watched.locator(".cover")).to_be_visible()
    watched.keyboard.press("r")
    text = watched.locator("#item .item-text")
    expect(text.locator(".masked")).to_have_text("slur")
    text.dblclick(position={"x": 100, "y": 12})
    watched.keyboard.press("1")
    expect(text.locator("mark")).to_have_count(1)
    expect(text.locator(".masked")).to_have_text("slur")
    watched.keyboard.press("r")
    expect(text.locator(".masked")).to_have_count(0)
    expect(text.locator("mark")).to_have_count(1)
    watched.keyboard.press("Enter")
    expect(watched.locator("#saved")).to_have_text("Saved")
    [stored] = Label.objects.get().data or []
    assert "in a slur of Rome"[stored["start"] : stored["end"]] in ("in", "a", "slur", "of", "Rome")


def test_one_key_seals_an_item_once_it_is_confirmed(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    make_desk(n=2)
    start(watched, live_server)
    first = watched.inner_text("#item .item-text")
    watched.keyboard.press("q")
    expect(watched.locator("#quarantine")).to_be_visible()
    watched.keyboard.press("Escape")
    expect(watched.locator("#item .item-text")).to_have_text(first)
    assert not Item.objects.exclude(lifecycle=0).exists()
    watched.keyboard.press("q")
    watched.keyboard.press("Enter")
    expect(watched.locator("#item .item-text")).not_to_have_text(first)
    expect(watched.locator(".toast")).to_have_text("Sealed. Nobody sees it any more.")
    sealed = Item.objects.get(lifecycle=Item.Lifecycle.QUARANTINED)
    assert sealed.payload.parts[0]["text"] == first
    watched.keyboard.press("1")
    expect(watched.locator("#empty-title")).to_have_text("Nothing to label just now")


@pytest.fixture
def limited(make_desk: MakeDesk) -> Desk:
    """Two severe texts, of which one may be handed out."""
    desk = make_desk(rows=[severe("a", "one"), severe("b", "two")])
    change_organisation_care(changes={"severe_items": 1}, actor=desk.cast.olga)
    return desk


def test_the_desk_says_kindly_why_there_is_nothing_more(watched: Page, live_server: LiveServer, limited: Desk) -> None:
    start(watched, live_server)
    expect(watched.locator(".cover")).to_be_visible()
    watched.keyboard.press("1")
    expect(watched.locator("#empty-title")).to_have_text("Enough of this for now")
    expect(watched.locator("#empty-text")).to_contain_text("no fault of yours")


def test_a_break_is_prompted_also_on_a_page_that_was_loaded_anew(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(n=3)
    change_care(person=desk.cast.alice, changes={"break_minutes": 5})
    sign_in(watched, live_server.url, "alice")
    watched.evaluate(  # as the desk left it
        "localStorage.setItem('touchstone:alice:forum:breaks',"
        " JSON.stringify({at: Date.now(), value: {severe: 0, any: 301, at: Date.now()}}))"
    )
    watched.goto(f"{live_server.url}/p/forum/label/")
    expect(watched.locator("#empty-title")).to_have_text("Time for a break")
    expect(watched.locator("#empty-text")).to_have_text("You wanted to be reminded after 5 minutes.")
    watched.click("text=Take a break")
    expect(watched.locator("#empty-title")).to_have_text("Enjoy your break")
    watched.click("#empty-ask")
    expect(watched.locator("#item .item-text")).to_be_visible()
    watched.keyboard.press("1")
    expect(watched.locator("#saved")).to_have_text("Saved")
    expect(watched.locator("#item .item-text")).to_be_visible()


def test_support_is_one_click_away(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> None:
    make_desk(n=1, care={"support": "Ask <Ruth>."})
    start(watched, live_server)
    watched.click("text=Support")
    expect(watched.locator("#support")).to_contain_text("Ask <Ruth>.")
    watched.click("#support >> text=How content is shown to me")
    expect(watched.locator("h1")).to_have_text("Care")
    watched.select_option("[name=severe-image-blur]", "5")
    expect(watched.locator("[data-view=severe-image] [data-preview]")).to_have_class(re.compile("view-blur-5"))
    watched.click("button:has-text('Save')")
    expect(watched.locator("[role=status]").first).to_contain_text("Saved")
    expect(watched.locator("[name=severe-image-blur]")).to_have_value("5")
