"""A round among a million short texts: how long each step takes, how much memory, and what those who label notice.

    python -m benchmarks.round_speed                                   # all of it, on a million items
    python -m benchmarks.round_speed --items 100000 --home /tmp/rounds # smaller, and kept for the next run
    python -m benchmarks.round_speed --items 25000 --labelled 1000     # an early round

An installation of its own, filled through the import, with 2,000 labelled items (a fifth of them in the holdout) whose
label follows from a planted word. First the counting of all words, as after the import. Then rounds in this process,
step by step; then rounds by the worker in turns with none, while twenty annotators label over HTTP; then scores from
elsewhere over HTTP, until their job is done.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.clients import Fleet, Load, Plan
from benchmarks.installation import SCHEMA, Site, add_options, check_audit, make_owner, make_people, open_site
from benchmarks.measuring import Check, Measurement, in_ms, read_tree, say
from benchmarks.million import PLANTED, make_texts

if TYPE_CHECKING:
    from annotation.models import Job, Project

SLUG = "rounds"
BATCH = 1000
THINK = 0.35
KINDS = ("lease", "submit")
# The steps of a round, by the name under which `learning.tasks.rounds` calls them.
STEPS = (
    "load_training",
    "load_holdout",
    "load_pool",
    "refresh_shards",
    "fit_space",
    "vectorise",
    "fit_model",
    "keep_model",
    "predict",
    "write_scores",
    "store_proba",
    "make_current",
    "choose_batch",
    "raise_batch",
    "remove_old_scores",
)


def fill(items: int, labelled: int) -> Project:
    """The project; as it is where it is there already."""
    from annotation.actions.imports import load_items
    from annotation.actions.projects import create_project
    from annotation.importing.rows import AnnotationRow, ItemRow, PartRow
    from annotation.models import Project
    from annotation.schema import parse_answers

    found = Project.objects.filter(slug=SLUG).first()
    if found is not None:
        return found
    settings = {"overlap": 1, "lease_seconds": 3600, "learning": {"every": None, "batch": BATCH}}
    project = create_project(slug=SLUG, name=SLUG, schema=SCHEMA, settings=settings, owner=make_owner())
    assert project.schema is not None
    said = {}
    for value in ("none", "spam", "insult"):
        said[value] = (AnnotationRow("file", parse_answers(project.schema.compiled, {"verdict": value})),)
    first, second = list(PLANTED)[:2]

    def read() -> Iterator[tuple[int, ItemRow]]:
        for number, text in enumerate(make_texts(items, seed=3), start=1):
            part = PartRow(name="text", kind="text", role="target", text=text)
            verdict = "insult" if second in text else "spam" if first in text else "none"
            given = said[verdict] if number <= labelled else ()
            yield number, ItemRow(external_id=f"item-{number:08d}", group=None, parts=(part,), annotations=given)

    started = time.monotonic()
    outcome, is_stored = load_items(project=project, read=read, actor=None)
    assert (is_stored, outcome.imported) == (True, items), outcome
    say(f"{items:,} items imported in {time.monotonic() - started:.0f} s")
    wait_for_counting()
    return project


def wait_for_counting() -> None:
    """Wait for what the worker does after an import."""
    from annotation.models import Job

    time.sleep(5)  # events are read every second
    deadline = time.monotonic() + 600
    while Job.objects.filter(ended_at=None).exists():
        assert time.monotonic() < deadline, "a job does not end"
        time.sleep(0.1)


class Watch:
    """Seconds by step, with what is called inside a step counted to it alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._depth = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        return timed

    @contextlib.contextmanager
    def on(self, module: Any) -> Iterator[None]:
        """Time the steps that the module calls."""
        before = {name: getattr(module, name) for name in STEPS if hasattr(module, name)}
        for name, function in before.items():
            setattr(module, name, self.wrap(name, function))
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(module, name, function)


def ask_for_round(project: Project) -> Job:
    """A round in the queue of jobs."""
    from learning.actions.rounds import start_round

    return start_round(project=project, actor=None, trigger="demand", seed=1)


def play_here(project: Project) -> dict[str, float]:
    """A round in this process: seconds by step, `all` of them together, and `other` what lies between."""
    from django.db import transaction

    from annotation.actions.jobs import claim_job
    from annotation.jobs import RunningJob
    from learning.tasks import rounds

    with transaction.atomic():  # before the worker hears of it
        claimed = claim_job(job_id=ask_for_round(project).pk, worker="benchmark")
    assert claimed is not None, "another round is running"
    running, watch = RunningJob(claimed), Watch()
    started = time.perf_counter()
    with watch.on(rounds):
        result = rounds.run_round(running)
    total = time.perf_counter() - started
    running.finish(result)
    other = total - sum(watch.seconds.values())
    return {name: round(value, 2) for name, value in {**watch.seconds, "other": other, "all": total}.items()}


def wait_for(job_id: int, seconds: float = 900.0) -> float:
    """Seconds that the job took, from the request to its end."""
    from annotation.models import Job

    deadline = time.monotonic() + seconds
    while True:
        job = Job.objects.get(pk=job_id)
        if job.ended_at is not None:
            assert job.state == Job.State.DONE, job.error
            return float((job.ended_at - job.created_at).total_seconds())
        assert time.monotonic() < deadline, job.state
        time.sleep(0.05)


