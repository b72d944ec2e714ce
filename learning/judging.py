"""How good a model is on the holdout: by itself, beside the model before it, beside labels drawn by chance alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from learning.loading import Labelled, load_holdout, load_sent_proba
from learning.models import ModelVersion
from learning.questions import class_names, holds_several, scale_of
from learning.reports import current_model
from learning.scoring import align_to, predict, unpack_model
from learning.slices import slice_figures

if TYPE_CHECKING:
    from learning.algorithms.estimators import Model
    from learning.algorithms.evaluation import ClassFigures, Evaluation
    from learning.algorithms.features import Features
    from learning.features.stored import Shards

Figures = dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """A model's macro-F1 less that of the current one, on the same items: a figure, ready for JSON."""

    current: ModelVersion
    gain: Figures

    @property
    def is_worse(self) -> bool:
        """Whether even the upper end of the interval is below 0."""
        return self.gain["interval"] is not None and self.gain["interval"][1] < 0


def judge(
    project: Project,
    question: Question,
    holdout: Labelled,
    proba: NDArray[np.float64],
    seed: int,
    thresholds: Sequence[float | None] = (),
) -> Figures:
    """Figures on holdout labels, ready for JSON: each with its interval and n, or why there is none.

    `metrics` as everywhere, with how the items were drawn and the guideline in force; `classes` and `confusion` by the
    classes' values in `choices`; `slices` by what the items' metadata say. Of a scale also how far off the model is.
    Where the model chose `thresholds`, one for each class, those of `classes` have figures `at_threshold`, else null.
    Where several classes may hold there is no confusion (it is empty), and 0.5 is the threshold.
    """
    from learning.algorithms.evaluation import judge_at_thresholds
    from learning.algorithms.ordered import judge_distance

    names = class_names(question)
    by_class = proba.reshape(len(holdout), len(names))
    found = _evaluate(holdout.y, by_class, seed).as_dict()
    slices = slice_figures(holdout.items, holdout.y, by_class)
    scale = scale_of(question)
    if scale is not None:
        far_off = judge_distance(found["confusion"], scale, rng=np.random.default_rng([seed, 6]))
        found["metrics"] += [figure.as_dict() for figure in far_off]
    _say_how_drawn(project, [*found["metrics"], *(part["figure"] for part in slices)])
    lines = list(thresholds) or [None] * len(names)
    at_thresholds = [None] * len(names) if holds_several(question) else judge_at_thresholds(holdout.y, by_class, lines)
    for figures, at, threshold in zip(found["classes"], at_thresholds, lines, strict=True):
        figures["choice"] = names[figures.pop("code")]
        figures["at_threshold"] = None if at is None else _show_at(at, threshold)
    return {**found, "choices": names, "slices": slices}


def _show_at(figures: ClassFigures, threshold: float | None) -> Figures:
    kept = ("precision", "recall", "f1", "n_predicted", "refusal")
    shown = figures.as_dict()
    return {"threshold": threshold} | {name: shown[name] for name in shown if name.removesuffix("_interval") in kept}


def judge_sent(project: Project, question: Question, model: ModelVersion, seed: int) -> Figures:
    """Figures of an outside model on those holdout items for which it sent scores."""
    holdout = load_holdout(project, question)
    known, raw = load_sent_proba(model, holdout.items)
    some = holdout.select(known)
    return judge(project, question, some, align_to(question, raw, model.classes), seed)


def judge_beside_current(
    project: Project,
    question: Question,
    shards: Shards,
    holdout: Labelled,
    proba: NDArray[np.float64],
    seed: int,
) -> Beside | None:
    """Compare a new model with the current one, on the holdout items that both can judge.

    None where there is no current model, or its file is not on this host.
    """
    from learning.algorithms.weights import WeightsError

    current = current_model(project, question)
    if current is None:
        return None
    known = np.ones(len(holdout), bool)
    if current.origin == ModelVersion.Origin.EXTERNAL:
        known, raw = load_sent_proba(current, holdout.items)
    else:
        try:
            features, model = unpack_model(current)
        except (OSError, WeightsError):
            return None
        raw = predict(features, shards, model, holdout.items, lambda _n: None)
    other = align_to(question, raw, current.classes)
    return Beside(current, compare(project, holdout.y[known], proba[known], other, seed))


def compare(
    project: Project, y: NDArray[np.int64], proba: NDArray[np.float64], other: NDArray[np.float64], seed: int
) -> Figures:
    """By how much one model's macro-F1 is above another's on the same items: a figure, ready for JSON."""
    from learning.algorithms.evaluation import compare_macro_f1
    from learning.algorithms.evaluation_sets import compare_sets

    compared = compare_sets if y.ndim == 2 else compare_macro_f1
    gain = compared(y, proba, other, rng=np.random.default_rng([seed, 5])).as_dict()
    _say_how_drawn(project, [gain])
    return gain


def judge_by_chance(
    project: Project,
    features: Features,
    shards: Shards,
    is_drawn: NDArray[np.bool_],
    fit: Callable[[NDArray[np.bool_]], Model],
    holdout: Labelled,
    of_all: Figures,
    seed: int,
) -> Figures | None:
    """What the labels that chance drew would have taught by themselves: `{"n_train", "macro_f1": figure}`.

    `is_drawn`: which training items chance drew (`drawn_by_chance`). `fit`: a model of those training items that are
    marked, as the round's own is made. None where no two classes occur among them. `of_all`: the macro-F1 of the
    round's own model, which it is where chance drew every label.
    """
    from learning.algorithms.estimators import TooFewClassesError

    if is_drawn.all():
        return {"n_train": len(is_drawn), "macro_f1": of_all}
    try:
        model = fit(is_drawn)
    except TooFewClassesError:
        return None
    proba = predict(features, shards, model, holdout.items, lambda _n: None)
    figure = _evaluate(holdout.y, proba, seed).macro_f1.as_dict()
    _say_how_drawn(project, [figure])
    return {"n_train": int(is_drawn.sum()), "macro_f1": figure}


def _evaluate(y: NDArray[np.int64], proba: NDArray[np.float64], seed: int) -> Evaluation:
    """Figures of codes, or of sets of classes where labels are a table."""
    from learning.algorithms.evaluation import evaluate
    from learning.algorithms.evaluation_sets import evaluate_sets

    return (evaluate_sets if y.ndim == 2 else evaluate)(y, proba, rng=np.random.default_rng([seed, 1]))


def _say_how_drawn(project: Project, figures: Sequence[Figures]) -> None:
    version = project.guideline.version if project.guideline else None
    for figure in figures:
        figure |= {"drawn": "holdout", "guideline_version": version}
