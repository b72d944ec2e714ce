"""Ratings go round the whole loop: learned, judged by how far off, scored, suggested, doubted, and sent in."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from annotation.actions import projects
from annotation.errors import InvalidError
from annotation.jobs import run_job
from annotation.models import Item, Seat
from annotation.serializers import show_lease
from learning.algorithms import ordered
from learning.algorithms.ordered import judge_distance
from learning.anchoring import anchoring
from learning.models import ModelVersion, Score
from learning.questions import default_question, learnable_questions, require_question
from learning.reports import current_model
from reviewers.consensus.voters import choose_version, names_of
from reviewers.models import ConsensusFit
from tests.api_client import Api
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, empty_desk, play, send_predictions
from tests.posterior_desk import POSTERIOR, fit
from tests.test_pages_project import as_person

HEAT = {"name": "verdict", "kind": "rating", "text": "How heated is it?", "required": True, "min": 1, "max": 5}
MIDDLE = "the weather report says rain"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()


def heat_desk(make_desk: MakeDesk, **options: Any) -> Desk:
    return empty_desk(make_desk, schema={"questions": [HEAT]}, **options)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Eighteen rated texts of three heats, and six open ones."""
    desk = heat_desk(make_desk)
    for text, prefix, heat in ((SPAM, "hot", 5), (MIDDLE, "mid", 3), (PLAIN, "cool", 1)):
        add(desk, 6, text, prefix, heat)
        add(desk, 2, text, f"open-{prefix}")
    return desk


# Which questions


def test_a_rating_that_is_added_does_not_change_what_a_project_learns(make_desk: MakeDesk) -> None:
    both = {"questions": [{**HEAT, "name": "heat"}, *CHOICE_SCHEMA["questions"]]}
    project = make_desk(schema=both).project
    assert [question["name"] for question in learnable_questions(project)] == ["heat", "verdict"]
    assert (default_question(project) or {})["name"] == "verdict"
    assert require_question(project, "heat")["kind"] == "rating"


def test_a_scale_that_is_too_long_is_refused_with_a_sentence(make_desk: MakeDesk) -> None:
    desk = make_desk(schema={"questions": [{**HEAT, "max": 21}, {**HEAT, "name": "percent", "min": 0, "max": 100}]})
    assert [question["name"] for question in learnable_questions(desk.project)] == ["verdict"]
    told = 'The scale of "percent" has 101 points: a model can learn one of at most 21.'
    with pytest.raises(InvalidError) as refused:
        require_question(desk.project, "percent")
    assert (refused.value.fields or {})["question"] == f"{told} Say which question: one of: verdict."
    answer = Api(desk.cast.olga).patch("projects/forum", {"learning": {"question": "percent"}})
    assert "has 101 points" in answer.json()["fields"]["learning"]


# A round


def test_a_round_learns_the_points_of_the_scale(desk: Desk) -> None:
    round_ = play(desk, batch=2)
    model = round_.model_version
    assert model is not None
    assert (model.kind, model.classes, model.n_train) == ("rating", [1, 2, 3, 4, 5], 18)
    said = Score.objects.filter(model_version=model).values_list("item__external_id", "choice")
    assert {(name.split("-")[1], heat) for name, heat in said} == {("hot", 5), ("mid", 3), ("cool", 1)}


def test_a_model_of_ratings_is_judged_by_how_far_off_it_is(desk: Desk) -> None:
    add(desk, 40, SPAM, "hh", 5, Item.Split.HOLDOUT)
    add(desk, 40, PLAIN, "hc", 1, Item.Split.HOLDOUT)
    add(desk, 20, PLAIN, "hw", 2, Item.Split.HOLDOUT)  # one point off
    figures = (play(desk, batch=2).model_version or ModelVersion()).evaluation or {}
    by_name = {figure["metric"]: figure for figure in figures["metrics"]}
    assert by_name["accuracy"]["value"] == 0.8
    off = by_name["mean_absolute_error"]
    assert (off["value"], off["n_items"], off["drawn"]) == (0.2, 100, "holdout")
    assert off["interval"][0] < 0.2 < off["interval"][1]
    assert by_name["cohen_kappa_quadratic"]["value"] > 0.95
    assert figures["choices"] == ["1", "2", "3", "4", "5"]
    html = as_person(desk.cast.enzo).get("/p/forum/learning/").content.decode()
    assert "Points of the scale off, on average" in html
    assert "Weighted kappa with the accepted ratings" in html
    job = Api(desk.cast.enzo).get("projects/forum/models/compare").json()["job"]
    run_job(int(job), heartbeat_seconds=600)
    html = as_person(desk.cast.enzo).get("/p/forum/learning/models/").content.decode()
    assert re.findall('<td data-label="(?:Accuracy|Points off|Calibration error)">.*?([0-9.]+)', html)[:2] == [
        "0.80",
        "0.20",
    ]
    assert "F1 by answer" in html


