"""What is labelled. The item is what we may keep for ever; its payload is what somebody may ask us to erase."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .projects import Project


class Import(models.Model):
    """One file or request that brought items. Its items are served and listed once `is_visible`: the one flip."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    job_id = models.BigIntegerField(null=True, help_text="the job that runs it, to find its work again after a kill")
    created_at = models.DateTimeField(auto_now_add=True)
    is_visible = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"import {self.pk} into {self.project_id}"


class Item(models.Model):
    """One thing to label. The id is random: it is the same for everybody and shows nothing of the order of import.

    `commitment` is SHA-256 over the payload's salt and its canonical parts: it stays, and proves nothing once the
    salt is erased. `split` is set once, by a hash of the group (or of the item where it has none).
    """

    class Split(models.IntegerChoices):
        POOL = 0, _("pool")
        HOLDOUT = 1, _("holdout")

    class Lifecycle(models.IntegerChoices):
        OPEN = 0, _("open")
        ARCHIVED = 1, _("archived")
        QUARANTINED = 2, _("quarantined")
        ERASED = 3, _("erased")

    id = models.BigIntegerField(primary_key=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items", db_index=False)
    imported_by = models.ForeignKey(Import, on_delete=models.PROTECT, related_name="items", db_constraint=False)
    external_id = models.CharField(max_length=200)
    has_own_id = models.BooleanField(default=True, help_text="false: the id was generated and is never matched")
    group = models.CharField(max_length=200, blank=True)
    commitment = models.BinaryField()
    metadata = models.JSONField(default=dict)
    gold = models.JSONField(null=True)
    split = models.PositiveSmallIntegerField(choices=Split.choices)
    lifecycle = models.PositiveSmallIntegerField(choices=Lifecycle.choices, default=Lifecycle.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="item_external_id_once"),
            models.CheckConstraint(condition=Q(split__in=[0, 1]), name="item_split_known"),
            models.CheckConstraint(condition=Q(lifecycle__in=[0, 1, 2, 3]), name="item_lifecycle_known"),
        ]
        indexes = [
            # `q=`: external id prefix, whatever the collation of the database.
            models.Index(
                fields=["project", "external_id"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                name="item_external_id_prefix",
            ),
            models.Index(fields=["project", "id"], name="item_by_id"),
            models.Index(fields=["project", "id"], condition=Q(gold__isnull=False), name="item_with_gold"),
            models.Index(fields=["project", "lifecycle", "id"], condition=Q(lifecycle__gt=0), name="item_put_away"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"


class ItemPayload(models.Model):
    """The erasable part of an item: its parts and the salt of its commitment. Erasing deletes this row."""

    item = models.OneToOneField(Item, primary_key=True, on_delete=models.CASCADE, related_name="payload")
    parts = models.JSONField()
    salt = models.BinaryField()

    def __str__(self) -> str:
        return f"payload of {self.item_id}"


class Media(models.Model):
    """A file of a project, stored once by its content. The bytes lie under MEDIA_DIR, see `annotation/media.py`.

    `derivatives`: what was made out of it (`annotation/derivatives.py`), by name; null while the worker has not looked.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="media")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    mime = models.CharField(max_length=100)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    derivatives = models.JSONField(null=True)
    is_sealed = models.BooleanField(default=False, help_text="an item that shows it is in quarantine: shown to nobody")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="media_once")]
        indexes = [
            models.Index(
                fields=["project", "id"], condition=Q(derivatives__isnull=True, is_sealed=False), name="media_to_derive"
            ),
        ]

    def __str__(self) -> str:
        return self.sha256
