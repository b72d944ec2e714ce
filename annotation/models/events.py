"""What happened (`Event`, append-only) and what is still to be done (`Job`)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .people import User
from .projects import Project
from .transaction_id import TransactionId


class Event(models.Model):
    """A fact, with ids and no content. `xid` is the transaction that wrote it.

    Readers look only below the oldest transaction still running (`annotation/events.py`); they never use `id > last`,
    because an id is given before its transaction commits.
    """

    project = models.ForeignKey(
        Project, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=60)
    actor = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    item_id = models.BigIntegerField(null=True)
    ref_id = models.BigIntegerField(null=True, help_text="the row that the event is about")
    data = models.JSONField(null=True)
    at = models.DateTimeField()
    xid = TransactionId()

    class Meta:
        indexes = [
            models.Index(fields=["xid", "id"], name="event_in_order"),
            models.Index(fields=["project", "id"], name="event_of_project"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class EventPosition(models.Model):
    """How far a consumer has read: below which transaction, on which cluster (a restore starts transactions anew).

    Events up to `boundary_id` are older than the consumer's stay on this cluster: their `xid` means nothing here, and
    they are read in the order of their ids. `annotation/events.py` says how.
    """

    consumer = models.CharField(primary_key=True, max_length=60)
    xid = TransactionId()
    system_identifier = models.CharField(max_length=30)
    last_id = models.BigIntegerField(default=0, help_text="the highest event id read")
    boundary_id = models.BigIntegerField(
        default=0, help_text="the highest event id that existed at a change of cluster"
    )
    read_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.consumer


class Job(models.Model):
    """Work to do. This row is the truth; the message in the broker only rings a bell.

    `attempt` is counted when a worker claims the job and is the fencing token of everything it writes.
    At most one job with the same `lock` runs at a time (partial unique index).
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        DEAD = "dead", _("dead")

    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=40)
    args = models.JSONField(default=dict, help_text="ids and settings, never content")
    lock = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  (null: no lock; many may run)
    state = models.CharField(max_length=7, choices=State.choices, default=State.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    run_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lock"], condition=Q(state="running"), name="job_one_running_per_lock"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running", "done", "failed", "dead"]), name="job_state_known"
            ),
        ]
        indexes = [
            models.Index(fields=["run_at", "id"], condition=Q(state__in=["queued", "running"]), name="job_due"),
            models.Index(fields=["project", "kind", "id"], name="job_of_project"),
            models.Index(fields=["state"], condition=Q(state__in=["failed", "dead"]), name="job_in_vain"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} job {self.pk}"
