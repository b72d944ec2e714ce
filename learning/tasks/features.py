"""The job that makes the features of new items ahead of the next round, and drops those of items that must go."""

from __future__ import annotations

from annotation.jobs import RunningJob, job_kind
from learning.actions.embeddings import remove_stray_vectors
from learning.actions.features import KIND
from learning.features.stored import refresh_shards


@job_kind(KIND)
def run_features(running: RunningJob) -> dict[str, int]:
    """Make what is missing; the result is `{"items"}`, of how many items features are stored now."""
    remove_stray_vectors(project=running.project, check=running.check)
    shards = refresh_shards(running.project, running.check, running.progress)
    return {"items": len(shards.listed.items)}
