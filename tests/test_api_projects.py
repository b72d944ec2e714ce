"""`projects`, their schemas, guidelines and members, over HTTP."""

from __future__ import annotations

import pytest

from annotation.models import Event, Job, Project
from tests.api_client import Api, fault_of, make_root
from tests.cast import CHOICE_SCHEMA, Cast, MakeDesk

pytestmark = pytest.mark.django_db

SETTINGS = {
    "name": "Forum posts",
    "description": "",
    "state": "active",
    "overlap": {"min": 2, "max": 4},
    "rule": {"kind": "majority"},
    "skips_to_dispute": 3,
    "lease_seconds": 60,
    "max_held": 5,
    "shown_metadata": ["language"],
    "show_external_id": False,
    "learning": None,
    "snapshots": None,
    "gold_rate": 0.0,
    "suggestions": False,
    "blind_share": 0.0,
}


def test_who_creates_a_project_is_its_owner(cast: Cast) -> None:
    api = Api(cast.mallory)
    response = api.post(
        "projects",
        {
            "slug": "posts",
            "name": "Forum posts",
            "schema": CHOICE_SCHEMA,
            "overlap": {"min": 2, "max": 4},
            "lease_seconds": 60,
            "shown_metadata": ["language"],
        },
    )
    assert response.status_code == 201
    assert response["Location"] == "/api/v1/projects/posts"
    project = response.json()
    assert {key: project[key] for key in SETTINGS} == SETTINGS
    assert (project["slug"], project["role"], project["schema_version"]) == ("posts", "owner", 1)
    assert isinstance(project["id"], str)
    assert project["schema"]["questions"][0]["choices"][1]["value"] == "spam"
    assert api.get("projects/posts").json() == project


