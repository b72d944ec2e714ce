"""The estimator of a project's settings: what rounds make of it, how models are called, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.actions.projects import change_project
from annotation.errors import InvalidError
from annotation.jobs import JobFailedError
from annotation.settings import LEARNING_DEFAULTS
from learning.algorithms.estimators.descent import has_torch
from learning.predictions import PredictionError, parse_prediction
from learning.reports import model_rows
from learning.scoring import unpack_model
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, ask, attempt, empty_desk, play, teach

with_torch = pytest.mark.skipif(not has_torch(), reason="torch is not installed")


@pytest.fixture(autouse=True)
def folders(tmp_path: Any, settings: Any) -> None:
    settings.MODEL_DIR = tmp_path / "models"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    desk = empty_desk(make_desk)
    teach(desk)
    add(desk, 4, SPAM, "os")
    add(desk, 4, PLAIN, "op")
    return desk


def choose(desk: Desk, estimator: str) -> None:
    learning = {**LEARNING_DEFAULTS, "every": None, "estimator": estimator}
    change_project(project=desk.project, actor=desk.cast.olga, settings={"learning": learning})
    desk.project.refresh_from_db()


@with_torch
@pytest.mark.django_db
def test_round_fits_the_estimator_that_is_set_and_the_model_says_so(desk: Desk) -> None:
    play(desk)
    choose(desk, "embedding_bag")
    done = play(desk)
    assert done.model_version is not None
    assert str(done.model_version) == "touchstone-embedding-bag 2"
    assert (done.model_version.evaluation or {})["settings"]["estimator"] == "embedding_bag"
    _features, model = unpack_model(done.model_version)
    assert type(model).__name__ == "EmbeddingBagModel"
    assert [(row["name"], row["version"]) for row in model_rows(desk.project)] == [
        ("touchstone-embedding-bag", "2"),
        ("touchstone-logistic", "1"),
    ]


@with_torch
@pytest.mark.django_db
def test_bare_name_of_any_model_that_is_trained_here_asks_for_training(desk: Desk) -> None:
    choose(desk, "embedding_bag")
    play(desk)
    done = play(desk, model="touchstone-logistic")  # what a program sends that was written before
    assert str(done.model_version) == "touchstone-embedding-bag 2"
    again = play(desk, model="touchstone-embedding-bag@1")
    assert str(again.model_version) == "touchstone-embedding-bag 1"


@pytest.mark.django_db
def test_estimator_that_cannot_read_the_items_fails_the_round_with_a_reason(desk: Desk) -> None:
    choose(desk, "cnn")
    running = attempt(ask(desk))
    with pytest.raises(JobFailedError, match=r"^No model could be made: the estimator cnn learns from pixels"):
        run_round(running)
    (round_,) = desk.project.rounds.all()
    assert "choose another" in round_.note


@pytest.mark.django_db
def test_round_on_a_host_without_torch_says_what_to_install(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(desk, "embedding_bag")
    monkeypatch.setattr("learning.algorithms.estimators.descent.find_spec", lambda name: None)
    with pytest.raises(JobFailedError, match=r"needs torch.*pip install 'touchstone\[torch\]'$"):
        run_round(attempt(ask(desk)))


@pytest.mark.django_db
def test_setting_is_refused_where_it_is_no_estimator_or_torch_is_missing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidError) as unknown:
        choose(desk, "forest")
    assert unknown.value.fields["learning"].startswith("`estimator`: one of: auto, logistic, ")
    monkeypatch.setattr("annotation.settings.find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(InvalidError) as missing:
        choose(desk, "cnn")
    assert "pip install 'touchstone[torch]'" in missing.value.fields["learning"]
    monkeypatch.setattr("annotation.settings.find_spec", lambda name: None)  # a web node: its workers may have it
    choose(desk, "cnn")


@pytest.mark.parametrize("name", ["touchstone-logistic", "touchstone-cnn", "touchstone-fusion"])
def test_names_of_models_trained_here_cannot_be_sent(name: str) -> None:
    with pytest.raises(PredictionError, match="belongs to models trained here"):
        parse_prediction({"external_id": "a", "model": name, "answers": {}}, [])
