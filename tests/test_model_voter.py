"""A model that votes beside people: its worth is learnt, it is named where it counted, and it settles nothing alone."""

from __future__ import annotations

import doctest
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from django.db import connection

from annotation import queue
from annotation.actions.projects import change_project
from annotation.audit import find_violations
from annotation.errors import InvalidError
from annotation.models import Item, Project
from learning.actions.models import ensure_external_model, write_scores
from learning.models import ModelVersion
from reviewers.algorithms import voter as module
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.fitting import fit_skills
from reviewers.algorithms.one_coin import one_coin
from reviewers.algorithms.posterior import weigh
from reviewers.algorithms.voter import MODEL, ModelAnswers, add_answers, is_checked
from reviewers.consensus.preview import count_by_voter, preview_rule
from reviewers.consensus.voters import load_answers
from reviewers.consensus.weighing import find_outdated, load_crowd, skills_of, weighed_questions
from reviewers.models import ConsensusAnnotator, ConsensusFit, Resolution
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.posterior_desk import PEOPLE, POSTERIOR, VALUES, fit, know, past_rows, state_of
from tests.test_pages_project import as_person
from tests.test_snapshots import label_rows, publish
from tests.touched_rows import rows_read

pytestmark = pytest.mark.django_db

VOTER = {**POSTERIOR, "voter": "oracle"}
CLASSES = [1, 2, 3]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0


