"""Answers on the desk without a network: they wait in the browser, come back after a closed tab, and count once."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Dialog, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from annotation import recent
from annotation.models import Annotation
from tests.cast import Desk
from tests.test_browser import (
    desk,
    expect_another,
    faults,
    fill_sign_in,
    forgive_network,
    item_text,
    open_desk,
    sign_in,
    watched,
)

__all__ = ["desk", "faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ANSWERS = "**/annotation"


def refuse(route: Route) -> None:
    route.abort("internetdisconnected")


def stored(page: Page, what: str = ":(outbox|draft|kept):") -> list[str]:
    """Names and values in the browser's storage, of answers or of `what` else."""
    found = page.evaluate(
        "what => Object.entries(localStorage).filter(([name]) => RegExp(what).test(name)).flat()", what
    )
    return list(found)


def answer_all_without_network(page: Page) -> list[str]:
    """Answer the three items, two of them leased ahead; return their texts."""
    page.route(ANSWERS, refuse)
    seen = []
    for key in ("1", "2"):
        seen.append(item_text(page))
        page.keyboard.press(key)
        expect_another(page, seen[-1])
    seen.append(item_text(page))
    page.keyboard.press("3")
    expect(page.locator("#desk")).to_be_hidden()
    expect(page.locator("#saved")).to_contain_text("Not saved yet")
    return seen


def expect_all_sent(page: Page) -> None:
    """Until no answer waits in this browser."""
    expect(page.locator("#saved")).to_have_text("Saved")
    deadline = time.monotonic() + 10
    while stored(page, ":outbox:"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)


def end_sessions() -> None:
    """As their time does; the server remembers for a second who asked."""
    Session.objects.all().delete()
    recent.forget()


def labels_of(desk: Desk) -> list[int | None]:
    answers = Annotation.objects.filter(person=desk.cast.alice).order_by("id")
    return list(answers.values_list("labels__choice", flat=True))


def expect_each_stored_once(page: Page, desk: Desk, faults: list[str]) -> None:
    """Nothing is left to label: the three answers are on the server, in their order, and none waits in the browser."""
    expect(page.locator("#empty-title")).to_have_text("You have done your part", timeout=15_000)
    assert labels_of(desk) == [1, 2, 3]
    assert stored(page) == []
    forgive_network(faults)


def test_answers_given_without_a_network_are_sent_when_it_is_back(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    answer_all_without_network(watched)
    assert labels_of(desk) == []
    watched.unroute(ANSWERS)
    watched.evaluate("window.dispatchEvent(new Event('online'))")
    expect_each_stored_once(watched, desk, faults)


def test_answers_come_back_after_a_closed_tab_and_hold_no_content(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    seen = answer_all_without_network(watched)
    kept = " ".join(stored(watched, "."))
    assert kept.count(":outbox:") == 3
    assert [text for text in seen if text in kept] == []
    address, context = watched.url, watched.context
    watched.close()
    other = context.new_page()
    other.goto(address)
    expect_each_stored_once(other, desk, faults)


def test_two_tabs_that_send_one_answer_store_it_once(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    answer_all_without_network(watched)
    other = watched.context.new_page()
    other.goto(watched.url)
    expect(other.locator("#empty-title")).to_have_text("You have done your part")
    watched.unroute(ANSWERS)
    watched.evaluate("window.dispatchEvent(new Event('online'))")
    expect(watched.locator("#empty-title")).to_have_text("You have done your part", timeout=15_000)
    assert labels_of(desk) == [1, 2, 3]
    forgive_network(faults)


def test_signing_out_asks_before_it_discards_what_is_not_saved(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    answer_all_without_network(watched)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    watched.once("dialog", stay)
    watched.click("text=Sign out")
    assert asked == ["Answers that are not saved yet: 3. Signing out discards them. Sign out all the same?"]
    assert len(stored(watched)) == 6
    watched.once("dialog", lambda dialog: dialog.accept())
    watched.click("text=Sign out")
    expect(watched.locator("input[name=username]")).to_be_visible()
    assert stored(watched, "touchstone:") == []
    assert labels_of(desk) == []
    forgive_network(faults)


def test_half_a_minute_without_a_network_loses_and_doubles_nothing(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    watched.clock.install()
    open_desk(watched, live_server, "alice")
    watched.context.set_offline(True)
    for key in ("1", "2"):
        seen = item_text(watched)
        watched.keyboard.press(key)
        expect_another(watched, seen)
        watched.clock.run_for(15_000)  # it tries, and waits longer each time
    expect(watched.locator("#saved")).to_contain_text("Not saved yet")
    assert labels_of(desk) == []
    watched.context.set_offline(False)
    watched.keyboard.press("3")
    expect_each_stored_once(watched, desk, faults)


def test_going_back_and_forward_loses_and_doubles_nothing(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    """The first answer was stored, but nobody heard; the second never left."""

    heard: list[int] = []

    def lose(route: Route) -> None:
        if not heard:
            heard.append(route.fetch().status)
        refuse(route)

    sign_in(watched, f"{live_server.url}/p/forum/", "alice")
    watched.click("main >> text=/labelling/")
    expect(watched.locator("#item .item-text")).to_be_visible()
    watched.route(ANSWERS, lose)
    for key in ("1", "2"):
        seen = item_text(watched)
        watched.keyboard.press(key)
        expect_another(watched, seen)
    expect(watched.locator("#saved")).to_contain_text("Not saved yet")
    last = item_text(watched)
    assert heard == [201]
    watched.go_back()
    expect(watched.locator("h1")).to_have_text("Overview")
    watched.unroute(ANSWERS)
    watched.go_forward()
    expect_all_sent(watched)
    expect(watched.locator("#item .item-text")).to_have_text(last)
    assert labels_of(desk) == [1, 2]
    watched.keyboard.press("3")
    expect_each_stored_once(watched, desk, faults)


def test_a_sign_in_that_ends_in_the_middle_loses_no_answer_and_no_draft(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    end_sessions()
    for key in ("1", "2"):
        seen = item_text(watched)
        watched.keyboard.press(key)
        expect_another(watched, seen)
    last = item_text(watched)
    watched.keyboard.press("c")
    watched.keyboard.insert_text("half a thought")
    expect(watched.locator("#notices")).to_contain_text("You are signed out. Nothing is lost")
    watched.click("#notices >> text=Sign in")
    fill_sign_in(watched, "alice")
    expect_all_sent(watched)
    expect(watched.locator("#item .item-text")).to_have_text(last)
    expect(watched.locator("#comment")).to_have_value("half a thought")
    assert labels_of(desk) == [1, 2]
    watched.keyboard.press("3")
    expect_each_stored_once(watched, desk, faults)


def test_signing_in_again_in_another_tab_loses_no_answer_of_this_one(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    end_sessions()
    first = item_text(watched)
    watched.keyboard.press("1")
    expect(watched.locator("#notices")).to_contain_text("You are signed out")
    expect_another(watched, first)
    other = watched.context.new_page()
    other.goto(f"{live_server.url}/p/forum/label/")
    fill_sign_in(other, "alice")
    expect(other.locator("#saved")).to_have_text("Saved")
    other.close()
    second = item_text(watched)
    watched.keyboard.press("2")
    expect_another(watched, second)
    expect(watched.locator("#kept")).to_be_empty()
    watched.click("#notices >> text=Sign in")
    expect_all_sent(watched)
    expect(watched.locator("#item .item-text")).not_to_have_text(re.compile(f"{first}|{second}"))
    assert labels_of(desk) == [1, 2]
    assert stored(watched) == []
    forgive_network(faults)
