"""axe-core finds nothing against WCAG 2.2 AA on any page, in light and in dark.

It sees about half of what can be wrong; what it cannot see (order of reading, keys, sense of the words) is in the tests
that drive the pages by keyboard.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.cast import Desk
from tests.test_browser import desk, faults, sign_in, watched

__all__ = ["desk", "faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PAGES = ["", "label/", "disputes/", "items/", "items/import/", "learning/", "snapshots/", "guideline/", "members/"]


def find_violations(page: Page) -> dict[str, list[str]]:
    """Rule -> the elements that break it, as axe says."""
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return {one["id"]: [node["failureSummary"] + " " + node["html"][:200] for node in one["nodes"]] for one in found}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_breaks_a_rule_of_accessibility(
    watched: Page, live_server: LiveServer, desk: Desk, colours: Any
) -> None:
    desk.vote("t-1", alice="none", bob="spam")
    watched.emulate_media(color_scheme=colours, reduced_motion="reduce")
    watched.goto(f"{live_server.url}/sign-in/")
    found = {"sign-in": find_violations(watched)}
    sign_in(watched, f"{live_server.url}/p/forum/", "olga")
    for path in [*PAGES, "settings/", f"disputes/{desk.item('t-1').pk}/"]:
        watched.goto(f"{live_server.url}/p/forum/{path}")
        expect(watched.locator("h1")).to_have_count(1)
        watched.wait_for_load_state("networkidle")
        found[path] = find_violations(watched)
    watched.goto(f"{live_server.url}/p/forum/label/")
    watched.click("[data-do=comment]")
    watched.keyboard.press("Escape")
    for key, dialog in (("s", "reasons"), ("l", "history"), ("?", "help"), ("q", "quarantine")):
        watched.keyboard.press(key)
        expect(watched.locator(f"#{dialog}")).to_be_visible()
        found[dialog] = find_violations(watched)
        watched.keyboard.press("Escape")
    broken = [f"{path}: {rule}: {one}" for path, rules in found.items() for rule, ones in rules.items() for one in ones]
    assert broken == [], "\n".join(broken)