def test_a_slug_is_taken_once(cast: Cast) -> None:
    body = {"slug": "posts", "name": "Posts", "schema": CHOICE_SCHEMA}
    assert Api(cast.olga).post("projects", body).status_code == 201
    assert fault_of(Api(cast.mallory).post("projects", body)) == (409, "exists")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "No Spaces"}, "slug"),
        ({"slug": 7}, "slug"),
        ({"slug": None}, "slug"),
        ({"name": ["x"]}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": True}, "overlap"),
        ({"overlap": {"min": 3, "max": 2}}, "overlap"),
        ({"lease_seconds": "60"}, "lease_seconds"),
        ({"lease_seconds": 10**18}, "lease_seconds"),
        ({"max_held": 10**18}, "max_held"),
        ({"rule": "majority"}, "rule"),
        ({"rule": {"kind": "loudest"}}, "rule"),
        ({"rule": {"kind": "majority", "threshold": 0.9}}, "rule"),
        ({"rule": {"kind": "posterior", "threshold": 1}, "overlap": 2}, "rule"),
        ({"rule": {"kind": "posterior", "method": "magic"}, "overlap": 2}, "rule"),
        ({"rule": {"kind": "posterior"}}, "rule"),
        ({"rule": {"kind": "posterior"}, "overlap": {"min": 1, "max": 3}}, "overlap"),
        ({"learning": {"question": "nobody"}}, "learning"),
        ({"learning": {"strategy": []}}, "learning"),
        ({"state": []}, "state"),
        ({"shown_metadata": [1]}, "shown_metadata"),
        ({"suggestions": 1}, "suggestions"),
        ({"blind_share": 1.5}, "blind_share"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_faulty_setting_is_named(cast: Cast, change: dict[str, object], field: str) -> None:
    body = {"slug": "posts", "name": "Posts", "schema": CHOICE_SCHEMA, **change}
    response = Api(cast.olga).post("projects", body)
    assert fault_of(response) == (400, "invalid")
    assert field in response.json()["fields"]
    assert not Project.objects.exists()


@pytest.mark.parametrize("missing", ["slug", "schema"])
def test_what_a_project_needs_is_named(cast: Cast, missing: str) -> None:
    body = {"slug": "posts", "name": "Posts", "schema": CHOICE_SCHEMA}
    del body[missing]
    response = Api(cast.olga).post("projects", body)
    assert fault_of(response) == (400, "invalid")
    assert missing in response.json()["fields"]


def test_what_is_not_offered_yet_answers_422(cast: Cast) -> None:
    body = {"slug": "posts", "name": "Posts", "schema": CHOICE_SCHEMA, "gold_rate": 0.1}
    assert fault_of(Api(cast.olga).post("projects", body)) == (422, "not_offered")


def test_only_named_settings_change(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga)
    before = api.get("projects/forum").json()
    response = api.patch("projects/forum", {"lease_seconds": 77, "name": "New name"})
    assert response.status_code == 200
    assert response.json() == {**before, "lease_seconds": 77, "name": "New name"}


def test_a_new_overlap_reaches_waiting_items_by_a_job(make_desk: MakeDesk) -> None:
    assert Api(make_desk().cast.olga).patch("projects/forum", {"overlap": 3}).status_code == 200
    assert Job.objects.filter(kind="overlap").count() == 1


def test_the_list_is_one_s_own_projects_newest_first(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, slug="first")
    mallory = Api(desk.cast.mallory)
    for slug in ("second", "third", "fourth"):
        mallory.post("projects", {"slug": slug, "name": slug, "schema": CHOICE_SCHEMA})
    pages = mallory.walk("projects?limit=2")
    assert [[row["slug"] for row in page] for page in pages] == [["fourth", "third"], ["second"]]
    assert [row["slug"] for row in Api(desk.cast.alice).walk("projects")[0]] == ["first"]
    everything = Api(make_root()).walk("projects")
    assert [row["slug"] for row in everything[0]] == ["fourth", "third", "second", "first"]


def test_deleting_a_project_archives_it_by_a_job(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga)
    response = api.delete("projects/forum")
    assert response.status_code == 202
    assert response["Location"] == f"/api/v1/jobs/{response.json()['job']}"
    assert api.get(response["Location"]).json()["kind"] == "erase"
    assert api.get("projects/forum").json()["state"] == "archived"
    assert fault_of(api.patch("projects/forum", {"name": "Back"})) == (409, "wrong_state")


# Schema


def test_a_compatible_schema_is_the_next_version(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga)
    question = CHOICE_SCHEMA["questions"][0]
    wider = {"questions": [{**question, "choices": [*question["choices"], {"value": "threat"}]}]}
    response = api.put("projects/forum/schema", wider)
    assert (response.status_code, response.json()) == (201, {"version": 2, "change": "compatible"})
    stored = api.get("projects/forum/schema").json()
    assert (stored["version"], len(stored["questions"][0]["choices"])) == (2, 4)


def test_a_breaking_schema_without_a_map_says_what_it_touches(make_desk: MakeDesk) -> None:
    desk = make_desk()
    desk.label("alice")
    question = CHOICE_SCHEMA["questions"][0]
    narrower = {"questions": [{**question, "choices": question["choices"][:2]}]}
    response = Api(desk.cast.olga).put("projects/forum/schema", narrower)
    assert fault_of(response) == (409, "breaking_change")
    assert response.json()["fields"]["labels"] == {"verdict": 1}


def test_a_breaking_schema_with_a_map_is_taken_while_there_are_no_labels(make_desk: MakeDesk) -> None:
    question = CHOICE_SCHEMA["questions"][0]
    narrower = {"questions": [{**question, "choices": question["choices"][:2]}], "map": {"verdict": {"insult": None}}}
    response = Api(make_desk().cast.olga).put("projects/forum/schema", narrower)
    assert (response.status_code, response.json()) == (201, {"version": 2, "change": "breaking"})


@pytest.mark.parametrize("schema", [[], {}, {"questions": {}}, {"questions": [7]}, {"questions": [], "x": 1}, "schema"])
def test_a_faulty_schema_is_refused_with_a_sentence(make_desk: MakeDesk, schema: object) -> None:
    response = Api(make_desk().cast.olga).put("projects/forum/schema", schema)
    assert fault_of(response)[0] == 400


# Guideline


def test_guidelines_are_versioned(make_desk: MakeDesk) -> None:
    desk = make_desk()
    api = Api(desk.cast.olga)
    assert fault_of(api.get("projects/forum/guideline")) == (404, "not_found")
    clause = {"id": "spam-1", "title": "Spam", "text": "Unasked.", "examples": [{"in_scope": True, "text": "Buy now"}]}
    for version in (1, 2):
        response = api.put("projects/forum/guideline", {"change": "minor", "clauses": [clause]})
        assert (response.status_code, response.json()) == (201, {"version": version})
    shown = Api(desk.cast.alice).get("projects/forum/guideline").json()
    assert (shown["version"], shown["change"], shown["clauses"][0]["id"]) == (2, "minor", "spam-1")
    assert api.get("projects/forum").json()["guideline_version"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"change": "tiny", "clauses": [{"id": "a"}]},
        {"change": 1, "clauses": [{"id": "a"}]},
        {"change": "major", "clauses": []},
        {"change": "major", "clauses": "text"},
        {"change": "major", "clauses": [{"id": "a"}, {"id": "a"}]},
        {"change": "major", "clauses": [{"id": "a", "examples": 3}]},
        {"change": "major", "clauses": [{"id": "a", "examples": [{"in_scope": 1, "text": ""}]}]},
        {"change": "major"},
        {},
    ],
)
def test_a_faulty_guideline_is_refused(make_desk: MakeDesk, body: dict[str, object]) -> None:
    assert fault_of(Api(make_desk().cast.olga).put("projects/forum/guideline", body)) == (400, "invalid")


