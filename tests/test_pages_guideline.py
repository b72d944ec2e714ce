"""The page on which an owner writes the guideline, and what everybody is told of a new version."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.actions import projects
from annotation.models import Draft, Guideline
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.test_pages_project import as_person
from tests.test_pages_schema import draft_of, press, set_draft

pytestmark = pytest.mark.django_db

GUIDE = "/p/forum/guideline/edit/"
CLAUSES: list[dict[str, Any]] = [
    {
        "id": "spam-1",
        "title": "Spam",
        "text": "Unwanted selling.",
        "examples": [{"in_scope": True, "text": "Buy!", "note": "a shop"}],
    },
    {"id": "insult-1", "title": "Insults", "text": "Rude words.", "examples": []},
]


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=1)


def test_a_guideline_is_written_clause_by_clause_and_published(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    press(client, GUIDE, "add")
    press(client, GUIDE, "example-in", title="Unwanted selling", text="Repeated posts.")
    press(client, GUIDE, "example-out", **{"e-0-text": "Buy!", "e-0-note": "a shop"})
    press(client, GUIDE, "keep", **{"e-1-text": "My bakery"})
    response = press(client, GUIDE, "publish", change="minor", seen_version="0")
    assert response.status_code == 302
    row = Guideline.objects.get()
    assert (row.version, row.change) == (1, "minor")
    assert row.clauses == [
        {
            "id": "unwanted-selling",
            "title": "Unwanted selling",
            "text": "Repeated posts.",
            "examples": [
                {"in_scope": True, "text": "Buy!", "note": "a shop"},
                {"in_scope": False, "text": "My bakery", "note": ""},
            ],
        }
    ]
    assert not Draft.objects.exists()


@pytest.fixture
def guided(desk: Desk) -> Desk:
    projects.put_guideline(project=desk.project, change="major", clauses=CLAUSES, actor=desk.cast.olga)
    return desk


def test_the_id_of_a_published_clause_stays_and_no_new_one_takes_it(guided: Desk) -> None:
    client = as_person(guided.cast.olga)
    press(client, GUIDE, "keep", clause_id="other", title="Selling")
    assert draft_of(guided, "guideline")[0]["id"] == "spam-1"
    press(client, GUIDE, "remove", c="0")
    press(client, GUIDE, "add")
    press(client, GUIDE, "open:0", c="1", title="Spam-1")
    assert [one["id"] for one in draft_of(guided, "guideline")] == ["insult-1", "clause-2"]


def test_what_changed_is_shown_to_the_owner_before_and_to_everybody_after(guided: Desk) -> None:
    client = as_person(guided.cast.olga)
    press(client, GUIDE, "add", text="Unwanted selling, again.")
    press(client, GUIDE, "keep", c="2", title="Threats")
    html = client.get(GUIDE).content.decode()
    assert "Unwanted selling<ins>, again</ins>." in html
    press(client, GUIDE, "publish", change="major", seen_version="1")
    shown = as_person(guided.cast.alice).get("/p/forum/guideline/?since=1").content.decode()
    assert "Unwanted selling<ins>, again</ins>." in shown
    assert "Write a new version" not in shown


def test_a_guideline_that_is_not_whole_cannot_be_published(guided: Desk) -> None:
    client = as_person(guided.cast.olga)
    press(client, GUIDE, "add")
    html = client.get(GUIDE).content.decode()
    assert "Clause 3 has no title yet." in html
    assert "Publish version" not in html


def test_choices_that_name_a_clause_that_is_gone_are_told(guided: Desk) -> None:
    named = {"questions": [{**CHOICE_SCHEMA["questions"][0], "choices": [{"value": "spam", "clause": "spam-1"}]}]}
    projects.put_schema(
        project=guided.project, schema=named, map={"verdict": {"none": None, "insult": None}}, actor=guided.cast.olga
    )
    client = as_person(guided.cast.olga)
    press(client, GUIDE, "remove", c="0")
    assert "name clauses that are not here: spam-1" in client.get(GUIDE).content.decode()


def test_the_second_one_to_publish_a_guideline_is_told(guided: Desk) -> None:
    client = set_draft(guided, CLAUSES[:1], kind="guideline")
    projects.put_guideline(project=guided.project, change="minor", clauses=CLAUSES[1:], actor=guided.cast.olga)
    response = press(client, GUIDE, "publish", change="minor", seen_version="1")
    assert response.status_code == 409
    assert "Version 2 was published meanwhile" in response.content.decode()
    assert Guideline.objects.count() == 2
