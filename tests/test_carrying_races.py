"""Labels are carried over while people go on: real threads, real commits, then the invariants and the values."""

from __future__ import annotations

import time
from typing import Any

import pytest

from annotation.actions.carrying import KIND, is_carrying
from annotation.actions.jobs import sweep_jobs
from annotation.actions.projects import put_schema
from annotation.audit import find_violations
from annotation.errors import TouchstoneError
from annotation.events import dispatch_events
from annotation.jobs import run_job
from annotation.models import Annotation, Job, Label, Project, Seat
from reviewers.job_kinds import carrying as carrying_job
from reviewers.models import Resolution
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.job_rows import has_state
from tests.together import together
from tests.workers import Worker, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

N = 30
SCAM: dict[str, Any] = {
    "questions": [{**CHOICE_SCHEMA["questions"][0], "choices": [{"value": "none"}, {"value": "scam"}]}]
}


def work(desk: Desk, name: str) -> int:
    """Answer as long as something comes: spam, or scam where the lease is of the new version."""
    n = 0
    while leases := desk.lease(name).leases:
        version = Project.objects.get(pk=desk.project.pk).schema_id == leases[0]["schema"]
        try:
            desk.submit(name, leases[0], "scam" if version else "spam")
        except TouchstoneError:
            desk.submit(name, leases[0], "spam")
        n += 1
    return n


def run_all() -> None:
    """What the workers do: jobs until there are none. A worker that another test has left may have one of them."""
    under_way = Job.objects.filter(kind=KIND, state__in=(Job.State.QUEUED, Job.State.RUNNING))
    while waiting := under_way.order_by("pk").first():
        run_job(waiting.pk)
        time.sleep(0.02)


def publish(desk: Desk) -> None:
    put_schema(
        project=desk.project,
        schema=SCAM,
        map={"verdict": {"spam": "scam", "insult": None}},
        actor=desk.cast.olga,
    )
    run_all()


def test_nothing_is_lost_or_of_two_versions_where_people_label_meanwhile(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_job, "BATCH", 3)
    desk = make_desk(n=N, overlap=3, max_held=5)
    for name in ("alice", "bob"):
        for _turn in range(N // 2):
            desk.label(name, "spam" if name == "alice" else "insult")
    together(
        lambda: publish(desk),
        lambda: work(desk, "alice"),
        lambda: work(desk, "bob"),
        lambda: work(desk, "carol"),
    )
    dispatch_events()
    run_all()
    assert not is_carrying(desk.project), list(Job.objects.filter(kind=KIND).values_list("args", "state", "error"))
    # Whoever was asked again has their place still.
    for name in ("alice", "bob", "carol"):
        work(desk, name)
    dispatch_events()
    run_all()
    counting = Seat.objects.filter(project=desk.project, state=Seat.State.SUBMITTED, kind=1)
    assert counting.count() == 3 * N
    scam = 4
    assert set(Label.objects.filter(annotation__in=counting.values("annotation")).values_list("choice", flat=True)) == {
        scam
    }
    assert set(Resolution.objects.values_list("state", "choice", "n_votes")) == {(Resolution.State.AGREED, scam, 3)}
    assert find_violations() == {}


def test_a_worker_that_was_away_carries_them_when_it_is_back(make_desk: MakeDesk, worker: Worker) -> None:
    """A real worker, which knows the kind of job; while it was away nobody was told."""
    desk = make_desk(n=N, overlap=1)
    for _turn in range(N):
        desk.label("alice", "spam")
    worker.kill()
    _row, job = put_schema(
        project=desk.project, schema=SCAM, map={"verdict": {"spam": "scam", "insult": None}}, actor=desk.cast.olga
    )
    assert job is not None
    worker.start()
    sweep_jobs()
    wait_until(lambda: has_state(job, "done", 1))
    job.refresh_from_db()
    assert job.result == {"carried": N, "asked_again": 0, "reopened": 0, "decisions": 0}
    assert Annotation.objects.count() == 2 * N
    assert find_violations() == {}
