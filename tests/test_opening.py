"""How jobs about a question end before they begin: the question has gone, or labels are being carried over."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.actions.carrying import start_carrying
from annotation.actions.jobs import start_job
from annotation.jobs import run_job
from annotation.models import Job
from learning.models import ModelVersion, Round
from tests.cast import Desk, MakeDesk
from tests.learning_rows import ask

GONE = 99
KINDS = ("llm", "label_errors", "drift", "comparison", "promotion")


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk(n=1)


def end(desk: Desk, kind: str, **args: Any) -> str:
    """Carry a job out, as a worker does; why it failed."""
    job = start_job(kind=kind, project=desk.project, created_by=desk.cast.enzo, args=args)
    return end_of(job)


def end_of(job: Job) -> str:
    run_job(job.pk, heartbeat_seconds=600)
    ended = Job.objects.get(pk=job.pk)
    assert ended.state == "failed"
    return ended.error


def model(desk: Desk, **about: Any) -> ModelVersion:
    about = {"question": 1, "kind": "choice", **about}
    return ModelVersion.objects.create(
        project=desk.project, name="theirs", version="1", origin="external", classes=[1, 2], **about
    )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["llm", "label_errors", "drift", "comparison"])
def test_a_job_about_a_question_that_has_gone_says_so(desk: Desk, kind: str) -> None:
    assert end(desk, kind, question=GONE, models=[]) == "This question is no longer one that can be learned."


@pytest.mark.django_db
@pytest.mark.parametrize("about", [{"question": GONE}, {"kind": "rating"}], ids=["gone", "of another kind"])
def test_a_model_of_a_question_that_is_no_more_cannot_be_promoted(desk: Desk, about: dict[str, Any]) -> None:
    told = end(desk, "promotion", model=model(desk, **about).pk)
    assert told == "The question of this model is no longer one that can be learned."


@pytest.mark.django_db
def test_a_round_whose_question_has_gone_says_so_in_its_row_too(desk: Desk) -> None:
    job = ask(desk)
    Round.objects.filter(job=job).update(question=GONE)
    assert end_of(job) == "The question of this round is no longer one that can be learned."
    assert Round.objects.get(job=job).note == "The question of this round is no longer one that can be learned."


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_no_job_begins_while_labels_are_carried_over(desk: Desk, kind: str) -> None:
    start_carrying(project=desk.project, actor=desk.cast.olga)
    assert "carried over" in end(desk, kind, question=1, models=[], model=model(desk).pk)
