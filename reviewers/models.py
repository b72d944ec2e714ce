"""What is accepted about an item, and who decided it where the votes did not.

`Resolution` rows are written by the vote rule (`sql/vote.sql`, inside the submit's transaction) and by
`reviewers/actions`; `Adjudication` rows by `reviewers/actions`. At the end: what the posterior rule weighs answers by;
and the votes as they were last counted, for figures, written from events (`sql/agreement.sql`), never by a submit.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5
from django.utils.translation import gettext_lazy as _

from annotation.models import Item, Job, LabelSchema, Project, QueueRow, Seat, User


class Resolution(models.Model):
    """The accepted value of one question of one item in one pass, whatever its source, or why there is none yet.

    A row appears when the votes first settle the question (or fail to); while votes are few there is none, and the
    question counts as open. `version` grows with each change; it is what an adjudicator says they have seen.
    `votes` are counts by choice id, rating or number, as text; empty for kinds whose answers have no such name. `data`
    is as in `Label`. Of a text nothing is accepted: the row says whether there is one. Under the posterior rule `fit`
    is what the answers were weighed by, and `posterior` the chance of each value, by its name in `votes`.
    """

    State = QueueRow.State  # an item's state is the worst of its required questions'

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="resolutions", db_index=False)
    question = models.PositiveSmallIntegerField()
    pass_no = models.PositiveSmallIntegerField(default=1)
    state = models.PositiveSmallIntegerField(choices=State.choices)
    choice = models.IntegerField(null=True)
    choices = ArrayField(models.IntegerField(), null=True)
    number = models.FloatField(null=True)
    data = models.JSONField(null=True)
    confidence = models.FloatField(
        null=True, help_text="share of the votes, or posterior, 0 to 1; null where a person decided"
    )
    method = models.CharField(
        max_length=20,
        help_text="majority, unanimous, adjudication, skipped; or the fit's, with +model where one voted too",
    )
    votes = models.JSONField(default=dict)
    n_votes = models.PositiveSmallIntegerField(default=0)
    disagreement = models.FloatField(default=0, help_text="share of pairs of votes that differ, 0 to 1")
    posterior = models.JSONField(null=True)
    fit = models.ForeignKey(
        "ConsensusFit", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False, db_index=False
    )
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "question", "pass_no"], name="resolution_once"),
            models.CheckConstraint(
                condition=Q(disagreement__gte=0, disagreement__lte=1), name="resolution_disagreement"
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__gte=0, confidence__lte=1),
                name="resolution_confidence",
            ),
            models.CheckConstraint(condition=Q(state__in=[0, 1, 2, 3]), name="resolution_state_known"),
        ]
        indexes = [
            models.Index(fields=["project", "state", "item"], name="resolution_by_state"),
            # The state is read beside the order, so that those of one state are found without a look at the others.
            models.Index(fields=["project", "disagreement", "item", "state"], name="resolution_by_disagreement"),
        ]

    def __str__(self) -> str:
        return f"resolution of {self.item_id}, question {self.question}"


class Adjudication(models.Model):
    """A reviewer's decision on one item. Never changed (trigger): a later decision is a new row.

    `answers` holds the decided questions as labels are stored: `{question id: {"choice" | "choices" | "number" | "data"
    | "text_commitment": ...}}`. What was written is in `AdjudicationNote`.
    """

    class Reason(models.TextChoices):
        ANNOTATOR_ERROR = "annotator_error", _("annotator's error")
        AMBIGUOUS = "ambiguous", _("ambiguous item")
        GUIDELINE_GAP = "guideline_gap", _("gap in the guideline")
        GUIDELINE_CONFLICT = "guideline_conflict", _("conflict in the guideline")
        ITEM_DEFECT = "item_defect", _("defect of the item")
        OTHER = "other", _("other")

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="adjudications")
    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="adjudications")
    pass_no = models.PositiveSmallIntegerField(default=1)
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="adjudications")
    answers = models.JSONField()
    reason = models.CharField(max_length=20, choices=Reason.choices)
    is_precedent = models.BooleanField(default=False)
    is_own_work = models.BooleanField(default=False, help_text="the reviewer had labelled this item")
    note_commitment = models.BinaryField(null=True)
    guideline_version = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    reason__in=[
                        "annotator_error",
                        "ambiguous",
                        "guideline_gap",
                        "guideline_conflict",
                        "item_defect",
                        "other",
                    ]
                ),
                name="adjudication_reason_known",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "is_precedent", "id"], name="adjudication_precedents"),
            models.Index(fields=["project", "item"], name="adjudication_by_item"),
        ]

    def __str__(self) -> str:
        return f"adjudication {self.pk} of {self.item_id}"


class AdjudicationNote(models.Model):
    """What the reviewer wrote, a note and text answers: the erasable part of an adjudication."""

    adjudication = models.OneToOneField(Adjudication, primary_key=True, on_delete=models.PROTECT, related_name="note")
    text = models.TextField(blank=True)
    answers = models.JSONField(default=dict, help_text="text answers: {question: text}")
    salt = models.BinaryField()

    def __str__(self) -> str:
        return f"note on adjudication {self.adjudication_id}"


# The posterior rule: what is known of the annotators ------------------------------------------------------------------
class ConsensusFit(models.Model):
    """How the annotators of one question answer, as one consensus method found it. Of each question one is current.

    Never changed but for `is_current`: a further fit is a further row. `values` are the codes (choice ids or ratings)
    in the order of every array: `log_prior` of each value, and `stranger`, the log chance of each answer under each
    truth of somebody who is not in the fit, `[said * n_values + true]`. All three are empty where the vote is as much
    as can be had (`method` is then "majority").

    Where the rule names a model as a voter, `voter` says what it was found to be worth, or why it does not count:
    `show_voter` has the keys. `voter_model` is the version whose answers count (an id of the learning app's), null
    where none does; `voter_chances` is a table as `stranger`.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    question = models.PositiveSmallIntegerField()
    number = models.PositiveIntegerField(help_text="1, 2, ... of the question's fits")
    is_current = models.BooleanField(default=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    schema_version = models.PositiveIntegerField()
    asked_method = models.CharField(max_length=20, help_text="evidence, or the method that the project names")
    method = models.CharField(max_length=20)
    reason = models.TextField(help_text="why this method, for people")
    priors = models.TextField(blank=True, help_text="what was assumed before any label, for people")
    values = ArrayField(models.IntegerField(), default=list)
    log_prior = ArrayField(models.FloatField(), default=list)
    stranger = ArrayField(models.FloatField(), default=list)
    n_items = models.PositiveIntegerField(help_text="items with two answers or more, or known")
    n_labels = models.PositiveIntegerField()
    n_annotators = models.PositiveIntegerField()
    n_known = models.PositiveIntegerField(help_text="of the items, those with a reviewer's decision or a gold label")
    n_held_out = models.PositiveIntegerField(default=0)
    held_out = models.JSONField(default=dict, help_text="{method: mean log probability of hidden labels}")
    n_iterations = models.PositiveIntegerField(default=0)
    is_converged = models.BooleanField(default=True)
    log_likelihood = models.FloatField(null=True)
    voter = models.JSONField(null=True)
    voter_model = models.BigIntegerField(null=True)
    voter_chances = ArrayField(models.FloatField(), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "question", "number"], name="consensus_fit_once"),
            models.UniqueConstraint(
                fields=["project", "question"], condition=Q(is_current=True), name="consensus_fit_current"
            ),
        ]

    def __str__(self) -> str:
        return f"fit {self.number} of question {self.question} in {self.project_id}"


