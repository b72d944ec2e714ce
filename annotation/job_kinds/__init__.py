"""What a worker does for each kind of job of this app: a function each, registered under the job's kind."""

from annotation.job_kinds import erase, imports, overlap

__all__ = ["erase", "imports", "overlap"]
