"""What the answers to labelled items say beyond the label: rows to shares of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from learning.loading import Labelled
from learning.questions import classes_of
from reviewers.columns import ColumnType, read_columns


def load_beliefs(project: Project, question: Question, training: Labelled) -> NDArray[np.float64]:
    """How likely each class is for each item, (n_items, n_classes), rows sum to 1.

    The posterior where the rule has one; else by votes and label (`believe`). What a reviewer decided is certain, and
    so is an item that has no such answers any more.
    """
    from learning.algorithms.beliefs import believe

    classes = classes_of(question)
    columns = [
        column
        for place, choice in enumerate(classes)
        for column in (
            f"coalesce((r.posterior ->> '{choice:d}')::float8, 0) as p{place}",
            f"coalesce((r.votes ->> '{choice:d}')::float8, 0) as v{place}",
        )
    ]
    names = [f"{kind}{place}" for kind in "pv" for place in range(len(classes))]
    float8: ColumnType = "float8"
    rows = read_columns(
        f"""
        select distinct on (r.item_id) r.item_id as item, {", ".join(columns)} from reviewers_resolution r
        where r.project_id = %(project)s and r.question = %(question)s and r.state = 1
          and r.item_id = any(%(items)s::bigint[])
        order by r.item_id, r.pass_no desc""",  # noqa: S608
        {"project": project.pk, "question": question["id"], "items": training.items.tolist()},
        item="int8",
        **dict.fromkeys(names, float8),
    )
    shape = (len(training), len(classes))
    posterior, votes, place = np.zeros(shape), np.zeros(shape), np.searchsorted(training.items, rows["item"])
    for code in range(len(classes)):
        posterior[place, code], votes[place, code] = rows[f"p{code}"], rows[f"v{code}"]
    total = posterior.sum(axis=1, keepdims=True)
    by_votes = believe(training.y, votes)
    np.divide(posterior, total, out=by_votes, where=total > 0)
    return by_votes
