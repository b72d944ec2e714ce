"""Small labelled projects for the tests of learning: two kinds of text, and one that lies between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.actions.imports import split_of
from annotation.actions.items import quarantine_item
from annotation.actions.jobs import claim_job
from annotation.jobs import RunningJob
from annotation.models import Draw, DrawItem, Item, Job
from learning.actions.predictions import start_predictions
from learning.actions.rounds import start_round
from learning.models import Round
from learning.tasks.predictions import run_predictions
from learning.tasks.rounds import run_round
from tests.cast import Desk, MakeDesk, import_rows

SPAM = "buy cheap pills now"
PLAIN = "good morning dear friend"
BETWEEN = "buy good friend now morning pills"


def empty_desk(make_desk: MakeDesk, **options: Any) -> Desk:
    """A project in which nothing is open: its one item is sealed. Rows are added with `add`."""
    desk = make_desk(n=1, **options)
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    return desk


def names_in(desk: Desk, split: int, prefix: str) -> Iterator[str]:
    """External ids that the project's own hash puts into a split."""
    seed = bytes(desk.project.seed)
    return (f"{prefix}-{i}" for i in count() if split_of(seed, f"item:{prefix}-{i}") == split)


def add(
    desk: Desk,
    n: int,
    text: str,
    prefix: str,
    verdict: str | int | list[str] | None = None,
    split: int = Item.Split.POOL,
) -> list[int]:
    """Import `n` items that begin with `text`; with a verdict they are settled at once. Returns their ids."""
    names = names_in(desk, split, prefix)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        row: dict[str, Any] = {"external_id": next(names), "parts": [{"kind": "text", "text": f"{text} {prefix}{i}"}]}
        if verdict is not None:
            row["annotations"] = [{"annotator": "ann", "answers": {"verdict": verdict}}]
        rows.append(row)
    import_rows(desk.project, rows)
    names_of_rows = [row["external_id"] for row in rows]
    found = dict(
        Item.objects.filter(project=desk.project, external_id__in=names_of_rows).values_list("external_id", "pk")
    )
    return [found[name] for name in names_of_rows]


def teach(desk: Desk, n: int = 6) -> None:
    """Settle `n` items of each of two choices."""
    add(desk, n, SPAM, "spam", "spam")
    add(desk, n, PLAIN, "plain", "none")


def audit(desk: Desk, items: list[int]) -> None:
    """Put items into an audit draw."""
    draw = Draw.objects.create(project=desk.project, stream=Draw.Stream.AUDIT, strategy="random")
    DrawItem.objects.bulk_create(
        DrawItem(draw=draw, item_id=item, probability=0.5, rank=rank) for rank, item in enumerate(items, start=1)
    )


def attempt(job: Job) -> RunningJob:
    """The next attempt at a job, as a worker makes it."""
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    assert claimed is not None
    return RunningJob(claimed)


def ask(desk: Desk, **options: Any) -> Job:
    """A round asked for by the engineer."""
    options = {"trigger": Round.Trigger.DEMAND, "seed": 1, **options}
    return start_round(project=desk.project, actor=desk.cast.enzo, **options)


def finish(running: RunningJob, result: Any) -> None:
    """End a job as its worker does."""
    if not running.is_finished:
        running.finish(result)


def play(desk: Desk, **options: Any) -> Round:
    """Ask for a round and carry it out."""
    running = attempt(ask(desk, **options))
    finish(running, run_round(running))
    return Round.objects.select_related("model_version", "draw").get(job=running.job)


def send_predictions(desk: Desk, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Lines of a model called "llm", sent and taken in; the job's result. UPLOAD_DIR is the test's own."""
    path = Path(settings.UPLOAD_DIR) / "sent"
    path.write_text("\n".join(json.dumps({"model": "llm", **line}) for line in lines))
    job = start_predictions(project=desk.project, actor=desk.cast.enzo, path=path)
    run_predictions(attempt(job))
    job.refresh_from_db()
    return dict(job.result or {})