def test_ratings_that_look_like_others_are_doubted(make_desk: MakeDesk) -> None:
    desk = heat_desk(make_desk)
    add(desk, 60, SPAM, "hot", 5)
    add(desk, 48, PLAIN, "cool", 1)
    add(desk, 1, SPAM, "near", 4)
    (wrong,) = add(desk, 1, f"{SPAM} good morning", "wrong", 1)
    enzo = Api(desk.cast.enzo)
    run_job(int(enzo.post("projects/forum/label-errors", {}).json()["job"]), heartbeat_seconds=600)
    found = enzo.get("projects/forum/label-errors").json()["doubts"]
    assert found[0]["belief"] > found[1]["belief"]  # the farthest off comes first, not the least believed
    assert [(one["given"], one["looks_like"]) for one in found] == [("1", "5"), ("4", "5")]
    assert found[0]["item"]["id"] == str(wrong)
    assert "wrong-" in as_person(desk.cast.rita).get("/p/forum/learning/doubts/").content.decode()


# Sent in


def test_predictions_of_ratings_are_probabilities_of_points_or_answers(desk: Desk) -> None:
    names = list(Item.objects.filter(external_id__startswith="open-").values_list("external_id", flat=True))
    result = send_predictions(
        desk,
        [
            {"external_id": names[0], "proba": {"4": 0.7, "5": 0.3}},
            {"external_id": names[1], "answers": {"verdict": 2}},
            {"external_id": names[2], "proba": {"6": 1}},
            {"external_id": names[2], "answers": {"verdict": 2.5}},
            {"external_id": names[2], "answers": {"verdict": "2"}},
            {"external_id": names[2], "answers": {"verdict": True}},
        ],
    )
    reasons = [error["reason"] for error in result["errors"]]
    assert (result["accepted"], result["rejected"]) == (2, 4)
    assert "is not on the scale from 1 to 5." in reasons[0]
    assert reasons[1:] == ["The answer must be a whole number from 1 to 5."] * 3
    told = dict(Score.objects.values_list("item__external_id", "proba"))
    assert told == {names[0]: [0, 0, 0, pytest.approx(0.7), pytest.approx(0.3)], names[1]: [0, 1, 0, 0, 0]}
    assert dict(Score.objects.values_list("item__external_id", "choice")) == {names[0]: 4, names[1]: 2}


# At the desk


def all_say(desk: Desk, heat: int) -> None:
    send_predictions(
        desk, [{"external_id": item.external_id, "answers": {"verdict": heat}} for item in open_items(desk)]
    )


def open_items(desk: Desk) -> list[Item]:
    return list(Item.objects.filter(project=desk.project, lifecycle=Item.Lifecycle.OPEN))


def test_the_likeliest_rating_is_suggested_and_counted_as_followed(make_desk: MakeDesk) -> None:
    desk = heat_desk(make_desk, suggestions=True, blind_share=0.1, max_held=50)
    add(desk, 45, PLAIN, "w")
    all_say(desk, 4)
    raw = desk.lease_one("alice")
    shown = show_lease(raw, desk.access("alice"))["item"]["suggestion"]
    assert shown == {"model": "llm 1", "answers": {"verdict": 4}, "score": 1.0}
    desk.submit("alice", raw, {"verdict": 4})
    for raw in desk.lease("alice", 39).leases:
        desk.submit("alice", raw, {"verdict": 4 if raw["suggestion"] else 3})
    (question,) = learnable_questions(desk.project)
    figures = {figure["metric"]: figure for figure in anchoring(desk.project, question)["metrics"]}
    n_shown = Seat.objects.filter(arm=Seat.Arm.SHOWN).count()
    assert figures["agreement_shown"]["n_labels"] == n_shown > 30
    assert figures["agreement_shown"]["value"] == 1


