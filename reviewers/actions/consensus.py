"""A fit of the posterior rule: asked for, stored whole, made current; and when the next one is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.actions.jobs import find_queued, start_job
from annotation.actions.projects import settling_lock
from annotation.errors import StateError
from annotation.kinds import Question
from annotation.models import Job, Project, User
from reviewers.algorithms.voter import MODEL
from reviewers.consensus.voters import Version
from reviewers.models import ConsensusAnnotator, ConsensusFit, ConsensusWatch

if TYPE_CHECKING:
    from reviewers.algorithms.fitting import SkillFit

KIND = "consensus"
# A fit is due after so many new answers, and not before a tenth of all are new.
LEAST_NEW, NEW_SHARE = 50, 0.1
KEPT = 2  # fits of a question whose annotators are kept: the current one, and what it is compared with


@transaction.atomic
def start_fit(*, project: Project, actor: User | None) -> Job:
    """Queue a fit of all questions that can be weighed, or return the one that waits already.

    New answers count from here on, so that a fit that fails is not asked for again at once. Raises StateError for an
    archived project.
    """
    if project.state == Project.State.ARCHIVED:
        raise StateError(_("This project is archived. Its labels and history stay as they are."))
    ConsensusWatch.objects.filter(project=project).update(n_new=0)
    waiting = find_queued(project=project, kind=KIND)
    return waiting or start_job(kind=KIND, project=project, created_by=actor, lock=settling_lock(project))


def count_answers(*, project: Project, n: int) -> bool:
    """Note `n` new answers, in the caller's transaction; whether a fit is due by now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into reviewers_consensuswatch as w (project_id, n_new, n_fitted) values (%s, %s, 0)"
            " on conflict (project_id) do update set n_new = w.n_new + excluded.n_new returning n_new, n_fitted",
            [project.pk, n],
        )
        n_new, n_fitted = cursor.fetchone()
    return bool(n_new >= max(LEAST_NEW, NEW_SHARE * n_fitted))


@transaction.atomic
def begin_fit(*, project: Project, n_labels: int, check: Callable[[], Any]) -> None:
    """Note how many labels the fit is of; answers that come from here on are new."""
    check()
    ConsensusWatch.objects.update_or_create(project=project, defaults={"n_new": 0, "n_fitted": n_labels})


@transaction.atomic
def store_fit(
    *,
    project: Project,
    job: Job,
    question: Question,
    values: Sequence[int],
    asked: str,
    found: SkillFit,
    voter: Version | None,
    check: Callable[[], Any],
) -> ConsensusFit:
    """Keep a fit and make it current. `values` are the codes in the order of its arrays, `voter` the model compared."""
    check()
    assert project.schema is not None
    fits = ConsensusFit.objects.filter(project=project, question=question["id"])
    number = (fits.aggregate(last=Max("number"))["last"] or 0) + 1
    skills, consensus, labels = found.skills, found.consensus, found.labels
    arrays: dict[str, Any] = {}
    if skills is not None and consensus is not None:
        arrays = {
            "values": list(values),
            "log_prior": skills.log_prior.tolist(),
            "stranger": skills.stranger.ravel().tolist(),
            "priors": consensus.priors,
            "n_iterations": len(consensus.log_likelihood),
            "is_converged": consensus.is_converged,
            "log_likelihood": consensus.log_likelihood[-1],
        }
    is_person = labels.annotator_ids[labels.annotator] != MODEL
    if skills is not None and found.voter is not None and voter is not None:
        at_model = int(np.flatnonzero(skills.annotator_ids == MODEL)[0])
        arrays |= {"voter_model": voter.model, "voter_chances": skills.log_chances[at_model].ravel().tolist()}
    fits.filter(is_current=True).update(is_current=False)
    fit = ConsensusFit.objects.create(
        project=project,
        question=question["id"],
        number=number,
        is_current=True,
        job=job,
        schema_version=project.schema.version,
        asked_method=asked,
        method=found.method,
        reason=found.reason,
        n_items=labels.n_items,
        n_labels=int(is_person.sum()),
        n_annotators=int((labels.annotator_ids != MODEL).sum()),
        n_known=int((labels.gold >= 0).sum()),
        n_held_out=found.n_held_out,
        held_out=dict(found.held_out),
        voter=_tell_voter(project, voter, found),
        **arrays,
    )
    if skills is not None and consensus is not None and consensus.accuracy is not None:
        n_labels = np.bincount(labels.annotator, minlength=labels.n_annotators)
        ConsensusAnnotator.objects.bulk_create(
            [
                ConsensusAnnotator(
                    fit=fit,
                    person_id=int(person),
                    n_labels=int(n_labels[at]),
                    accuracy=float(consensus.accuracy[at]),
                    log_chances=skills.log_chances[at].ravel().tolist(),
                )
                for at, person in enumerate(skills.annotator_ids)
                if person != MODEL
            ],
            batch_size=1000,
        )
    ConsensusAnnotator.objects.filter(fit__in=fits.filter(number__lte=number - KEPT)).delete()
    write_event(
        project=project,
        kind="consensus.fitted",
        actor=job.created_by,
        ref_id=fit.pk,
        data={"question": question["id"], "method": found.method, "number": number},
    )
    return fit


def _tell_voter(project: Project, voter: Version | None, found: SkillFit) -> dict[str, Any] | None:
    """What stands in the fit of the model that the rule names: its worth, or why it does not count."""
    name = project.rule.get("voter")
    if name is None:
        return None
    worth = found.voter
    told = {"name": name, "version": voter and voter.version}
    if worth is None:
        unfit = _("of the people nothing can be told")
        refusal = found.voter_refusal or (unfit if voter else _("it has sent nothing about this question"))
        return told | {"refusal": refusal}
    return told | {
        "refusal": None,
        "accuracy": worth.accuracy,
        "interval": list(worth.interval),
        "n_items": worth.n_items,
        "n_annotators": worth.n_annotators,
        "n_known": worth.n_known,
    }
