"""What is learned from labels and what is published of them. Written by `learning/actions.py` alone."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation.kinds import Question
from annotation.models import Draw, Item, Job, Project, User


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Models, narrowed."""

    def of_question(self, project: Project, question: Question) -> ModelVersionQuerySet:
        """Those of a question as it is now: of its present kind."""
        return self.filter(project=project, question=question["id"], kind=question["kind"])


class ModelVersion(models.Model):
    """One fitted model, or one outside model that sends scores. Its arrays lie under MODEL_DIR, in `path`.

    `is_current`: its scores are the ones shown and selected from; at most one per project and question. A question may
    turn into another kind, and then a class of the same number is another one: `of_question` leaves such models out.
    """

    class Origin(models.TextChoices):
        TRAINED = "trained", _("trained here")
        EXTERNAL = "external", _("sent in")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    question = models.PositiveSmallIntegerField()
    kind = models.CharField(
        max_length=16, default="choice", help_text="the question's, when it was fitted or first sent"
    )
    name = models.CharField(max_length=100)
    version = models.CharField(max_length=100)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    classes = models.JSONField(help_text="choice ids or ratings, in the order of the columns of the probabilities")
    n_train = models.PositiveIntegerField(null=True)
    path = models.CharField(max_length=200, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    seed = models.BigIntegerField(null=True)
    evaluation = models.JSONField(null=True, help_text="figures on the holdout, each with interval, n or refusal")
    is_current = models.BooleanField(default=False)
    is_barred = models.BooleanField(default=False, help_text="a language model that has not passed: never current")
    promoted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    promoted_at = models.DateTimeField(null=True, help_text="when a person last made it the current one")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "question", "name", "version"], name="model_version_once"),
            models.UniqueConstraint(
                fields=["project", "question"], condition=Q(is_current=True), name="model_one_current"
            ),
            models.CheckConstraint(condition=~Q(is_current=True, is_barred=True), name="model_barred_is_not_current"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def is_of(self, question: Question) -> bool:
        """Whether it is a model of this question as it is now: of its present kind."""
        return (self.question, self.kind) == (question["id"], question["kind"])


class Score(models.Model):
    """The newest probabilities of one item under one model version: what it says, its probability, the utility.

    Full probabilities lie in array shards beside the model (trained here) or in `proba` (sent in).
    A new version's rows are built beside the old ones; turning `is_current` is the swap.
    """

    # A million rows are written with each round: two indexes, and nobody looks whether what they name is there.
    pk = models.CompositePrimaryKey("item_id", "model_version_id")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="scores", db_constraint=False, db_index=False)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="scores", db_constraint=False, db_index=False
    )
    choice = models.IntegerField(help_text="the most probable choice or rating")
    choices = ArrayField(
        models.IntegerField(), null=True, help_text="where several may hold: those of a probability of 0.5 or more"
    )
    probability = models.FloatField(help_text="of what it says; where several may hold, of what is least sure in it")
    utility = models.FloatField()
    proba = ArrayField(
        models.FloatField(), null=True, help_text="sent in: probabilities in the order of the model's classes"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(probability__gte=0, probability__lte=1), name="score_probability"),
        ]
        indexes = [models.Index(fields=["model_version", "-utility", "item"], name="score_by_utility")]

    def __str__(self) -> str:
        return f"score of {self.item_id}"


class EmbeddingSpace(models.Model):
    """Vectors of a project's items by one outside model: all of one length, and comparable with each other."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="embedding_spaces")
    name = models.CharField(max_length=60)
    n_dimensions = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="embedding_space_once")]

    def __str__(self) -> str:
        return f"embeddings {self.name} of {self.project_id}"


class Embedding(models.Model):
    """The newest vector of one item in one space. It goes when the item is sealed or erased (trigger)."""

    pk = models.CompositePrimaryKey("space_id", "item_id")
    space = models.ForeignKey(EmbeddingSpace, on_delete=models.CASCADE, related_name="embeddings", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    stamp = models.BigIntegerField(help_text="another one for another vector: what was made of the one before is old")
    vector = models.BinaryField(help_text="float32, little-endian")

    def __str__(self) -> str:
        return f"embedding of {self.item_id}"


class Round(models.Model):
    """One turn of the loop: train (or take scores sent in), score the pool, select a batch, raise its priorities."""

    class Trigger(models.TextChoices):
        DEMAND = "demand", _("on demand")
        RESOLUTIONS = "resolutions", _("after new resolutions")
        PREDICTIONS = "predictions", _("after predictions")
        CLOCK = "clock", _("by the clock")
        ITEMS = "items", _("after new items")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    question = models.PositiveSmallIntegerField()
    trigger = models.CharField(max_length=11, choices=Trigger.choices)
    strategy = models.CharField(max_length=40)
    batch = models.PositiveIntegerField()
    random_share = models.FloatField()
    seed = models.BigIntegerField()
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    model_version = models.ForeignKey(ModelVersion, null=True, on_delete=models.SET_NULL, related_name="rounds")
    draw = models.ForeignKey(Draw, null=True, on_delete=models.SET_NULL, related_name="+")
    n_train = models.PositiveIntegerField(null=True)
    n_pool = models.PositiveIntegerField(null=True)
    n_selected = models.PositiveIntegerField(null=True)
    last_event_id = models.BigIntegerField(default=0, help_text="resolutions up to here are counted as used")
    note = models.TextField(blank=True, help_text="a named refusal or reason, for people")
    costs = models.JSONField(default=dict, help_text="time, memory and sizes, as `stopwatch.Stopwatch.read` gives them")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="round_number_once")]

    def __str__(self) -> str:
        return f"round {self.number} of {self.project_id}"


class Snapshot(models.Model):
    """An immutable version of the accepted labels. The files lie under SNAPSHOT_DIR; their hashes in `manifest`."""

    class State(models.TextChoices):
        BUILDING = "building", _("building")
        PUBLISHED = "published", _("published")
        FAILED = "failed", _("failed")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshot_versions")
    major = models.PositiveIntegerField()
    minor = models.PositiveIntegerField()
    patch = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=9, choices=State.choices, default=State.BUILDING)
    query = models.JSONField(default=dict)
    manifest = models.JSONField(null=True)
    root = models.CharField(max_length=64, blank=True)
    n_items = models.PositiveIntegerField(null=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "major", "minor", "patch"], name="snapshot_version_once"),
            models.CheckConstraint(
                condition=~Q(state="published") | Q(manifest__isnull=False), name="snapshot_published_has_manifest"
            ),
        ]

    def __str__(self) -> str:
        return f"snapshot {self.version} of {self.project_id}"

    @property
    def version(self) -> str:
        """`MAJOR.MINOR.PATCH`."""
        return f"{self.major}.{self.minor}.{self.patch}"


class SnapshotMember(models.Model):
    """What a snapshot says of one item and question, copied in one short statement. Never changed (trigger)."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="snapshot_members")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    question = models.PositiveSmallIntegerField()
    state = models.PositiveSmallIntegerField()
    choice = models.IntegerField(null=True)
    choices = models.JSONField(null=True)
    number = models.FloatField(null=True)
    data = models.JSONField(null=True)
    confidence = models.FloatField(null=True)
    method = models.CharField(max_length=20)
    resolution_version = models.PositiveIntegerField()
    annotations = models.JSONField(default=list, help_text="ids of the annotations that stood behind it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "item", "question"], name="snapshot_member_once"),
        ]
        indexes = [models.Index(fields=["item"], name="snapshot_member_of_item")]

    def __str__(self) -> str:
        return f"item {self.item_id} in snapshot {self.snapshot_id}"