def plant(accuracy: float, n_items: int = 1500, seed: int = 1, n_values: int = 3) -> tuple[CrowdLabels, ModelAnswers]:
    """Two labels an item by twelve people who are right in 0.85, and a model's answer."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_values, n_items)
    item = np.repeat(np.arange(n_items), 2)
    annotator = np.argsort(rng.random((n_items, 12)), axis=1)[:, :2].ravel()

    def answer(true: Any, share: float) -> Any:
        wrong = (true + rng.integers(1, n_values, len(true))) % n_values
        return np.where(rng.random(len(true)) < share, true, wrong)

    labels = CrowdLabels.from_codes(item, annotator, answer(truth[item], 0.85), n_values)
    return labels, ModelAnswers(np.arange(n_items), answer(truth, accuracy))


@pytest.mark.parametrize("accuracy", [0.9, 0.6, 1 / 3])
def test_a_model_is_found_to_be_worth_what_was_planted(accuracy: float) -> None:
    labels, answers = plant(accuracy)
    worth = fit_skills(labels, "dawid_skene", model=answers).voter
    assert worth is not None
    assert worth.accuracy == pytest.approx(accuracy, abs=0.03)
    assert worth.interval[0] < worth.accuracy < worth.interval[1]
    assert 0.03 < worth.interval[1] - worth.interval[0] < 0.06  # of 1,500 items that are known it would be 0.03 to 0.05
    assert (worth.n_items, worth.n_annotators, worth.n_known) == (1500, 12, 0)


def test_a_model_that_guesses_changes_little() -> None:
    labels, answers = plant(1 / 3)
    alone, beside = fit_skills(labels), fit_skills(labels, model=answers)
    assert alone.skills is not None
    assert beside.skills is not None
    moved = weigh(add_answers(labels, answers), beside.skills) - weigh(labels, alone.skills)
    assert np.abs(moved).mean() < 0.03
    assert beside.skills.annotator_ids[0] == MODEL


def test_people_who_are_alike_share_an_accuracy_and_the_model_has_its_own() -> None:
    labels, answers = plant(0.5)
    found = one_coin(add_answers(labels, answers), is_shared=True, apart=[MODEL])
    assert found.accuracy is not None
    assert found.accuracy[0] == pytest.approx(0.5, abs=0.05)
    assert np.ptp(found.accuracy[1:]) == 0
    assert found.accuracy[1] == pytest.approx(0.85, abs=0.03)


def test_a_stranger_is_what_people_are_whatever_the_model_is() -> None:
    labels, answers = plant(0.34)
    found = fit_skills(labels, "one_coin", model=answers)
    assert found.skills is not None
    assert np.exp(np.diag(found.skills.stranger)).mean() == pytest.approx(0.85, abs=0.03)


def test_known_items_that_nobody_answered_show_what_a_model_is_worth() -> None:
    labels, answers = plant(0.9)
    more = ModelAnswers(np.append(answers.item, np.arange(9000, 9400)), np.append(answers.value, np.zeros(400, int)))
    found = fit_skills(labels, "dawid_skene", model=more, gold=dict.fromkeys(range(9000, 9400), 1))
    assert found.voter is not None
    assert (found.voter.n_items, found.voter.n_known) == (1900, 400)
    assert found.voter.accuracy < 0.75


def test_one_persons_answer_beside_the_models_teaches_nothing() -> None:
    labels, answers = plant(0.9)
    lone = np.arange(5000, 6000)
    more = CrowdLabels.from_codes(
        np.concatenate([labels.item_ids[labels.item], lone]),
        np.concatenate([labels.annotator, np.zeros(1000, int)]),
        np.concatenate([labels.value, np.zeros(1000, int)]),
        3,
    )
    said = ModelAnswers(np.concatenate([answers.item, lone]), np.concatenate([answers.value, np.ones(1000, int)]))
    alone, beside = fit_skills(labels, "one_coin", model=answers), fit_skills(more, "one_coin", model=said)
    assert alone.skills is not None
    assert beside.skills is not None
    assert (alone.skills.log_chances == beside.skills.log_chances).all()


def test_a_model_that_answered_too_little_does_not_count() -> None:
    labels, answers = plant(0.9)
    found = fit_skills(labels, model=answers.only(answers.item < 49))
    assert found.voter is None
    assert found.voter_refusal == "it has answered 49 of the items that have two answers or are known, 50 are needed"
    assert found.labels.annotator_ids.min() >= 0


# --- In a project ----------------------------------------------------------------------------------------------------


def send(desk: Desk, said: dict[str, str], version: str = "1", name: str = "oracle") -> ModelVersion:
    """Predictions of an outside model, as the job stores them."""
    model = ensure_external_model(project=desk.project, question=1, name=name, version=version, classes=CLASSES)
    ids = dict(Item.objects.filter(external_id__in=said).values_list("external_id", "pk"))
    proba = np.array([[0.8 if value == one else 0.1 for one in VALUES] for value in said.values()])
    write_scores(
        model=model,
        items=np.array([ids[external] for external in said], np.int64),
        proba=proba,
        utilities=np.zeros(len(said)),
        classes=CLASSES,
        check=lambda: None,
        is_sent=True,
    )
    return model


def past_answers(n: int = 60, share: float = 0.9, prefix: str = "p") -> dict[str, str]:
    rng = Random(5)
    return {
        f"{prefix}-{i}": VALUES[i % 3]
        if rng.random() < share
        else rng.choice([v for v in VALUES if v != VALUES[i % 3]])
        for i in range(n)
    }


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """All items in the pool, whatever the project's seed: of the holdout no model is asked."""
    monkeypatch.setattr("annotation.actions.imports.split_of", lambda *_: Item.Split.POOL)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Sixty items that people and a model have answered, and four fresh ones; the rule names the model."""
    rows = past_rows() + [{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in range(1, 5)]
    desk = make_desk(rows=rows, overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    send(desk, past_answers() | {"t-1": "spam", "t-2": "none"})
    desk.project = change_project(project=desk.project, settings={"rule": VOTER}, actor=desk.cast.olga)
    fit(desk)
    for name in PEOPLE:
        ConsensusAnnotator.objects.filter(person__shown_name=name).update(person=desk.cast[name])
    return desk


def resolution(desk: Desk, name: str) -> Resolution:
    return Resolution.objects.get(item=desk.item(name))


def outdated(desk: Desk) -> list[int]:
    found = ConsensusFit.objects.get(is_current=True)
    (question,) = weighed_questions(desk.project.schema.compiled)  # type: ignore[union-attr]
    assert found.voter_model is not None
    answers = load_answers(desk.project, question, found.voter_model)
    return find_outdated(desk.project, found, load_crowd(desk.project, question), answers)


def test_the_model_settles_with_people_what_they_alone_would_not(desk: Desk) -> None:
    know(desk, alice=0.7, bob=0.7)
    assert desk.vote("t-3", alice="spam", bob="spam") == "open"
    assert desk.vote("t-1", alice="spam", bob="spam") == "agreed"
    row = resolution(desk, "t-1")
    assert (row.method, row.votes, row.n_votes) == ("dawid_skene+model", {"2": 2}, 2)
    assert state_of(desk, "t-1") == ("agreed", 2, 2)
    assert count_by_voter(desk.project).n_only >= 1
    assert find_violations() == {}


def test_where_the_model_says_something_else_more_people_are_asked(desk: Desk) -> None:
    know(desk, alice=0.85, bob=0.85)
    assert desk.vote("t-3", alice="spam", bob="spam") == "agreed"
    assert desk.vote("t-2", alice="spam", bob="spam") == "open"


def test_every_stored_item_is_weighed_with_the_model_as_the_arrays_weigh_it(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="none", carol="insult", rita="insult")
    desk.vote("t-3", alice="spam", bob="spam")
    (question,) = weighed_questions(desk.project.schema.compiled)  # type: ignore[union-attr]
    found = ConsensusFit.objects.get(is_current=True)
    skills = skills_of(found)
    assert skills is not None
    assert found.voter_model is not None
    labels = load_crowd(desk.project, question)
    answers = load_answers(desk.project, question, found.voter_model)
    expected = weigh(add_answers(labels, answers), skills)
    with connection.cursor() as cursor:
        cursor.execute(
            "select q.item_id, w.best, w.confidence, w.has_model, w.is_backed from annotation_queuerow q"
            " cross join lateral reviewers_weigh(q.id, q.project_id, 1::smallint, q.item_id, 'oracle') w"
            " where q.n_submitted > 0 order by q.item_id"
        )
        rows = cursor.fetchall()
    said = answers.values_on(labels.item_ids)
    assert [row[0] for row in rows] == labels.item_ids.tolist()
    assert [row[1] for row in rows] == [found.values[at] for at in expected.argmax(axis=1)]
    assert [row[2] for row in rows] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-12)
    assert [row[3] for row in rows] == (said >= 0).tolist()
    assert [row[4] for row in rows] == (said == expected.argmax(axis=1)).tolist()


def test_a_fit_names_the_version_and_what_it_is_worth(desk: Desk) -> None:
    body = Api(desk.cast.enzo).get("projects/forum/consensus").json()
    voter = body["questions"][0]["fit"]["voter"]
    assert (voter["name"], voter["version"], voter["refusal"]) == ("oracle", "1", None)
    assert (voter["n_items"], voter["n_annotators"], voter["n_known"]) == (60, 3, 0)
    assert voter["interval"][0] < voter["accuracy"] < voter["interval"][1]
    assert voter["accuracy"] == pytest.approx(0.9, abs=0.06)
    assert body["agreed_by_voter"]["n_items"] == Resolution.objects.filter(method="dawid_skene+model", state=1).count()
    html = as_person(desk.cast.olga).get("/p/forum/rule/").content.decode()
    assert "The model “oracle” votes too" in html
    assert "agreed items have the model's vote" in html
    assert "and of the model “oracle”, which votes too" in as_person(desk.cast.olga).get("/p/forum/").content.decode()


def test_a_resolution_names_the_model_that_counted(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="spam")
    desk.vote("t-3", alice="spam", bob="spam")
    rows = Api(desk.cast.enzo).get("projects/forum/resolutions?state=agreed&limit=500").json()["results"]
    by_name = {row["item"]["external_id"]: row for row in rows}
    assert by_name["t-1"]["voter"] == {"name": "oracle", "version": "1"}
    assert by_name["t-1"]["votes"] == {"spam": 2}
    assert (by_name["t-3"]["voter"], by_name["t-3"]["method"]) == (None, "dawid_skene")


def test_a_reviewer_sees_that_the_model_counted(desk: Desk) -> None:
    Project.objects.update(overlap_max=2)
    assert desk.vote("t-1", alice="insult", bob="none") == "disputed"
    html = as_person(desk.cast.rita).get(f"/p/forum/disputes/{desk.item('t-1').pk}/").content.decode()
    assert "By what is known of these annotators and of the model “oracle” (version 1): " in html


def test_of_the_holdout_people_alone_are_asked(desk: Desk) -> None:
    Item.objects.filter(external_id__in=["t-1", "p-0"]).update(split=Item.Split.HOLDOUT)
    desk.vote("t-1", alice="spam", bob="spam")
    assert resolution(desk, "t-1").method == "dawid_skene"
    fit(desk)
    found = ConsensusFit.objects.get(is_current=True)
    assert found.voter is not None
    assert found.voter["n_items"] == 59


def test_predictions_that_change_later_count_from_the_next_fit(desk: Desk) -> None:
    know(desk, alice=0.7, bob=0.7)
    desk.vote("t-1", alice="spam", bob="spam")
    send(desk, {"t-1": "none"})
    assert (resolution(desk, "t-1").state, resolution(desk, "t-1").method) == (1, "dawid_skene+model")
    assert desk.item("t-1").pk in outdated(desk)
    fit(desk)
    assert resolution(desk, "t-1").state == Resolution.State.OPEN


def test_another_version_counts_from_the_next_fit_once_it_has_said_enough(desk: Desk) -> None:
    send(desk, {"t-3": "spam"}, version="2")
    desk.vote("t-3", alice="spam", bob="spam")
    assert resolution(desk, "t-3").method == "dawid_skene"
    fit(desk)
    assert ConsensusFit.objects.get(is_current=True).voter["version"] == "1"  # type: ignore[index]
    send(desk, past_answers(), version="2")
    fit(desk)
    assert ConsensusFit.objects.get(is_current=True).voter["version"] == "2"  # type: ignore[index]
    assert "+model" in resolution(desk, "p-1").method
    assert outdated(desk) == []


def test_a_rule_without_the_model_shows_what_would_open_and_people_alone_count(desk: Desk) -> None:
    know(desk, alice=0.7, bob=0.7)
    desk.vote("t-1", alice="spam", bob="spam")
    changed = {one.kind: one.n for one in preview_rule(desk.project, POSTERIOR).changes}
    assert changed["open"] >= 1
    Project.objects.update(rule=POSTERIOR)
    queue.settle(row_ids=[desk.row("t-1").pk])
    assert state_of(desk, "t-1") == ("open", 2, 3)


def test_a_rule_that_names_a_model_not_yet_compared_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=past_rows(), overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    fit(desk)
    send(desk, past_answers())
    html = as_person(desk.cast.olga).get("/p/forum/rule/?kind=posterior&threshold=0.95&voter=oracle").content.decode()
    assert "What the model “oracle” is worth is not known yet" in html
    assert 'name="voter" value="oracle"' in html
    sent = as_person(desk.cast.olga).post(
        "/p/forum/rule/", {"kind": "posterior", "threshold": "0.9", "voter": "oracle"}
    )
    assert sent.status_code == 302
    assert Project.objects.get().rule == {
        "kind": "posterior",
        "threshold": 0.9,
        "method": "evidence",
        "voter": "oracle",
    }


def test_a_model_that_said_too_little_is_named_with_the_reason(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=past_rows(), overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    send(desk, past_answers(20))
    desk.project = change_project(project=desk.project, settings={"rule": VOTER}, actor=desk.cast.olga)
    fit(desk)
    assert not Resolution.objects.filter(method__endswith="+model").exists()
    html = as_person(desk.cast.olga).get("/p/forum/rule/").content.decode()
    assert (
        "It does not count: it has answered 20 of the items that have two answers or are known, 50 are needed." in html
    )


@pytest.fixture
def single(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Three hundred items that people and a model have answered, sixty fresh ones; one answer beside it is enough."""
    fresh = [{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in range(60)]
    with monkeypatch.context() as patched:
        patched.setattr("annotation.actions.imports.secrets.randbits", Random(1).getrandbits)  # the items' ids
        desk = make_desk(rows=past_rows(300) + fresh, overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    send(desk, past_answers(300) | {f"t-{i}": "spam" for i in range(59)})
    settings = {"rule": VOTER, "overlap": {"min": 1, "max": 3}}
    desk.project = change_project(project=desk.project, settings=settings, actor=desk.cast.olga)
    Project.objects.update(overlap_min=1)
    fit(desk)
    for name in PEOPLE:
        ConsensusAnnotator.objects.filter(person__shown_name=name).update(person=desk.cast[name])
    know(desk, alice=0.9, bob=0.9)
    return desk


def names(desk: Desk, *, checked: bool) -> list[str]:
    """Fresh items that the model has answered, and whether they are people's alone."""
    found = Item.objects.filter(external_id__startswith="t-").exclude(external_id="t-59").order_by("pk")
    return [one.external_id for one in found if bool(is_checked(np.array([one.pk]))[0]) == checked]


def test_a_snapshot_says_where_the_model_counted(single: Desk, tmp_path: Path, settings: Any) -> None:
    settings.SNAPSHOT_DIR = tmp_path
    single.vote(names(single, checked=False)[0], alice="spam")
    snapshot = publish(single)
    sources = Counter(row["verdict.source"] for row in label_rows(snapshot))
    counts = (snapshot.manifest or {})["counts"]
    assert sources.keys() == {"vote", "vote+model"}
    assert (counts["by_vote"], counts["by_vote_with_model"]) == (sources.total(), sources["vote+model"])


def test_one_person_and_the_model_settle_what_both_say(single: Desk) -> None:
    first, second, *_rest = names(single, checked=False)
    assert single.vote(first, alice="spam") == "agreed"
    assert (state_of(single, first), resolution(single, first).method) == (("agreed", 1, 1), "dawid_skene+model")
    assert single.vote(second, alice="none") == "open"
    assert state_of(single, second) == ("open", 1, 2)
    assert find_violations() == {}


def test_one_person_alone_settles_nothing_however_good(single: Desk) -> None:
    know(single, alice=0.9999)
    checked, *_rest = names(single, checked=True)
    assert single.vote("t-59", alice="spam") == "open"  # the model says nothing of it
    assert single.vote(checked, alice="spam") == "open"  # people and model are judged by it
    assert single.vote(names(single, checked=False)[0], alice="none") == "open"
    assert single.vote(checked, bob="spam") == "agreed"
    assert resolution(single, checked).method == "dawid_skene"
    fit(single)
    assert outdated(single) == []


def test_a_fit_beside_one_answer_is_of_the_items_that_are_peoples_alone(single: Desk) -> None:
    found = ConsensusFit.objects.get(is_current=True)
    items = Item.objects.filter(external_id__startswith="p-").values_list("pk", flat=True)
    assert found.n_items == is_checked(np.array(list(items))).sum()
    assert found.voter is not None
    assert found.voter["n_items"] == found.n_items


def test_a_submit_asks_the_model_only_where_the_rule_names_one(desk: Desk) -> None:
    desk.vote("t-1", alice="spam")
    Project.objects.update(rule=POSTERIOR)
    assert _read_by(desk, "t-3") == 0
    Project.objects.update(rule=VOTER)
    assert _read_by(desk, "t-1") == 1


def _read_by(desk: Desk, name: str) -> int:
    """Rows of the models' scores that bob's answer reads."""
    before = rows_read()
    desk.vote(name, bob="spam")
    return (rows_read() - before)["learning_score"]


# --- What is refused -------------------------------------------------------------------------------------------------


def refusal(desk: Desk, **settings: Any) -> str:
    with pytest.raises(InvalidError) as refused:
        change_project(project=Project.objects.get(), settings=settings, actor=desk.cast.olga)
    return " ".join(refused.value.fields.values())


def test_a_model_that_was_trained_here_may_not_vote(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    ModelVersion.objects.create(
        project=desk.project, question=1, name="touchstone-logistic", version="1", origin="trained", classes=CLASSES
    )
    told = refusal(desk, rule={**POSTERIOR, "voter": "touchstone-logistic"})
    assert "was trained here, on these very labels: it would be asked about what it was told" in told


def test_a_model_that_nobody_knows_may_not_vote(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    assert 'no model called "oracle" has sent predictions here' in refusal(desk, rule=VOTER)
    assert "is not a text" in refusal(desk, rule={**POSTERIOR, "voter": 3})
    assert (
        change_project(project=desk.project, settings={"rule": {**POSTERIOR, "voter": None}}, actor=desk.cast.olga).rule
        == POSTERIOR
    )


def test_no_model_votes_where_suggestions_are_shown(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    send(desk, {"t-1": "spam"})
    both = {"suggestions": True, "blind_share": 0.2}
    assert "it would be counted twice" in refusal(desk, rule=VOTER, **both)
    change_project(project=desk.project, settings={"rule": VOTER}, actor=desk.cast.olga)
    assert "it would be counted twice" in refusal(desk, **both)


def test_one_answer_is_enough_only_beside_a_model_and_where_two_may_be_asked(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    send(desk, {"t-1": "spam"})
    assert "at least two answers" in refusal(desk, rule=POSTERIOR, overlap={"min": 1, "max": 3})
    assert "a second person is asked" in refusal(desk, rule=VOTER, overlap=1)
    change_project(
        project=desk.project, settings={"rule": VOTER, "overlap": {"min": 1, "max": 3}}, actor=desk.cast.olga
    )
    assert "at least two answers" in refusal(desk, rule=POSTERIOR)
