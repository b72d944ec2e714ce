"""Running jobs: which function does which kind of work, and what surrounds it (`actions/jobs.py` writes the rows)."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from django.db import Error as DatabaseFault
from django.db import connection
from django.utils.translation import gettext as _

from annotation.actions.jobs import (
    STALE_SECONDS,
    JobLostError,
    advance_job,
    claim_job,
    fail_job,
    finish_job,
    hold_job,
    renew_job,
    retry_job,
)
from annotation.errors import TouchstoneError
from annotation.models import Job, Project

__all__ = ["JobFailedError", "JobLostError", "RunningJob", "job_kind", "run_job"]

HEARTBEAT_SECONDS = 5.0
BACKOFF_SECONDS = 5.0  # before the second attempt; twice that before the third

logger = logging.getLogger(__name__)


class JobFailedError(TouchstoneError):
    """The job could not be done, and would not be the next time either."""

    code: ClassVar[str] = "job_failed"
    status: ClassVar[int] = 422

    def __init__(self, detail: str | None = None, *, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.result = result


class RunningJob:
    """One attempt at a job, as the function sees it that does the work."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.is_finished = False
        # Told which step of the work begins: whoever measures the work listens.
        self.on_step: Callable[[str], object] = lambda _step: None
        self._lost = threading.Event()

    @property
    def args(self) -> dict[str, Any]:
        """What the job was started with."""
        return dict(self.job.args)

    @property
    def project(self) -> Project:
        """The job's project. Raises ValueError where it has none."""
        if self.job.project is None:
            raise ValueError(f"job {self.job.pk} belongs to no project")
        return self.job.project

    @property
    def is_lost(self) -> bool:
        """Whether a heartbeat found the job in other hands; known without asking the database."""
        return self._lost.is_set()

    def progress(self, done: int, total: int | None = None) -> None:
        """Store how far this is. Raises JobLostError where another attempt has taken over; let it pass."""
        self._refuse_if_lost()
        advance_job(job_id=self.job.pk, attempt=self.job.attempt, done=done, total=total)

    def check(self) -> None:
        """Raise JobLostError where another attempt has taken over.

        Called inside a transaction it also keeps others off until the transaction ends: what is written beside it is
        stored only by the attempt that owns the job.
        """
        self._refuse_if_lost()
        hold_job(job_id=self.job.pk, attempt=self.job.attempt)

    def finish(self, result: Mapping[str, Any] | None = None) -> None:
        """End the job as done, inside the function's last transaction: its writes and the end happen both or neither.

        Not needed otherwise: what the function returns is the result. Raises JobLostError.
        """
        self._refuse_if_lost()
        finish_job(job_id=self.job.pk, attempt=self.job.attempt, result=result)
        self.is_finished = True

    def note_loss(self) -> None:
        """Remember that the heartbeat found the job in other hands."""
        self._lost.set()

    def _refuse_if_lost(self) -> None:
        if self.is_lost:
            raise JobLostError(f"attempt {self.job.attempt} no longer owns job {self.job.pk}")


JobFunction = Callable[[RunningJob], Mapping[str, Any] | None]

_functions: dict[str, JobFunction] = {}


def job_kind(name: str) -> Callable[[JobFunction], JobFunction]:
    """Register the decorated function for jobs of the kind `name`, in a `tasks.py` that workers import.

    It gets a `RunningJob` and returns the job's result: a dict for JSON, or None. It may be run again after it was cut
    off anywhere, so what it does twice must have the effect of once. A `TouchstoneError` means that repeating is no
    use; any other exception is tried again, up to the job's `max_attempts`. Raises ValueError where the kind has a
    function.
    """

    def register(function: JobFunction) -> JobFunction:
        if _functions.setdefault(name, function) is not function:
            raise ValueError(f"jobs of the kind {name!r} have a function already")
        return function

    return register


def run_job(
    job_id: int,
    *,
    stale_seconds: float = STALE_SECONDS,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    backoff_seconds: float = BACKOFF_SECONDS,
) -> None:
    """Claim a job and carry it out, in this thread; nothing happens where it is not to be run now.

    Called for each message, however often that comes. Outside any transaction. What the function raises ends up in the
    row and the log, not with the caller; only a database that cannot be written to does.
    """
    job = claim_job(job_id=job_id, worker=f"{socket.gethostname()}:{os.getpid()}", stale_seconds=stale_seconds)
    if job is None:
        return
    running = RunningJob(job)
    try:
        with _keep_alive(running, heartbeat_seconds):
            _carry_out(running, backoff_seconds)
    except JobLostError:
        logger.warning("job %s: attempt %s came too late; nothing of it was stored from then on", job.pk, job.attempt)


def _carry_out(running: RunningJob, backoff_seconds: float) -> None:
    job = running.job
    try:
        result = _functions[job.kind](running)
    except JobLostError:
        raise
    except TouchstoneError as error:
        logger.info("job %s (%s) failed: %s", job.pk, job.kind, error.code)
        fail_job(job_id=job.pk, attempt=job.attempt, error=error.detail, result=getattr(error, "result", None))
    except Exception as error:
        logger.exception("job %s (%s): attempt %s of %s", job.pk, job.kind, job.attempt, job.max_attempts)
        # The kind of error alone: its text may quote content.
        text = _("Attempt %(attempt)s of %(max)s stopped unexpectedly (%(error)s). The worker's log says where.") % {
            "attempt": job.attempt,
            "max": job.max_attempts,
            "error": type(error).__name__,
        }
        delay = backoff_seconds * 2 ** (job.attempt - 1)
        retry_job(job_id=job.pk, attempt=job.attempt, error=text, delay_seconds=delay)
    else:
        if not running.is_finished:
            finish_job(job_id=job.pk, attempt=job.attempt, result=result)


@contextlib.contextmanager
def _keep_alive(running: RunningJob, seconds: float) -> Iterator[None]:
    """Renew the job's heartbeat from a thread with its own connection, for the duration of a `with` block."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(running, seconds, stop), name=f"job {running.job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=seconds)


def _beat(running: RunningJob, seconds: float, stop: threading.Event) -> None:
    try:
        while not stop.wait(seconds):
            try:
                renew_job(job_id=running.job.pk, attempt=running.job.attempt)
            except JobLostError:
                # At the very end the job may have been finished by its own function.
                if not stop.is_set():
                    running.note_loss()
                return
            except DatabaseFault:
                logger.warning("job %s: no heartbeat, the database does not answer", running.job.pk)
                connection.close()
    finally:
        connection.close()
