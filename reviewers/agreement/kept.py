"""Strata of large projects: counted by a worker, and kept with the time at which that was. Read only.

What takes at most a second or so is computed when it is asked for. For the rest a page or a client gets what was last
computed, and a job makes it anew where that is old (`actions/strata.py`); every process of every web server sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from annotation.kinds import Question
from annotation.models import Project
from annotation.serializers import show_time
from reviewers.agreement.measures import Row
from reviewers.agreement.vote_counts import COUNTED_KINDS, is_small
from reviewers.loading import is_of_items
from reviewers.models import AgreementStrata

KIND = "agreement.strata"
# So many labels take half a second or so: counted votes, labels one by one, marks pair by pair.
QUICK_VOTES, QUICK_LABELS, QUICK_MARKS = 1_000_000, 100_000, 2_000
FRESH_SECONDS, FRESH_TIMES = 60, 100  # kept so long, or so many times as long as it took
PATIENCE = timedelta(minutes=10)  # until what failed is tried again


@dataclass(frozen=True, slots=True)
class Kept:
    """Strata as they were last computed, as `report.strata_by` has them, and whether that is new enough."""

    report: Row
    is_fresh: bool


def is_quick(project: Project, question: Question, by: str) -> bool:
    """Whether strata are computed at once: where there are few labels for what it takes."""
    if question["kind"] == "number":
        most = QUICK_LABELS
    elif question["kind"] in COUNTED_KINDS:
        most = QUICK_VOTES if is_of_items(by) else QUICK_LABELS
    else:
        most = QUICK_MARKS
    return is_small(project, question, most)


def find_kept(project: Project, question: Question, by: str) -> Kept | None:
    """What was last computed under the schema in force; None where nothing was."""
    row = AgreementStrata.objects.filter(
        project=project, question=question["id"], by=by, schema=project.schema_id
    ).first()
    if row is None:
        return None
    age = (timezone.now() - row.computed_at).total_seconds()
    report = {**row.report, "strata_computed_at": show_time(row.computed_at)}
    return Kept(report, age < max(FRESH_SECONDS, FRESH_TIMES * row.seconds))
