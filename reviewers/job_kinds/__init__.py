"""What a worker does for each kind of job of this app: a function each, registered under the job's kind."""

from reviewers.job_kinds import carrying, consensus, recount, strata

__all__ = ["carrying", "consensus", "recount", "strata"]
