"""What the next labels of a project are expected to bring, and whether they are worth asking for. Read only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.kinds import Question
from annotation.models import Project
from annotation.serializers import show_time
from learning.algorithms.outlook import Forecast, NoOutlookError, look_ahead
from learning.reports import learning_curve
from reviewers.algorithms.figures import Figure

NEXT_LABELS = 500
# Another drawing of the holdout moves macro-F1 by more than this: no reason to ask people for 500 labels.
SMALL_GAIN = 0.01
METRIC, BY_CHANCE = "expected_gain", "labels_by_chance"
MOST_AHEAD = 5  # times as many labels as were seen: beyond, a curve is a guess


def show_outlook(project: Project, question: Question) -> dict[str, Any]:
    """The learning curve, what 500 labels more are expected to bring, and an advice with its reason.

    `{"question", "points", "metrics": [figures of `expected_gain`, `labels_by_chance`], "advice": "go_on"/"stop"/
    "unclear", "reason", "computed_at"}`. `points` as in `learning_curve`. The gain is in macro-F1; it is refused, and
    the advice unclear, while fewer than five models of different sizes have been judged. `labels_by_chance`: how many
    labels, all drawn by chance, the newest figure would have taken, by the curve of those that were.
    """
    points = learning_curve(project, question)
    figure, advice, reason = _expect(points)
    by_chance = _compare_with_chance(points)
    return {
        "question": question["name"],
        "points": points,
        "metrics": [figure.as_dict(), by_chance.as_dict()],
        "advice": advice,
        "reason": reason,
        "computed_at": show_time(timezone.now()),
    }


def _expect(points: list[dict[str, Any]]) -> tuple[Figure, str, str]:
    judged = [point for point in points if point["macro_f1"]["value"] is not None]
    newest = judged[-1]["macro_f1"] if judged else {"n_items": 0}
    size: dict[str, Any] = {
        "n_items": newest["n_items"],
        "n_labels": max((point["n_train"] for point in judged), default=0),
    }
    try:
        outlook = look_ahead(
            [point["n_train"] for point in judged],
            [point["macro_f1"]["value"] for point in judged],
            rng=np.random.default_rng(0),  # the same points say the same each time
        )
    except NoOutlookError as error:
        return Figure.refused(METRIC, str(error), **size), "unclear", _explain_refusal()
    gain = outlook.gain_of(NEXT_LABELS)
    figure = Figure(
        metric=METRIC,
        value=gain.value,
        interval=gain.interval,
        method=f"inverse power law through {len(judged)} models, parametric bootstrap; gain of {NEXT_LABELS} labels",
        **size,
    )
    return figure, *_advise(gain)


def _compare_with_chance(points: list[dict[str, Any]]) -> Figure:
    judged = [point for point in points if point["macro_f1"]["value"] is not None and point["by_chance"] is not None]
    size: dict[str, Any] = {"n_items": 0, "n_labels": 0}
    if judged:
        size = {"n_items": judged[-1]["macro_f1"]["n_items"], "n_labels": judged[-1]["n_train"]}
    if judged and all(point["by_chance"]["n_train"] == point["n_train"] for point in judged):
        return Figure.refused(BY_CHANCE, "every label was drawn by chance", **size)
    sizes = [point["by_chance"]["n_train"] for point in judged]
    try:
        outlook = look_ahead(
            sizes, [point["by_chance"]["macro_f1"]["value"] for point in judged], rng=np.random.default_rng(0)
        )
    except NoOutlookError as error:
        return Figure.refused(BY_CHANCE, str(error), **size)
    needed = outlook.labels_for(judged[-1]["macro_f1"]["value"])
    most = MOST_AHEAD * max(sizes)
    if needed.interval[1] > most:
        refusal = f"{max(sizes)} labels were drawn by chance: too few to say; {needed.interval[0]:.0f} at least"
        return Figure.refused(BY_CHANCE, refusal, **size)
    method = f"inverse power law through {len(sizes)} models of {sizes[0]} to {sizes[-1]} labels drawn by chance"
    return Figure(metric=BY_CHANCE, value=needed.value, interval=needed.interval, method=method, **size)


def _explain_refusal() -> str:
    return _("Too few models have been judged on the holdout to say where the curve leads.")


def _advise(gain: Forecast) -> tuple[str, str]:
    low, high = gain.interval
    about = {"n": NEXT_LABELS, "low": _in_points(low), "high": _in_points(high, up=True)}
    if high < SMALL_GAIN:
        return "stop", _(
            "%(n)d labels more are expected to raise macro-F1 by %(high)s points at most. Labels will hardly help any"
            " more: look at the choices that are confused, at the guideline, or at another model."
        ) % about
    if low >= SMALL_GAIN:
        return "go_on", _("%(n)d labels more are expected to raise macro-F1 by %(low)s to %(high)s points.") % about
    return "unclear", _(
        "%(n)d labels more are expected to raise macro-F1 by %(low)s to %(high)s points: whether that is worth it is"
        " yours to say."
    ) % about


def _in_points(share: float, *, up: bool = False) -> str:
    tenths = share * 1000
    return f"{(math.ceil(tenths) if up else math.floor(tenths)) / 10:.1f}"