# Members


def test_members_are_set_changed_listed_and_removed(make_desk: MakeDesk) -> None:
    desk = make_desk()
    api = Api(desk.cast.olga)
    response = api.put(
        "projects/forum/members/mallory", {"role": "annotator", "team": "night", "languages": ["en", "pt-BR"]}
    )
    member = response.json()
    assert response.status_code == 200
    assert set(member) == {"username", "role", "team", "languages", "joined_at"}
    assert (member["username"], member["team"], member["languages"]) == ("mallory", "night", ["en", "pt-BR"])
    again = api.put("projects/forum/members/mallory", {"role": "reviewer"}).json()
    assert (again["role"], again["team"], again["languages"]) == ("reviewer", "", [])
    names = [row["username"] for page in api.walk("projects/forum/members?limit=3") for row in page]
    assert len(names) == len(set(names)) == 7
    assert api.delete("projects/forum/members/mallory").status_code == 200
    assert fault_of(api.delete("projects/forum/members/mallory")) == (404, "not_found")
    assert fault_of(Api(desk.cast.mallory).get("projects/forum")) == (404, "not_found")


def test_who_is_removed_loses_what_they_hold(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    [lease] = Api(desk.cast.alice).lease()
    Api(desk.cast.olga).delete("projects/forum/members/alice")
    assert fault_of(Api(desk.cast.alice).answer(lease["id"])) == (404, "not_found")
    assert len(Api(desk.cast.bob).lease()) == 1


def test_the_last_owner_stays(make_desk: MakeDesk) -> None:
    api = Api(make_desk().cast.olga)
    assert fault_of(api.delete("projects/forum/members/olga")) == (409, "wrong_state")
    assert fault_of(api.put("projects/forum/members/olga", {"role": "annotator"})) == (409, "wrong_state")


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("nobody", {"role": "annotator"}, 404),
        ("alice%00", {"role": "annotator"}, 404),
        ("mallory", {"role": "king"}, 400),
        ("mallory", {"role": ["annotator"]}, 400),
        ("mallory", {"role": "annotator", "team": 5}, 400),
        ("mallory", {"role": "annotator", "team": "x" * 101}, 400),
        ("mallory", {"role": "annotator", "languages": "en"}, 400),
        ("mallory", {"role": "annotator", "languages": ["not a tag"]}, 400),
        ("mallory", {"role": "annotator", "languages": [None]}, 400),
        ("mallory", {}, 400),
    ],
)
def test_a_faulty_member_is_refused(make_desk: MakeDesk, name: str, body: dict[str, object], status: int) -> None:
    desk = make_desk(n=1)
    n_events = Event.objects.count()
    assert fault_of(Api(desk.cast.olga).put(f"projects/forum/members/{name}", body))[0] == status
    assert Event.objects.exclude(kind="token.created").count() <= n_events