class Memory(threading.Thread):
    """The most memory that the worker's processes took together: private memory, in MiB, looked at again and again."""

    def __init__(self, worker: int) -> None:
        super().__init__(daemon=True)
        self.worker, self.peak, self._is_over = worker, 0.0, threading.Event()

    def run(self) -> None:
        from benchmarks.measuring import read_memory

        while not self._is_over.wait(0.2):
            self.peak = max(self.peak, read_memory(list(read_tree(self.worker)))["anon"])

    def end(self) -> float:
        self._is_over.set()
        self.join()
        return self.peak


def count_all(site: Site, project: Project) -> tuple[float, float]:
    """Count the words of all items by the worker, as after an import: seconds, and the most memory."""
    from django.conf import settings

    from learning.actions.features import start_features

    shutil.rmtree(settings.FEATURE_DIR / str(project.pk), ignore_errors=True)
    memory = Memory(site.parts.worker)
    memory.start()
    job = start_features(project=project)
    assert job is not None
    return wait_for(job.pk), memory.end()


def label_beside(site: Site, project: Project, args: argparse.Namespace) -> dict[str, Any]:
    """Turns in which people label, without and with a round by the worker."""
    from annotation.actions.projects import set_member

    workers = make_people(20, f"at-{time.time_ns()}")
    for user, _token in workers:
        set_member(project=project, user=user, role="annotator", actor=make_people(1, "helper")[0][0])
    fleet = Fleet(site.port, [token for _user, token in workers])
    calm, busy = Load(), Load()
    times: list[float] = []
    memory = Memory(site.parts.worker)
    try:
        fleet.run(Plan("pair", project.slug, seconds=5, think=THINK))
        site.settle_down()
        memory.start()
        for _turn in range(args.turns):
            calm.add(fleet.run(Plan("pair", project.slug, seconds=args.seconds, think=THINK)))
            # The clients label for as long as the round takes, as far as that is known.
            fleet.start(Plan("pair", project.slug, seconds=max(args.seconds, times[-1] if times else 0), think=THINK))
            times.append(wait_for(ask_for_round(project).pk))
            busy.add(fleet.collect())
    finally:
        fleet.end()
    before, after = ({kind: in_ms(load.latencies[kind]) for kind in KINDS} for load in (calm, busy))
    return {
        "rounds_seconds": [round(value, 2) for value in times],
        "worker_anon_mib": memory.end(),
        "without": calm.as_json(),
        "with": busy.as_json(),
        "ratio_of_p95": {kind: round(after[kind]["p95"] / before[kind]["p95"], 2) for kind in KINDS},
        "errors": sum(busy.errors.values()),
    }


def send_scores(site: Site, project: Project, n: int) -> float:
    """Rows a second of scores sent in, from the request to the end of its job; no batch is raised by them."""
    from annotation.actions.people import create_token
    from annotation.models import User

    rng = np.random.default_rng(4)
    lines, model = [], f"llm-{time.time_ns()}"
    for number, row in enumerate(rng.dirichlet([1, 1, 1], n).round(4).tolist(), start=1):
        proba = {"spam": row[0], "insult": row[1]}
        lines.append(json.dumps({"external_id": f"item-{number:08d}", "model": model, "proba": proba}))
    owner = User.objects.get(username="owner")
    token = create_token(user=owner, actor=owner)[1]
    body = "\n".join(lines).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=120)
    started = time.perf_counter()
    connection.request("POST", f"/api/v1/projects/{project.slug}/predictions?select=0", body, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 202, told
    wait_for(int(told["job"]))
    return round(n / (time.perf_counter() - started), 0)


def measure(site: Site, args: argparse.Namespace) -> bool:
    project = fill(args.items, args.labelled)
    site.settle_down()
    measurement = Measurement("round_speed", args.out)
    figures: dict[str, Any] = {**site.server, "items": args.items}
    checks = []
    scale = max(1.0, args.items / 1_000_000)
    if args.count:
        seconds, peak = count_all(site, project)
        figures["counting"] = {"seconds": round(seconds, 2), "worker_anon_mib": peak}
        checks.append(Check("counting the words of all texts, s", round(seconds, 2), "<=", 20.0 * scale))
    steps = []
    for _turn in range(args.here):
        steps.append(play_here(project))
        say(str(steps[-1]))
    figures["steps_seconds"] = steps
    figures["peak_here_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if args.turns:
        beside = label_beside(site, project, args)
        figures["beside_labelling"] = beside
        checks += [
            Check("a round while people label, the longest, s", max(beside["rounds_seconds"]), "<=", 25.0),
            Check("memory of the worker, MiB", beside["worker_anon_mib"], "<=", 2048.0),
            *(Check(f"p95 of a {kind} beside that without", beside["ratio_of_p95"][kind], "<=", 1.5) for kind in KINDS),
            Check("answers that were refused or lost", float(beside["errors"]), "<=", 0.0),
        ]
    if args.sent:
        rates = [send_scores(site, project, min(args.sent, args.items)) for _turn in range(2)]
        figures["sent_rows_per_second"] = rates
        checks.append(Check("scores from elsewhere, rows a second", max(rates), ">=", 30_000.0))
    fine = measurement.finish(figures, checks)
    check_audit()
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--labelled", type=int, default=2000, help="items with an accepted label")
    parser.add_argument("--sent", type=int, default=200_000, help="scores sent in, at the end")
    parser.add_argument("--count", action=argparse.BooleanOptionalAction, default=True, help="count all words first")
    parser.add_argument("--here", type=int, default=2, help="rounds in this process, step by step")
    parser.add_argument("--turns", type=int, default=3, help="without and with a round by the worker, each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one turn, at least")
    args = parser.parse_args()
    with open_site(args) as site:
        fine = measure(site, args)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
