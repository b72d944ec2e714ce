"""Answers on the desk without a network: they wait in the browser, come back after a closed tab, and count once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from annotation.models import Annotation
from tests.cast import Desk
from tests.test_browser import desk, expect_another, faults, forgive_network, item_text, open_desk, watched

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


def labels_of(desk: Desk) -> list[int | None]:
    answers = Annotation.objects.filter(person=desk.cast.alice).order_by("id")
    return list(answers.values_list("labels__choice", flat=True))


def test_answers_given_without_a_network_are_sent_when_it_is_back(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    answer_all_without_network(watched)
    assert labels_of(desk) == []
    watched.unroute(ANSWERS)
    watched.evaluate("window.dispatchEvent(new Event('online'))")
    expect(watched.locator("#empty-title")).to_have_text("You have done your part", timeout=15_000)
    assert labels_of(desk) == [1, 2, 3]
    assert stored(watched) == []
    forgive_network(faults)


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
    expect(other.locator("#empty-title")).to_have_text("You have done your part")
    assert labels_of(desk) == [1, 2, 3]
    assert stored(other) == []
    forgive_network(faults)


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
