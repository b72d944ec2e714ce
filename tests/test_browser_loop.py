"""Beside the item, in a real Chromium: suggestions, last answers, what changed in the guideline, decided cases."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.desk_keys import set_own_keys
from annotation.actions.guidelines import note_reading
from annotation.actions.projects import put_guideline
from annotation.models import Annotation, GuidelineReading
from reviewers.actions.adjudication import adjudicate
from tests.cast import CHOICE_SCHEMA, MakeDesk
from tests.test_browser import expect_another, faults, item_text, open_desk, watched
from tests.test_suggestions import score_all

__all__ = ["faults", "watched"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CLAUSES: list[dict[str, Any]] = [
    {"id": f"c-{i}", "title": f"Clause {i}", "text": f"What clause {i} means. " * 20, "examples": []} for i in range(6)
]
CHOICES = [{"value": "none"}, {"value": "spam", "text": "Spam", "clause": "c-4"}, {"value": "insult"}]
SCHEMA = {"questions": [{**CHOICE_SCHEMA["questions"][0], "choices": CHOICES}]}


def test_a_suggestion_is_named_with_its_score_and_answers_nothing(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(n=4, schema=SCHEMA, overlap=2, suggestions=True, blind_share=0.1)
    score_all(desk)
    desk.lease_one("alice")  # by the chance of the tests, which shows it
    open_desk(watched, live_server, "alice")
    expect(watched.locator("#suggestion")).to_contain_text("guesser 7 suggests: Spam")
    expect(watched.locator("#suggestion")).to_contain_text("score 0.75")
    expect(watched.locator('.choice[value="spam"] .is-suggested')).to_have_text("suggested")
    expect(watched.locator('.choice[value="spam"]')).to_have_attribute("aria-pressed", "false")
    text = item_text(watched)
    watched.keyboard.press("Enter")
    expect(watched.locator(".toast")).to_contain_text("first")
    assert item_text(watched) == text
    watched.keyboard.press("1")
    expect_another(watched, text)
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.get().labels.get().choice == 1


def test_an_older_answer_is_taken_back_out_of_the_history(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    desk = make_desk(n=4, overlap=2)
    open_desk(watched, live_server, "alice")
    first = item_text(watched)
    watched.keyboard.press("1")
    expect_another(watched, first)
    second = item_text(watched)
    watched.keyboard.press("2")
    expect_another(watched, second)
    expect(watched.locator("#saved")).to_have_text("Saved")
    watched.keyboard.press("l")
    expect(watched.locator("#history li")).to_have_count(2)
    expect(watched.locator("#history li").first).to_contain_text(second)
    watched.locator("#history li", has_text=first).get_by_role("button").click()
    expect(watched.locator("#item .item-text")).to_have_text(first)
    expect(watched.locator('.choice[value="none"]')).to_have_attribute("aria-pressed", "true")
    expect(watched.locator("#n-today")).to_have_text("1")
    watched.keyboard.press("3")
    expect_another(watched, first)
    expect(watched.locator("#saved")).to_have_text("Saved")
    watched.keyboard.press("z")
    expect(watched.locator("#item .item-text")).to_have_text(first)
    assert Annotation.objects.filter(person=desk.cast.alice).count() == 3


def test_the_guideline_opens_at_the_clause_under_the_pointer_and_tells_what_changed_and_was_decided(
    watched: Page, live_server: LiveServer, make_desk: MakeDesk
) -> None:
    texts = ["buy cheap pills today", "cheap pills, buy them now", "buy pills from a cheap shop"]
    rows = [{"external_id": f"t-{i}", "text": f"text number {i} {text}"} for i, text in enumerate(texts, start=1)]
    desk = make_desk(schema=SCHEMA, overlap=2, rows=rows)
    put_guideline(project=desk.project, change="minor", clauses=CLAUSES, actor=desk.cast.olga)
    note_reading(project=desk.project, person=desk.cast.alice, version=1)
    newer = [*CLAUSES[:5], {**CLAUSES[5], "text": "Quite another rule."}]
    put_guideline(project=desk.project, change="minor", clauses=newer, actor=desk.cast.olga)
    adjudicate(
        access=desk.access("rita"),
        item=desk.item("t-2"),
        answers={"verdict": "spam"},
        reason="ambiguous",
        note="Selling is selling.",
        precedent=True,
    )
    watched.set_viewport_size({"width": 1400, "height": 700})
    open_desk(watched, live_server, "alice")
    watched.hover('.choice[value="spam"]')
    watched.keyboard.press("g")
    panel = watched.locator("#guideline")
    expect(panel.locator("#clause-c-4")).to_be_in_viewport()
    expect(panel.locator("#guideline-changes")).to_contain_text("Clause 5")
    expect(panel.locator("#clause-c-5 ins").first).to_be_attached()
    expect(panel.locator("#precedents")).to_contain_text("Selling is selling.")
    expect(panel.locator("#precedents")).to_contain_text("Decided by rita")
    watched.wait_for_timeout(300)
    assert GuidelineReading.objects.get(person=desk.cast.alice).guideline.version == 2


def test_own_keys_answer_and_the_day_is_counted(watched: Page, live_server: LiveServer, make_desk: MakeDesk) -> None:
    desk = make_desk(n=5, overlap=2)
    page = {"hidden": "m", "skip": "w", "history": "y"}
    set_own_keys(project=desk.project, person=desk.cast.alice, keys={"verdict": {"insult": "x"}}, page=page)
    open_desk(watched, live_server, "alice")
    expect(watched.get_by_role("button", name="Skip W")).to_be_visible()
    watched.keyboard.press("s")
    expect(watched.locator("#reasons")).to_be_hidden()
    watched.keyboard.press("w")
    expect(watched.locator("#reasons")).to_be_visible()
    watched.keyboard.press("Escape")
    watched.keyboard.press("y")
    expect(watched.locator("#history")).to_be_visible()
    watched.keyboard.press("Escape")
    watched.keyboard.press("?")
    expect(watched.locator("#help dt:has(kbd:text-is('W')) + dd")).to_have_text("skip, with a reason")
    watched.keyboard.press("Escape")
    expect(watched.locator("#n-left")).to_have_text("5 left")
    text = item_text(watched)
    watched.keyboard.press("3")
    assert item_text(watched) == text
    watched.keyboard.press("x")
    expect_another(watched, text)
    expect(watched.locator("#n-left")).to_have_text("4 left")
    expect(watched.locator("#n-today")).to_have_text("1")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert Annotation.objects.get().labels.get().choice == 3
