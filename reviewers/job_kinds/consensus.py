"""The job behind the posterior rule: find out how good the annotators are, and bring that to the items.

Each question's fit is stored whole and made current in one transaction: from then on every submit weighs by it. Then
the items are looked at of which something else is accepted than the new fit makes of them, in batches. An attempt that
was cut off goes on with the fits that it finds.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from annotation.actions.carrying import refuse_while_carrying
from annotation.job_kinds.rule import BATCH, settle_items
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Project
from reviewers.actions.consensus import KIND, begin_fit, store_fit
from reviewers.algorithms.crowd import CrowdLabels
from reviewers.algorithms.voter import ModelAnswers
from reviewers.answers import compiled_schema
from reviewers.consensus.voters import Version, choose_version, load_answers
from reviewers.consensus.weighing import find_outdated, find_unselected, load_crowd, values_of, weighed_questions
from reviewers.models import ConsensusFit


@job_kind(KIND)
def run_fit(running: RunningJob) -> dict[str, Any]:
    """Fit every question that can be weighed; under the posterior rule, settle anew what comes out otherwise.

    The result is `{"fits": [{"question", "number", "method", "reason"}], "looked_at", "changed"}`.
    """
    project = Project.objects.select_related("schema").get(pk=running.project.pk)
    refuse_while_carrying(project)
    questions = weighed_questions(compiled_schema(project))
    if not questions:
        raise JobFailedError(
            _("No question here can be weighed: it takes one with a single choice or a rating, of at most 50 values.")
        )
    crowds = [load_crowd(project, question) for question in questions]
    begin_fit(project=project, n_labels=max(labels.n_labels for labels in crowds), check=running.check)
    fits = [_fit(running, project, *one) for one in zip(questions, crowds, strict=True)]
    looked_at = changed = 0
    if project.rule["kind"] == "posterior":
        each = zip(questions, fits, crowds, strict=True)
        outdated = sorted({item for one in each for item in _find_outdated(project, *one)})
        for at in range(0, len(outdated), BATCH):
            n_looked, n_changed = settle_items(running, project, outdated[at : at + BATCH])
            looked_at, changed = looked_at + n_looked, changed + n_changed
            running.progress(min(at + BATCH, len(outdated)), len(outdated))
    names = {question["id"]: question["name"] for question in questions}
    told = [
        {"question": names[fit.question], "number": fit.number, "method": fit.method, "reason": fit.reason}
        for fit in fits
    ]
    return {"fits": told, "looked_at": looked_at, "changed": changed}


def _fit(running: RunningJob, project: Project, question: Question, labels: CrowdLabels) -> ConsensusFit:
    """The fit of a question that this job made: now, or in an attempt before."""
    before = ConsensusFit.objects.filter(job=running.job, question=question["id"], is_current=True).first()
    if before is not None:
        return before
    from reviewers.algorithms.fitting import fit_skills  # of the `ml` extra, which a web node need not have

    asked = project.rule.get("method", "evidence")
    voter: Version | None = None
    answers: ModelAnswers | None = None
    gold: dict[int, int] = {}
    if project.rule.get("voter") is not None:
        labels, gold = find_unselected(project, question, labels)
        voter, answers = choose_version(project, question, [*labels.that_teach().item_ids.tolist(), *gold])
    found = fit_skills(labels, asked, model=answers, gold=gold)
    return store_fit(
        project=project,
        job=running.job,
        question=question,
        values=values_of(question),
        asked=asked,
        found=found,
        voter=voter,
        check=running.check,
    )


def _find_outdated(project: Project, question: Question, fit: ConsensusFit, labels: CrowdLabels) -> list[int]:
    """What is to be settled anew by a fit; its model's answers are read again, with those that came meanwhile."""
    answers = None if fit.voter_model is None else load_answers(project, question, fit.voter_model)
    return find_outdated(project, fit, labels, answers)
