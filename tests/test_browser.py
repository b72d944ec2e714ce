"""The pages in a real Chromium: what people do, by key. Any fault in the console, the CSP's too, fails the test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import ConsoleMessage, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions import people
from annotation.models import Annotation, User
from annotation.progress import own_counts
from reviewers.models import Adjudication, Resolution
from tests.cast import PASSWORD, Desk, MakeDesk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ONE = re.compile(r"text number \d+")


@pytest.fixture
def faults() -> list[str]:
    """What the console complained about. A test that breaks the network on purpose takes that out."""
    return []


@pytest.fixture
def watched(page: Page, faults: list[str]) -> Iterator[Page]:
    """A page whose console stays clean until the test ends."""

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_default_timeout(10_000)
    expect.set_options(timeout=10_000)
    yield page
    # A request that a test answers may still be under way: it ends with the page, and is nobody's fault. The page ends
    # first of all, so that it asks nothing of a database that is being put away.
    if not page.is_closed():
        page.unroute_all(behavior="ignoreErrors")
        page.close()
    assert faults == []


@pytest.fixture
def desk(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """Three texts that two people label."""
    return make_desk(n=3, overlap=2)


def sign_in(page: Page, url: str, name: str) -> None:
    """Open a page as somebody who has signed in before; `fill_sign_in` is what they did then."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    kept = client.cookies[settings.SESSION_COOKIE_NAME]
    page.context.add_cookies([{"name": kept.key, "value": kept.value, "url": urljoin(url, "/"), "httpOnly": True}])
    page.goto(url)


def fill_sign_in(page: Page, name: str) -> None:
    """Sign in with the form."""
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", PASSWORD)
    page.click("button:has-text('Sign in')")


def open_desk(page: Page, live_server: LiveServer, name: str) -> None:
    """Begin to label."""
    sign_in(page, f"{live_server.url}/p/forum/label/", name)
    expect(page.locator("#item .item-text")).to_have_text(ONE)


def item_text(page: Page) -> str:
    return page.inner_text("#item .item-text")


def forgive_network(faults: list[str]) -> None:
    """Take the failed requests, and nothing else, out of what the console complained about."""
    faults[:] = [fault for fault in faults if "Failed to load resource" not in fault]


def expect_another(page: Page, text: str) -> None:
    expect(page.locator("#item .item-text")).not_to_have_text(text)


