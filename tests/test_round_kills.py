"""Kills at every step of a round: whatever moment its process ends at, the next attempt leaves what one would have."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction

from annotation.actions.jobs import claim_job, sweep_jobs
from annotation.jobs import RunningJob
from annotation.models import Draw, DrawItem, Event, Item, Job, QueueRow
from learning.actions.predictions import start_predictions
from learning.loading import load_pool
from learning.models import ModelVersion, Round, Score
from learning.tasks.predictions import run_predictions
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk
from tests.job_rows import age_heartbeat, has_state
from tests.learning_rows import BETWEEN, PLAIN, SPAM, add, ask, empty_desk, finish, play, teach
from tests.power import PowerCutError, powered
from tests.workers import Worker, get_database_url, wait_until


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> Path:
    """Folders of its own for each test."""
    settings.MODEL_DIR, settings.FEATURE_DIR = tmp_path / "stored/models", tmp_path / "stored/features"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()
    return tmp_path / "stored"


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Twelve settled items of two kinds; open: three of each kind and one that lies between them."""
    desk = empty_desk(make_desk, learning={"every": None, "holdout_share": 0, "random_share": 0, "batch": 4})
    teach(desk)
    add(desk, 3, SPAM, "os")
    add(desk, 3, PLAIN, "op")
    add(desk, 1, BETWEEN, "between")
    return desk


@contextmanager
def tried(folder: Path) -> Iterator[None]:
    """What happens inside leaves no trace in the database or the folder."""
    above = folder.parent
    kept = above.with_name("kept")
    shutil.copytree(above, kept)
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        shutil.rmtree(above)
        kept.rename(above)


def look(desk: Desk, job: Job, folder: Path) -> dict[str, Any]:
    """All that a round leaves, without the numbers of rows and the time."""
    round_ = Round.objects.select_related("model_version").get(job=job)
    draws = Draw.objects.filter(round=round_.pk)
    models = {model.pk: str(model) for model in ModelVersion.objects.all()}
    fields = ("item_id", "rank", "probability", "utility")
    scores = Score.objects.order_by("model_version", "item")
    rows = QueueRow.objects.filter(project=desk.project).order_by("item_id")
    kinds = Event.objects.filter(project=desk.project).exclude(kind__startswith="job.").values_list("kind", flat=True)
    state = {"n_train", "n_pool", "n_selected", "note"}
    return {
        "round": {name: getattr(round_, name) for name in state} | {"model": str(round_.model_version)},
        "is_finished": round_.finished_at is not None,
        "job": Job.objects.get(pk=job.pk).state,
        "draws": [list(DrawItem.objects.filter(draw=draw).order_by("rank").values_list(*fields)) for draw in draws],
        "models": [
            (str(model), model.sha256, model.is_current, model.evaluation)
            for model in ModelVersion.objects.order_by("pk")
        ],
        "scores": [
            (models[score.model_version_id], score.item_id, score.choice, score.probability, score.utility)
            for score in scores
        ],
        "queue": [(row.item_id, row.rank, row.draw.strategy if row.draw else "") for row in rows],
        "events": Counter(kinds),
        "files": sorted(
            (re.sub(r"scores-\d+-\d+", "scores-", str(path.relative_to(folder))), digest(path))
            for path in folder.rglob("*")
        ),
    }


def digest(path: Path) -> str:
    """Of a file's bytes, but for the name of the attempt in them."""
    if path.is_dir():
        return "folder"
    return hashlib.sha256(re.sub(rb"scores-\d+-\d+", b"scores-", path.read_bytes())).hexdigest()


def carry_out(job: Job) -> None:
    """One attempt, up to its end as a worker notes it; none where the job is done."""
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    if claimed is not None:
        running = RunningJob(claimed)
        finish(running, {"round": run_round, "predictions": run_predictions}[job.kind](running))


