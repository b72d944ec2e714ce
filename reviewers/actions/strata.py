"""Strata of a large project's agreement: asked for, and stored as a worker computed them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from annotation.actions.jobs import start_once
from annotation.kinds import Question
from annotation.models import Job, Project, User
from reviewers.agreement.kept import KIND, PATIENCE, find_kept, is_quick
from reviewers.agreement.measures import Row
from reviewers.agreement.report import strata_by
from reviewers.models import AgreementStrata

MOST_KEPT = 100  # of a question; there are as many ways as items have keys


@dataclass(frozen=True, slots=True)
class Strata:
    """What there is: `report` as `strata_by` has it, None where it was never computed; `job` makes a newer one.

    A job that failed a moment ago stands there as well; none other is started for a while.
    """

    report: Row | None
    job: Job | None = None


def ask_for_strata(*, project: Project, question: Question, by: str, actor: User | None) -> Strata:
    """Strata of a question that has them (`report.has_strata`): computed now where that is quick.

    Otherwise as they were last computed, and where that is a while ago, or never was, with the job that does so.
    """
    if is_quick(project, question, by):
        return Strata(strata_by(project, question, by))
    kept = find_kept(project, question, by)
    job = None if kept is not None and kept.is_fresh else _start(project, question, by, actor)
    return Strata(None if kept is None else kept.report, job)


def _start(project: Project, question: Question, by: str, actor: User | None) -> Job:
    """One job at a time for the same strata, and one of a project that runs."""
    return start_once(
        kind=KIND,
        project=project,
        created_by=actor,
        args={"question": question["id"], "by": by},
        lock=f"{KIND}:{project.pk}",
        patience=PATIENCE,
    )


def store_strata(*, project: Project, question: Question, by: str, report: Row, seconds: float) -> None:
    """Keep strata, in the caller's transaction, in the place of those before; the oldest of very many go."""
    assert project.schema is not None  # there is a question
    AgreementStrata.objects.update_or_create(
        project=project,
        question=question["id"],
        by=by,
        defaults={
            "schema": project.schema,
            "computed_at": timezone.now(),
            "seconds": seconds,
            "report": {name: report[name] for name in ("strata", "left_out", "n_left_out")},
        },
    )
    rows = AgreementStrata.objects.filter(project=project, question=question["id"])
    AgreementStrata.objects.filter(pk__in=rows.order_by("-computed_at").values("pk")[MOST_KEPT:]).delete()
