"""Models side by side: on which labels each is judged, what is refused, and what the page and the API tell of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client

from annotation.jobs import run_job
from annotation.models import Item, Job
from learning.loading import load_sent_proba
from learning.models import ModelVersion, Score
from reviewers.algorithms.intervals import wilson
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, empty_desk, play, teach
from tests.touched_rows import rows_read

PATH = "projects/forum/models/compare"
PAGE = "/p/forum/learning/models/"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A holdout of 120 labels, 60 of each kind, and no model."""
    desk = empty_desk(make_desk)
    add(desk, 60, SPAM, "hs", "spam", Item.Split.HOLDOUT)
    add(desk, 60, PLAIN, "hp", "none", Item.Split.HOLDOUT)
    return desk


def holdout(desk: Desk) -> list[tuple[int, int]]:
    """Item and the position of its label: those of `none` first."""
    rows = Item.objects.filter(project=desk.project, split=Item.Split.HOLDOUT).order_by("external_id")
    return [(item.pk, int(item.external_id.startswith("hs"))) for item in rows]


def send(desk: Desk, name: str, says: list[tuple[int, int]], p: float = 0.8, version: str = "1") -> ModelVersion:
    """An outside model that says so of each item, with the probability `p`."""
    model = ModelVersion.objects.create(
        project=desk.project, question=1, name=name, version=version, origin="external", classes=[1, 2]
    )
    Score.objects.bulk_create(
        Score(
            item_id=item,
            model_version=model,
            choice=1 + code,
            probability=p,
            utility=0,
            proba=[p, 1 - p] if code == 0 else [1 - p, p],
        )
        for item, code in says
    )
    return model


def compare(desk: Desk, *models: ModelVersion) -> dict[str, Any]:
    """Ask for a comparison, carry it out where a job is wanted, and ask again."""
    path = PATH + (f"?models={','.join(str(model.pk) for model in models)}" if models else "")
    answer = Api(desk.cast.enzo).get(path)
    assert answer.status_code == 202
    run_job(int(answer.json()["job"]), heartbeat_seconds=600)
    answer = Api(desk.cast.enzo).get(path)
    assert answer.status_code == 200, Job.objects.latest("pk").error
    assert answer.json()["job"] is None
    return dict(answer.json())


def figure(row: dict[str, Any], name: str) -> dict[str, Any]:
    return next(metric for metric in row["metrics"] if metric["metric"] == name)


def page(desk: Desk, query: str = "") -> str:
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    return re.sub(r"\s+", " ", client.get(PAGE + query).content.decode())


@pytest.mark.django_db
def test_each_is_judged_on_exactly_the_items_that_all_have_scored(desk: Desk) -> None:
    truth = holdout(desk)
    good = send(desk, "good", truth)
    some = send(desk, "some", [(item, 1 - code) for item, code in truth[:105]])  # all wrong, of 60 and 45
    found = compare(desk, good, some)
    assert (found["n_holdout"], found["n_common"], found["refusal"]) == (120, 105, None)
    told = {row["name"]: row for row in found["models"]}
    assert (told["good"]["n_scored"], told["some"]["n_scored"]) == (120, 105)
    assert figure(told["good"], "accuracy")["value"] == 1
    assert figure(told["good"], "accuracy")["interval"] == pytest.approx(wilson(105, 105))
    assert [figure(row, "accuracy")["n_items"] for row in found["models"]] == [105, 105]
    assert figure(told["good"], "log_loss")["value"] == pytest.approx(-np.log(0.8))
    assert figure(told["good"], "calibration_error")["value"] == pytest.approx(0.2)
    assert {row["choice"]: (row["f1"], row["n_items"]) for row in told["good"]["classes"]} == {
        "none": (1, 60),
        "spam": (1, 45),
        "insult": (None, 0),
    }
    assert figure(told["some"], "macro_f1")["value"] == 0
    assert (told["some"]["gain"]["value"], told["some"]["gain"]["interval"]) == (-1, [-1, -1])
    assert (told["some"]["gain"]["n_items"], told["good"]["gain"]) == (105, None)


@pytest.mark.django_db
def test_the_others_are_held_against_the_current_model(desk: Desk) -> None:
    truth = holdout(desk)
    first, current = send(desk, "first", truth), send(desk, "now", [(item, 0) for item, _code in truth])
    ModelVersion.objects.filter(pk=current.pk).update(is_current=True)
    found = compare(desk, first, current)
    assert found["reference"] == str(current.pk)
    (gain,) = [row["gain"] for row in found["models"] if row["gain"]]
    assert gain["value"] == pytest.approx(1 - 1 / 3)  # all called `none`: F1 of 2/3 and 0
    assert gain["interval"][0] > 0.5
    assert "better" in page(desk, f"?models={first.pk}&models={current.pk}")


@pytest.mark.django_db
def test_models_that_were_trained_here_foretell_the_holdout_from_their_files(desk: Desk, settings: Any) -> None:
    teach(desk)
    trained = play(desk).model_version
    assert trained is not None
    Score.objects.filter(model_version=trained).delete()
    wrong = send(desk, "wrong", [(item, 1 - code) for item, code in holdout(desk)])
    found = compare(desk, trained, wrong)
    assert found["reference"] == str(trained.pk)
    told = {row["name"]: row for row in found["models"]}
    own = figure(told["touchstone-logistic"], "accuracy")
    assert (own["value"], own["n_items"]) == (1, 120)
    assert (trained.evaluation or {})["metrics"][0]["value"] == own["value"]
    assert told["wrong"]["gain"]["value"] == -1


