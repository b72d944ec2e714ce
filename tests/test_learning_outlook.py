"""What the next labels are expected to bring, on the page and over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from learning.models import ModelVersion, Round
from learning.questions import learnable_questions
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, add, empty_desk, play, teach

PATH = "projects/forum/learning-curve"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A project that nothing has been learned in."""
    return empty_desk(make_desk)


def judge(desk: Desk, curve: dict[int, float | None]) -> None:
    """One round and model for each number of labels, with the macro-F1 that it had on the holdout."""
    question = learnable_questions(desk.project)[0]["id"]
    for number, (n_train, value) in enumerate(curve.items(), start=1):
        figure = {"metric": "macro_f1", "value": value, "interval": None, "level": 0.95, "method": "", "n_items": 300}
        figure |= {"refusal": None if value is not None else "holdout has 12 labels, 100 needed"}
        model = ModelVersion.objects.create(
            project=desk.project,
            question=question,
            name="touchstone-logistic",
            version=str(number),
            origin=ModelVersion.Origin.TRAINED,
            classes=[1, 2, 3],
            n_train=n_train,
            evaluation={"metrics": [figure], "classes": [], "confusion": [], "round": number, "strategy": "margin"}
            | {"is_worse": False, "by_chance": None},
        )
        Round.objects.create(
            project=desk.project,
            number=number,
            question=question,
            trigger=Round.Trigger.DEMAND,
            strategy="margin",
            batch=100,
            random_share=0.2,
            seed=1,
            model_version=model,
            n_train=n_train,
            n_selected=100,
            finished_at=timezone.now(),
        )


def open_page(desk: Desk) -> Any:
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    return client.get("/p/forum/learning/")


def rising(ceiling: float, scale: float) -> dict[int, float | None]:
    return {n: ceiling - scale * n**-0.7 for n in range(100, 1000, 100)}


@pytest.mark.django_db
def test_a_rising_curve_asks_for_more_labels(desk: Desk) -> None:
    judge(desk, rising(0.9, 12))
    told = Api(desk.cast.enzo).get(PATH).json()
    gain, by_chance = told["metrics"]
    assert (told["advice"], gain["metric"], gain["n_items"], gain["n_labels"]) == ("go_on", "expected_gain", 300, 900)
    truth = 12 * (900**-0.7 - 1400**-0.7)
    assert gain["interval"][0] <= truth <= gain["interval"][1]
    assert told["reason"].startswith("500 labels more are expected to raise macro-F1 by ")
    assert [point["n_train"] for point in told["points"]] == list(range(100, 1000, 100))
    assert by_chance["refusal"] == "0 models judged, 5 needed"


@pytest.mark.django_db
def test_what_chance_alone_would_have_taken_is_told(desk: Desk) -> None:
    judge(desk, rising(0.9, 12))
    for model in ModelVersion.objects.all():
        n = (model.n_train or 0) * 3 // 4
        told = model.evaluation or {}
        told["by_chance"] = {"n_train": n, "macro_f1": told["metrics"][0] | {"value": 0.9 - 14 * n**-0.7}}
        model.save()
    _gain, by_chance = Api(desk.cast.enzo).get(PATH).json()["metrics"]
    truth = (14 / (12 * 900**-0.7)) ** (1 / 0.7)
    assert by_chance["interval"][0] <= truth <= by_chance["interval"][1]
    assert by_chance["value"] == pytest.approx(truth, rel=0.1)
    page = open_page(desk).content.decode()
    assert "Labels it would have taken, all drawn by chance" in page
    assert "by chance alone" in page


@pytest.mark.django_db
def test_a_level_curve_says_that_labels_hardly_help(desk: Desk) -> None:
    judge(desk, rising(0.8, 0.0))
    told = Api(desk.cast.enzo).get(PATH).json()
    assert told["advice"] == "stop"
    assert "at most. Labels will hardly help any more" in told["reason"]
    page = open_page(desk).content.decode()
    assert "More labels will hardly help" in page
    assert "Macro-F1 gained by 500 labels more, expected" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("curve", "refusal"),
    [
        ({}, "0 models judged, 5 needed"),
        ({100: None, 200: None}, "0 models judged, 5 needed"),
        ({100: 0.5, 200: 0.6}, "2 models judged, 5 needed"),
    ],
)
def test_too_few_models_are_refused_by_name(desk: Desk, curve: dict[int, Any], refusal: str) -> None:
    judge(desk, curve)
    told = Api(desk.cast.enzo).get(PATH).json()
    assert (told["advice"], told["metrics"][0]["refusal"], told["metrics"][0]["value"]) == ("unclear", refusal, None)
    assert len(told["points"]) == len(curve)
    assert open_page(desk).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("every", "begins"), [(50, "starts by itself"), (None, "start a round")])
def test_until_there_is_a_model_the_page_says_what_one_takes(
    make_desk: MakeDesk, every: int | None, begins: str
) -> None:
    desk = empty_desk(make_desk, learning={"every": every})
    add(desk, 8, PLAIN, "open")
    assert "No round yet" in open_page(desk).text
    play(desk)
    told = open_page(desk).text
    assert ("No round yet" in told, "No model yet" in told, begins in told) == (False, True, True)
    teach(desk)
    play(desk)
    assert "No model yet" not in open_page(desk).text
