"""The reviewers' pages: what waits, who said what, deciding, and what happens when two do it at once."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from reviewers.actions.adjudication import adjudicate
from reviewers.models import Adjudication, Resolution
from tests.cast import Desk, MakeDesk
from tests.test_pages_project import as_person

pytestmark = pytest.mark.django_db

TWO_QUESTIONS = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "none", "text": "Nothing wrong"}, {"value": "spam", "text": "Spam or scam"}],
        },
        {
            "name": "severity",
            "kind": "rating",
            "min": 1,
            "max": 3,
            "required": True,
            "when": {"question": "verdict", "in": ["spam"]},
        },
    ]
}


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Three texts, two of them disputed."""
    desk = make_desk(n=3, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    desk.vote("t-2", alice="insult", bob="spam")
    return desk


def where(desk: Desk, external_id: str) -> str:
    return f"/p/forum/disputes/{desk.item(external_id).pk}/"


def decision(client: Client, path: str, **more: str) -> dict[str, str]:
    html = client.get(path).content.decode()
    version = re.search(r'name="expected_version" value="(\d+)"', html)
    assert version is not None
    return {"answer-verdict": "spam", "reason": "ambiguous", "expected_version": version[1], **more}


def test_the_list_shows_who_said_what_and_takes_nothing(desk: Desk) -> None:
    html = as_person(desk.cast.rita).get("/p/forum/disputes/").content.decode()
    assert "2 items wait for a decision" in html
    assert html.count("×1") == 4
    assert "has it" not in html


def test_a_dispute_shows_names_answers_and_the_item(desk: Desk) -> None:
    html = as_person(desk.cast.rita).get(where(desk, "t-1")).content.decode()
    for shown in ("alice", "bob", "text number 1", " of 2<", "Which policy does it break?"):
        assert shown in html


def test_next_takes_one_and_another_reviewer_gets_another(desk: Desk) -> None:
    rita, olga = as_person(desk.cast.rita), as_person(desk.cast.olga)
    first = rita.post("/p/forum/disputes/")["Location"]
    assert rita.post("/p/forum/disputes/")["Location"] == first
    second = olga.post("/p/forum/disputes/")["Location"]
    assert {first, second} == {where(desk, "t-1"), where(desk, "t-2")}
    html = olga.get(first).content.decode()
    assert "rita is deciding this one now" in html
    assert re.search(r'data-key="Enter" disabled', html)
    held = olga.post(first, decision(olga, first))
    assert held.status_code == 409
    assert Adjudication.objects.count() == 0


def test_deciding_settles_the_item_and_leads_to_the_next(desk: Desk) -> None:
    rita = as_person(desk.cast.rita)
    path = where(desk, "t-1")
    response = rita.post(path, decision(rita, path, note="a plain case", precedent="1"))
    assert (response.status_code, response["Location"]) == (302, where(desk, "t-2"))
    row = Adjudication.objects.get()
    assert (row.reviewer, row.reason, row.is_precedent, row.note.text) == (
        desk.cast.rita,
        "ambiguous",
        True,
        "a plain case",
    )
    assert Resolution.objects.get(item=desk.item("t-1")).state == Resolution.State.ADJUDICATED
    last = rita.post(where(desk, "t-2"), decision(rita, where(desk, "t-2")), follow=True)
    assert "Nothing is in dispute" in last.content.decode()


def test_what_was_left_out_is_told_at_its_place_and_nothing_is_lost(desk: Desk) -> None:
    rita, path = as_person(desk.cast.rita), where(desk, "t-1")
    sent = decision(rita, path, note="half a thought")
    del sent["answer-verdict"]
    response = rita.post(path, sent)
    html = response.content.decode()
    assert response.status_code == 422
    assert "This question needs an answer." in html
    assert "half a thought" in html
    assert rita.post(path, {**decision(rita, path), "reason": ""}).status_code == 400
    assert Adjudication.objects.count() == 0


def test_a_stale_decision_shows_the_other_one_and_keeps_ones_own(desk: Desk) -> None:
    rita, path = as_person(desk.cast.rita), where(desk, "t-1")
    sent = decision(rita, path, note="mine")
    adjudicate(access=desk.access("olga"), item=desk.item("t-1"), answers={"verdict": "none"}, reason="ambiguous")
    response = rita.post(path, sent)
    html = response.content.decode()
    assert response.status_code == 409
    assert "olga decided this meanwhile: none" in html
    assert "mine" in html
    assert re.search(r'value="spam" checked', html)
    again = re.search(r'name="expected_version" value="(\d+)"', html)
    assert again is not None
    assert rita.post(path, {**sent, "expected_version": again[1]}).status_code == 302
    assert Adjudication.objects.count() == 2


def test_passing_over_lets_go_and_shows_the_next(desk: Desk) -> None:
    rita, olga = as_person(desk.cast.rita), as_person(desk.cast.olga)
    first = rita.post("/p/forum/disputes/")["Location"]
    following = rita.post(first, {"action": "pass"})["Location"]
    assert {first, following} == {where(desk, "t-1"), where(desk, "t-2")}
    assert rita.post(following, {"action": "pass"})["Location"] == first
    assert "is deciding this one now" not in olga.get(first).content.decode()


def test_a_reviewer_does_not_decide_their_own_work(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", rita="none", bob="spam")
    rita, path = as_person(desk.cast.rita), where(desk, "t-1")
    assert "somebody else has to decide it" in rita.get(path).content.decode()
    assert rita.post(path, decision(rita, path)).status_code == 403
    olga = as_person(desk.cast.olga)
    assert olga.post(path, decision(olga, path)).status_code == 302


def test_a_question_that_depends_on_another_is_asked_with_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2, schema=TWO_QUESTIONS)
    desk.submit("alice", desk.lease_one("alice"), {"verdict": "none"})
    desk.submit("bob", desk.lease_one("bob"), {"verdict": "spam", "severity": 2})
    rita, path = as_person(desk.cast.rita), where(desk, "t-1")
    html = rita.get(path).content.decode()
    assert "only for: Spam or scam" in html
    assert re.findall(r'data-key="(\d)"', html) == ["1", "2"]  # one key, one answer
    sent = decision(rita, path)
    missing = rita.post(path, sent)
    assert missing.status_code == 422
    # What the other answer does not ask for is left out.
    assert rita.post(path, {**sent, "answer-verdict": "none", "answer-severity": "3"}).status_code == 302
    assert Adjudication.objects.get().answers == {"1": {"choice": 1}}


def test_an_agreed_item_can_be_decided_otherwise(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    rita, path = as_person(desk.cast.rita), where(desk, "t-1")
    html = rita.get(path).content.decode()
    assert re.search(r'value="none" checked', html)
    assert rita.post(path, decision(rita, path)).status_code == 302
    assert Resolution.objects.get().state == Resolution.State.ADJUDICATED


@pytest.mark.parametrize("name", ["alice", "enzo"])
def test_others_may_not_read_disputes(desk: Desk, name: str) -> None:
    client = as_person(desk.cast[name])
    for path in ("/p/forum/disputes/", where(desk, "t-1")):
        response = client.get(path)
        assert response.status_code == 403
        assert "text number" not in response.content.decode()
