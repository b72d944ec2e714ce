"""What a worker does for each kind of job of this app: a function each, registered under the job's kind."""

from annotation.job_kinds import audit, derivatives, erase, imports, overlap, rule

__all__ = ["audit", "derivatives", "erase", "imports", "overlap", "rule"]