@pytest.mark.django_db
def test_a_model_whose_file_is_gone_is_left_out_and_the_others_are_judged(desk: Desk, settings: Any) -> None:
    teach(desk)
    trained = play(desk).model_version
    assert trained is not None
    (Path(settings.MODEL_DIR) / trained.path).unlink()
    found = compare(desk, trained, send(desk, "good", holdout(desk)))
    told = {row["name"]: row for row in found["models"]}
    assert told["touchstone-logistic"]["refusal"] == "its file is not on this host or was changed"
    assert figure(told["good"], "accuracy")["value"] == 1
    assert told["good"]["gain"]["refusal"] == "the model that the others are held against cannot be judged"
    assert "Left out: its file is not on this host or was changed." in page(desk)


@pytest.mark.django_db
def test_small_holdouts_and_too_few_common_items_are_refused_by_name(desk: Desk, make_desk: MakeDesk) -> None:
    truth = holdout(desk)
    few = send(desk, "few", truth[:99])
    found = compare(desk, send(desk, "all", truth), few)
    refusals = {row["name"]: row["refusal"] for row in found["models"]}
    assert refusals["few"] == "it has scored 99 of the 120 holdout items that have a label, 100 needed"
    assert (refusals["all"], found["n_common"]) == (None, 120)
    found = compare(desk, send(desk, "head", truth[:105]), send(desk, "tail", truth[10:]))
    assert found["refusal"] == "the models have scored 95 labelled holdout items in common, 100 needed"
    assert [row["metrics"] for row in found["models"]] == [[], []]
    Item.objects.filter(pk__in=[item for item, _code in truth[:21]]).update(lifecycle=Item.Lifecycle.ARCHIVED)
    found = compare(desk, few)
    assert found["refusal"] == "holdout has 99 labels, 100 needed"
    assert "Holdout has 99 labels, 100 needed." in page(desk, f"?models={few.pk}")


@pytest.mark.django_db
def test_by_default_the_current_one_and_the_newest_of_each_name_six_at_most(desk: Desk) -> None:
    truth = holdout(desk)[:1]
    old = send(desk, "a", truth)
    new = send(desk, "a", truth, version="2")
    others = [send(desk, name, truth) for name in "bcdefg"]
    ModelVersion.objects.filter(pk=old.pk).update(is_current=True)
    found = compare(desk)
    assert [row["id"] for row in found["models"]] == [str(old.pk), *(str(one.pk) for one in others[1:])]
    answer = Api(desk.cast.enzo).get(f"{PATH}?models={','.join(str(one.pk) for one in [old, new, *others])}")
    assert fault_of(answer) == (400, "invalid")
    for wrong in ("?models=999", "?models=x", "?question=nobody", f"?models={old.pk}&question=nobody"):
        assert fault_of(Api(desk.cast.enzo).get(PATH + wrong)) == (400, "invalid")


@pytest.mark.django_db
def test_a_comparison_is_kept_until_labels_or_scores_change(desk: Desk) -> None:
    good = send(desk, "good", holdout(desk))
    compare(desk, good)
    add(desk, 1, SPAM, "more", "spam", Item.Split.HOLDOUT)
    answer = Api(desk.cast.enzo).get(f"{PATH}?models={good.pk}")
    assert (answer.status_code, answer.json()["n_holdout"]) == (200, 120)  # the old one is told meanwhile
    again = Api(desk.cast.enzo).get(f"{PATH}?models={good.pk}")
    assert again.json()["job"] == answer.json()["job"] is not None
    run_job(int(again.json()["job"]), heartbeat_seconds=600)
    told = Api(desk.cast.enzo).get(f"{PATH}?models={good.pk}").json()
    assert (told["job"], told["n_holdout"], told["n_common"]) == (None, 121, 120)


@pytest.mark.django_db
def test_scores_of_other_items_are_not_read(desk: Desk) -> None:
    """A model that has scored the whole pool costs no more than one that has scored the holdout."""
    truth = holdout(desk)
    model = send(desk, "good", [*truth, *((item, 0) for item in add(desk, 300, PLAIN, "pool"))])
    with connection.cursor() as cursor:
        cursor.execute("analyze learning_score")
        cursor.execute("set local enable_seqscan = off")
    before = rows_read()
    known, _proba = load_sent_proba(model, np.array([item for item, _code in truth[:10]]))
    assert known.all()
    assert (rows_read() - before)["learning_score"] < 40  # of 420


@pytest.mark.django_db
def test_the_page_draws_what_was_found_and_lets_others_be_chosen(desk: Desk) -> None:
    assert "There is no model yet" in page(desk)
    good, bad = send(desk, "good", holdout(desk)), send(desk, "bad", [(item, 0) for item, _code in holdout(desk)])
    assert "Comparing models on the holdout" in page(desk)
    compare(desk, good, bad)
    shown = page(desk, f"?models={good.pk},{bad.pk}")
    assert "on 120 of 120 labelled holdout items" in shown
    assert 'class="chart' in shown
    assert "worse" in shown
    assert shown.count(f'value="{good.pk}" checked') == 1
    assert "There is no model 999 here." in page(desk, "?models=999").replace("&quot;", "").replace("“", "").replace(
        "”", ""
    )
