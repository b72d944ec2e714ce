"""The job of a promotion: a kept model scores the pool and takes the place of the current one; no batch is raised.

Cut off before the swap, the next attempt writes the same scores over; cut off after it, only the old scores are left to
remove.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.models import Project
from annotation.settings import learning_settings
from learning.actions.models import remove_old_scores
from learning.actions.promotion import KIND
from learning.loading import has_sent_proba, load_pool
from learning.models import ModelVersion
from learning.tasks.opening import open_question
from learning.tasks.rounds import score_with


@dataclass(frozen=True)
class Promotion:
    """What a model is scored under where no round asks: the project's strategy; chance only draws intervals."""

    project: Project
    strategy: str
    seed: int = 0


@job_kind(KIND)
def run_promotion(running: RunningJob) -> dict[str, Any]:
    """Make the model the current one; the result is `{"model": id}`.

    JobFailedError where its file is gone or was changed, or where it has sent no scores of what is open; StateError
    while labels are of two versions of the schema.
    """
    project = running.project
    model = ModelVersion.objects.get(pk=running.args["model"], project=project)
    refusal = _("The question of this model is no longer one that can be learned.")
    question = open_question(project, model.question, refusal)
    if not model.is_of(question):  # its kind is another by now
        raise JobFailedError(refusal)
    if not model.is_current:
        if model.origin == ModelVersion.Origin.EXTERNAL:
            _require_scores(project, model)
        terms = Promotion(project, str(learning_settings(project)["strategy"]))
        score_with(running, terms, question, model, actor=running.job.created_by)
    remove_old_scores(project=project, question=model.question, check=running.check)
    return {"model": str(model.pk)}


def _require_scores(project: Project, model: ModelVersion) -> None:
    items = load_pool(project).items
    if len(items) and not has_sent_proba(model, items):
        raise JobFailedError(
            _("%(model)s has sent no scores of the %(n)d open items, so nothing could be shown or chosen by it.")
            % {"model": model, "n": len(items)}
        )
