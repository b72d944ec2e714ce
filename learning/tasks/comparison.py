"""The job that judges models side by side, each on exactly those labels of the holdout that all of them speak about.

What was sent in is read for the holdout's items alone, however much there is; what was trained here foretells them from
its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.jobs import RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Project
from learning.comparisons import KIND, marker_of
from learning.features.stored import Shards, refresh_shards
from learning.judging import compare, judge
from learning.loading import Labelled, load_holdout, load_sent_proba
from learning.models import ModelVersion
from learning.reports import MIN_HOLDOUT
from learning.scoring import align_to, predict, unpack_model
from learning.tasks.opening import open_question
from reviewers.algorithms.figures import Figure

SEED = 0  # the same labels and models give the same intervals

Proba = NDArray[np.float64]


@job_kind(KIND)
def compare_models(running: RunningJob) -> dict[str, Any]:
    """Judge the models of the job; the first one is what the others are held against.

    `{"marker", "reference", "n_holdout", "n_common", "refusal", "models": [{"id", "n_scored", "metrics", "classes",
    "gain", "refusal"}]}`. A model that cannot be judged beside the others is left out, with a sentence in its
    `refusal`; where the holdout is small, or too little of it is common to all, no figure is given and `refusal` says
    why. JobFailedError where the question can no longer be learned; StateError while labels are of two schemas.
    """
    project = running.project
    question = open_question(project, running.args["question"])
    marker = marker_of(project)
    by_id = ModelVersion.objects.in_bulk(running.args["models"])
    models = [by_id[pk] for pk in running.args["models"] if pk in by_id]
    holdout = load_holdout(project, question)
    rows = {model.pk: _Row(model, len(holdout)) for model in models}
    sent = _read_sent(question, holdout, rows)
    left = [row for row in rows.values() if not row.refusal]
    is_common = np.ones(len(holdout), bool)
    for row in left:
        is_common &= sent[row.model.pk][0] if row.model.pk in sent else True
    common = holdout.select(is_common)
    refusal = _find_refusal(len(holdout), len(common), len(left))
    if not refusal:
        proba = {pk: one[is_common] for pk, (_known, one) in sent.items()}
        proba |= _foretell(running, project, question, common, left)
        _judge(project, question, common, rows, proba, models[0].pk)
    return {
        "marker": marker,
        "reference": models[0].pk if models else running.args["models"][0],
        "n_holdout": len(holdout),
        "n_common": len(common),
        "refusal": refusal,
        "models": [row.as_dict() for row in rows.values()],
    }


class _Row:
    """What is found of one model."""

    def __init__(self, model: ModelVersion, n_scored: int) -> None:
        self.model, self.n_scored = model, n_scored
        self.refusal: str | None = None
        self.metrics: list[Any] = []
        self.classes: list[Any] = []
        self.gain: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "id": self.model.pk,
            "n_scored": self.n_scored,
            "metrics": self.metrics,
            "classes": self.classes,
            "gain": self.gain,
            "refusal": self.refusal,
        }


def _read_sent(
    question: Question, holdout: Labelled, rows: dict[int, _Row]
) -> dict[int, tuple[NDArray[np.bool_], Proba]]:
    """Of each model that sends scores: which of the holdout's items it has scored, and what it says, 0 elsewhere."""
    found = {}
    for row in rows.values():
        if row.model.origin != ModelVersion.Origin.EXTERNAL:
            continue
        known, raw = load_sent_proba(row.model, holdout.items)
        row.n_scored = int(known.sum())
        if row.n_scored < min(MIN_HOLDOUT, max(1, len(holdout))):
            row.refusal = _("it has scored %(n)d of the %(of)d holdout items that have a label, %(needed)d needed") % {
                "n": row.n_scored,
                "of": len(holdout),
                "needed": MIN_HOLDOUT,
            }
            continue
        aligned = align_to(question, raw, row.model.classes)
        whole = np.zeros((len(holdout), aligned.shape[1]))
        whole[known] = aligned
        found[row.model.pk] = known, whole
    return found


def _find_refusal(n_holdout: int, n_common: int, n_models: int) -> str | None:
    if n_holdout < MIN_HOLDOUT:
        return _("holdout has %(n)d labels, %(needed)d needed") % {"n": n_holdout, "needed": MIN_HOLDOUT}
    if not n_models:
        return _("none of these models can be judged")
    if n_common < MIN_HOLDOUT:
        return _("the models have scored %(n)d labelled holdout items in common, %(needed)d needed") % {
            "n": n_common,
            "needed": MIN_HOLDOUT,
        }
    return None


def _foretell(
    running: RunningJob, project: Project, question: Question, common: Labelled, rows: Sequence[_Row]
) -> dict[int, Proba]:
    """What the models that were trained here say of the items; one whose file cannot be used is refused."""
    from learning.algorithms.weights import WeightsError

    trained = [row for row in rows if row.model.origin == ModelVersion.Origin.TRAINED]
    found: dict[int, Proba] = {}
    shards: Shards | None = None
    for n_done, row in enumerate(trained):
        running.progress(n_done, len(trained))
        try:
            features, model = unpack_model(row.model)
        except (OSError, WeightsError):
            row.refusal = _("its file is not on this host or was changed")
            continue
        shards = shards or refresh_shards(project, running.check)
        raw = predict(features, shards, model, common.items, lambda _n: None)
        found[row.model.pk] = align_to(question, raw, row.model.classes)
    return found


def _judge(
    project: Project,
    question: Question,
    common: Labelled,
    rows: dict[int, _Row],
    proba: dict[int, Proba],
    reference: int,
) -> None:
    for pk, said in proba.items():
        figures = judge(project, question, common, said, SEED)
        rows[pk].metrics, rows[pk].classes = figures["metrics"], figures["classes"]
        if pk != reference and reference in proba:
            rows[pk].gain = compare(project, common.y, said, proba[reference], SEED)
        elif pk != reference:
            size: dict[str, Any] = {"n_items": len(common), "n_labels": len(common)}
            reason = _("the model that the others are held against cannot be judged")
            rows[pk].gain = Figure.refused("macro_f1_gain", reason, **size).as_dict()