class ConsensusAnnotator(models.Model):
    """One annotator in one fit: `log_chances` as the fit's `stranger`; `accuracy` over items as they come, 0 to 1."""

    fit = models.ForeignKey(ConsensusFit, on_delete=models.CASCADE, related_name="annotators", db_index=False)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    n_labels = models.PositiveIntegerField()
    accuracy = models.FloatField()
    log_chances = ArrayField(models.FloatField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fit", "person"], name="consensus_annotator_once")]

    def __str__(self) -> str:
        return f"{self.person_id} in fit {self.fit_id}"


class ConsensusWatch(models.Model):
    """How many answers a project got since its last fit, counted by whoever reads the events: never by a submit."""

    project = models.OneToOneField(Project, primary_key=True, on_delete=models.CASCADE, related_name="+")
    n_new = models.PositiveIntegerField(default=0)
    n_fitted = models.PositiveIntegerField(default=0, help_text="labels that the last fit saw")

    def __str__(self) -> str:
        return f"{self.n_new} new answers in {self.project_id}"


# --- Votes counted for agreement -------------------------------------------------------------------------------------


class AgreementItem(models.Model):
    """The votes on one question of one item as they were last counted, and who gave them.

    `votes` is one spelling of how often each value was given: `3:2;5:1` is twice the choice 3 and once 5. A set of
    choices is written `1,4`; nothing ticked is the empty set. Items without such a label have no row.
    """

    pk = models.CompositePrimaryKey("item_id", "question")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    question = models.PositiveSmallIntegerField()
    votes = models.TextField()
    persons = ArrayField(models.BigIntegerField(), help_text="who gave them, ascending")

    class Meta:
        # A digest: with many answers to a question of many choices the text is longer than an index takes.
        indexes = [models.Index("project", "question", MD5("votes"), "item", name="agreement_item_by_votes")]

    def __str__(self) -> str:
        return f"votes on {self.item_id}, question {self.question}"


class AgreementCount(models.Model):
    """On how many items of a project one vector of votes stands (`AgreementItem.votes`): a histogram of few rows."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    question = models.PositiveSmallIntegerField()
    votes = models.TextField()
    n_items = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint("project", "question", MD5("votes"), name="agreement_count_once")]

    def __str__(self) -> str:
        return f"{self.n_items} items with {self.votes}"


class AgreementVoter(models.Model):
    """How many labels of one person stand on one question: all, and those on items where somebody else has one too."""

    pk = models.CompositePrimaryKey("project_id", "question", "person_id")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    question = models.PositiveSmallIntegerField()
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    n_labels = models.BigIntegerField()
    n_shared = models.BigIntegerField()

    def __str__(self) -> str:
        return f"labels of {self.person_id} on question {self.question}"


class AgreementStrata(models.Model):
    """The strata of a question's agreement as they were last computed, where that takes long: one row a way to tell
    labels apart. Each is replaced by the next.

    `report` is `{"strata", "left_out", "n_left_out"}` as `GET agreement` shows them.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    question = models.PositiveSmallIntegerField()
    by = models.TextField()
    schema = models.ForeignKey(
        LabelSchema, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    computed_at = models.DateTimeField()
    seconds = models.FloatField(help_text="how long that took")
    report = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint("project", "question", MD5("by"), name="agreement_strata_once")]

    def __str__(self) -> str:
        return f"agreement on question {self.question} of {self.project_id} by {self.by}"
