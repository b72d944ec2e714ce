"""The work to hand out, and people's places on it. Written through `annotation/queue.py` (`sql/queue.sql`).

These rows are hot: what is kept beside them is kept by every answer. Their copies of project, item, person, lane and
versions are bare: without a foreign key of their own (a key is checked by locking the row it points to, and twenty
annotators would all lock the one project) and without an index of their own. The chain
label -> annotation -> seat -> queue row -> item -> project has real keys.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .draws import Draw
from .items import Item
from .people import User
from .projects import Guideline, LabelSchema, Project
from .transaction_id import TransactionId


class QueueLane(models.Model):
    """One serving line: rows of one project, kind, stream, language, severity and harms. What a person must be allowed.

    `severity` and `harms` are read from the items' metadata by `annotation/hints.py`; rows of a severe lane are handed
    out within a person's exposure budget, and those with a harm that the person opted out of are not offered to them.

    `epoch` counts bulk changes (imports, priorities, overlap) that can put work before a person's cursor.
    Nothing open stands before the floor; no held seat expires before `lease_floor`. Both only save time.
    """

    class Kind(models.IntegerChoices):
        LABEL = 1, _("label")
        ADJUDICATE = 2, _("adjudicate")
        REVIEW = 3, _("review")
        RELABEL = 4, _("relabel")
        PRACTICE = 5, _("practice")

    class Stream(models.IntegerChoices):
        POOL = 0, _("pool")
        HOLDOUT = 1, _("holdout")
        GOLD = 2, _("gold")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="lanes")
    kind = models.PositiveSmallIntegerField(choices=Kind.choices)
    stream = models.PositiveSmallIntegerField(choices=Stream.choices)
    language = models.CharField(max_length=35, blank=True)
    severity = models.PositiveSmallIntegerField(default=0, help_text="0: none, 1: mild, 2: severe")
    harms = models.CharField(max_length=250, blank=True, default="", db_default="", help_text="in order, with commas")
    epoch = models.BigIntegerField(default=0)
    floor_rank = models.FloatField(default=float("-inf"))
    floor_tiebreak = models.BigIntegerField(default=0)
    lease_floor = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind", "stream", "language", "severity", "harms"], name="queue_lane_once"
            ),
        ]

    def __str__(self) -> str:
        return f"lane {self.pk}"


class QueueRow(models.Model):
    """One piece of work: an item, to be labelled (or adjudicated, reviewed, ...) by `overlap` people in one pass.

    `rank` is minus the priority, so that serving order is an index condition. `state` is what the item's votes say.
    Which rows still have a free place is said by `Offer`. No index holds what an answer changes (`n_submitted`,
    `state`, `overlap`, `is_closed`), so that each such change stays on its page (HOT).
    """

    class State(models.IntegerChoices):
        OPEN = 0, _("open")
        AGREED = 1, _("agreed")
        DISPUTED = 2, _("disputed")
        ADJUDICATED = 3, _("adjudicated")

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="queue_rows", db_index=False)
    lane = models.ForeignKey(QueueLane, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    kind = models.PositiveSmallIntegerField(choices=QueueLane.Kind.choices)
    pass_no = models.PositiveSmallIntegerField(default=1)
    rank = models.FloatField(default=0)
    tiebreak = models.BigIntegerField()
    overlap = models.PositiveSmallIntegerField()
    n_submitted = models.PositiveSmallIntegerField(default=0)
    state = models.PositiveSmallIntegerField(choices=State.choices, default=State.OPEN)
    is_closed = models.BooleanField(default=False)
    draw = models.ForeignKey(
        Draw, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "kind", "pass_no"], name="queue_row_once"),
            models.CheckConstraint(
                condition=Q(n_submitted__gte=0, n_submitted__lte=F("overlap")), name="queue_submitted_in_overlap"
            ),
        ]
        indexes = [
            # The items page by priority.
            models.Index(fields=["project", "kind", "rank", "item"], name="queue_by_priority"),
        ]

    def __str__(self) -> str:
        return f"queue row {self.pk}"


class Offer(models.Model):
    """The free places of one queue row, in serving order: what a claim takes from, and all that it locks.

    There is one exactly where a row that is not closed has fewer seats held and submitted than its overlap; `n_free` is
    the difference. The last place taken deletes it. The CHECK is invariant Q1: a place that is not there cannot be
    taken. `returned_by` is the transaction in which a place last opened again or was raised: people's cursors may have
    passed such an offer, and they look at it once more.
    """

    queue_row = models.OneToOneField(
        QueueRow, primary_key=True, on_delete=models.CASCADE, related_name="offer", db_constraint=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    lane = models.ForeignKey(QueueLane, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    rank = models.FloatField()
    tiebreak = models.BigIntegerField()
    n_free = models.PositiveSmallIntegerField()
    returned_by = TransactionId(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(n_free__gt=0), name="offer_has_a_free_place")]
        indexes = [
            models.Index(fields=["lane", "rank", "tiebreak"], name="offer_serving"),
            models.Index(
                fields=["lane", "rank", "tiebreak"], condition=Q(returned_by__isnull=False), name="offer_returned"
            ),
            models.Index(fields=["lane", "returned_by"], condition=Q(returned_by__isnull=False), name="offer_lately"),
        ]

    def __str__(self) -> str:
        return f"offer of queue row {self.queue_row_id}"


class Seat(models.Model):
    """One person's place on one queue row: the lease, the exclusion and the stamp in one.

    A lease id is `SEAT-GENERATION`: each time the seat is held anew the generation grows and the old id is dead.
    `arm` says whether a model's suggestion is shown on it or withheld by chance; none where there was no suggestion.
    It is decided when the seat is first opened, stays, and is never told to the person.

    `exposure` says what the seat counts for in the person's exposure to severe items (`queue_exposure`): the seat
    itself is the record, so that nothing more is written with an answer and nothing is taken back by undo or a skip.
    """

    class State(models.IntegerChoices):
        HELD = 1, _("held")
        SUBMITTED = 2, _("submitted")
        SKIPPED = 3, _("skipped")
        RELEASED = 4, _("released")
        WITHDRAWN = 5, _("withdrawn")

    class Arm(models.IntegerChoices):
        NONE = 0, _("none")
        SHOWN = 1, _("shown")
        WITHHELD = 2, _("withheld")

    class Exposure(models.IntegerChoices):
        NONE = 0, _("none")
        RELIEF = 1, _("something mild after severe items")
        SEVERE = 2, _("severe")

    queue_row = models.ForeignKey(QueueRow, on_delete=models.CASCADE, related_name="seats", db_index=False)
    person = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="seats", db_constraint=False, db_index=False
    )
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="seats", db_constraint=False, db_index=False)
    lane = models.ForeignKey(QueueLane, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    kind = models.PositiveSmallIntegerField(choices=QueueLane.Kind.choices)
    state = models.PositiveSmallIntegerField(choices=State.choices)
    generation = models.PositiveIntegerField(default=1)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=20, blank=True, help_text="why it was skipped")
    annotation = models.ForeignKey(
        "Annotation", null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    draw = models.ForeignKey(
        Draw, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    schema = models.ForeignKey(
        LabelSchema, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    arm = models.PositiveSmallIntegerField(choices=Arm.choices, default=Arm.NONE)
    suggestion = models.JSONField(
        null=True,
        help_text="what a model said when the seat was opened: [{question, choice, choices, score, model, model_id}]",
    )
    exposure = models.PositiveSmallIntegerField(choices=Exposure.choices, default=Exposure.NONE, db_default=0)
    earlier_seconds = models.FloatField(
        default=0, db_default=0, help_text="with a severe item, before the seat was held anew"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue_row", "person"], name="seat_once"),
            models.CheckConstraint(condition=Q(state__in=[1, 2, 3, 4, 5]), name="seat_state_known"),
            models.CheckConstraint(
                condition=~Q(state=2) | Q(annotation__isnull=False) | Q(kind=2), name="seat_submitted_has_annotation"
            ),
            models.CheckConstraint(
                condition=Q(arm=0, suggestion__isnull=True) | Q(arm__in=[1, 2], suggestion__isnull=False),
                name="seat_arm_has_suggestion",
            ),
        ]
        indexes = [
            models.Index(fields=["lane", "expires_at"], condition=Q(state=1), name="seat_expiring"),
            models.Index(fields=["person", "project", "leased_at"], condition=Q(state=1), name="seat_held"),
            # The answer that stands is read beside it (`label_of_question`). It changes with the state, so that the
            # submit writes no more for it.
            models.Index(fields=["item", "kind", "state"], include=["annotation"], name="seat_of_item"),
            models.Index(fields=["project", "person"], condition=Q(state=2), name="seat_of_person"),
            models.Index(fields=["project"], condition=Q(arm__gt=0), name="seat_in_an_arm"),
            # Of seats in severe lanes alone: others pay nothing for it.
            models.Index(fields=["person", "leased_at"], condition=Q(exposure__gt=0), name="seat_exposure"),
        ]

    def __str__(self) -> str:
        return f"seat {self.pk}"


class QueueCursor(models.Model):
    """How far down a lane one person has nothing to do: saves a walk past all that they have done. Written lazily.

    Two cursors: (`rank`, `tiebreak`) in the line itself, and (`returned_rank`, `returned_tiebreak`) among the offers
    that were returned or raised. The second one is true of what transactions before `returned_till` put there.
    Both hold in the lane's epoch `epoch` alone.
    """

    pk = models.CompositePrimaryKey("person_id", "lane_id")
    person_id = models.BigIntegerField()
    lane_id = models.BigIntegerField()
    epoch = models.BigIntegerField()
    rank = models.FloatField()
    tiebreak = models.BigIntegerField()
    returned_rank = models.FloatField(default=float("-inf"))
    returned_tiebreak = models.BigIntegerField(default=0)
    returned_till = TransactionId(null=True)
    full_epoch = models.BigIntegerField(default=-1, help_text="the epoch of the last check from the very start")
    moved_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"cursor of {self.person_id} in {self.lane_id}"
