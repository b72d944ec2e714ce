"""A language model's rows: the job that asks it, its versions, its answers and what they cost, whether it passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.actions.locks import lock_project
from annotation.actions.projects import refuse_archived
from annotation.errors import InvalidError, StateError
from annotation.models import Job, Project, User
from learning.actions.models import Check, write_scores
from learning.llm.chat import find_endpoint
from learning.llm.gate import MIN_JUDGED
from learning.llm.prompt import tell_one_answer
from learning.models import ModelVersion
from learning.questions import holds_several, require_question

KIND = "llm"
MOST_ASKED = 20_000
DEFAULT_ASKED = 1_000


@transaction.atomic
def start_llm(
    *,
    project: Project,
    actor: User,
    question: str | None = None,
    limit: int | None = None,
    max_cost: float | None = None,
) -> Job:
    """Queue a job that asks the installation's language model, or return the one that waits or runs already.

    `limit`: about how many items it is asked (1,000), those by which it is judged among them. `max_cost`: what the job
    may cost, where prices are set. Raises StateError where no endpoint is set up and for an archived project,
    InvalidError with a sentence per field.
    """
    refuse_archived(project)
    endpoint = find_endpoint()
    if endpoint is None:
        raise StateError(
            _("No language model is set up: the installation needs LLM_URL and LLM_MODEL in its environment.")
        )
    faults: dict[str, str] = {}
    limit = DEFAULT_ASKED if limit is None else limit
    if isinstance(limit, bool) or not isinstance(limit, int) or not MIN_JUDGED <= limit <= MOST_ASKED:
        sentence = _("A whole number from %(least)d, by which it is judged, to %(most)d.")
        faults["limit"] = sentence % {"least": MIN_JUDGED, "most": MOST_ASKED}
    if max_cost is not None:
        if isinstance(max_cost, bool) or not isinstance(max_cost, (int, float)) or not 0 < max_cost < 1e9:
            faults["max_cost"] = _("A number above 0.")
        elif endpoint.prices is None:
            faults["max_cost"] = _("No prices are set (LLM_INPUT_PRICE, LLM_OUTPUT_PRICE), so costs cannot be known.")
        elif endpoint.most_out is None:
            faults["max_cost"] = _(
                "LLM_OPTIONS has no `max_tokens`, so nobody knows what a call may cost and no limit can be held."
            )
    if faults:
        raise InvalidError(fields=faults)
    asked = require_question(project, question)
    if holds_several(asked):
        raise InvalidError(fields={"question": tell_one_answer()})
    lock_project(project, KIND)
    lock = f"llm:{project.pk}"
    unended = Job.objects.filter(
        project=project, kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING], args__question=asked["id"]
    )
    waiting = unended.order_by("pk").first()
    if waiting is not None:
        return waiting
    args = {"question": asked["id"], "limit": limit, "max_cost": max_cost}
    job = start_job(kind=KIND, project=project, created_by=actor, args=args, lock=lock)
    write_event(project=project, kind="llm.requested", actor=actor, ref_id=job.pk)
    return job


@transaction.atomic
def store_answers(
    *,
    model: ModelVersion,
    items: NDArray[np.int64],
    proba: NDArray[np.float64],
    utilities: NDArray[np.float64],
    spent: Mapping[str, Any],
    check: Check,
) -> None:
    """Keep answers about items and what everything up to them has cost, both or neither."""
    check()
    if len(items):
        write_scores(
            model=model,
            items=items,
            proba=proba,
            utilities=utilities,
            classes=model.classes,
            check=check,
            is_sent=True,
        )
    _note(model, {"llm": dict(spent)})


@transaction.atomic
def store_gate(
    *, model: ModelVersion, gate: Mapping[str, Any], figures: Mapping[str, Any], actor: User | None, check: Check
) -> None:
    """Note how a language model did on answers that are known. One that did not pass is barred, and current no more."""
    check()
    has_passed = bool(gate["passed"])
    _note(model, {**figures, "gate": dict(gate)})
    ModelVersion.objects.filter(pk=model.pk).update(
        is_barred=not has_passed, **({} if has_passed else {"is_current": False})
    )
    write_event(
        project=model.project,
        kind="model.passed_gate" if has_passed else "model.failed_gate",
        actor=actor,
        ref_id=model.pk,
        data={"accuracy": gate["accuracy"], "n_items": gate["n_items"]},
    )


def _note(model: ModelVersion, found: Mapping[str, Any]) -> None:
    kept = ModelVersion.objects.select_for_update(no_key=True).get(pk=model.pk)
    ModelVersion.objects.filter(pk=model.pk).update(evaluation={**(kept.evaluation or {}), **found})
