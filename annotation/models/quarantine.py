"""What was sealed because it may be illegal to hold: when, by whom, and the two people who let it out again."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from .people import User
from .projects import Project


class Quarantine(models.Model):
    """One sealing: an item, every other item of the project that shows one of its files, and those files.

    It is lifted by two people: one asks for it, another one confirms. The row stays, and holds no content.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="quarantines")
    item_ids = ArrayField(models.BigIntegerField(), help_text="the one that was looked at first")
    archived_ids = ArrayField(models.BigIntegerField(), default=list, help_text="those of them that were archived")
    media = ArrayField(models.CharField(max_length=64), default=list, help_text="SHA-256 of the files")
    sealed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    sealed_at = models.DateTimeField(auto_now_add=True)
    asked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="why it should be let out")
    released_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(released_by__isnull=True) | (Q(asked_by__isnull=False) & ~Q(released_by=F("asked_by"))),
                name="quarantine_released_by_two",
            ),
        ]
        indexes = [models.Index(fields=["project", "id"], name="quarantine_of_project")]

    def __str__(self) -> str:
        return f"quarantine {self.pk}"