def trained(desk: Desk) -> Job:
    """A round that counts words and trains, while an earlier model is the current one, and replaces a batch."""
    play(desk, random_share=0, batch=3, seed=2)
    shutil.rmtree(settings.FEATURE_DIR)
    add(desk, 2, SPAM, "more", "spam")
    return ask(desk, strategy="kmeans", random_share=0.4, batch=4)


def untrained(desk: Desk) -> Job:
    """A round that scores anew with the model that is there."""
    play(desk, random_share=0, batch=3, seed=2)
    return ask(desk, train=False, batch=4)


def sent(desk: Desk) -> Job:
    """Scores of an outside model take the place of those of a model from here."""
    play(desk, random_share=0, batch=3, seed=2)
    names = Item.objects.filter(pk__in=load_pool(desk.project).items.tolist()).order_by("external_id")
    lines = [
        {"external_id": item.external_id, "model": "llm", "proba": {"spam": 0.9 - 0.1 * n}}
        for n, item in enumerate(names)
    ]
    path = Path(settings.UPLOAD_DIR) / "sent"
    path.write_text("\n".join(map(json.dumps, lines)))
    return start_predictions(project=desk.project, actor=desk.cast.enzo, path=path)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("begin", [trained, untrained, sent])
def test_a_round_killed_at_any_moment_is_finished_as_if_it_had_not_been(
    desk: Desk, folders: Path, begin: Callable[[Desk], Job]
) -> None:
    job = begin(desk)
    with tried(folders), powered() as power:
        carry_out(job)
        expected = look(desk, job, folders)
    assert len(power.moments) > 20
    found = {}
    for moment in range(1, len(power.moments) + 1):
        with tried(folders):
            with pytest.raises(PowerCutError), powered(cut_at=moment):
                carry_out(job)
            carry_out(job)
            found[moment] = look(desk, job, folders)
    differences = {
        (moment, power.moments[moment - 1], name): (left[name], expected[name])
        for moment, left in found.items()
        for name in expected
        if left[name] != expected[name]
    }
    assert differences == {}


@pytest.mark.django_db
def test_the_file_of_predictions_that_a_kill_left_goes_with_the_next_ones(desk: Desk) -> None:
    job = sent(desk)
    left = Path(settings.UPLOAD_DIR) / job.args["file"]
    kept = left.read_bytes()
    carry_out(job)
    left.write_bytes(kept)  # as after a kill between the job's end and this
    path = left.with_name("next")
    path.write_bytes(kept)
    carry_out(start_predictions(project=desk.project, actor=desk.cast.enzo, path=path))
    assert list(left.parent.iterdir()) == []


def count_waiting() -> int:
    """Sessions that wait to write a score."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_locks where relation = 'learning_score'::regclass and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_round_survives_the_kill_of_the_worker_that_writes_its_scores(worker: Worker, make_desk: MakeDesk) -> None:
    """A real worker, killed while the database lets it wait in the midst of a write; the next one ends the round."""
    desk = empty_desk(make_desk)
    teach(desk)
    add(desk, 6, PLAIN, "open")
    with psycopg.connect(get_database_url()) as blocker:
        blocker.execute("lock table learning_score in share mode")
        job = ask(desk, batch=3)
        wait_until(count_waiting)
        worker.kill()
        assert not Score.objects.exists()
    wait_until(lambda: not count_waiting())
    age_heartbeat(job)
    worker.start()
    wait_until(lambda: (sweep_jobs(), has_state(job, "done", 2))[1])
    done = Round.objects.get(job=job)
    assert done.costs["attempts"] == 2
    assert (ModelVersion.objects.count(), Draw.objects.filter(round=done.pk).count(), done.n_selected) == (1, 1, 3)
    assert Score.objects.count() == 6
    kinds = Counter(Event.objects.filter(project=desk.project).values_list("kind", flat=True))
    assert {kind: kinds[kind] for kind in ("model.kept", "model.turned_current", "round.finished", "round.failed")} == {
        "model.kept": 1,
        "model.turned_current": 1,
        "round.finished": 1,
        "round.failed": 0,
    }
