"""The job that counts a large project's labels by what sets them apart, and keeps what comes out for the pages."""

from __future__ import annotations

from time import monotonic

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.actions.carrying import refuse_while_carrying
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.models import Item, Project
from reviewers.actions.strata import store_strata
from reviewers.agreement.kept import KIND
from reviewers.agreement.strata import stratify
from reviewers.answers import compiled_schema


@job_kind(KIND)
def run_strata(running: RunningJob) -> None:
    """Compute the strata that `args` name, `{"question": id, "by"}`. The result is `{"strata": how many}`."""
    began = monotonic()
    project = Project.objects.select_related("schema").get(pk=running.project.pk)
    refuse_while_carrying(project)
    by = running.args["by"]
    questions = compiled_schema(project)["questions"]
    question = next((one for one in questions if one["id"] == running.args["question"]), None)
    if question is None:
        raise JobFailedError(_("This question has left the label schema."))
    n_items = Item.objects.filter(project=project).count()
    found = stratify(project, question, by, lambda n: running.progress(min(n, n_items), n_items))
    with transaction.atomic():
        running.check()
        store_strata(project=project, question=question, by=by, report=found, seconds=monotonic() - began)
        running.finish({"strata": len(found["strata"])})
