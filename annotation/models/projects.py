"""A project, who is in it, and the two frozen documents that its labels answer to: label schema and guideline."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .people import User


class Project(models.Model):
    """A set of items, the questions asked about them, and the rules by which answers are accepted."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        ARCHIVED = "archived", _("archived")

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)
    is_demo = models.BooleanField(default=False)

    overlap_min = models.PositiveSmallIntegerField(default=1)
    overlap_max = models.PositiveSmallIntegerField(default=1)
    rule = models.JSONField(help_text='{"kind": "majority", "unanimous" or "posterior", ...}')
    skips_to_dispute = models.PositiveSmallIntegerField(default=3)
    lease_seconds = models.PositiveIntegerField(default=600)
    max_held = models.PositiveSmallIntegerField(default=5)
    shown_metadata = ArrayField(models.CharField(max_length=200), default=list)
    show_external_id = models.BooleanField(default=False)
    learning = models.JSONField(null=True)
    snapshots = models.JSONField(null=True)
    gold_rate = models.FloatField(default=0)
    suggestions = models.BooleanField(default=False)
    blind_share = models.FloatField(default=0, help_text="share of seats on which a suggestion is withheld")
    care = models.JSONField(null=True, help_text="stricter limits than the organisation's, and own words and support")
    holdout_share_now = models.FloatField(
        default=0.2, help_text="share of served work from the holdout: the set share until the holdout is full, then 0"
    )

    # Seeds everything that chance decides about the project: tiebreaks, the holdout split, pseudonyms.
    seed = models.BinaryField()
    schema = models.ForeignKey("LabelSchema", null=True, on_delete=models.PROTECT, related_name="+")
    guideline = models.ForeignKey("Guideline", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(overlap_min__gte=1, overlap_max__gte=F("overlap_min")), name="project_overlap_range"
            ),
            models.CheckConstraint(condition=Q(gold_rate__range=(0, 1)), name="project_gold_rate_is_share"),
            models.CheckConstraint(condition=Q(blind_share__range=(0, 1)), name="project_blind_share_is_share"),
            models.CheckConstraint(
                condition=Q(max_held__gte=1, lease_seconds__gte=1, skips_to_dispute__gte=1),
                name="project_limits_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Member(models.Model):
    """A person in a project, in one role. Leaving is `is_active = False`: what they did stays attributed."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator", _("annotator")
        REVIEWER = "reviewer", _("reviewer")
        ENGINEER = "engineer", _("engineer")
        OWNER = "owner", _("owner")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    team = models.CharField(max_length=100, blank=True)
    languages = ArrayField(models.CharField(max_length=35), default=list, help_text="none: any")
    qualifications = ArrayField(models.CharField(max_length=100), default=list)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)
    held_floor = models.DateTimeField(null=True, help_text="no seat that they hold was leased before; it saves time")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="member_once"),
            models.CheckConstraint(
                condition=Q(role__in=["annotator", "reviewer", "engineer", "owner"]), name="member_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.project_id} as {self.role}"


class LabelSchema(models.Model):
    """Frozen questions: `compiled` is the result of `annotation.schema.compile_schema`. Never edited (trigger)."""

    class Change(models.TextChoices):
        FIRST = "first", _("first version")
        COMPATIBLE = "compatible", _("compatible")
        BREAKING = "breaking", _("breaking")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="schemas")
    version = models.PositiveIntegerField()
    compiled = models.JSONField()
    change = models.CharField(max_length=10, choices=Change.choices)
    map = models.JSONField(null=True, help_text="breaking: {question: {old value: new value or null}}")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="schema_version_once")]

    def __str__(self) -> str:
        return f"schema {self.version} of {self.project_id}"


class Guideline(models.Model):
    """Frozen instructions in clauses with stable ids. Never edited (trigger)."""

    class Change(models.TextChoices):
        MAJOR = "major", _("major")
        MINOR = "minor", _("minor")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    change = models.CharField(max_length=5, choices=Change.choices)
    clauses = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="guideline_version_once")]

    def __str__(self) -> str:
        return f"guideline {self.version} of {self.project_id}"


class Draft(models.Model):
    """A label schema or a guideline that an owner is editing: theirs alone, and of no effect until it is published.

    `base_version` is the version that it began from (0: there was none): whoever publishes second is told.
    """

    class Kind(models.TextChoices):
        SCHEMA = "schema", _("label schema")
        GUIDELINE = "guideline", _("guideline")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    content = models.JSONField(help_text="as it would be sent, possibly faulty")
    base_version = models.PositiveIntegerField()
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "kind"], name="draft_once"),
            models.CheckConstraint(condition=Q(kind__in=["schema", "guideline"]), name="draft_kind_known"),
        ]

    def __str__(self) -> str:
        return f"draft of a {self.kind} for {self.project_id}"


class GuidelineReading(models.Model):
    """The newest version of a guideline that a person has had before them, so that they are told what changed since."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "person"], name="guideline_reading_once")]

    def __str__(self) -> str:
        return f"guideline {self.guideline_id} read by {self.person_id}"


class DeskKeys(models.Model):
    """The keys that a person gave to answers of a project and to what its desk does, where they are other ones."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    keys = models.JSONField(help_text="{question name: {choice's value: key}}")
    page = models.JSONField(default=dict, help_text="{action of the page: key}")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "person"], name="desk_keys_once")]

    def __str__(self) -> str:
        return f"keys of {self.person_id} in {self.project_id}"