def test_what_a_model_said_of_choices_is_no_rating_once_the_question_is_one(make_desk: MakeDesk) -> None:
    desk = make_desk(n=5, suggestions=True, blind_share=0.1)
    send_predictions(desk, [{"external_id": f"t-{i}", "answers": {"verdict": "insult"}} for i in range(1, 6)])
    (question,) = learnable_questions(desk.project)
    assert current_model(desk.project, question) is not None
    change = {"verdict": {"none": None, "spam": None, "insult": None}}
    projects.put_schema(project=desk.project, schema={"questions": [HEAT]}, map=change, actor=desk.cast.olga)
    desk.project.refresh_from_db()
    (question,) = learnable_questions(desk.project)
    assert (question["id"], question["kind"]) == (1, "rating")
    assert current_model(desk.project, question) is None
    assert desk.lease_one("alice")["suggestion"] is None
    assert names_of(desk.project) == []
    result = send_predictions(desk, [{"external_id": "t-1", "answers": {"verdict": 3}}])
    assert "Send a new `version`" in result["errors"][0]["reason"]


def test_an_outside_model_of_ratings_may_vote(make_desk: MakeDesk) -> None:
    given = [{"annotator": name, "answers": {"verdict": 4}} for name in ("ann", "ben")]
    other = [{"annotator": name, "answers": {"verdict": 2}} for name in ("ann", "ben")]
    rows = [{"external_id": f"p-{i}", "text": f"p {i}", "annotations": given if i % 2 else other} for i in range(120)]
    desk = make_desk(schema={"questions": [HEAT]}, rows=rows, overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    send_predictions(desk, [{"external_id": f"p-{i}", "answers": {"verdict": 4 if i % 2 else 2}} for i in range(120)])
    assert names_of(desk.project) == ["llm"]
    desk.project = projects.change_project(
        project=desk.project, settings={"rule": {**POSTERIOR, "voter": "llm"}}, actor=desk.cast.olga
    )
    fit(desk)
    found = ConsensusFit.objects.get(is_current=True)
    assert (found.voter or {})["refusal"] is None
    version, answers = choose_version(desk.project, learnable_questions(desk.project)[0], [])
    assert version is not None
    assert answers is not None
    assert {found.values[at] for at in answers.value} == {2, 4}


# How far off


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = np.array([-2, 0, 1, 5])
    accepted, predicted = scale[rng.integers(0, 4, 200)], scale[rng.integers(0, 4, 200)]
    error, kappa = judge_distance(metrics.confusion_matrix(accepted, predicted, labels=scale), scale, rng=rng)
    assert error.value == pytest.approx(metrics.mean_absolute_error(accepted, predicted))
    assert error.interval is not None
    assert error.value is not None
    assert error.interval[0] < error.value < error.interval[1]
    off = np.abs(accepted - predicted)
    assert error.interval[1] - error.interval[0] == pytest.approx(3.92 * off.std() / np.sqrt(200), rel=0.15)
    assert kappa.n_labels == 200
    spread = 1 - ((accepted - predicted) ** 2).mean() / ((accepted[:, None] - predicted) ** 2).mean()
    assert kappa.value == pytest.approx(spread)


def test_no_error_seen_is_not_no_error_possible() -> None:
    error, kappa = judge_distance(np.diag([60, 60]), [1, 5], rng=np.random.default_rng(0))
    assert (error.value, kappa.value) == (0, 1)
    assert error.interval == pytest.approx((0, 4 * 0.0303), abs=0.001)


def test_few_items_or_one_point_are_refused() -> None:
    rng = np.random.default_rng(0)
    few = judge_distance([[3, 1], [0, 2]], [1, 2], rng=rng)
    assert [figure.refusal for figure in few] == ["holdout has 6 labels, 100 needed"] * 2
    error, kappa = judge_distance([[120, 0], [0, 0]], [1, 2], rng=rng)
    assert (error.value, kappa.refusal) == (0, "only 1 class occurs")


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(ordered).failed == 0
