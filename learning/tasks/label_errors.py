"""The job that looks for labels that may be wrong: models taught by four fifths of the labels foretell the fifth."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from annotation.jobs import JobFailedError, RunningJob, job_kind
from learning.actions.label_errors import KIND
from learning.features.stored import refresh_shards
from learning.loading import load_holdout, load_training
from learning.questions import classes_of, holds_several, scale_of
from learning.scoring import fit_space
from learning.tasks.opening import open_question

MIN_LABELS = 100  # with fewer a model doubts whatever is rare
MOST_KEPT = 500
SEED = 0  # the same labels raise the same doubts


@job_kind(KIND)
def search_label_errors(running: RunningJob) -> dict[str, Any]:
    """Foretell every accepted label from the others, and keep the 500 that are believed least.

    `{"n_labels", "n_doubted", "n_sure", "doubts": [[item, given, looks_like, belief, is_sure]]}`, choices by their ids.
    Where several may hold each is doubted by itself: `given` is null where it was not chosen and looks as if it held,
    `looks_like` where it was and looks as if it did not.
    Of a scale those that look the most points off come first, then the least believed: one point off is often no error.
    Labels of the holdout are among them: a wrong one there misjudges every model. JobFailedError with fewer than 100
    labels or a single class; StateError while labels are of two versions of the schema.
    """
    from learning.algorithms.estimators import TooFewClassesError, UnsuitableError
    from learning.algorithms.label_errors import doubt_codes, doubt_sets

    project = running.project
    question = open_question(project, running.args["question"])
    groups = load_training(project, question), load_holdout(project, question)
    items = np.concatenate([group.items for group in groups])
    y = np.concatenate([group.y for group in groups])
    if len(items) < MIN_LABELS:
        raise JobFailedError(
            _("%(n)d labels are accepted; %(needed)d are needed to tell which ones are odd.")
            % {"n": len(items), "needed": MIN_LABELS}
        )
    classes = classes_of(question)
    running.progress(0, 2 * len(items))
    shards = refresh_shards(project, running.check)
    features = fit_space(shards, items, np.random.default_rng([SEED, 2]))
    X = shards.vectorise(features, items)
    running.progress(len(items), 2 * len(items))
    try:
        doubts = doubt_sets(X, y, SEED) if holds_several(question) else doubt_codes(X, y, len(classes), SEED)
    except (TooFewClassesError, UnsuitableError) as error:
        raise JobFailedError(_("Nothing can be told apart: %(reason)s.") % {"reason": error}) from error
    scale = scale_of(question)
    if scale is not None:
        # Stable: among those as far off the least believed stay first.
        doubts.sort(key=lambda one: -abs(scale[one.given or 0] - scale[one.looks_like or 0]))

    def spell(code: int | None) -> int | None:
        return None if code is None else classes[code]

    return {
        "n_labels": len(items),
        "n_doubted": len(doubts),
        "n_sure": sum(one.is_sure for one in doubts),
        "doubts": [
            [int(items[one.at]), spell(one.given), spell(one.looks_like), round(one.belief, 4), one.is_sure]
            for one in doubts[:MOST_KEPT]
        ],
    }
