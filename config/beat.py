"""Beat's scheduler: it does what is due itself, instead of sending a message to a worker.

What it does every second (deliver events, move floors, ring for jobs again) takes milliseconds and must not wait behind
a job that takes an hour, nor for a broker that is down. Several beats at once do no harm: the database's locks let one
of them do a thing, and the others find it done.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from django.db import close_old_connections

logger = logging.getLogger(__name__)


class DoingScheduler(Scheduler):  # type: ignore[misc]  # celery has no types
    """Runs each due entry's task in this process. A task that raises is logged, and due again at its next time."""

    producer = None  # nothing is sent, so no connection to the broker is opened

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **_options: Any) -> None:
        """Carry the entry out now."""
        due = self.reserve(entry) if advance else entry
        close_old_connections()
        try:
            self.app.tasks[due.task](*due.args, **due.kwargs)
        except Exception:
            logger.exception("%s went wrong; it is tried again when it is due", due.task)
        finally:
            close_old_connections()
