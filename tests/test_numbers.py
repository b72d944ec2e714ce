"""Numbers from the answer to the snapshot: the rule in SQL and in Python, what pages, API and files show of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import queue
from annotation.actions.jobs import claim_job
from annotation.actions.projects import put_schema
from annotation.errors import BreakingChangeError
from annotation.jobs import RunningJob
from annotation.models import Label, Project
from learning.actions.snapshots import start_snapshot
from learning.models import Snapshot
from learning.snapshots.documents import count_numbers
from learning.snapshots.files import published_folder
from learning.tasks.snapshots import run_snapshot
from reviewers.agreement.report import project_agreement
from reviewers.algorithms.consensus import Rule, vote, vote_numbers
from reviewers.models import Adjudication, Resolution
from reviewers.people.scorecards import accepted_shares
from reviewers.reports import pick_question, resolution_rows
from tests.api_client import Api
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db

QUESTION: dict[str, Any] = {
    "name": "distance",
    "kind": "number",
    "text": "How far is it?",
    "required": True,
    "min": 0,
    "max": 100,
    "step": 0.1,
    "unit": "km",
    "tolerance": 0.1,
}
SCHEMA = {"questions": [QUESTION]}
VOTERS = ("alice", "bob", "carol", "rita", "enzo", "olga")
RULES: st.SearchStrategy[Rule] = st.sampled_from(["majority", "unanimous"])
TENTHS = st.lists(st.integers(-8, 8).map(lambda n: n / 10), min_size=1, max_size=7)
DATABASE = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def resolution(desk: Desk) -> Resolution:
    return Resolution.objects.get(project=desk.project)


# The rule


@DATABASE
@given(numbers=TENTHS, rule=RULES, tolerance=st.sampled_from([0, 0.1, 0.25, 0.5]))
def test_votes_are_decided_alike_in_sql_and_python(
    db: None, numbers: list[float], rule: Rule, tolerance: float
) -> None:
    expected = vote_numbers(numbers, 1, len(numbers), rule, tolerance)
    votes = Counter(str(number) for number in numbers)
    with connection.cursor() as cursor:
        cursor.execute(
            "select is_settled, number, confidence, disagreement"
            " from reviewers_decide('number', %s, %s::jsonb, %s, %s::numeric)",
            [rule, json.dumps(votes), len(numbers), str(tolerance)],
        )
        settled, number, confidence, apart = cursor.fetchone()
    assert settled == (expected.state == "agreed")
    assert number == expected.value
    assert confidence == pytest.approx(expected.confidence)
    assert apart == pytest.approx(expected.disagreement, abs=1e-9)


@given(numbers=TENTHS, rule=RULES)
def test_without_tolerance_the_rule_is_that_of_single_choices(numbers: list[float], rule: Rule) -> None:
    different = sorted(set(numbers))
    counted = vote([numbers.count(one) for one in different], len(numbers), 1, 9, rule)
    found = vote_numbers(numbers, 1, 9, rule)
    assert (found.state, found.confidence, found.overlap_wanted) == (
        counted.state,
        counted.confidence,
        counted.overlap_wanted,
    )
    assert found.disagreement == pytest.approx(counted.disagreement)
    assert found.value in (None, *different)
    assert found.value is None or different[int(str(counted.value))] == found.value


@given(numbers=TENTHS, tolerance=st.sampled_from([0.1, 0.5]), where=st.integers(-8, 8))
def test_more_than_half_within_the_tolerance_of_each_other_settle_it(
    numbers: list[float], tolerance: float, where: int
) -> None:
    close = [where / 10, round(where / 10 + tolerance, 1)] * len(numbers)
    assert vote_numbers([*numbers, *close], 1, 99, "majority", tolerance).state == "agreed"


def test_negative_tolerance_is_refused() -> None:
    with pytest.raises(ValueError, match="tolerance -1"):
        vote_numbers([1.0], 1, 1, tolerance=-1)


def test_numbers_within_the_tolerance_are_agreed_on_by_their_middle(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=3)
    states = [desk.label(name, {"distance": n}).item_state for name, n in zip(VOTERS, (0.4, 90, 0.3), strict=False)]
    assert states == ["open", "open", "agreed"]
    row = resolution(desk)
    assert (row.number, row.choice, row.method) == (0.4, None, "majority")
    assert row.confidence == pytest.approx(2 / 3)
    assert row.votes == {"0.3": 1, "0.4": 1, "90": 1}
    assert row.disagreement == pytest.approx(2 / 3)


def test_numbers_too_far_apart_ask_one_more_and_then_a_reviewer(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap={"min": 2, "max": 3})
    states = [desk.label(name, {"distance": n}).item_state for name, n in zip(VOTERS, (10, 20, 30), strict=False)]
    assert states == ["open", "open", "disputed"]
    assert (resolution(desk).number, resolution(desk).disagreement) == (None, 1.0)


def test_number_taken_back_opens_the_item_again(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    first = desk.label("alice", {"distance": 5})
    assert resolution(desk).number == 5.0
    raw = queue.undo(annotation_id=first.annotation_id, person_id=desk.cast.alice.pk)
    assert (resolution(desk).number, resolution(desk).state) == (None, Resolution.State.OPEN)
    desk.submit("alice", raw, {"distance": 6}, key="again")
    assert resolution(desk).number == 6.0


def test_optional_number_that_nobody_gave_does_not_keep_the_item_open(make_desk: MakeDesk) -> None:
    tags = {"name": "tags", "kind": "choices", "choices": [{"value": "x"}]}
    desk = make_desk(1, {"questions": [tags, QUESTION | {"required": False}]}, overlap=1)
    assert desk.label("alice", {"tags": ["x"]}).item_state == "agreed"


def test_question_after_a_choice_counts_only_where_it_is_asked(make_desk: MakeDesk) -> None:
    verdict = {"name": "verdict", "kind": "choice", "required": True, "choices": [{"value": "a"}, {"value": "b"}]}
    when = {"question": "verdict", "in": ["b"]}
    desk = make_desk(2, {"questions": [verdict, QUESTION | {"when": when}]}, overlap=1)
    assert desk.label("alice", {"verdict": "a"}).item_state == "agreed"
    assert desk.label("alice", {"verdict": "b", "distance": 3}).item_state == "agreed"
    assert sorted(Resolution.objects.values_list("number", flat=True), key=str) == [3.0, None, None]


# Answers over the API


def test_answer_is_stored_as_a_number_and_comes_back_from_the_api(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    api = Api(desk.cast.alice)
    lease = api.post("projects/forum/leases", {"n": 1}).json()["leases"][0]
    answer = api.post(f"leases/{lease['id']}/annotation", {"answers": {"distance": 12.5}}, idempotency_key="k")
    assert (answer.status_code, answer.json()["item_state"]) == (201, "agreed")
    label = Label.objects.get(project=desk.project)
    assert (label.number, label.choice, label.choices, label.data) == (12.5, None, None, None)
    engineer = Api(desk.cast.enzo)
    (row,) = engineer.get("projects/forum/resolutions").json()["results"]
    assert (row["value"], row["votes"], row["state"]) == (12.5, {"12.5": 1}, "agreed")
    (item,) = engineer.get("projects/forum/items").json()["results"]
    assert item["resolutions"]["distance"]["value"] == 12.5


@pytest.mark.parametrize("wrong", ["12", 100.1, -1, 0.35, True, [5]])
def test_wrong_number_is_refused_by_the_name_of_its_question(make_desk: MakeDesk, wrong: object) -> None:
    desk = make_desk(1, SCHEMA)
    api = Api(desk.cast.alice)
    lease = api.post("projects/forum/leases", {"n": 1}).json()["leases"][0]
    answer = api.post(f"leases/{lease['id']}/annotation", {"answers": {"distance": wrong}}, idempotency_key="k")
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_answers"
    assert answer.json()["fields"] == {"distance": "The answer must be a number: from 0 to 100, in steps of 0.1."}
    assert not Label.objects.exists()


def test_open_item_shows_its_votes_so_far(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=3)
    desk.label("alice", {"distance": 7})
    (row,), _after = resolution_rows(Project.objects.select_related("schema").get(pk=desk.project.pk))
    assert (row["state"], row["value"], row["votes"]) == ("open", None, {"7": 1})


def test_imported_numbers_vote(make_desk: MakeDesk) -> None:
    said = [{"annotator": name, "answers": {"distance": n}} for name, n in (("x", 3), ("y", 3.1))]
    desk = make_desk(schema=SCHEMA, rows=[{"external_id": "t-1", "text": "far", "annotations": said}], overlap=2)
    assert (resolution(desk).number, resolution(desk).confidence) == (3.0, 1.0)


def test_unit_of_stored_numbers_is_not_changed_unasked(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA)
    desk.label("alice", {"distance": 7})
    in_miles = {"questions": [QUESTION | {"unit": "mi"}]}
    with pytest.raises(BreakingChangeError):
        put_schema(project=desk.project, schema=in_miles, map=None, actor=desk.cast.olga)


# Reviewers


@pytest.fixture
def disputed(make_desk: MakeDesk) -> Desk:
    """One item with 10 and 20."""
    desk = make_desk(1, SCHEMA, overlap=2)
    desk.label("alice", {"distance": 10})
    desk.label("bob", {"distance": 20.5})
    return desk


def test_reviewer_sees_numbers_with_their_unit_and_decides_on_one(disputed: Desk) -> None:
    api = Api(None)
    api.client.force_login(disputed.cast.rita)
    listed = api.client.get("/p/forum/disputes/").content.decode()
    assert "10\N{NO-BREAK SPACE}km" in listed
    path = f"/p/forum/disputes/{disputed.item('t-1').pk}/"
    html = api.client.get(path).content.decode()
    assert "<b>20.5\N{NO-BREAK SPACE}km</b>" in html
    field = re.search(r'<input type="number"[^>]*>', html)
    assert field is not None
    for attribute in ('name="answer-distance"', 'min="0"', 'max="100"', 'step="0.1"', "How far is it?, km, from 0"):
        assert attribute in field[0]
    version = re.search(r'name="expected_version" value="(\d+)"', html)
    assert version is not None
    sent = {"reason": "ambiguous", "expected_version": version[1]}
    for wrong in ("100.5", "far", "0.35"):
        refused = api.client.post(path, {**sent, "answer-distance": wrong})
        assert refused.status_code == 422
        assert "The answer must be a number: from 0 to 100" in refused.content.decode()
        assert f'value="{wrong}"' in refused.content.decode()
    assert api.client.post(path, {**sent, "answer-distance": "15.5"}).status_code == 302
    assert (resolution(disputed).number, resolution(disputed).state) == (15.5, Resolution.State.ADJUDICATED)
    assert Adjudication.objects.get().answers == {"1": {"number": 15.5}}
    decided = api.client.get(path).content.decode()
    assert "<b>15.5\N{NO-BREAK SPACE}km</b>" in decided
    assert 'value="15.5"' in decided


def test_decision_before_any_vote_rule_counts_what_was_said(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=3)
    desk.label("alice", {"distance": 10})
    desk.label("bob", {"distance": 10.1})
    body = {"answers": {"distance": 10}, "reason": "other", "note": ""}
    answer = Api(desk.cast.rita).post(f"projects/forum/items/{desk.item('t-1').pk}/adjudication", body)
    assert answer.status_code == 201
    assert answer.json()["answers"] == {"distance": 10}
    assert (resolution(desk).votes, resolution(desk).disagreement) == ({"10": 1, "10.1": 1}, 0.0)


def test_items_page_shows_the_accepted_number_with_its_unit(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA, overlap=1)
    desk.label("alice", {"distance": 42.5})
    api = Api(None)
    api.client.force_login(desk.cast.olga)
    assert "42.5\N{NO-BREAK SPACE}km" in api.client.get("/p/forum/items/").content.decode()


# Figures


def test_agreement_is_at_the_interval_level(make_desk: MakeDesk) -> None:
    desk = make_desk(3, SCHEMA, overlap=2)
    for near, far in ((10, 10.4), (50, 50.1), (90, 80)):
        desk.label("alice", {"distance": near})
        desk.label("bob", {"distance": far})
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    report = project_agreement(project, pick_question(project, None), "split")
    found = {metric["metric"]: metric for metric in report["metrics"]}
    assert list(found) == ["raw_agreement", "alpha_interval"]
    assert found["raw_agreement"]["value"] == pytest.approx(1 / 3)
    assert 0.9 < found["alpha_interval"]["value"] < 1
    assert (found["alpha_interval"]["n_labels"], found["alpha_interval"]["n_annotators"]) == (6, 2)
    assert sum(stratum["metrics"][0]["n_items"] for stratum in report["strata"]) == 3
    api = Api(None)
    api.client.force_login(desk.cast.olga)
    assert "alpha, interval, distance" in api.client.get("/p/forum/").content.decode()


def test_numbers_without_labels_are_refused_by_name(make_desk: MakeDesk) -> None:
    desk = make_desk(1, SCHEMA)
    project = Project.objects.select_related("schema").get(pk=desk.project.pk)
    metrics = project_agreement(project, pick_question(project, None), "language")["metrics"]
    assert {metric["refusal"] for metric in metrics} == {"no item has two labels"}


def test_scorecard_counts_an_answer_within_the_tolerance_as_right(make_desk: MakeDesk) -> None:
    desk = make_desk(20, SCHEMA, overlap=3)
    for _ in range(20):
        for name, n in (("alice", 10), ("bob", 10.1), ("carol", 30)):
            desk.label(name, {"distance": n})
    shares = accepted_shares(Project.objects.select_related("schema").get(pk=desk.project.pk))
    people = desk.cast
    assert [shares[one.pk]["value"] for one in (people.alice, people.bob, people.carol)] == [1.0, 1.0, 0.0]


# Snapshots


def test_snapshot_holds_numbers_and_counts_them(make_desk: MakeDesk, settings: Any, tmp_path: Path) -> None:
    settings.SNAPSHOT_DIR = tmp_path
    desk = make_desk(3, SCHEMA, overlap=1)
    for n in (2.5, 2.5, 12):
        desk.label("alice", {"distance": n})
    job = start_snapshot(project=desk.project, actor=desk.cast.enzo, query=None)
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    assert claimed is not None
    run_snapshot(RunningJob(claimed))
    snapshot = Snapshot.objects.get(job=job)
    folder = published_folder(snapshot)
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text("utf-8").splitlines()]
    assert sorted(row["distance"] for row in rows) == [2.5, 2.5, 12]
    assert snapshot.manifest is not None
    assert snapshot.manifest["counts"]["labels"] == {"distance": {"2.5": 2, "12": 1}}
    croissant = json.loads((folder / "croissant.json").read_text("utf-8"))
    types = {field["@id"]: field["dataType"] for table in croissant["recordSet"] for field in table["field"]}
    assert types["labels/distance"] == types["annotations/distance"] == "sc:Float"
    assert "| 2\\.5 | 2 |" in (folder / "card.md").read_text("utf-8")
    api = Api(None)
    api.client.force_login(desk.cast.enzo)
    page = api.client.get(f"/p/forum/snapshots/{snapshot.version}/").content.decode()
    assert page.index("2.5\N{NO-BREAK SPACE}km") < page.index("12\N{NO-BREAK SPACE}km")


def test_few_numbers_are_counted_one_by_one_and_many_by_range() -> None:
    assert count_numbers({"2.5": 3, "12.0": 1}) == {"2.5": 3, "12": 1}
    many = count_numbers({str(n / 2): 1 for n in range(201)})
    assert len(many) == 20
    assert sum(many.values()) == 201
    assert next(iter(many.items())) == ("0..5", 10)
    assert many["95..100"] == 11  # the last range holds both its ends
