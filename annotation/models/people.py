"""Who takes part: people with a login, and those without one (imported, simulated)."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """One person. A superuser is the administrator of the organisation, which is this deployment.

    Imported and simulated persons have no usable password, and their names carry a `/`, which no login may.
    """

    class Kind(models.TextChoices):
        PERSON = "person", _("person")
        IMPORTED = "imported", _("imported")
        SIMULATED = "simulated", _("simulated")

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PERSON)
    shown_name = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind="person", username__contains="/"),
                name="user_login_has_no_slash",
            ),
        ]

    @property
    def name(self) -> str:
        """The name to show: an imported annotator's own name, else the login."""
        return self.shown_name or self.username


class ApiToken(models.Model):
    """A key for programs. Only its SHA-256 is stored; the token itself is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    digest = models.BinaryField(unique=True)
    scopes = models.JSONField(null=True, help_text="null: all that the person may")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token {self.pk} of {self.user_id}"


class SetupLink(models.Model):
    """A one-time link that makes the first owner (or one more superuser). Used once, for a day."""

    digest = models.BinaryField(unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"setup link {self.pk}"


class Organisation(models.Model):
    """The one row of floors and limits that no project may pass."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    max_held = models.PositiveSmallIntegerField(default=50, help_text="leases that one person may hold in one project")
    max_overlap = models.PositiveSmallIntegerField(default=50)
    min_lease_seconds = models.PositiveIntegerField(default=1)
    max_lease_seconds = models.PositiveIntegerField(default=7 * 24 * 3600)
    max_token_days = models.PositiveIntegerField(default=365)
    max_upload_bytes = models.BigIntegerField(default=2 * 1024**3)
    undo_seconds = models.PositiveIntegerField(default=900, help_text="how long an answer can be taken back")

    # Severe items that one person is handed, over all projects. A project may be stricter, never looser.
    severe_items = models.PositiveIntegerField(default=100, db_default=100, help_text="in 24 hours")
    severe_minutes = models.PositiveIntegerField(default=60, db_default=60, help_text="in 24 hours")
    severe_in_a_row = models.PositiveIntegerField(default=3, db_default=3)
    severe_pause_seconds = models.PositiveIntegerField(
        default=120, db_default=120, help_text="after as many in a row, where nothing mild is left"
    )
    break_minutes = models.PositiveIntegerField(default=50, db_default=50, help_text="with severe items, till a prompt")
    view_floor = models.JSONField(null=True, help_text="how severe items are shown at least; null: as the house has it")
    masked_words = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    support = models.TextField(blank=True, default="", db_default="", help_text="where people find support")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="organisation_is_one_row")]

    def __str__(self) -> str:
        return "organisation"


class CareProfile(models.Model):
    """What one person has set for themselves about content that is hard to look at. Nobody else is shown it.

    There is a row once they have set something.
    """

    person = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="care")
    opted_out = ArrayField(models.CharField(max_length=40), default=list, help_text="harms that are not offered")
    views = models.JSONField(default=dict, help_text="level -> kind -> view, what differs from the defaults")
    break_minutes = models.PositiveIntegerField(null=True, help_text="of any work, till a prompt")

    def __str__(self) -> str:
        return f"care of {self.person_id}"
