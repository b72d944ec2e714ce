"""The job that counts the words of new items ahead of the next round, and drops what was counted of sealed ones."""

from __future__ import annotations

from annotation.jobs import RunningJob, job_kind
from learning.actions.features import KIND
from learning.feature_files import refresh_shards


@job_kind(KIND)
def run_features(running: RunningJob) -> dict[str, int]:
    """Count what is missing; the result is `{"items"}`, of how many items words are stored now."""
    shards = refresh_shards(running.project, running.check, running.progress)
    return {"items": sum(len(shard.items) for shard in shards.shards)}