def test_one_key_stores_the_answer_and_brings_the_next_item(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    watched.goto(live_server.url)
    fill_sign_in(watched, "alice")
    watched.click("h2 >> text=Forum")
    watched.click("main >> text=/labelling/")
    expect(watched.locator("#item .item-text")).to_have_text(ONE)
    seen = [item_text(watched)]
    for key in ("1", "2"):
        watched.keyboard.press(key)
        expect_another(watched, seen[-1])
        seen.append(item_text(watched))
        expect(watched.locator("#live")).to_have_text(f"Next item. {seen[-1]}")
    watched.keyboard.press("3")
    expect(watched.locator("#empty-title")).to_have_text("You have done your part")
    assert len(set(seen)) == 3
    expect(watched.locator("#saved")).to_have_text("Saved")
    expect(watched.locator("#n-today")).to_have_text("3")
    labels = Annotation.objects.filter(person=desk.cast.alice).values_list("labels__choice", flat=True)
    assert set(labels) == {1, 2, 3}
    watched.click("#empty >> text=Overview")
    expect(watched.locator(".tile-value").first).to_have_text("3")


def test_undo_brings_the_answer_back_and_skip_gives_the_item_away(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_desk(watched, live_server, "alice")
    text = item_text(watched)
    watched.keyboard.press("1")
    expect_another(watched, text)
    expect(watched.locator("#saved")).to_have_text("Saved")
    watched.keyboard.press("z")
    expect(watched.locator("#item .item-text")).to_have_text(text)
    expect(watched.locator('.choice[value="none"]')).to_have_attribute("aria-pressed", "true")
    watched.keyboard.press("2")
    expect_another(watched, text)
    skipped = item_text(watched)
    watched.keyboard.press("s")
    expect(watched.locator("#reasons")).to_be_visible()
    watched.keyboard.press("2")
    expect_another(watched, skipped)
    expect(watched.locator(".toast")).to_contain_text("Skipped")
    watched.keyboard.press("3")
    expect(watched.locator("#empty-title")).to_have_text("You have done your part")
    expect(watched.locator("#saved")).to_have_text("Saved")
    mine = own_counts(desk.cast.alice, [desk.project.pk])[desk.project.pk]
    assert (mine.n_today, mine.n_total) == (2, 2)


def test_a_double_key_press_stores_one_answer(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    """The second press belongs to the next item: nothing may be stored twice, and nothing answered unseen."""
    open_desk(watched, live_server, "alice")
    first = item_text(watched)
    watched.keyboard.down("1")
    watched.keyboard.down("1")  # the key repeats while it is held
    watched.keyboard.up("1")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.filter(person=desk.cast.alice).count() == 1


def test_a_double_click_answers_no_item_unseen(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_desk(watched, live_server, "alice")
    first = item_text(watched)
    watched.dblclick("#questions button >> nth=0")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.filter(person=desk.cast.alice).count() == 1


def test_an_answer_that_is_sent_twice_counts_once(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    """The answer reaches the server, and its receipt is lost on the way back."""
    sent = []

    def lose_first(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        answer = route.fetch()
        if len(sent) == 1:
            route.fulfill(status=503, body="")
        else:
            route.fulfill(response=answer)

    watched.route("**/annotation", lose_first)
    open_desk(watched, live_server, "alice")
    watched.keyboard.press("1")
    expect(watched.locator("#saved")).to_have_text("Saved", timeout=15_000)
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert Annotation.objects.filter(person=desk.cast.alice).count() == 1
    forgive_network(faults)


def test_a_reviewer_sees_who_said_what_and_decides_by_key(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    desk.vote("t-1", alice="none", bob="spam")
    desk.vote("t-2", alice="insult", bob="spam")
    sign_in(watched, live_server.url, "rita")
    watched.click("h2 >> text=Forum")
    watched.click(".tabs >> text=Disputes")
    expect(watched.locator("main")).to_contain_text("2 items wait for a decision")
    watched.wait_for_load_state()
    watched.keyboard.press("n")
    expect(watched.locator(".vote")).to_have_count(2)
    expect(watched.locator(".votes")).to_contain_text("alice")
    expect(watched.locator(".votes")).to_contain_text("bob")
    first = watched.inner_text(".item-text")
    watched.keyboard.press("2")
    watched.select_option("#reason", "annotator_error")
    watched.locator("h2#said").click()
    watched.keyboard.press("Enter")
    expect(watched.locator(".item-text")).not_to_have_text(first)
    expect(watched.locator(".notice-good")).to_contain_text("is decided")
    watched.keyboard.press("1")
    watched.select_option("#reason", "ambiguous")
    watched.click("text=Decide >> nth=-1")
    expect(watched.locator("main")).to_contain_text("Nothing is in dispute")
    assert Adjudication.objects.filter(reviewer=desk.cast.rita).count() == 2
    states = set(Resolution.objects.values_list("state", flat=True))
    assert states == {Resolution.State.ADJUDICATED}


def test_the_owner_sets_up_by_the_one_time_link(watched: Page, live_server: LiveServer, db: None) -> None:
    token = people.create_setup_link()
    watched.goto(f"{live_server.url}/setup/{token}")
    watched.fill("input[name=username]", "olga")
    watched.fill("input[name=password]", PASSWORD)
    watched.fill("input[name=password_again]", PASSWORD)
    watched.click("text=Create the owner and sign in")
    expect(watched.locator(".who")).to_have_text("olga")
    expect(watched.locator("h1")).to_have_text("Projects")
    assert User.objects.get(username="olga").is_superuser


def test_the_owner_looks_through_an_annotators_eyes_and_back(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    type(desk.project).objects.filter(pk=desk.project.pk).update(is_demo=True)
    sign_in(watched, f"{live_server.url}/p/forum/", "olga")
    watched.click(".view-as >> text=annotator")
    expect(watched.locator(".as-banner")).to_contain_text("as an annotator would")
    expect(watched.locator(".tabs")).not_to_contain_text("Settings")
    watched.click("text=Back to your own view")
    expect(watched.locator(".tabs")).to_contain_text("Settings")


def test_signing_out_while_labelling_loses_no_answer(
    watched: Page, live_server: LiveServer, desk: Desk, faults: list[str]
) -> None:
    open_desk(watched, live_server, "alice")
    watched.context.clear_cookies()
    watched.keyboard.press("1")
    expect(watched.locator("#notices")).to_contain_text("You are signed out")
    watched.click("#notices >> text=Sign in")
    fill_sign_in(watched, "alice")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.filter(person=desk.cast.alice).count() == 1
    forgive_network(faults)
