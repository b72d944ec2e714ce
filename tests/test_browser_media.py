"""Sound on the desk, in a real Chromium: it plays, and outlives its link."""

from __future__ import annotations

import io
import time

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.media import add_media
from tests.api_client import Api
from tests.cast import MakeDesk, import_rows
from tests.media_files import make_wav
from tests.test_browser import faults, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def player(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> Page:
    """The desk with an item of three seconds of silence on it."""
    desk = make_desk(n=1)
    clip, _is_new = add_media(project=desk.project, source=io.BytesIO(make_wav(3)), actor=desk.cast.enzo)
    import_rows(desk.project, [{"external_id": "clip", "parts": [{"kind": "audio", "media": clip.sha256}]}])
    api = Api(desk.cast.alice)
    [text] = [lease for lease in api.lease(n=2) if lease["item"]["parts"][0]["kind"] == "text"]
    assert api.answer(text["id"]).status_code == 201
    watched.clock.install()
    sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
    expect(watched.locator("#item .viewer-audio")).to_be_visible()
    expect(watched.locator("#item audio")).to_have_js_property("duration", 3)
    return watched


def test_sound_is_sought_and_played_to_its_end(player: Page) -> None:
    player.evaluate("{ const one = document.querySelector('#item audio'); one.currentTime = 2.5; one.play(); }")
    expect(player.locator("#item audio")).to_have_js_property("ended", True)


def test_a_link_that_ended_is_replaced_and_the_sound_goes_on_where_it_stood(player: Page) -> None:
    old = player.get_attribute("#item audio", "src") or ""
    player.evaluate("document.querySelector('#item audio').currentTime = 2")
    time.sleep(1.1)  # a link is signed for its second, by the server's clock
    player.clock.fast_forward("04:30")
    player.evaluate("document.querySelector('#item audio').dispatchEvent(new Event('error'))")
    expect(player.locator("#item audio")).not_to_have_attribute("src", old)
    expect(player.locator("#item audio")).to_have_js_property("currentTime", 2)


def fail(player: Page) -> None:
    player.evaluate("document.querySelector('#item audio').dataset.first = '1'")
    player.evaluate("document.querySelector('#item audio').dispatchEvent(new Event('error'))")
    player.clock.run_for(1600)
    player.wait_for_load_state("networkidle")


def test_a_player_that_fails_though_its_link_is_young_is_drawn_anew_once(player: Page) -> None:
    fail(player)
    expect(player.locator("#item audio")).not_to_have_attribute("data-first", "1")
    fail(player)
    expect(player.locator("#item audio")).to_have_attribute("data-first", "1")
