"""Models beside each other: one that is worse than the last is not used, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Item
from learning.models import ModelVersion
from learning.questions import learnable_questions
from learning.reports import current_model, learning_curve, model_rows
from tests.cast import Desk, MakeDesk, import_rows
from tests.learning_rows import PLAIN, SPAM, add, empty_desk, names_in, play, teach


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A holdout of 120 items, a dozen labels to learn from, and eight open items."""
    desk = empty_desk(make_desk)
    add(desk, 60, SPAM, "hs", "spam", Item.Split.HOLDOUT)
    add(desk, 60, PLAIN, "hp", "none", Item.Split.HOLDOUT)
    teach(desk)
    add(desk, 4, SPAM, "os")
    add(desk, 4, PLAIN, "op")
    return desk


def evaluation_of(model: ModelVersion | None) -> dict[str, Any]:
    assert model is not None
    assert model.evaluation is not None
    return dict(model.evaluation)


@pytest.mark.django_db
def test_a_model_that_is_worse_is_kept_but_not_used(desk: Desk) -> None:
    question = learnable_questions(desk.project)[0]
    first = play(desk, batch=2)
    assert evaluation_of(first.model_version)["beside"] is None
    add(desk, 30, SPAM, "ws", "none")
    add(desk, 30, PLAIN, "wp", "spam")
    second = play(desk, batch=2)
    assert second.model_version == first.model_version == current_model(desk.project, question)
    assert second.note.startswith("touchstone-logistic 2 is not used: on the same holdout items its macro-F1 is ")
    assert "points below that of touchstone-logistic 1, whose scores were used." in second.note
    assert second.n_selected == 2
    worse = ModelVersion.objects.get(project=desk.project, version="2")
    told = evaluation_of(worse)
    assert (told["is_worse"], told["beside"]["model"]) == (True, "touchstone-logistic 1")
    assert told["beside"]["gain"]["interval"][1] < 0
    assert {row["version"]: row["state"] for row in model_rows(desk.project)} == {"1": "kept", "2": "rejected"}
    assert [point["is_used"] for point in learning_curve(desk.project, question)] == [True, False]


@pytest.mark.django_db
def test_a_model_that_is_as_good_takes_over(desk: Desk) -> None:
    play(desk, batch=2)
    add(desk, 5, SPAM, "ms", "spam")
    second = play(desk, batch=2)
    told = evaluation_of(second.model_version)
    assert (str(second.model_version), told["is_worse"]) == ("touchstone-logistic 2", False)
    assert (told["beside"]["gain"]["value"], told["beside"]["gain"]["n_items"]) == (0.0, 120)
    assert second.note == ""


@pytest.mark.django_db
def test_what_chance_drew_is_judged_by_itself(desk: Desk) -> None:
    answer(desk, Item.objects.filter(external_id__startswith="os", project=desk.project)[:2])
    answer(desk, Item.objects.filter(external_id__startswith="op", project=desk.project)[:2])
    first = play(desk, batch=2, random_share=0.0)
    told = evaluation_of(first.model_version)
    assert (told["n_train"], told["by_chance"]["n_train"]) == (16, 4)  # nobody knows how imported labels were drawn
    assert told["by_chance"]["macro_f1"]["n_items"] == 120
    answer(desk, Item.objects.filter(draws__draw=first.draw))
    told = evaluation_of(play(desk, batch=2, random_share=1.0).model_version)
    assert (told["n_train"], told["by_chance"]["n_train"]) == (18, 4)


def answer(desk: Desk, items: Iterable[Item]) -> None:
    for item in items:
        desk.vote(item.external_id, alice="spam" if item.external_id.startswith("os") else "none")


@pytest.mark.django_db
def test_an_outside_model_is_compared_on_what_it_has_scored(desk: Desk) -> None:
    question = learnable_questions(desk.project)[0]
    play(desk, batch=2)
    own = ModelVersion.objects.get(project=desk.project)
    ModelVersion.objects.filter(pk=own.pk).update(is_current=False)
    ModelVersion.objects.create(
        project=desk.project,
        question=question["id"],
        name="vendor",
        version="1",
        origin=ModelVersion.Origin.EXTERNAL,
        classes=own.classes,
        is_current=True,
    )
    second = play(desk, batch=2)
    told = evaluation_of(second.model_version)["beside"]
    assert (told["model"], told["gain"]["refusal"]) == ("vendor 1", "holdout has 0 labels, 100 needed")
    assert str(current_model(desk.project, question)) == "touchstone-logistic 2"


@pytest.mark.django_db
def test_parts_of_the_holdout_stand_on_the_page(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    names = {"spam": names_in(desk, Item.Split.HOLDOUT, "hs"), "none": names_in(desk, Item.Split.HOLDOUT, "hp")}
    rows = [
        {
            "external_id": next(names[verdict]),
            "text": f"{text} {n}",
            "metadata": {"language": language},
            "annotations": [{"annotator": "ann", "answers": {"verdict": verdict}}],
        }
        for verdict, text in (("spam", SPAM), ("none", PLAIN))
        for language in ("en", "sw")
        for n in range(30)
    ]
    import_rows(desk.project, rows)
    teach(desk)
    done = play(desk, batch=2)
    found = {part["value"]: part["figure"]["n_items"] for part in evaluation_of(done.model_version)["slices"]}
    assert found == {"en": 60, "sw": 60}
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/p/forum/learning/").content.decode()
    assert "Accuracy on parts of the holdout" in page
    assert "language: sw" in page
    assert "At a threshold of its own" in page
    told = evaluation_of(done.model_version)
    at = {figures["choice"]: figures["at_threshold"] for figures in told["classes"]}
    assert 0 < at["spam"]["threshold"] < 1
    assert at["spam"]["f1_interval"][0] <= at["spam"]["f1"] <= at["spam"]["f1_interval"][1]
    assert told["settings"]["scale"] > 1
    assert "60 of 60 “spam” found" in page
    assert "share that is right" in page
