"""What people said. Rows are never changed or deleted (triggers); a change is a new row that the seat points to."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .items import Item
from .people import User
from .projects import Guideline, LabelSchema, Project
from .queue import Seat


class Annotation(models.Model):
    """One person's submission for one item.

    `key` and `body_digest` make a repeated request the same request. Free text lies in `AnnotationText`.
    """

    class Source(models.TextChoices):
        HUMAN = "human", _("human")
        IMPORTED = "imported", _("imported")
        SIMULATED = "simulated", _("simulated")
        MODEL = "model", _("model")

    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="annotations", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(
        Item, on_delete=models.PROTECT, related_name="annotations", db_constraint=False, db_index=False
    )
    person = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="annotations", db_constraint=False, db_index=False
    )
    schema = models.ForeignKey(
        LabelSchema, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    source = models.CharField(max_length=9, choices=Source.choices)
    created_at = models.DateTimeField()
    seconds = models.FloatField(null=True, help_text="active seconds, as the page measured them")
    is_unsure = models.BooleanField(default=False)
    flag = models.CharField(max_length=20, blank=True)
    clauses = ArrayField(models.CharField(max_length=100), default=list)
    text_commitment = models.BinaryField(null=True)
    key = models.CharField(max_length=255)
    body_digest = models.BinaryField()
    lease_generation = models.PositiveIntegerField()
    leases = ArrayField(
        models.CharField(max_length=40), null=True, help_text="the leases that came with the answer, for its replay"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "key"], name="annotation_key_once"),
            models.CheckConstraint(
                condition=Q(source__in=["human", "imported", "simulated", "model"]), name="annotation_source_known"
            ),
        ]
        indexes = [
            models.Index(fields=["project", "person", "created_at"], name="annotation_of_person"),
            # When, and how long it took, is read of many at once: from the index alone.
            models.Index(fields=["item"], include=["id", "created_at", "seconds"], name="annotation_of_item"),
            models.Index(fields=["seat"], name="annotation_of_seat"),
        ]

    def __str__(self) -> str:
        return f"annotation {self.pk}"


class AnnotationText(models.Model):
    """Free text that came with an annotation: the erasable part, hashed with its salt into `text_commitment`."""

    annotation = models.OneToOneField(Annotation, primary_key=True, on_delete=models.PROTECT, related_name="text")
    comment = models.TextField(blank=True)
    answers = models.JSONField(default=dict, help_text="text answers: {question: text}")
    salt = models.BinaryField()

    def __str__(self) -> str:
        return f"text of annotation {self.annotation_id}"


class Label(models.Model):
    """The value that an annotation gives to one question. Exactly one typed column is set (CHECK).

    `question` is the stable id of the question within the project; item, person and project are repeated so that
    agreement loads integers without joins.
    """

    pk = models.CompositePrimaryKey("annotation_id", "question")
    annotation = models.ForeignKey(Annotation, on_delete=models.PROTECT, related_name="labels", db_index=False)
    question = models.PositiveSmallIntegerField()
    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    choice = models.IntegerField(null=True)
    choices = ArrayField(models.IntegerField(), null=True)
    number = models.FloatField(null=True)
    data = models.JSONField(null=True, help_text="spans, boxes, segments, ranking")
    text_commitment = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(choice__isnull=False, choices=None, number=None, data__isnull=True, text_commitment=None)
                | Q(choice=None, choices__isnull=False, number=None, data__isnull=True, text_commitment=None)
                | Q(choice=None, choices=None, number__isnull=False, data__isnull=True, text_commitment=None)
                | Q(choice=None, choices=None, number=None, data__isnull=False, text_commitment=None)
                | Q(choice=None, choices=None, number=None, data__isnull=True, text_commitment__isnull=False),
                name="label_has_one_value",
            ),
        ]
        indexes = [
            # All labels of a question are read from the index alone, an item's together: in the table they lie in the
            # order in which they came, so that some of the items would be a look at every page.
            models.Index(
                fields=["project", "question", "item"],
                include=["annotation", "person", "choice", "number"],
                name="label_of_question",
            ),
        ]

    def __str__(self) -> str:
        return f"label of annotation {self.annotation_id}, question {self.question}"
