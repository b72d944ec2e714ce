"""A project under the posterior rule whose annotators are known by sixty items that they answered before."""

from __future__ import annotations

from math import log
from random import Random
from typing import Any

from annotation.actions.jobs import claim_job
from annotation.jobs import RunningJob
from annotation.models import QueueRow
from reviewers.actions.consensus import start_fit
from reviewers.job_kinds.consensus import run_fit
from reviewers.models import ConsensusAnnotator
from tests.cast import Desk, MakeDesk

POSTERIOR = {"kind": "posterior", "threshold": 0.95, "method": "dawid_skene"}
VALUES = ("none", "spam", "insult")
# How often each is right: two answers of the first two are enough, and carol's add little.
PEOPLE = {"alice": 0.98, "bob": 0.98, "carol": 0.5}


def past_rows(n: int = 60, seed: int = 1) -> list[dict[str, Any]]:
    """Items that everybody in `PEOPLE` has answered, as an import brings them."""
    rng = Random(seed)
    rows = []
    for i in range(n):
        truth = VALUES[i % 3]
        given = [
            {
                "annotator": name,
                "answers": {
                    "verdict": truth if rng.random() < share else rng.choice([v for v in VALUES if v != truth])
                },
            }
            for name, share in PEOPLE.items()
        ]
        rows.append({"external_id": f"p-{i}", "text": f"past {i}", "group": "one", "annotations": given})
    return rows


def make_known_desk(make_desk: MakeDesk, n: int = 4, rule: dict[str, Any] = POSTERIOR, **settings: Any) -> Desk:
    """Sixty answered items and `n` fresh ones, `t-1` and on; what was found of who came with the import, they are."""
    rows = past_rows() + [{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in range(1, n + 1)]
    desk = make_desk(rows=rows, **{"overlap": {"min": 2, "max": 4}, "rule": rule, **settings})
    fit(desk)
    for name in PEOPLE:
        ConsensusAnnotator.objects.filter(person__shown_name=name).update(person=desk.cast[name])
    return desk


def fit(desk: Desk) -> dict[str, Any]:
    """Find out how good everybody is, as the worker would."""
    job = claim_job(job_id=start_fit(project=desk.project, actor=None).pk, worker="test")
    assert job is not None
    running = RunningJob(job)
    result = dict(run_fit(running) or {})
    running.finish(result)
    return result


def state_of(desk: Desk, name: str) -> tuple[str, int, int]:
    """An item's state, its answers, and how many it wants."""
    row = desk.row(name)
    return QueueRow.State(row.state).name.lower(), row.n_submitted, row.overlap


def know(desk: Desk, **accuracy: float) -> None:
    """As if a fit had found that these people are right so often, and wrong evenly otherwise."""
    for name, share in accuracy.items():
        chances = [share if said == true else (1 - share) / 2 for said in range(3) for true in range(3)]
        known = ConsensusAnnotator.objects.filter(fit__is_current=True, person=desk.cast[name])
        assert known.update(log_chances=[log(chance) for chance in chances]) == 1
