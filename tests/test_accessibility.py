"""axe-core finds nothing against WCAG 2.2 AA on any page, in light and in dark, and no page is wider than the window.

It sees about half of what can be wrong; what it cannot see (order of reading, keys, sense of the words) is in the tests
that drive the pages by keyboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.care import change_care
from annotation.actions.projects import put_guideline
from reviewers.actions.adjudication import adjudicate
from tests.cast import Desk, MakeDesk
from tests.test_browser import faults, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast", "link-in-text-block"]  # rules that may be kept in light and broken in dark
WIDTHS = (1280, 390)
# By how much the page is wider than the window, once what looks at sizes has looked.
SURPLUS = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
    () => done(document.documentElement.scrollWidth - innerWidth))))"""
PAGES = [
    "",
    "disputes/",
    "agreement/?by=pair",
    "annotators/",
    "items/",
    "items/import/",
    "learning/",
    "learning/doubts/",
    "learning/llm/",
    "learning/drift/",
    "learning/unsure/",
    "learning/models/",
    "snapshots/",
    "guideline/",
    "members/",
]


def find_violations(page: Page) -> dict[str, list[str]]:
    """Rule -> the elements that break it, as axe says: each rule in light, then in dark those that look at colours."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(Axe().axe_script)
    broken = _run_axe(page, "light", {"type": "tag", "values": TAGS})
    broken |= _run_axe(page, "dark", {"type": "rule", "values": OF_COLOURS})
    return broken


@pytest.fixture
def desk(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """A disputed text, a decided one that is a precedent, one that olga answered, and one that she has not."""
    desk = make_desk(n=4, overlap=2)
    clause = {"id": "c-1", "title": "Clause", "text": "What it means.", "examples": []}
    put_guideline(project=desk.project, change="minor", clauses=[clause], actor=desk.cast.olga)
    desk.vote("t-1", alice="none", bob="spam")
    decided: dict[str, Any] = {"item": desk.item("t-2"), "answers": {"verdict": "spam"}, "reason": "ambiguous"}
    adjudicate(access=desk.access("rita"), note="Selling is selling.", precedent=True, **decided)
    desk.vote("t-3", olga="none")
    change_care(person=desk.cast.olga, changes={"break_minutes": 5})
    return desk


def _run_axe(page: Page, colours: Literal["light", "dark"], rules: dict[str, Any]) -> dict[str, list[str]]:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return {
        f"{one['id']} in {colours}": [node["failureSummary"] + " " + node["html"][:200] for node in one["nodes"]]
        for one in found
    }


def find_surplus(page: Page, widths: Sequence[int] = WIDTHS) -> dict[int, int]:
    """Width of the window -> by how many pixels the page is wider, where it is. It is left at the first width."""
    found = {}
    for width in (*widths, widths[0]):
        page.set_viewport_size({"width": width, "height": 800})
        found[width] = page.evaluate(SURPLUS)
    return {width: surplus for width, surplus in found.items() if surplus > 0}


def test_no_page_breaks_a_rule_of_accessibility_or_is_wider_than_the_window(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    watched.goto(f"{live_server.url}/sign-in/")
    found, surplus = {"sign-in": find_violations(watched)}, {"sign-in": find_surplus(watched)}
    sign_in(watched, live_server.url, "olga")
    for path in [*PAGES, "label/keys/", "settings/", "rule/?kind=unanimous", f"disputes/{desk.item('t-1').pk}/"]:
        watched.goto(f"{live_server.url}/p/forum/{path}")
        expect(watched.locator("h1")).to_have_count(1)
        found[path], surplus[path] = find_violations(watched), find_surplus(watched)
    watched.goto(f"{live_server.url}/p/forum/label/")
    expect(watched.locator("#item .item-text")).to_be_visible()
    expect(watched.locator("h1")).to_have_count(1)
    found["label/"], surplus["label/"] = find_violations(watched), find_surplus(watched)
    watched.click("[data-do=comment]")
    watched.keyboard.press("Escape")
    watched.keyboard.press("s")
    expect(watched.locator("#reasons")).to_be_visible()
    found["skip"] = find_violations(watched)
    watched.keyboard.press("Escape")
    for key, dialog, shown in (("?", "#help", "dl.keys"), ("q", "#quarantine", "h2"), ("l", "#history", "[data-undo]")):
        watched.keyboard.press(key)
        expect(watched.locator(f"{dialog} {shown}").first).to_be_visible()
        found[dialog] = find_violations(watched)
        watched.keyboard.press("Escape")
    watched.keyboard.press("g")
    expect(watched.locator("#precedents")).to_contain_text("Selling is selling.")
    found["decided cases"] = find_violations(watched)
    watched.goto(f"{live_server.url}/me/care/")
    expect(watched.locator("h1")).to_have_text("Care")
    found["care"] = find_violations(watched)
    watched.evaluate(  # as the desk would leave it
        "localStorage.setItem('touchstone:olga:forum:breaks',"
        " JSON.stringify({at: Date.now(), value: {severe: 0, any: 301, at: Date.now()}}))"
    )
    watched.goto(f"{live_server.url}/p/forum/label/")
    expect(watched.locator("#empty-title")).to_have_text("Time for a break")
    found["break"] = find_violations(watched)
    broken = [f"{path}: {rule}: {one}" for path, rules in found.items() for rule, ones in rules.items() for one in ones]
    assert broken == [], "\n".join(broken)
    assert {path: widths for path, widths in surplus.items() if widths} == {}
