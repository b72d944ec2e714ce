"""How a set of items came to be offered: what a statistic needs to know before it believes a label."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .items import Item
from .projects import Project


class Draw(models.Model):
    """One draw of items from a frame. `round` is the id of the learning round that made it, if one did."""

    class Stream(models.TextChoices):
        ACTIVE = "active", _("active")
        AUDIT = "audit", _("audit")
        GOLD = "gold", _("gold")
        HOLDOUT = "holdout", _("holdout")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="draws")
    stream = models.CharField(max_length=7, choices=Stream.choices)
    strategy = models.CharField(max_length=40)
    seed = models.BigIntegerField(null=True)
    frame_digest = models.BinaryField(null=True, help_text="SHA-256 over the sorted ids of the frame")
    n_frame = models.PositiveIntegerField(null=True)
    round = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stream__in=["active", "audit", "gold", "holdout"]), name="draw_stream_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream} draw {self.pk} by {self.strategy}"


class DrawItem(models.Model):
    """An item in a draw. `probability` is its exact inclusion probability, null where the choice was deterministic."""

    draw = models.ForeignKey(Draw, on_delete=models.CASCADE, related_name="items")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="draws")
    probability = models.FloatField(null=True)
    rank = models.PositiveIntegerField()
    utility = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["draw", "item"], name="draw_item_once"),
            models.CheckConstraint(
                condition=Q(probability__isnull=True) | Q(probability__gt=0, probability__lte=1),
                name="draw_probability_is_one",
            ),
        ]

    def __str__(self) -> str:
        return f"item {self.item_id} in draw {self.draw_id}"
