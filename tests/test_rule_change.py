"""Another rule: what it would change is shown before it does, and is what it then changes."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import job_kinds
from annotation.actions.jobs import claim_job
from annotation.actions.projects import change_project
from annotation.audit import find_violations
from annotation.errors import InvalidError
from annotation.job_kinds.rule import run_rule
from annotation.jobs import RunningJob
from annotation.models import Job, Project, QueueRow
from reviewers.actions.adjudication import adjudicate
from reviewers.consensus import preview as rule_preview
from reviewers.consensus.preview import preview_rule
from reviewers.models import Resolution
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.posterior_desk import POSTERIOR, make_known_desk
from tests.test_pages_project import as_person

pytestmark = pytest.mark.django_db

UNANIMOUS = {"kind": "unanimous"}


@pytest.fixture
def split(make_desk: MakeDesk) -> Desk:
    """Two of three agree on t-1 and t-2, all on t-3, nobody on t-4, a reviewer decided t-5, t-6 has one answer."""
    desk = make_desk(6, overlap=3)
    for name in ("t-1", "t-2"):
        desk.vote(name, alice="spam", bob="spam", carol="none")
    desk.vote("t-3", alice="spam", bob="spam", carol="spam")
    desk.vote("t-4", alice="spam", bob="none", carol="insult")
    desk.vote("t-5", alice="spam", bob="spam", carol="none")
    adjudicate(access=desk.access("rita"), item=desk.item("t-5"), answers={"verdict": "none"}, reason="other")
    desk.vote("t-6", alice="spam")
    return desk


def changes(desk: Desk, rule: dict[str, Any]) -> dict[str, int]:
    return {change.kind: change.n for change in preview_rule(desk.project, rule).changes if change.n}


def bring(desk: Desk, rule: dict[str, Any]) -> dict[str, Any]:
    """Change the rule and carry the job out."""
    desk.project = change_project(project=desk.project, settings={"rule": rule}, actor=desk.cast.olga)
    job = claim_job(job_id=Job.objects.filter(kind="rule").latest("pk").pk, worker="test")
    assert job is not None
    running = RunningJob(job)
    result = dict(run_rule(running) or {})
    running.finish(result)
    return result


def states(desk: Desk) -> dict[str, str]:
    rows = QueueRow.objects.filter(project=desk.project, kind=1).select_related("item")
    return {row.item.external_id: QueueRow.State(row.state).name.lower() for row in rows}


def test_a_stricter_rule_shows_what_it_would_dispute_and_changes_nothing(split: Desk) -> None:
    before = list(Resolution.objects.order_by("pk").values())
    preview = preview_rule(split.project, UNANIMOUS)
    assert (preview.n_items, preview.n_looked_at, preview.n_decided) == (5, 5, 1)
    assert changes(split, UNANIMOUS) == {"disputed": 2}
    disputed = next(change for change in preview.changes if change.kind == "disputed")
    assert sorted(name for _item, name in disputed.examples) == ["t-1", "t-2"]
    assert (disputed.estimate, disputed.interval) == (2, None)
    assert list(Resolution.objects.order_by("pk").values()) == before


def test_a_changed_rule_does_what_it_showed(split: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_kinds.rule, "BATCH", 2)
    assert bring(split, UNANIMOUS) == {"looked_at": 5, "changed": 2}
    assert states(split) == {
        "t-1": "disputed",
        "t-2": "disputed",
        "t-3": "agreed",
        "t-4": "disputed",
        "t-5": "adjudicated",
        "t-6": "open",
    }
    assert find_violations() == {}
    assert changes(split, {"kind": "majority"}) == {"agreed": 2}
    assert bring(split, {"kind": "majority"}) == {"looked_at": 5, "changed": 2}
    assert states(split)["t-1"] == "agreed"


def test_where_more_may_be_asked_an_item_opens_again(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap={"min": 3, "max": 4})
    desk.vote("t-1", alice="spam", bob="spam", carol="none")
    assert changes(desk, UNANIMOUS) == {"open": 1}
    assert bring(desk, UNANIMOUS)["changed"] == 1
    assert (states(desk), desk.n_free("t-1")) == ({"t-1": "open"}, 1)


def test_the_posterior_rule_is_shown_by_what_is_known_of_the_annotators(make_desk: MakeDesk) -> None:
    desk = make_known_desk(make_desk, rule={"kind": "majority"})
    preview = preview_rule(desk.project, POSTERIOR)
    expected = {change.kind: change.n for change in preview.changes}
    before = {row.item_id: (row.state, row.choice) for row in Resolution.objects.all()}
    was = states(desk)
    bring(desk, POSTERIOR)
    now = states(desk)
    assert {kind: n for kind, n in expected.items() if kind != "relabelled"} == {
        kind: sum(now[name] == kind != state for name, state in was.items()) for kind in ("agreed", "disputed", "open")
    }
    assert expected["relabelled"] == sum(
        row.state == 1 and before[row.item_id][0] == 1 and row.choice != before[row.item_id][1]
        for row in Resolution.objects.all()
    )
    assert preview.n_changed > 0


def test_of_many_items_a_sample_is_looked_at(split: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_preview, "MOST_LOOKED_AT", 3)
    preview = preview_rule(split.project, UNANIMOUS)
    assert (preview.n_items, preview.n_looked_at) == (5, 3)
    for change in preview.changes:
        assert change.interval is not None
        assert change.interval[0] <= change.estimate <= change.interval[1] <= 5


def test_a_project_without_answers_has_nothing_to_show(make_desk: MakeDesk) -> None:
    preview = preview_rule(make_desk(2).project, UNANIMOUS)
    assert (preview.n_items, preview.n_looked_at, preview.n_changed) == (0, 0, 0)


def test_the_posterior_rule_needs_two_answers(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    with pytest.raises(InvalidError) as refused:
        preview_rule(desk.project, POSTERIOR)
    assert "at least two answers" in refused.value.fields["rule"]
    change_project(project=desk.project, settings={"rule": POSTERIOR, "overlap": 2}, actor=desk.cast.olga)
    with pytest.raises(InvalidError):
        change_project(project=desk.project, settings={"overlap": 1}, actor=desk.cast.olga)


def test_the_api_previews_a_rule(split: Desk) -> None:
    answer = Api(split.cast.olga).post("projects/forum/rule-preview", {"rule": UNANIMOUS})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["rule"], body["n_items"], body["n_looked_at"], body["n_decided"]) == (UNANIMOUS, 5, 5, 1)
    assert [(one["change"], one["n"]) for one in body["changes"]] == [
        ("agreed", 0),
        ("disputed", 2),
        ("open", 0),
        ("relabelled", 0),
    ]
    assert {"id": str(split.item("t-1").pk), "external_id": "t-1"} in body["changes"][1]["examples"]


def test_the_page_shows_a_rule_before_it_is_changed(split: Desk) -> None:
    client = as_person(split.cast.olga)
    html = client.get("/p/forum/rule/?kind=unanimous").content.decode()
    assert "become disputed" in html
    assert f"/p/forum/disputes/{split.item('t-1').pk}/" in html
    assert Project.objects.get().rule == {"kind": "majority"}
    answer = client.post("/p/forum/rule/", {"kind": "unanimous"}, follow=True)
    assert "The rule is in force" in answer.content.decode()
    assert Project.objects.get().rule == UNANIMOUS
    assert Job.objects.filter(kind="rule").count() == 1


def test_the_page_says_what_does_not_fit_at_its_field(split: Desk) -> None:
    Project.objects.update(overlap_min=1)
    client = as_person(split.cast.olga)
    answer = client.get("/p/forum/rule/?kind=posterior&threshold=0.9")
    assert answer.status_code == 400
    assert 'id="id_kind_error"' in answer.content.decode()
    assert client.post("/p/forum/rule/", {"kind": "posterior", "threshold": "1.5"}).status_code == 400


def test_the_page_shows_what_was_found_of_the_annotators(make_desk: MakeDesk) -> None:
    desk = make_known_desk(make_desk, rule={**POSTERIOR, "method": "evidence"})
    client = as_person(desk.cast.olga)
    html = client.get("/p/forum/rule/").content.decode()
    assert "hidden answers best" in html
    assert "95 % sure by what is known of the annotators" in html
    assert "hidden answers best" in client.get("/p/forum/").content.decode()
    client.post("/p/forum/rule/", {"action": "fit"})
    assert Job.objects.filter(kind="consensus", state="queued").count() == 1
