"""The pages on which an owner edits the questions, looks at what changes, and publishes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from annotation.actions import projects
from annotation.actions.carrying import KIND
from annotation.actions.jobs import claim_job, fail_job
from annotation.jobs import run_job
from annotation.models import Annotation, Draft, Event, Job, LabelSchema, Project
from annotation.schema import show_schema
from reviewers import job_kinds
from reviewers.actions.adjudication import adjudicate
from tests.cast import CHOICE_SCHEMA, Cast, Desk, MakeDesk
from tests.test_pages_project import as_person

pytestmark = pytest.mark.django_db

assert job_kinds  # registers the job

URL = "/p/forum/schema/"
SCAM: dict[str, Any] = {
    "questions": [{**CHOICE_SCHEMA["questions"][0], "choices": [{"value": "none"}, {"value": "scam"}]}]
}


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=3, overlap=2)


def draft_of(desk: Desk, kind: str = "schema", name: str = "olga") -> Any:
    return Draft.objects.get(project=desk.project, kind=kind, user=desk.cast[name]).content


def set_draft(desk: Desk, content: Any, name: str = "olga", base: int = 1, kind: str = "schema") -> Client:
    """What somebody edits; the client that they look at it with."""
    Draft.objects.create(project=desk.project, kind=kind, user=desk.cast[name], content=content, base_version=base)
    return as_person(desk.cast[name])


def fields_of(html: str) -> dict[str, str]:
    """What a browser would send for the form of the open question or clause, without the button."""
    form = re.search(r'<form id="question-form".*?</form>', html, re.DOTALL)
    assert form is not None
    inputs = {
        name: value
        for tag, name in re.findall(r'(<input [^>]*name="([^"]+)"[^>]*>)', form[0])
        for value in re.findall(r' value="([^"]*)"', tag)
    }
    checked = {
        name: "on"
        for tag, name in re.findall(r'(<input type="checkbox" name="([^"]+)"[^>]*>)', form[0])
        if "checked" in tag
    }
    texts = dict(re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>', form[0]))
    selects = {
        name: (re.findall(r'<option(?: value="([^"]*)")? selected>([^<]*)', inner) or [("", "")])[0]
        for name, inner in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>|$', form[0], re.DOTALL)
        if name
    }
    kind = re.findall(r'<select id="kind".*?<option selected>([^<]*)', form[0], re.DOTALL)
    return {
        **inputs,
        **texts,
        **{n: v[0] or v[1] for n, v in selects.items()},
        "kind": kind[0] if kind else "",
        **checked,
    }


def press(client: Client, url: str, action: str, **changes: str) -> Any:
    """Load a page, fill some fields in anew, and press a button of its form."""
    place: dict[str, str] = {key: changes.pop(key) for key in ("q", "c") if key in changes}
    html = client.get(url, place).content.decode()
    return client.post(url, {**fields_of(html), **changes, "action": action})


# The editor


def test_the_page_begins_with_what_is_in_force_and_keeps_nothing_by_being_looked_at(desk: Desk) -> None:
    html = as_person(desk.cast.olga).get(URL).content.decode()
    assert "as published" in html
    assert 'value="insult"' in html
    assert not Draft.objects.exists()


def test_a_changed_field_is_kept_and_comes_back(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    press(client, URL, "keep", text="Which one?")
    assert draft_of(desk)["questions"][0]["text"] == "Which one?"
    html = client.get(URL).content.decode()
    assert "Which one?" in html
    assert "compatible change" in html
    assert Project.objects.get(pk=desk.project.pk).schema == desk.project.schema


def test_buttons_work_without_a_script_and_lead_back_to_the_question(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    response = press(client, URL, "add")
    assert (response.status_code, response["Location"]) == (302, f"{URL}?q=1")
    press(client, URL, "choice-add:2", q="0")
    press(client, URL, "down", q="0")
    assert [one["name"] for one in draft_of(desk)["questions"]] == ["question_2", "verdict"]
    assert len(draft_of(desk)["questions"][1]["choices"]) == 4
    press(client, URL, "remove", q="0")
    assert [one["name"] for one in draft_of(desk)["questions"]] == ["verdict"]


def test_a_change_in_the_form_is_answered_with_its_state_and_the_list_alone(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    fields = fields_of(client.get(URL).content.decode())
    headers = {"HX-Request": "true", "HX-Target": "schema-state"}
    html = client.post(URL, {**fields, "name": "policy", "action": "keep"}, headers=headers).content.decode()
    assert 'id="schema-state"' in html
    assert 'id="was" name="was" value="policy"' in html
    assert "breaking change" in html
    assert "<html" not in html


def test_a_question_that_moved_in_another_tab_is_found_by_its_name(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    fields = fields_of(client.get(URL).content.decode())
    press(client, URL, "add")
    press(client, URL, "up", q="1")
    client.post(URL, {**fields, "text": "Still verdict", "action": "keep"})
    assert {one["name"]: one["text"] for one in draft_of(desk)["questions"]}["verdict"] == "Still verdict"


def test_a_question_that_left_in_another_tab_is_not_written_over(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    press(client, URL, "add")
    fields = fields_of(client.get(URL).content.decode())
    press(client, URL, "remove", q="0")
    before = draft_of(desk)
    response = client.post(URL, {**fields, "action": "keep"}, headers={"HX-Request": "true"})
    assert response["HX-Redirect"] == URL
    assert draft_of(desk) == before


def test_faults_stand_at_their_place_and_nothing_can_be_published(desk: Desk) -> None:
    bad = {"questions": [{**CHOICE_SCHEMA["questions"][0], "choices": [{"value": "a"}, {"value": "b", "key": "long"}]}]}
    client = set_draft(desk, bad)
    html = client.get(URL).content.decode()
    assert "1 fault" in html
    assert re.search(r'id="c-0-fault" hidden', html)
    row = re.search(r'id="c-1-fault">.*?<span>([^<]*)', html, re.DOTALL)
    assert row is not None
    assert "must be one visible character" in row[1]
    assert "Review and publish" not in html
    response = client.get(f"{URL}publish/")
    assert (response.status_code, response["Location"]) == (302, URL)


def test_a_draft_that_is_dropped_is_gone(desk: Desk) -> None:
    client = set_draft(desk, SCAM)
    assert "breaking change" in client.get(URL).content.decode()
    client.post(URL, {"action": "drop"})
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "content", [{}, {"questions": "none"}, {"questions": [5, {}]}, {"questions": [{"choices": 7, "when": 3}]}]
)
def test_the_strangest_draft_can_be_looked_at(desk: Desk, content: dict[str, Any]) -> None:
    client = set_draft(desk, content)
    for path in (URL, f"{URL}?view=json", f"{URL}preview/"):
        assert client.get(path).status_code == 200


def test_a_text_with_markup_is_shown_as_text(desk: Desk) -> None:
    html = set_draft(desk, {"questions": [{**CHOICE_SCHEMA["questions"][0], "text": "<script>alert(1)</script>"}]}).get(
        URL
    )
    assert b"<script>alert" not in html.content


# JSON


def test_json_is_kept_and_read_back(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    response = client.post(URL, {"action": "json", "json": json.dumps(SCAM), "then": "form"})
    assert response["Location"] == URL
    assert draft_of(desk) == SCAM
    text = client.get(f"{URL}?view=json").content.decode()
    assert text.index("&quot;name&quot;") < text.index("&quot;kind&quot;") < text.index("&quot;choices&quot;")


def test_what_is_no_json_is_shown_with_its_line_and_leaves_the_draft(desk: Desk) -> None:
    client = set_draft(desk, SCAM)
    response = client.post(URL, {"action": "json", "json": '{"questions": [\n  oops\n]}'})
    assert response.status_code == 400
    html = response.content.decode()
    assert 'data-line="2"' in html
    assert "oops" in html
    assert draft_of(desk) == SCAM


def test_a_fault_of_the_schema_is_shown_with_its_line(desk: Desk) -> None:
    text = '{"questions": [\n {"name": "a",\n  "kind": "essay"}]}'
    html = as_person(desk.cast.olga).post(URL, {"action": "json", "json": text}).content.decode()
    assert 'data-line="3"' in html
    assert "essay" in html


# The preview


def call(desk: Desk, path: str, body: Any = None, name: str = "olga") -> Any:
    return as_person(desk.cast[name]).post(
        f"{URL}preview/{path}", json.dumps(body or {}), content_type="application/json"
    )


def test_the_preview_is_the_desk_with_the_draft_and_may_be_framed_here_alone(desk: Desk) -> None:
    response = set_draft(desk, SCAM).get(f"{URL}preview/")
    assert "frame-ancestors 'self'" in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    html = response.content.decode()
    assert "scam" in html
    assert f"{URL}preview/leases" in html
    assert "/api/v1/" not in html
    assert "frame-ancestors 'none'" in as_person(desk.cast.olga).get(URL)["Content-Security-Policy"]


def test_answers_in_the_preview_are_checked_and_stored_nowhere(desk: Desk) -> None:
    set_draft(desk, SCAM)
    events = Event.objects.count()
    first, second = call(desk, "leases").json()["leases"]
    assert first["item"]["parts"][0]["text"].startswith("text number")
    assert first["id"] != second["id"]
    answer = call(desk, f"leases/{first['id']}/annotation", {"answers": {"verdict": "scam"}})
    assert answer.status_code == 200
    assert answer.json()["leases"][0]["id"] not in (first["id"], second["id"])
    wrong = call(desk, f"leases/{second['id']}/annotation", {"answers": {"verdict": "spam"}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_answers")
    assert call(desk, f"leases/{second['id']}/skip").status_code == 200
    assert call(desk, f"annotations/{first['id']}/undo").json()["lease"]["item"]["parts"] == first["item"]["parts"]
    assert call(desk, f"items/{first['item']['id']}/quarantine").status_code == 409
    assert not Annotation.objects.exists()
    assert Event.objects.count() == events


@pytest.mark.parametrize("path", ["leases/x/annotation", "elsewhere", "leases/1/2/3", "annotations/-/undo"])
def test_the_preview_knows_no_other_calls(desk: Desk, path: str) -> None:
    assert call(desk, path, {"answers": {}}).status_code == 404


def test_an_empty_project_is_previewed_with_a_made_up_item(cast: Cast) -> None:
    project = projects.create_project(slug="forum", name="Forum", schema=CHOICE_SCHEMA, owner=cast.olga)
    parts = call(Desk(project, cast), "leases").json()["leases"][0]["item"]["parts"]
    assert "made up" in parts[0]["text"]


# Publishing


def test_a_compatible_draft_is_told_and_published(desk: Desk) -> None:
    wider = show_schema(LabelSchema.objects.get().compiled)
    wider["questions"][0]["choices"].append({"value": "threat"})
    client = set_draft(desk, wider)
    html = client.get(f"{URL}publish/").content.decode()
    assert "offers &quot;threat&quot; too." in html
    assert "Becomes" not in html
    response = client.post(f"{URL}publish/", {"seen_version": "1"}, follow=True)
    assert "Version 2 is in force" in response.content.decode()
    assert not Draft.objects.exists()
    assert not Job.objects.filter(kind=KIND).exists()


def numbers_of(html: str) -> list[int]:
    """Answers, carried, asked again, items that open again (and decisions, of these asked again)."""
    return [int(n) for n in re.findall(r'<dd class="number">(\d+)</dd>', html)]


def test_a_breaking_draft_asks_for_the_map_and_foretells_what_the_job_does(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="spam")
    desk.vote("t-2", alice="none", bob="insult")
    desk.vote("t-3", alice="none", bob="insult")
    adjudicate(access=desk.access("rita"), item=desk.item("t-3"), answers={"verdict": "insult"}, reason="ambiguous")
    client = set_draft(desk, SCAM)
    html = client.get(f"{URL}publish/").content.decode()
    assert "no longer offers &quot;spam&quot;." in html
    assert numbers_of(html) == [6, 0, 4, 2, 1, 1]
    unsaid = client.post(f"{URL}publish/", {"seen_version": "1", "map-1-2": "to:scam"})
    assert unsaid.status_code == 400
    assert "insult" in unsaid.content.decode()
    choice = {"map-1-2": "to:scam", "map-1-3": "again"}
    part = client.get(
        f"{URL}publish/", choice, headers={"HX-Request": "true", "HX-Target": "forecast"}
    ).content.decode()
    assert numbers_of(part) == [6, 2, 2, 1, 1, 1]
    assert "<html" not in part
    response = client.post(f"{URL}publish/", {"seen_version": "1", **choice}, follow=True)
    assert "Carrying labels over" in response.content.decode()
    assert LabelSchema.objects.get(version=2).map == {"verdict": {"spam": "scam", "insult": None}}
    job = Job.objects.get(kind=KIND)
    run_job(job.pk)
    job.refresh_from_db()
    assert job.result == {"carried": 2, "asked_again": 2, "reopened": 1, "decisions": 1}
    assert "2 answers carried to new values, 2 asked again" in client.get(f"{URL}publish/").content.decode()


def test_values_without_labels_need_no_word(desk: Desk) -> None:
    desk.vote("t-1", alice="spam")
    client = set_draft(desk, SCAM)
    html = client.get(f"{URL}publish/").content.decode()
    assert 'name="map-1-2"' in html
    assert 'name="map-1-3"' not in html
    client.post(f"{URL}publish/", {"seen_version": "1", "map-1-2": "to:scam"})
    assert LabelSchema.objects.get(version=2).map == {"verdict": {"spam": "scam", "insult": None}}


def test_whoever_publishes_second_is_told_and_sees_what_they_would_undo(desk: Desk) -> None:
    projects.set_member(project=desk.project, user=desk.cast.rita, role="owner", actor=desk.cast.olga)
    wider = show_schema(LabelSchema.objects.get().compiled)
    wider["questions"][0]["choices"].append({"value": "threat"})
    rita = set_draft(desk, {"questions": [{**wider["questions"][0], "text": "Rita's"}]}, name="rita")
    olga = set_draft(desk, wider)
    rita.get(f"{URL}publish/")
    olga.post(f"{URL}publish/", {"seen_version": "1"})
    refused = rita.post(f"{URL}publish/", {"seen_version": "1"})
    html = refused.content.decode()
    assert refused.status_code == 409
    assert "Version 2 was published" in html
    assert 'name="seen_version" value="2"' in html
    assert LabelSchema.objects.count() == 2
    assert "Somebody published version 2" in rita.get(URL).content.decode()


def test_carrying_that_was_given_up_is_taken_up_again(desk: Desk) -> None:
    desk.vote("t-1", alice="spam")
    client = set_draft(desk, SCAM)
    client.post(f"{URL}publish/", {"seen_version": "1", "map-1-2": "to:scam"})
    job = Job.objects.get(kind=KIND)
    assert claim_job(job_id=job.pk, worker="one that gives up") is not None
    fail_job(job_id=job.pk, attempt=1, error="It cannot be done.")
    assert "Carry on" in client.get(f"{URL}publish/").content.decode()
    client.post(f"{URL}publish/", {"action": "again"})
    run_job(Job.objects.filter(kind=KIND).latest("pk").pk)
    assert Annotation.objects.count() == 2
    assert "Carry on" not in client.get(f"{URL}publish/").content.decode()
