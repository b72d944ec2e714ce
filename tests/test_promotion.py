"""Promotion: a kept model in the place of the current one, and back; by whom, and that cutting it off does no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.actions.projects import change_project
from annotation.jobs import JobLostError, run_job
from annotation.models import Event, Item, Job, QueueRow
from learning.actions.promotion import start_promotion
from learning.models import ModelVersion, Score
from learning.reports import find_metric
from learning.tasks import promotion, rounds
from learning.tasks.promotion import run_promotion
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, SPAM, add, ask, attempt, empty_desk, finish, play, teach


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Two models were trained here, the second is current; eight items are open, three of them in the batch."""
    desk = empty_desk(make_desk)
    teach(desk)
    add(desk, 4, SPAM, "os")
    add(desk, 4, PLAIN, "op")
    play(desk, batch=3)
    play(desk, batch=3)
    return desk


def model(desk: Desk, version: str = "1", name: str = "touchstone-logistic") -> ModelVersion:
    return ModelVersion.objects.get(project=desk.project, name=name, version=version)


def send(desk: Desk, name: str, items: list[int]) -> ModelVersion:
    """An outside model that has sent scores of some items."""
    sent = ModelVersion.objects.create(
        project=desk.project, question=1, name=name, version="1", origin="external", classes=[1, 2]
    )
    Score.objects.bulk_create(
        Score(item_id=item, model_version=sent, choice=1, probability=0.9, utility=0.1, proba=[0.9, 0.1])
        for item in items
    )
    return sent


def promote(desk: Desk, wanted: ModelVersion) -> Job:
    """Ask for it over HTTP and carry it out, as a worker does."""
    answer = Api(desk.cast.enzo).post(f"projects/forum/models/{wanted.pk}/promote", {})
    assert answer.status_code == 202
    assert answer["Location"].endswith(answer.json()["job"])
    run_job(int(answer.json()["job"]), heartbeat_seconds=600)
    return Job.objects.get(pk=answer.json()["job"])


def ranks(desk: Desk) -> list[tuple[int, float, int | None]]:
    return list(QueueRow.objects.filter(project=desk.project).order_by("pk").values_list("item", "rank", "draw"))


def state_of(desk: Desk) -> Any:
    """Who is current and what is shown of which items."""
    current = ModelVersion.objects.get(project=desk.project, is_current=True)
    shown = Score.objects.filter(model_version=current).order_by("item")
    scored = set(Score.objects.values_list("model_version", flat=True))
    return current.pk, [(score.item_id, round(score.probability, 9)) for score in shown], scored


@pytest.mark.django_db
def test_an_earlier_model_takes_the_place_and_the_batch_stays(desk: Desk) -> None:
    before = ranks(desk)
    job = promote(desk, model(desk))
    assert (job.state, job.result) == ("done", {"model": str(model(desk).pk)})
    current, shown, scored = state_of(desk)
    assert (current, len(shown), scored) == (model(desk).pk, 8, {model(desk).pk})
    assert ranks(desk) == before
    promote(desk, model(desk, "2"))
    assert state_of(desk)[0] == model(desk, "2").pk


@pytest.mark.django_db
def test_who_promoted_it_and_when_is_in_the_event_the_list_and_the_page(desk: Desk) -> None:
    promote(desk, model(desk))
    event = Event.objects.filter(project=desk.project, kind="model.turned_current").latest("pk")
    assert (event.actor, event.ref_id) == (desk.cast.enzo, model(desk).pk)
    newer, older = Api(desk.cast.enzo).get("projects/forum/models").json()["results"]
    assert (older["is_current"], older["promoted_by"]) == (True, "enzo")
    assert older["promoted_at"] is not None
    assert (newer["is_current"], newer["promoted_by"], newer["promoted_at"]) == (False, None, None)
    assert "promoted by enzo" in page(desk, "/p/forum/learning/")


@pytest.mark.django_db
@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"something else")])
def test_a_model_whose_file_is_gone_or_changed_is_refused_with_a_sentence(desk: Desk, settings: Any, harm: Any) -> None:
    harm(Path(settings.MODEL_DIR) / model(desk).path)
    before = state_of(desk)
    job = promote(desk, model(desk))
    expected = "The file of touchstone-logistic 1 is not on this host or was changed. Train a new one."
    assert (job.state, job.error) == ("failed", expected)
    assert state_of(desk) == before
    assert expected in page(desk, "/p/forum/learning/")


@pytest.mark.django_db
def test_a_model_that_sent_scores_is_promoted_with_those_scores(desk: Desk) -> None:
    some = add(desk, 2, SPAM, "more")
    sent = send(desk, "spotter", some)
    assert promote(desk, sent).state == "done"
    current, shown, _scored = state_of(desk)
    assert (current, shown) == (sent.pk, sorted((item, 0.9) for item in some))
    figure = find_metric(ModelVersion.objects.get(pk=sent.pk).evaluation, "macro_f1")
    assert (figure or {})["refusal"] == "holdout has 0 labels, 100 needed"


@pytest.mark.django_db
def test_a_model_that_sent_no_scores_of_what_is_open_is_refused(desk: Desk) -> None:
    settled = QueueRow.objects.filter(project=desk.project, state=1).values_list("item", flat=True)
    job = promote(desk, send(desk, "spotter", [settled[0]]))
    assert (job.state, job.error) == (
        "failed",
        "spotter 1 has sent no scores of the 8 open items, so nothing could be shown or chosen by it.",
    )


