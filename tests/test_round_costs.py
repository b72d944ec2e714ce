"""What a round took: the stopwatch, what its row keeps over attempts, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.errors import StateError
from annotation.jobs import JobLostError
from learning.models import Round, Score
from learning.stopwatch import STEPS, Clock, Stopwatch, clock_of_process, order_steps, total_seconds
from learning.tasks import rounds
from learning.tasks.rounds import run_round
from learning.views.round_costs import step_words, tell_seconds
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.learning_rows import PLAIN, add, ask, attempt, empty_desk, play, teach


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    desk = empty_desk(make_desk)
    teach(desk)
    add(desk, 4, PLAIN, "open")
    return desk


def ticking(*, wall: float = 1.0, processor: float = 0.5, peaks: Iterator[int | None] | None = None) -> Clock:
    """A clock of which each look moves on by so much."""
    walls, processors = count(100.0, wall), count(7.0, processor)
    return Clock(lambda: next(walls), lambda: next(processors), lambda: next(peaks or count(10, 10)), lambda: None)


def test_a_step_takes_from_its_beginning_to_the_next_ones() -> None:
    watch = Stopwatch(ticking(), {})
    for step in ("read", "fit", "read", None):
        watch.enter(step)
    found = watch.read()
    assert found["seconds"] == {"read": 2.0, "fit": 1.0}
    assert (found["step"], found["attempts"], found["processor_seconds"]) == (None, 1, 2.0)
    assert total_seconds(found) == 3.0


def test_what_earlier_attempts_took_is_added_and_attempts_are_counted() -> None:
    first = Stopwatch(ticking(peaks=iter([500, 900])), {})
    first.enter("read")
    first.enter("fit")  # cut off in here: its seconds were never noted
    second = Stopwatch(ticking(wall=10, peaks=iter([700, 800])), first.read())
    second.enter("read")
    second.enter(None)
    found = second.read()
    assert found["seconds"] == {"read": 11.0}
    assert (found["attempts"], found["peak_bytes"]) == (2, 900)
    assert found["processor_seconds"] == 2.0


def test_sizes_are_those_of_the_newest_attempt() -> None:
    sizes = {"model_bytes": 10, "score_bytes": None, "n_scores": 3}
    watch = Stopwatch(ticking(), {"attempts": 4, **sizes})
    assert {name: watch.read()[name] for name in sizes} == sizes
    watch.note_sizes(model_bytes=20, score_bytes=5, n_scores=4)
    assert (watch.read()["attempts"], watch.read()["model_bytes"], watch.read()["n_scores"]) == (5, 20, 4)


def test_memory_is_unknown_where_the_system_does_not_tell() -> None:
    watch = Stopwatch(ticking(peaks=iter([None])), {})
    watch.enter("read")
    assert watch.read()["peak_bytes"] is None


def test_a_step_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'dance' is none of: read, count"):
        Stopwatch(ticking(), {}).enter("dance")


def test_the_clock_of_this_process_knows_work_and_memory() -> None:
    clock = clock_of_process()
    clock.restart_peak()
    before = clock.processor(), clock.peak()
    held = bytearray(64 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    clock.restart_peak()
    with_it = clock.peak()
    del held
    clock.restart_peak()
    after = clock.processor(), clock.peak()
    assert before[0] < after[0]
    assert [peak is None or peak > 2**20 for peak in (before[1], with_it, after[1])] == [True] * 3
    assert with_it is None or with_it - (after[1] or 0) > 32 * 2**20


@pytest.mark.django_db
def test_a_round_notes_what_each_of_its_steps_took_and_what_it_wrote(desk: Desk, settings: Any) -> None:
    done = play(desk)
    costs = done.costs
    assert list(order_steps(costs)) == list(STEPS)
    assert (costs["attempts"], costs["step"], costs["n_scores"]) == (1, None, Score.objects.count())
    assert done.model_version is not None
    files = Path(settings.MODEL_DIR) / done.model_version.path
    assert costs["model_bytes"] == files.stat().st_size
    assert costs["score_bytes"] == sum(one.stat().st_size for one in files.parent.glob("scores-*/*"))
    assert 0 < total_seconds(costs) < 60
    assert costs["processor_seconds"] > 0


@pytest.mark.django_db
def test_a_round_without_a_model_has_only_the_steps_that_it_took(make_desk: MakeDesk) -> None:
    desk = empty_desk(make_desk)
    add(desk, 3, PLAIN, "w")
    costs = play(desk).costs
    assert list(order_steps(costs)) == ["read", "choose", "raise", "tidy"]
    assert (costs["model_bytes"], costs["n_scores"]) == (None, None)


@pytest.mark.django_db
def test_a_resumed_round_shows_all_of_its_attempts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ask(desk)
    with monkeypatch.context() as cut:
        cut.setattr(rounds, "raise_batch", stop(KeyboardInterrupt("killed")))
        with pytest.raises(KeyboardInterrupt):
            run_round(attempt(job))
    first = Round.objects.get(job=job).costs
    assert (first["attempts"], first["step"]) == (1, "raise")
    run_round(attempt(job))
    both = Round.objects.get(job=job).costs
    assert (both["attempts"], both["step"]) == (2, None)
    assert both["seconds"]["fit"] == first["seconds"]["fit"]
    assert both["seconds"]["read"] > first["seconds"]["read"]


def stop(error: BaseException) -> Callable[..., None]:
    def raise_it(**_given: Any) -> None:
        raise error

    return raise_it


@pytest.mark.django_db
@pytest.mark.parametrize("error", [StateError("No."), OSError("no disk")])
def test_a_round_that_fails_notes_what_it_took_until_then(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    job = ask(desk)
    monkeypatch.setattr(rounds, "keep_model", stop(error))
    with pytest.raises(type(error)):
        run_round(attempt(job))
    costs = Round.objects.get(job=job).costs
    assert (list(order_steps(costs)), costs["step"]) == (["read", "count", "fit", "judge", "keep"], None)


@pytest.mark.django_db
def test_an_attempt_that_lost_its_job_notes_nothing(desk: Desk) -> None:
    job = ask(desk)
    late = attempt(job)
    attempt(job)
    with pytest.raises(JobLostError):
        run_round(late)
    assert Round.objects.get(job=job).costs == {}


@pytest.mark.django_db
def test_the_list_of_rounds_tells_time_and_size(desk: Desk) -> None:
    play(desk)
    (row,) = Api(desk.cast.enzo).get(f"/api/v1/projects/{desk.project.slug}/rounds").json()["results"]
    assert row["costs"]["total_seconds"] == total_seconds(row["costs"])
    assert list(row["costs"]["seconds"]) == list(STEPS)
    ask(desk)
    waiting, _done = Api(desk.cast.enzo).get(f"/api/v1/projects/{desk.project.slug}/rounds").json()["results"]
    assert waiting["costs"] is None


@pytest.mark.django_db
def test_the_page_tells_how_long_each_round_took_and_what_for(desk: Desk, client: Client) -> None:
    done = play(desk)
    Round.objects.filter(pk=done.pk).update(costs=done.costs | {"seconds": {"fit": 120.2, "score": 4.0}})
    client.force_login(desk.cast.enzo)
    page = client.get(reverse("project-learning", args=[desk.project.slug])).content.decode()
    assert "2 min 4 s" in page
    assert "<dt>fitting the model</dt><dd>2 min 0 s</dd>" in page
    assert "<dt>rows of scores</dt><dd>4</dd>" in page


def test_every_step_has_a_name_for_people() -> None:
    assert tuple(step_words()) == STEPS


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (7380, "2 h 3 min")]
)
def test_times_are_told_in_their_two_largest_units(seconds: float, told: str) -> None:
    assert tell_seconds(seconds) == told
