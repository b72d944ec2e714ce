"""What a worker does for each kind of job of this app: a function each, registered under the job's kind."""

from reviewers.job_kinds import carrying, consensus, recount

__all__ = ["carrying", "consensus", "recount"]
