"""A comparison of models: asked for by whoever looks, made by a job whose result is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.actions.jobs import start_once
from annotation.models import Job, Project, User
from learning.actions.rounds import lock_name
from learning.comparisons import KIND, PATIENCE, find_kept, is_fresh, job_arguments
from learning.models import ModelVersion


@dataclass(frozen=True, slots=True)
class Comparison:
    """What there is: `kept`, the newest comparison that ended; `job` makes a newer one, or failed a moment ago."""

    kept: Job | None
    job: Job | None


def ask_for_comparison(*, project: Project, models: Sequence[ModelVersion], actor: User | None) -> Comparison:
    """The comparison of these models (at least one, all of one question), and where it is old or missing its job."""
    arguments = job_arguments(models[0].question, models)
    kept = find_kept(project, arguments)
    if kept is not None and is_fresh(project, kept):
        return Comparison(kept, None)
    # In turns with rounds: both bring the stored counts of words up to date.
    job = start_once(
        kind=KIND, project=project, created_by=actor, args=arguments, lock=lock_name(project), patience=PATIENCE
    )
    return Comparison(kept, job)
