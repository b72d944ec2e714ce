"""The editor of questions and of the guideline in a real Chromium, by keyboard and by mouse."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.carrying import KIND
from annotation.jobs import run_job
from annotation.models import Annotation, Draft, Guideline, Job, LabelSchema
from annotation.schema import show_schema
from reviewers import job_kinds
from tests.cast import Desk, MakeDesk
from tests.test_accessibility import find_surplus, find_violations
from tests.test_browser import faults, sign_in, watched

__all__ = ["faults", "watched"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

assert job_kinds  # registers the job


@pytest.fixture
def desk(live_server: LiveServer, make_desk: MakeDesk) -> Desk:
    """Three texts that two people label."""
    return make_desk(n=3, overlap=2)


def open_editor(page: Page, live_server: LiveServer) -> None:
    sign_in(page, f"{live_server.url}/p/forum/schema/", "olga")
    expect(page.locator("#text")).to_have_value("Which policy does it break?")


def preview(page: Page) -> FrameLocator:
    return page.frame_locator("#preview")


def draft(desk: Desk) -> Any:
    return Draft.objects.get(project=desk.project, user=desk.cast.olga).content


def test_choices_are_written_by_keyboard_alone_and_the_desk_follows(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_editor(watched, live_server)
    expect(preview(watched).locator("#questions .choice")).to_have_count(3)
    watched.focus("#c-2-value")
    watched.keyboard.press("Enter")
    expect(watched.locator("#c-3-value")).to_be_focused()
    watched.keyboard.type("threat")
    watched.keyboard.press("Tab")
    watched.keyboard.type("Threats of harm")
    expect(preview(watched).locator("#questions .choice")).to_have_count(4)
    expect(preview(watched).locator("#questions .choice").nth(3)).to_contain_text("Threats of harm")
    watched.keyboard.press("Alt+ArrowUp")
    expect(watched.locator("#c-2-value")).to_have_value("threat")
    expect(watched.locator("#c-2-up")).to_be_focused()
    watched.focus("#c-2-value")
    watched.keyboard.press("Alt+ArrowRight")
    expect(preview(watched).locator(".choice-group")).to_have_text("spam")
    spam = draft(desk)["questions"][0]["choices"][1]
    assert spam["children"] == [{"value": "threat", "text": "Threats of harm"}]
    watched.reload()
    expect(watched.locator("#c-2-value")).to_have_value("threat")
    assert LabelSchema.objects.count() == 1


def test_a_question_is_added_changed_and_tried_by_mouse(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_editor(watched, live_server)
    watched.click("text=Add a question")
    expect(watched.locator("#name")).to_be_focused()
    watched.fill("#name", "tone")
    watched.select_option("#kind", "rating")
    expect(watched.locator(".field-error").first).to_contain_text('unknown key "choices"')
    watched.fill("#field-min", "1")
    watched.fill("#field-max", "5")
    expect(watched.locator("#question-list")).to_contain_text("tone")
    # What the kind does not know is still there.
    watched.fill("#rest", "")
    expect(watched.locator("#schema-state .chip")).to_have_text("breaking change")
    watched.select_option("#when_question", "verdict")
    watched.check("#when-1")
    desk_shown = preview(watched)
    # There, and not yet asked for: as in no preview that was loaded before.
    expect(desk_shown.locator(".question[hidden] .rating")).to_have_count(1)
    expect(desk_shown.locator("#desk")).to_be_visible()
    desk_shown.locator('.choice[value="spam"]').click()
    desk_shown.locator(".rating .choice").nth(3).click()
    expect(desk_shown.locator("#n-sitting")).to_have_text("0")
    desk_shown.locator("#submit").click()
    expect(desk_shown.locator("#n-sitting")).to_have_text("1")
    expect(desk_shown.locator("#saved")).to_have_text("Saved")
    assert not Annotation.objects.exists()
    watched.click("#question-0")
    expect(watched.locator("#name")).to_have_value("verdict")
    watched.click("#question-1")
    expect(watched.locator("#name")).to_have_value("tone")
    watched.click("#question-remove")
    expect(watched.locator("#question-list li")).to_have_count(1)
    assert draft(desk) == show_schema(LabelSchema.objects.get().compiled)


def test_a_fault_shows_while_somebody_types_and_the_focus_stays(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_editor(watched, live_server)
    watched.focus("#name")
    watched.keyboard.press("End")
    watched.keyboard.type(" two", delay=30)
    expect(watched.locator("#schema-state")).to_contain_text("must be 1 to 63 of a-z")
    expect(watched.locator("#name")).to_be_focused()
    watched.keyboard.press("Backspace")
    watched.keyboard.press("Backspace")
    watched.keyboard.press("Backspace")
    watched.keyboard.press("Backspace")
    expect(watched.locator("#schema-state .chip")).to_have_text("as published")
    expect(watched.locator("#name")).to_have_value("verdict")


def test_a_fault_comes_to_its_choice_and_goes_while_somebody_types(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_editor(watched, live_server)
    watched.fill("#c-1-key", "1")
    expect(watched.locator("#c-1-fault")).to_contain_text("is taken by another choice")
    expect(watched.locator("#c-1-value")).to_have_attribute("aria-invalid", "true")
    expect(watched.locator("#c-1-key")).to_be_focused()
    watched.fill("#c-1-key", "x")
    expect(watched.locator("#c-1-fault")).to_be_hidden()
    expect(watched.locator("#question-faults")).to_be_empty()
    expect(watched.locator("#c-1-value")).to_have_attribute("aria-invalid", "false")


def test_words_are_marked_in_the_preview_of_a_question_of_spans(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    open_editor(watched, live_server)
    watched.click("text=Add a question")
    expect(watched.locator("#name")).to_be_focused()
    watched.select_option("#kind", "spans")
    watched.fill("#rest", "")
    watched.click("#choice-append")
    expect(watched.locator("#c-0-value")).to_be_focused()
    watched.keyboard.type("slur")
    expect(watched.locator("#question-faults")).to_be_empty()
    expect(preview(watched).locator("#questions")).to_contain_text("slur")
    expect(preview(watched).locator("#item")).to_contain_text("text number")


def test_json_shows_the_line_of_a_fault(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_editor(watched, live_server)
    watched.click("button:has-text('JSON')")
    text = watched.input_value("#json")
    watched.fill("#json", text.replace('"key": "2"', '"key": "22"'))
    watched.click("text=Keep and check")
    watched.click("text=/^Line \\d+$/")
    chosen = watched.eval_on_selector("#json", "text => text.value.slice(text.selectionStart, text.selectionEnd)")
    assert '"spam"' in chosen
    watched.fill("#json", text.replace("Which policy", "Whose policy"))
    watched.click("button:has-text('Form')")
    expect(watched.locator("#text")).to_have_value("Whose policy does it break?")


def test_a_breaking_change_is_mapped_and_published_with_open_eyes(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    desk.vote("t-1", alice="spam", bob="spam")
    desk.vote("t-2", alice="insult", bob="none")
    open_editor(watched, live_server)
    watched.click("[data-row='2'] [data-more]")
    watched.click("#c-2-remove")
    expect(watched.locator(".choice-row[data-row]")).to_have_count(2)
    watched.fill("#c-1-value", "scam")
    watched.click("text=Review and publish")
    expect(watched.locator(".changes")).to_contain_text('"verdict" no longer offers "spam".')
    asked_again = watched.locator("#forecast dd").nth(2)
    expect(asked_again).to_have_text("3")
    watched.select_option("[aria-label='What becomes of spam']", "scam")
    expect(asked_again).to_have_text("1")
    watched.click("button:has-text('Publish version 2')")
    expect(watched.locator("h1")).to_have_text("Publish version 2")  # the browser wants the other one too
    watched.select_option("[aria-label='What becomes of insult']", "ask again")
    watched.click("button:has-text('Publish version 2')")
    expect(watched.locator("h1")).to_have_text("Version 2 is in force")
    expect(watched.locator("#jobs")).to_contain_text("Carrying labels over")
    run_job(Job.objects.get(kind=KIND).pk)
    expect(watched.locator("#jobs")).to_contain_text("2 answers carried to new values, 1 asked again", timeout=15_000)


def test_a_guideline_is_written_and_published(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    sign_in(watched, f"{live_server.url}/p/forum/guideline/", "olga")
    watched.click("text=Write the guideline")
    watched.click("text=Add a clause")
    expect(watched.locator("#title")).to_be_focused()
    watched.keyboard.type("Spam")
    watched.keyboard.press("Tab")
    watched.keyboard.press("Tab")
    watched.keyboard.type("Unwanted selling.")
    watched.click("text=Add one that is out")
    expect(watched.locator("#e-0-text")).to_be_focused()
    watched.keyboard.type("I opened a bakery")
    expect(watched.locator("#guideline-draft")).to_contain_text("I opened a bakery")
    watched.click("text=/^Minor/")
    watched.fill("#e-0-note", "their own shop, once")
    expect(watched.locator("#guideline-draft")).to_contain_text("their own shop, once")
    watched.click("button:has-text('Publish version 1')")
    expect(watched.locator(".notice-good")).to_contain_text("Version 1 is in force")
    expect(watched.locator(".clause")).to_contain_text("Unwanted selling.")
    row = Guideline.objects.get()
    assert (row.change, row.clauses[0]["id"]) == ("minor", "spam")


def test_no_page_of_the_editor_is_wider_than_the_window(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    open_editor(watched, live_server)
    watched.click("text=Add a question")
    expect(watched.locator("#name")).to_have_value("question_2")
    for path in ("schema/?q=1", "schema/?view=json", "schema/publish/", "guideline/edit/"):
        watched.goto(f"{live_server.url}/p/forum/{path}")
        assert find_surplus(watched) == {}, path


def test_no_page_of_the_editor_breaks_a_rule_of_accessibility(
    watched: Page, live_server: LiveServer, desk: Desk
) -> None:
    desk.vote("t-1", alice="insult", bob="none")
    open_editor(watched, live_server)
    watched.click("[data-row='2'] [data-more]")
    found = {"questions": find_violations(watched)}
    watched.click("#c-2-remove")
    expect(watched.locator(".choice-row[data-row]")).to_have_count(2)
    watched.goto(f"{live_server.url}/p/forum/schema/publish/")
    found["publish"] = find_violations(watched)
    watched.goto(f"{live_server.url}/p/forum/schema/")
    watched.fill("#c-1-key", "1")
    expect(watched.locator("#schema-state")).to_contain_text("is taken by another choice")
    watched.reload()
    found["faulty"] = find_violations(watched)
    watched.goto(f"{live_server.url}/p/forum/schema/?view=json")
    found["json"] = find_violations(watched)
    watched.goto(f"{live_server.url}/p/forum/guideline/edit/")
    found["guideline, empty"] = find_violations(watched)
    watched.click("#add-clause")
    expect(watched.locator("#title")).to_be_focused()
    watched.click("#example-in")
    expect(watched.locator("#e-0-text")).to_be_focused()
    found["guideline"] = find_violations(watched)
    broken = [f"{path}: {rule}: {one}" for path, rules in found.items() for rule, ones in rules.items() for one in ones]
    assert broken == [], "\n".join(broken)