STEPS = [(rounds, "write_scores"), (rounds, "store_proba"), (rounds, "make_current"), (promotion, "remove_old_scores")]


@pytest.mark.django_db
@pytest.mark.parametrize(("module", "step"), STEPS)
def test_a_promotion_cut_off_between_two_steps_is_finished_by_the_next_attempt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    def cut_off(*_args: Any, **_options: Any) -> None:
        raise OSError("power cut")

    job = start_promotion(model=model(desk), actor=desk.cast.enzo)
    with monkeypatch.context() as cut:
        cut.setattr(module, step, cut_off)
        with pytest.raises(OSError, match="power cut"):
            run_promotion(attempt(job))
    n_current = ModelVersion.objects.filter(project=desk.project, is_current=True).count()
    running = attempt(job)
    finish(running, run_promotion(running))
    current, shown, scored = state_of(desk)
    assert (n_current, current, len(shown), scored) == (1, model(desk).pk, 8, {model(desk).pk})
    turned = Event.objects.filter(project=desk.project, kind="model.turned_current", actor=desk.cast.enzo)
    assert turned.count() == 1


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_changes_nothing(desk: Desk) -> None:
    job = start_promotion(model=model(desk), actor=desk.cast.enzo)
    late = attempt(job)
    attempt(job)
    before = state_of(desk)
    with pytest.raises(JobLostError):
        run_promotion(late)
    assert state_of(desk) == before


@pytest.mark.django_db
def test_a_promotion_waits_for_the_round_before_it_and_has_the_last_word(desk: Desk) -> None:
    running = attempt(ask(desk, batch=2))
    job = start_promotion(model=model(desk, "2"), actor=desk.cast.enzo)  # current now, and not after the round
    run_job(job.pk)
    assert Job.objects.get(pk=job.pk).state == "queued"
    finish(running, rounds.run_round(running))
    assert state_of(desk)[0] == model(desk, "3").pk
    run_job(job.pk, heartbeat_seconds=600)
    assert state_of(desk)[0] == model(desk, "2").pk


@pytest.mark.django_db
def test_what_cannot_be_promoted_is_refused_and_nothing_is_queued_twice(desk: Desk) -> None:
    enzo, path = Api(desk.cast.enzo), f"projects/forum/models/{model(desk).pk}/promote"
    assert fault_of(enzo.post("projects/forum/models/999/promote", {})) == (404, "not_found")
    assert fault_of(enzo.post("projects/forum/models/x/promote", {})) == (404, "not_found")
    assert fault_of(enzo.post(f"projects/forum/models/{model(desk, '2').pk}/promote", {})) == (409, "wrong_state")
    assert fault_of(enzo.post(path, {"force": True})) == (400, "invalid")
    assert enzo.post(path, {}).json() == enzo.post(path, {}).json()
    change_project(project=desk.project, actor=desk.cast.olga, settings={"state": "archived"})
    assert fault_of(enzo.post(path, {})) == (409, "wrong_state")


def page(desk: Desk, address: str, status: int = 200) -> str:
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(address)
    assert answer.status_code == status
    return str(answer.content.decode())


@pytest.mark.django_db
def test_the_page_compares_both_on_the_same_items_before_it_is_done(desk: Desk) -> None:
    add(desk, 60, SPAM, "hs", "spam", Item.Split.HOLDOUT)
    spam = add(desk, 60, PLAIN, "hp", "none", Item.Split.HOLDOUT)
    wrong = send(
        desk, "wrong", [*spam, *Item.objects.filter(external_id__startswith="hs").values_list("pk", flat=True)]
    )
    address = f"/p/forum/learning/models/{wrong.pk}/promote/"
    assert "Comparing models on the holdout" in page(desk, address)
    run_job(Job.objects.get(kind="comparison").pk, heartbeat_seconds=600)
    shown = page(desk, address)
    assert "The difference, on the same items" in shown
    assert "On the holdout it did worse than touchstone-logistic 2." in shown


@pytest.mark.django_db
def test_the_page_warns_before_a_worse_model_and_then_starts_the_job(desk: Desk) -> None:
    for version, value in (("1", 0.5), ("2", 0.8)):
        figure = {"metric": "macro_f1", "value": value, "interval": [value, value], "n_items": 200, "refusal": None}
        figure |= {"method": "", "level": 0.95, "n_labels": 200, "n_annotators": None}
        one = model(desk, version)
        ModelVersion.objects.filter(pk=one.pk).update(evaluation={**(one.evaluation or {}), "metrics": [figure]})
    address = f"/p/forum/learning/models/{model(desk).pk}/promote/"
    assert address in page(desk, "/p/forum/learning/")
    assert "On the holdout it did worse than touchstone-logistic 2." in page(desk, address)
    ModelVersion.objects.filter(project=desk.project).update(evaluation=None)
    assert "did worse" not in page(desk, address)
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(address).status_code == 302
    assert Job.objects.get(kind="promotion").args == {"model": model(desk).pk}
    page(desk, "/p/forum/learning/models/999/promote/", 404)
