"""The project's pages: to each role what is theirs and nothing of the others', and what their forms do."""

from __future__ import annotations

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotation.actions import projects
from annotation.actions.people import create_user, ensure_outside_person
from annotation.models import Item, Job, Member, Project, User
from annotation.progress import own_counts, work_by_person
from learning.models import Round
from reviewers.people.scorecards import LEAST_LABELS, accepted_shares
from tests.cast import PASSWORD, Cast, Desk, MakeDesk, import_rows

pytestmark = pytest.mark.django_db

TABS = {
    "alice": ["Overview", "Label", "Guideline"],
    "rita": ["Overview", "Label", "Disputes", "Agreement", "Annotators", "Items", "Guideline"],
    "enzo": ["Overview", "Agreement", "Items", "Learning", "Snapshots", "Guideline"],
    "olga": [
        "Overview",
        "Label",
        "Disputes",
        "Agreement",
        "Annotators",
        "Items",
        "Learning",
        "Snapshots",
        "Guideline",
        "Questions",
        "Quarantine",
        "Members",
        "Settings",
    ],
}


def as_person(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A project with one agreed item, one disputed, and the others open; alice labelled both, bob too."""
    desk = make_desk(n=8, overlap=2)
    desk.vote("t-1", alice="none", bob="none")
    desk.vote("t-2", alice="none", bob="spam")
    return desk


def page(desk: Desk, name: str, path: str = "") -> str:
    response = as_person(desk.cast[name]).get(f"/p/forum/{path}")
    assert response.status_code == 200
    return response.content.decode()


def tabs_of(html: str) -> list[str]:
    nav = re.search(r'<ul class="tabs">(.*?)</ul>', html, re.DOTALL)
    assert nav is not None
    return [re.sub(r"\s*<.*", "", one).strip() for one in re.findall(r"<a [^>]*>(.*?)</a>", nav[1], re.DOTALL)]


@pytest.mark.parametrize("name", TABS)
def test_each_role_sees_its_own_tabs(desk: Desk, name: str) -> None:
    assert tabs_of(page(desk, name)) == TABS[name]


def test_an_annotator_sees_their_own_work_and_nothing_of_the_project(desk: Desk) -> None:
    html = page(desk, "alice")
    assert "Your work" in html
    for hidden in ("How far it is", "How good the labels are", "Who labels", "bob", "Lately", "disput", "Members"):
        assert hidden not in html


def test_the_owner_sees_how_far_the_project_is(desk: Desk) -> None:
    html = page(desk, "olga")
    for shown in ("How far it is", "8 items, 4 annotations", "1 dispute waits", "Krippendorff", "Holdout", "bob"):
        assert shown in html


def test_the_reviewer_sees_disputes_and_no_model(desk: Desk) -> None:
    html = page(desk, "rita")
    assert "1 dispute waits" in html
    assert "Macro-F1" not in html
    assert "Who labels" not in html


def test_the_engineer_sees_the_model_and_no_disputes(desk: Desk) -> None:
    html = page(desk, "enzo")
    assert "Macro-F1" in html
    assert "No model has been trained yet." in html
    assert "Your work" not in html
    assert "dispute waits" not in html


@pytest.mark.parametrize(
    "path", ["", "label/", "items/", "disputes/", "learning/", "snapshots/", "guideline/", "members/", "settings/"]
)
def test_to_an_outsider_the_project_is_not_there(desk: Desk, path: str) -> None:
    response = as_person(desk.cast.mallory).get(f"/p/forum/{path}")
    assert response.status_code == 404
    assert "Forum" not in response.content.decode()


def test_the_project_list_shows_ones_own_projects_alone(desk: Desk, cast: Cast) -> None:
    projects.create_project(
        slug="other", name="Elsewhere", schema={"questions": [_question()]}, owner=cast.mallory, settings={}
    )
    alice = as_person(cast.alice).get("/").content.decode()
    assert "Forum" in alice
    assert "Elsewhere" not in alice
    assert "You have answered 2 items, 2 today." in alice
    assert "1 dispute" not in alice
    assert "1 dispute" in as_person(cast.rita).get("/").content.decode()
    assert "No project yet" in as_person(create_user(username="nina", password=PASSWORD)).get("/").content.decode()


def _question() -> dict[str, object]:
    return {"name": "q", "kind": "choice", "choices": [{"value": "a"}, {"value": "b"}]}


def test_the_project_list_costs_the_same_for_many_projects(desk: Desk, cast: Cast) -> None:
    client = as_person(cast.olga)
    client.get("/")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/")
    for number in range(5):
        projects.create_project(
            slug=f"more-{number}", name="More", schema={"questions": [_question()]}, owner=cast.olga, settings={}
        )
    with CaptureQueriesContext(connection) as many:
        client.get("/")
    assert len(many) == len(few) <= 8


@pytest.mark.parametrize("path", ["items/", "disputes/", "members/", ""])
def test_a_list_costs_the_same_for_many_rows(make_desk: MakeDesk, path: str) -> None:
    desk = make_desk(n=12, overlap=2)
    client = as_person(desk.cast.olga)
    desk.vote("t-1", alice="none", bob="spam")
    client.get(f"/p/forum/{path}")
    with CaptureQueriesContext(connection) as few:
        client.get(f"/p/forum/{path}")
    for number in range(2, 8):
        desk.vote(f"t-{number}", alice="none", bob="spam")
        user = create_user(username=f"more-{number}", password=PASSWORD)
        projects.set_member(project=desk.project, user=user, role="annotator", actor=desk.cast.olga)
    with CaptureQueriesContext(connection) as many:
        client.get(f"/p/forum/{path}")
    assert len(many) <= len(few) + 1
    assert len(many) <= 40


def test_a_new_project_belongs_to_who_makes_it(cast: Cast) -> None:
    client = as_person(cast.mallory)
    sent = {"name": "Bird calls", "question": "Which bird?", "choices": "Wren\nTit\n\n", "overlap": "2"}
    response = client.post("/new/", sent)
    assert (response.status_code, response["Location"]) == (302, "/p/bird-calls/items/import/")
    project = Project.objects.get(slug="bird-calls")
    assert Member.objects.get(project=project).user == cast.mallory
    assert project.schema is not None
    assert [c["value"] for c in project.schema.compiled["questions"][0]["choices"]] == ["Wren", "Tit"]
    again = client.post("/new/", sent)
    assert again.status_code == 409
    assert "already a project of this name" in again.content.decode()


def test_the_desk_draws_the_schema_in_force_and_names_the_api(desk: Desk) -> None:
    html = page(desk, "alice", "label/")
    data = json.loads(re.search(r'id="desk-data" type="application/json">(.*?)</script>', html)[1])  # type: ignore[index]
    schemas = json.loads(re.search(r'id="schemas-data" type="application/json">(.*?)</script>', html)[1])  # type: ignore[index]
    assert (data["progress"]["n_today"], data["kind"]) == (2, "label")
    assert data["leases_url"] == "/api/v1/projects/forum/leases"
    assert (data["lease_url"], data["annotation_url"]) == ("/api/v1/leases/", "/api/v1/annotations/")
    assert [option["value"] for option in schemas["1"]["questions"][0]["options"]] == ["none", "spam", "insult"]


def test_simulated_work_is_in_no_persons_figures(make_desk: MakeDesk) -> None:
    """Robot answers as much as alice does, beside her and alone; her figures are those of her work with bob."""
    desk = make_desk(n=LEAST_LABELS + 6, overlap=2)
    robot = ensure_outside_person(project=desk.project, name="Robot", kind=User.Kind.SIMULATED)
    projects.set_member(project=desk.project, user=robot, role="annotator", actor=None)
    vars(desk.cast)["robot"] = robot
    for n in range(1, LEAST_LABELS + 1):
        desk.vote(f"t-{n}", alice="none", bob="spam" if n == 1 else "none")
    alice = desk.cast.alice
    before = accepted_shares(desk.project)
    for n in range(LEAST_LABELS + 1, LEAST_LABELS + 4):
        desk.vote(f"t-{n}", robot="none", alice="none")
    for n in range(LEAST_LABELS + 4, LEAST_LABELS + 7):
        desk.vote(f"t-{n}", robot="none")
    after = accepted_shares(desk.project)
    assert before[alice.pk]["n_items"] == LEAST_LABELS - 1
    assert after[alice.pk] == before[alice.pk]
    assert after[robot.pk]["n_items"] == 3
    people = {one.person_id: one for one in work_by_person(desk.project)}
    assert (people[alice.pk].n_total, people[alice.pk].n_today, people[alice.pk].source) == (23, 23, "human")
    assert (people[robot.pk].n_total, people[robot.pk].source) == (6, "simulated")
    assert own_counts(alice, [desk.project.pk])[desk.project.pk].n_total == LEAST_LABELS + 3
    html = page(desk, "olga")
    assert re.search(r"Robot.{0,40}<span class=\"chip[^>]*>.*?simulated", html, re.DOTALL)


def test_a_reviewers_decision_counts_for_a_person_whoever_else_answered(make_desk: MakeDesk) -> None:
    """What a person is measured by is then what a person said."""
    desk = make_desk(n=1, overlap=2)
    robot = ensure_outside_person(project=desk.project, name="Robot", kind=User.Kind.SIMULATED)
    projects.set_member(project=desk.project, user=robot, role="annotator", actor=None)
    vars(desk.cast)["robot"] = robot
    desk.vote("t-1", robot="spam", alice="none")
    assert accepted_shares(desk.project) == {}
    item = desk.item("t-1")
    url = f"/p/forum/disputes/{item.pk}/"
    html = page(desk, "rita", f"disputes/{item.pk}/")
    version = re.search(r'name="expected_version" value="([^"]*)"', html)
    assert version is not None
    form = {"expected_version": version[1], "answer-verdict": "none", "reason": "annotator_error"}
    assert as_person(desk.cast.rita).post(url, form).status_code == 302
    assert accepted_shares(desk.project)[desk.cast.alice.pk]["n_items"] == 1


def test_somebody_new_is_told_what_to_try_until_they_have_labelled(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    hint = "Try the demo projects first"
    olga = as_person(desk.cast.olga)
    assert hint not in olga.get("/").content.decode()
    type(desk.project).objects.filter(pk=desk.project.pk).update(is_demo=True)
    assert hint in olga.get("/").content.decode()
    assert hint not in as_person(desk.cast.alice).get("/").content.decode()
    desk.label("olga")
    assert hint not in olga.get("/").content.decode()


def test_only_a_demo_is_offered_through_others_eyes(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    assert "See it as others do" not in page(desk, "olga")
    type(desk.project).objects.filter(pk=desk.project.pk).update(is_demo=True)
    html = page(desk, "olga")
    assert "See it as others do" in html
    assert [f'aria-label="Look as {role}"' in html for role in ("annotator", "reviewer", "engineer")] == [True] * 3
    assert "See it as others do" not in page(desk, "enzo")


def test_an_import_that_left_rows_out_warns_and_leads_to_the_items(desk: Desk) -> None:
    result = {"imported": 1, "unchanged": 0, "rejected": 1, "errors": [{"line": 2, "reason": "The row is empty."}]}
    now = timezone.now()
    times = {"created_at": now, "run_at": now, "ended_at": now}
    Job.objects.create(kind="import", project=desk.project, state=Job.State.DONE, result=result, **times)
    html = page(desk, "enzo", "items/import/")
    assert 'class="notice notice-warn"' in html
    assert "1 new, 0 as before, 1 rejected." in html
    assert '<a href="/p/forum/items/">See the items</a>' in html


def test_a_round_without_a_figure_says_why(desk: Desk) -> None:
    Round.objects.create(
        project=desk.project,
        number=1,
        question=1,
        trigger=Round.Trigger.DEMAND,
        strategy="margin",
        batch=5,
        random_share=0.2,
        seed=1,
        note="only one answer has been accepted so far",
        finished_at=timezone.now(),
    )
    assert "Only one answer has been accepted so far." in page(desk, "enzo", "learning/")


def test_the_items_list_filters_orders_and_pages(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[{"external_id": f"t-{n:03}", "text": f"text number {n}"} for n in range(60)])
    client = as_person(desk.cast.enzo)
    first = client.get("/p/forum/items/")
    following = re.search(r'<a href="([^"]+)">Next page', first.content.decode())
    assert following is not None
    second = client.get(following[1].replace("&amp;", "&"))
    shown = [set(re.findall(r"t-\d{3}", one.content.decode())) for one in (first, second)]
    assert (len(shown[0]), len(shown[1]), shown[0] & shown[1]) == (50, 10, set())
    assert re.findall(r"t-\d{3}", client.get("/p/forum/items/?q=t-007").content.decode()).count("t-007") >= 1
    assert "No item fits" in client.get("/p/forum/items/?state=disputed").content.decode()
    assert client.get("/p/forum/items/?state=nonsense&order=sideways&after=rubbish").status_code == 200


def test_hostile_content_is_text(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[{"external_id": "<b>x</b>", "text": "<script>alert(1)</script>{{ 7|add:7 }}"}])
    html = page(desk, "enzo", "items/")
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "{{ 7|add:7 }}" in html


def test_a_file_is_imported_by_a_job_and_the_page_says_how_it_went(desk: Desk) -> None:
    client = as_person(desk.cast.enzo)
    file = SimpleUploadedFile("more.csv", b"external_id,text\nn-1,hello\nn-2,\n", content_type="text/csv")
    assert client.post("/p/forum/items/import/", {"file": file}).status_code == 302
    html = client.get("/p/forum/items/import/").content.decode()
    assert "Import of more.csv" in html
    assert 'hx-trigger="load delay:2s"' in html
    from annotation.jobs import run_job
    from annotation.tasks import sweep_jobs  # noqa: F401  (registers the job)

    run_job(Job.objects.get(kind="import").pk)
    html = client.get("/p/forum/items/import/").content.decode()
    assert "hx-trigger" not in html
    assert re.search(r'<td class="number">3</td>', html)
    assert not Item.objects.filter(external_id="n-1").exists()


def test_htmx_asks_for_the_jobs_alone_and_loads_the_page_anew_when_they_end(desk: Desk) -> None:
    response = as_person(desk.cast.enzo).get("/p/forum/snapshots/", headers={"HX-Request": "true", "HX-Target": "jobs"})
    assert response["HX-Refresh"] == "true"
    assert "<html" not in response.content.decode()


def test_an_unknown_file_is_refused_with_a_sentence(desk: Desk) -> None:
    file = SimpleUploadedFile("photo.exe", b"MZ", content_type="application/octet-stream")
    response = as_person(desk.cast.enzo).post("/p/forum/items/import/", {"file": file})
    assert response.status_code >= 400
    assert "field-error" in response.content.decode() or "notice-bad" in response.content.decode()


def test_the_owner_adds_changes_and_removes_people(desk: Desk) -> None:
    client, where = as_person(desk.cast.olga), "/p/forum/members/"
    sent = {"action": "add", "username": "mallory", "role": "annotator", "languages": "en, pt-BR", "team": "north"}
    assert client.post(where, sent).status_code == 302
    member = Member.objects.get(project=desk.project, user=desk.cast.mallory)
    assert (member.role, member.languages, member.team) == ("annotator", ["en", "pt-BR"], "north")
    assert client.post(where, {**sent, "role": "reviewer"}).status_code == 302
    member.refresh_from_db()
    assert member.role == "reviewer"
    assert (
        "mallory is out"
        in client.post(where, {"action": "remove", "username": "mallory"}, follow=True).content.decode()
    )
    member.refresh_from_db()
    assert not member.is_active
    unknown = client.post(where, {**sent, "username": "nobody", "is_new": "on"})
    assert unknown.status_code == 400
    assert not User.objects.filter(username="nobody").exists()


def test_the_last_owner_stays(desk: Desk) -> None:
    response = as_person(desk.cast.olga).post(
        "/p/forum/members/", {"action": "remove", "username": "olga"}, follow=True
    )
    assert "keeps at least one owner" in response.content.decode()


def test_an_administrator_may_make_the_account_and_sees_its_password_once(desk: Desk) -> None:
    client = as_person(create_user(username="root", password=PASSWORD, is_superuser=True))
    sent = {"action": "add", "username": "nina", "role": "annotator", "is_new": "on"}
    html = client.post("/p/forum/members/", sent).content.decode()
    password = re.search(r"<code>([^<]+)</code>", html)
    assert password is not None
    assert Client().post("/sign-in/", {"username": "nina", "password": password[1]}).status_code == 302
    assert password[1] not in client.get("/p/forum/members/").content.decode()


def settings_form(desk: Desk) -> dict[str, object]:
    from annotation.forms import spread_settings

    found = spread_settings(Project.objects.get(pk=desk.project.pk))
    return {key: value for key, value in found.items() if value is not None and value is not False}


def test_settings_change_what_differs_and_nothing_else(desk: Desk) -> None:
    client, sent = as_person(desk.cast.olga), settings_form(desk)
    before = Project.objects.filter(pk=desk.project.pk).values().get()
    assert "Nothing was changed" in client.post("/p/forum/settings/", sent, follow=True).content.decode()
    assert Project.objects.filter(pk=desk.project.pk).values().get() == before
    changed = {**sent, "overlap_max": "4", "snapshots_every_hours": "24", "learning_every": "50"}
    assert "Saved." in client.post("/p/forum/settings/", changed, follow=True).content.decode()
    project = Project.objects.get(pk=desk.project.pk)
    assert (project.overlap_min, project.overlap_max) == (2, 4)
    assert project.snapshots == {"every_hours": 24}
    assert project.learning is not None
    assert project.learning["every"] == 50


def test_a_setting_that_does_not_fit_is_told_at_its_field(desk: Desk) -> None:
    response = as_person(desk.cast.olga).post("/p/forum/settings/", {**settings_form(desk), "overlap_max": "1"})
    html = response.content.decode()
    assert response.status_code == 400
    assert re.search(r'id="id_overlap_max_error"', html)


def test_the_guideline_shows_its_versions(desk: Desk) -> None:
    assert "No guideline yet" in page(desk, "alice", "guideline/")
    clause = {"id": "spam-1", "title": "Selling", "text": "First words."}
    projects.put_guideline(project=desk.project, change="major", clauses=[clause], actor=desk.cast.olga)
    projects.put_guideline(
        project=desk.project, change="minor", clauses=[{**clause, "text": "Second words."}], actor=desk.cast.olga
    )
    assert "Second words." in page(desk, "alice", "guideline/")
    old = page(desk, "alice", "guideline/?version=1")
    assert "First words." in old
    assert "no longer in force" in old


def test_an_owner_looks_at_a_demo_as_others_do_and_comes_back(desk: Desk) -> None:
    Project.objects.filter(pk=desk.project.pk).update(is_demo=True)
    client = as_person(desk.cast.olga)
    assert client.post("/p/forum/view-as/", {"role": "annotator"}).status_code == 302
    html = client.get("/p/forum/").content.decode()
    assert tabs_of(html) == TABS["alice"]
    assert "You look at this demo as an annotator would" in html
    assert client.get("/p/forum/members/").status_code == 403
    assert client.get("/api/v1/projects/forum/members").status_code == 403
    assert client.post("/p/forum/view-as/", {"role": ""}).status_code == 302
    assert tabs_of(client.get("/p/forum/").content.decode()) == TABS["olga"]


def test_only_owners_look_through_other_eyes_and_only_in_demos(desk: Desk) -> None:
    assert as_person(desk.cast.olga).post("/p/forum/view-as/", {"role": "annotator"}).status_code == 409
    Project.objects.filter(pk=desk.project.pk).update(is_demo=True)
    for name in ("alice", "rita", "enzo"):
        assert as_person(desk.cast[name]).post("/p/forum/view-as/", {"role": "owner"}).status_code == 403
    assert as_person(desk.cast.olga).post("/p/forum/view-as/", {"role": "owner"}).status_code == 400


def test_no_page_has_inline_script_or_style(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    for path in (
        "",
        "label/",
        "items/",
        "items/import/",
        "disputes/",
        "learning/",
        "snapshots/",
        "members/",
        "settings/",
    ):
        html = client.get(f"/p/forum/{path}").content.decode()
        assert re.search(r"<script(?![^>]*(src=|application/json))", html) is None, path
        assert re.search(r"\sstyle=|\son[a-z]+=\"|<style", html) is None, path


def test_a_round_and_a_snapshot_are_started_by_button(desk: Desk) -> None:
    client = as_person(desk.cast.enzo)
    sent = {"strategy": "margin", "batch": "5", "random_share": "0.2", "train": "on"}
    assert client.post(reverse("project-learning", args=["forum"]), sent).status_code == 302
    assert "Learning round" in client.get("/p/forum/learning/").content.decode()
    assert client.post("/p/forum/snapshots/").status_code == 302
    assert set(Job.objects.values_list("kind", flat=True)) >= {"round", "snapshot"}
    wrong = client.post("/p/forum/learning/", {**sent, "random_share": "3"})
    assert wrong.status_code == 400


def test_an_empty_project_leads_to_its_import(cast: Cast) -> None:
    projects.create_project(
        slug="empty", name="Empty", schema={"questions": [_question()]}, owner=cast.olga, settings={}
    )
    client = as_person(cast.olga)
    for path in ("", "items/"):
        assert "/p/empty/items/import/" in client.get(f"/p/empty/{path}").content.decode()
    import_rows(Project.objects.get(slug="empty"), [{"text": "one"}])
    assert "No items yet" not in client.get("/p/empty/").content.decode()


def test_nobody_is_told_times_where_a_queue_is_severe(desk: Desk) -> None:
    client = as_person(desk.cast.olga)
    desk.label("olga")
    url = reverse("project", args=[desk.project.slug])
    assert [word in client.get(url).text for word in ("Time for one", "Median time")] == [True, True]
    import_rows(desk.project, [{"external_id": "s", "text": "blood", "metadata": {"severity": "severe"}}])
    assert [word in client.get(url).text for word in ("Time for one", "Median time")] == [False, False]
