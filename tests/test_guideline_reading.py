"""What changed in a guideline since a person read it: clause by clause, word by word, and who read what."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.actions.guidelines import note_reading
from annotation.actions.projects import put_guideline
from annotation.errors import InvalidError
from annotation.guideline_changes import compare_clauses, compare_words
from annotation.models import Event, GuidelineReading
from tests.cast import Desk, MakeDesk

SPAM = {"id": "spam-1", "title": "Spam", "text": "Unwanted selling.", "examples": []}
RUDE = {"id": "rude-1", "title": "Rude", "text": "Insults a person.", "examples": []}
IN = {"in_scope": True, "text": "Buy now!!", "note": ""}


def test_the_same_clauses_in_another_order_are_no_change() -> None:
    assert not compare_clauses([SPAM, RUDE], [RUDE, SPAM])


def test_each_clause_is_told_for_what_happened_to_it() -> None:
    newer = {**SPAM, "text": "Unwanted or repeated selling.", "examples": [IN]}
    found = compare_clauses([SPAM, RUDE], [newer, {**SPAM, "id": "spam-2"}], since=3)
    assert found.since == 3
    assert {name: change.kind for name, change in found.by_clause.items()} == {"spam-1": "changed", "spam-2": "new"}
    assert found.by_clause["spam-1"].text == [("same", "Unwanted "), ("new", "or repeated "), ("same", "selling.")]
    assert found.by_clause["spam-1"].title == []
    assert found.by_clause["spam-1"].examples_new == [IN]
    assert found.gone == [RUDE]
    back = compare_clauses([newer], [SPAM])
    assert back.by_clause["spam-1"].examples_gone == [IN]


@given(old=st.text(max_size=200), new=st.text(max_size=200))
def test_the_pieces_make_up_both_texts(old: str, new: str) -> None:
    pieces = compare_words(old, new) or [("same", old)]
    assert "".join(text for what, text in pieces if what != "new") == old
    assert "".join(text for what, text in pieces if what != "gone") == new


def test_long_texts_are_compared_in_bounded_time() -> None:
    began = time.monotonic()
    compare_words("a b " * 5000, "b c " * 5000)
    compare_words("a b " * 370, "b a c " * 240)
    assert time.monotonic() - began < 2


def publish(desk: Desk, *clauses: dict[str, Any]) -> None:
    put_guideline(project=desk.project, change="minor", clauses=list(clauses), actor=desk.cast.olga)


def read(desk: Desk, name: str, version: int) -> Any:
    client = Client()
    client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
    return client.post("/p/forum/guideline/", {"version": version})


def page(desk: Desk, name: str, path: str = "guideline/") -> str:
    client = Client()
    client.force_login(desk.cast[name], backend="django.contrib.auth.backends.ModelBackend")
    response = client.get(f"/p/forum/{path}")
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A guideline in its second version; alice has read the first one."""
    desk = make_desk(n=2)
    publish(desk, SPAM, RUDE)
    assert read(desk, "alice", 1).status_code == 204
    publish(desk, {**SPAM, "text": "Unwanted or repeated selling."}, RUDE)
    return desk


pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["guideline/", "label/"])
def test_who_read_an_older_version_sees_what_changed_since(desk: Desk, path: str) -> None:
    html = page(desk, "alice", path)
    assert "Changed since version 1" in html
    assert "<ins>or repeated </ins>" in html
    assert html.count("is-changed") == 1
    read(desk, "alice", 2)
    assert "Changed since version" not in page(desk, "alice", path)


def test_who_read_none_yet_is_told_of_no_change(desk: Desk) -> None:
    assert "Changed since version" not in page(desk, "bob")


def test_what_changed_since_any_version_can_be_asked_for(desk: Desk) -> None:
    read(desk, "alice", 2)
    assert "<ins>or repeated </ins>" in page(desk, "alice", "guideline/?since=1")
    assert "<ins>" not in page(desk, "alice", "guideline/?version=1")


def test_a_reading_is_kept_once_a_version_and_never_goes_back(desk: Desk) -> None:
    read(desk, "alice", 2)
    read(desk, "alice", 2)
    read(desk, "alice", 1)
    reading = GuidelineReading.objects.get(person=desk.cast.alice)
    assert reading.guideline.version == 2
    events = Event.objects.filter(kind="guideline.read", actor_id=desk.cast.alice.pk)
    assert sorted(event.data["version"] for event in events if event.data) == [1, 2]


@pytest.mark.parametrize("version", [0, 3, 10**8])
def test_a_version_that_there_is_not_cannot_be_read(desk: Desk, version: int) -> None:
    with pytest.raises(InvalidError):
        note_reading(project=desk.project, person=desk.cast.alice, version=version)
    assert read(desk, "bob", version).status_code == 400
    assert GuidelineReading.objects.count() == 1


def test_a_guideline_is_text_and_never_markup(desk: Desk) -> None:
    publish(desk, {**SPAM, "text": "<b>Unwanted</b> selling.", "title": "<i>Spam</i>"}, RUDE)
    html = page(desk, "alice")
    assert "<b>Unwanted" not in html
    assert "<i>Spam" not in html
