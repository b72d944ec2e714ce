"""The desk's history: one's own newest answers, which of them may be taken back, and nothing of other people's."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation import queue
from annotation.actions.care import change_care
from annotation.actions.items import quarantine_item
from annotation.errors import UndoTooLateError
from annotation.models import Item, Organisation
from reviewers.actions.adjudication import adjudicate
from reviewers.history import NEWEST, newest_answers
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=30, overlap=2)


def history(desk: Desk, name: str = "alice") -> str:
    client = Client()
    client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
    response = client.get("/p/forum/label/history/")
    assert response.status_code == 200
    return response.content.decode()


def text_of(item_id: int) -> str:
    return str(Item.objects.get(pk=item_id).payload.parts[0]["text"])


def test_answers_come_newest_first_and_at_most_twenty(desk: Desk) -> None:
    done = [desk.label("alice").annotation_id for _ in range(NEWEST + 2)]
    desk.label("bob")
    found = newest_answers(desk.project, desk.cast.alice)
    assert [one.annotation_id for one in found] == done[:1:-1]
    assert newest_answers(desk.project, desk.cast.carol) == []


def test_an_answer_is_told_in_words_with_the_draft_to_answer_again(desk: Desk) -> None:
    raw = desk.lease_one("alice")
    desk.submit("alice", raw, "spam", unsure=True, flag="ambiguous", comment="Which link?")
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert one.told == [{"question": "verdict", "text": "spam"}]
    assert one.excerpt == text_of(raw["item"])
    assert one.draft == {
        "answers": {"verdict": "spam"},
        "unsure": True,
        "flag": "ambiguous",
        "comment": "Which link?",
        "clauses": [],
    }
    assert one.may_undo


def test_what_was_taken_back_is_not_there_and_what_replaced_it_is(desk: Desk) -> None:
    first = desk.label("alice", "none")
    raw = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    assert newest_answers(desk.project, desk.cast.alice) == []
    again = desk.submit("alice", raw, "spam")
    assert [one.annotation_id for one in newest_answers(desk.project, desk.cast.alice)] == [again.annotation_id]


def test_it_says_what_undo_would_say(desk: Desk) -> None:
    done = {}
    for external_id in ("t-1", "t-2", "t-3"):
        desk.vote(external_id, alice="none")
    adjudicate(access=desk.access("rita"), item=desk.item("t-1"), answers={"verdict": "spam"}, reason="ambiguous")
    quarantine_item(item=desk.item("t-2"), actor=desk.cast.rita)
    for one in newest_answers(desk.project, desk.cast.alice):
        done[one.annotation_id] = one.may_undo
    assert sorted(done.values()) == [False, False, True]
    for annotation_id, may_undo in done.items():
        assert may_undo == _can_be_undone(desk, annotation_id)
    Organisation.objects.update(undo_seconds=0)
    assert not any(one.may_undo for one in newest_answers(desk.project, desk.cast.alice))


def _can_be_undone(desk: Desk, annotation_id: int) -> bool:
    try:
        queue.undo(annotation_id=annotation_id, person_id=desk.cast.alice.pk)
    except UndoTooLateError:
        return False
    return True


def test_nothing_of_a_sealed_item_is_shown(desk: Desk) -> None:
    desk.vote("t-1", alice="none")
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert (one.excerpt, one.part_kind) == (None, None)
    html = history(desk)
    assert "text number 1" not in html
    assert "was removed" in html


def test_a_choice_that_left_its_text_to_a_newer_schema_is_told_as_it_was(desk: Desk) -> None:
    """Answers are told by the version that they were given under."""
    from annotation.actions.projects import put_schema

    desk.vote("t-1", alice="spam")
    question = CHOICE_SCHEMA["questions"][0]
    newer = [{"value": "none"}, {"value": "spam", "text": "Unwanted selling"}, {"value": "insult"}]
    put_schema(
        project=desk.project, schema={"questions": [{**question, "choices": newer}]}, map=None, actor=desk.cast.olga
    )
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert one.told[0]["text"] == "spam"


def test_the_page_part_offers_undo_where_it_would_work_and_escapes_content(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[{"external_id": "t-1", "text": "<script>alert(1)</script>"}])
    done = desk.vote("t-1", alice="none")
    assert done == "agreed"
    html = history(desk)
    assert "<script>" not in html
    assert f'data-undo="{newest_answers(desk.project, desk.cast.alice)[0].annotation_id}"' in html
    assert "have not answered" in history(desk, "carol")


def test_it_says_nothing_of_arms(make_desk: MakeDesk) -> None:
    from tests.test_suggestions import score_all

    desk = make_desk(n=5, suggestions=True, blind_share=1.0)
    score_all(desk)
    desk.label("alice")
    html = history(desk)
    assert "guesser" not in html
    assert "withheld" not in html


def test_the_history_is_two_statements_whatever_its_length(desk: Desk) -> None:
    for _ in range(5):
        desk.label("alice")
    newest_answers(desk.project, desk.cast.alice)
    with CaptureQueriesContext(connection) as captured:
        assert len(newest_answers(desk.project, desk.cast.alice)) == 5
    assert len(captured) == 2


def test_of_a_severe_item_no_words_are_shown_again(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[{"external_id": "t-1", "text": "a cruel thing", "metadata": {"severity": "severe"}}])
    desk.vote("t-1", alice="none")
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert (one.excerpt, one.part_kind, one.may_undo) == (None, "text", True)


def test_no_words_are_quoted_to_somebody_to_whom_texts_come_hidden(desk: Desk) -> None:
    text = text_of(desk.lease_one("alice")["item"])
    desk.label("alice")
    assert text in history(desk)
    change_care(person=desk.cast.alice, changes={"views": {"ordinary": {"text": {"hidden": True}}}})
    assert text not in history(desk)
    assert "data-undo" in history(desk)


def test_texts_that_were_written_come_back_with_the_draft(make_desk: MakeDesk) -> None:
    schema = {"questions": [*CHOICE_SCHEMA["questions"], {"name": "why", "kind": "text"}]}
    desk = make_desk(schema=schema, n=1)
    desk.submit("alice", desk.lease_one("alice"), {"verdict": "spam", "why": "It sells."})
    (one,) = newest_answers(desk.project, desk.cast.alice)
    assert one.draft["answers"] == {"verdict": "spam", "why": "It sells."}
