"""Between rows and mathematics: a feature space for a project, a fitted model as bytes and back, scores of items.

The machine learning libraries are imported inside the functions: only workers need them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from learning.loading import Labelled, align_proba, load_contents
from learning.model_files import read_weights
from learning.models import ModelVersion
from learning.questions import class_names, classes_of

if TYPE_CHECKING:
    from learning.algorithms.estimators import LogisticModel
    from learning.algorithms.features import Features, Matrix

# Weights of words hardly change beyond this many items, and reading a million texts twice takes minutes.
MAX_FIT = 50_000
MAX_FIT_IMAGES = 2_000

Progress = Callable[[int], None]


def fit_space(project: Project, items: NDArray[np.int64], rng: np.random.Generator) -> Features:
    """The feature space of these items, or of a random sample where there are more than 50,000 (images: 2,000)."""
    from learning.algorithms.features import Features, count_words, fit_images, fit_text

    if len(items) > MAX_FIT:
        items = np.sort(rng.choice(items, MAX_FIT, replace=False))
    counts = []
    has_text = has_image = False
    for contents in load_contents(project, items):
        has_text = has_text or any(content.text is not None for content in contents)
        has_image = has_image or any(content.image is not None for content in contents)
        counts.append(count_words(content.text or "" for content in contents))
    text = image = None
    if has_text:
        from scipy import sparse

        text = fit_text(sparse.vstack(counts, format="csr"))
    if has_image:
        some = items
        if len(items) > MAX_FIT_IMAGES:
            some = np.sort(rng.choice(items, MAX_FIT_IMAGES, replace=False))
        image = fit_images(
            content.image
            for contents in load_contents(project, some, batch=100)
            for content in contents
            if content.image is not None
        )
    return Features(text, image)


def vectorise(project: Project, features: Features, items: NDArray[np.int64], progress: Progress) -> Matrix:
    """The items as one matrix, (n_items, n_features); at least one item."""
    from scipy import sparse

    parts = []
    for contents in load_contents(project, items):
        parts.append(features.transform([c.text for c in contents], [c.image for c in contents]))
        progress(len(contents))
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    return np.vstack(parts)


def predict(
    project: Project, features: Features, model: LogisticModel, items: NDArray[np.int64], progress: Progress
) -> NDArray[np.float64]:
    """Probabilities of the items, (n_items, n_classes), batch by batch: the pool never lies in memory as features."""
    parts = [np.zeros((0, model.n_classes))]
    for contents in load_contents(project, items):
        X = features.transform([c.text for c in contents], [c.image for c in contents])
        parts.append(model.predict_proba(X))
        progress(len(contents))
    return np.concatenate(parts)


def pack_model(features: Features, model: LogisticModel, classes: Sequence[int]) -> bytes:
    """Feature space and model as the bytes of one file."""
    from learning.algorithms import weights

    feature_arrays, feature_card = features.to_arrays()
    model_arrays, model_card = model.to_arrays()
    arrays = {f"features.{name}": array for name, array in feature_arrays.items()}
    arrays |= {f"model.{name}": array for name, array in model_arrays.items()}
    return weights.pack(arrays, {"features": feature_card, "model": model_card, "classes": list(classes)})


def unpack_model(version: ModelVersion) -> tuple[Features, LogisticModel]:
    """What `pack_model` packed, checked against the recorded digest. Raises OSError, WeightsError."""
    from learning.algorithms import weights
    from learning.algorithms.estimators import LogisticModel
    from learning.algorithms.features import Features

    arrays, card = weights.unpack(read_weights(version), version.sha256)
    parts: dict[str, dict[str, NDArray[Any]]] = {"features": {}, "model": {}}
    for name, array in arrays.items():
        part, _dot, rest = name.partition(".")
        parts[part][rest] = array
    return (
        Features.from_arrays(parts["features"], card["features"]),
        LogisticModel.from_arrays(parts["model"], card["model"]),
    )


def judge(
    project: Project, question: Question, y: NDArray[np.int64], proba: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Figures on holdout labels, ready for JSON: each with its interval and n, or why there is none.

    `metrics` as everywhere, with how the items were drawn and the guideline in force; `classes` and `confusion` by the
    choices' values in `choices`.
    """
    from learning.algorithms.evaluation import evaluate

    names = class_names(question)
    found = evaluate(y, proba.reshape(len(y), len(names)), rng=np.random.default_rng([seed, 1])).as_dict()
    guideline = project.guideline.version if project.guideline else None
    for metric in found["metrics"]:
        metric["drawn"] = "holdout"
        metric["guideline_version"] = guideline
    for figures in found["classes"]:
        figures["choice"] = names[figures.pop("code")]
    return {**found, "choices": names}


def utilities_for(strategy: str, proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """The utilities to show for scores. Under "random" and "coreset" there is none to show: the margin's."""
    from learning.algorithms.strategies import RANDOM, utilities_of

    if not len(proba):
        return np.zeros(0)
    shown = "margin" if strategy in (RANDOM, "coreset") else strategy
    return utilities_of(shown, proba, np.random.default_rng(0))


def align_to(question: Question, proba: NDArray[np.float64], classes: Sequence[int]) -> NDArray[np.float64]:
    """Probabilities over a model's choices as probabilities over the question's choices of today."""
    return align_proba(proba, classes, classes_of(question))


def join_items(*groups: Labelled | NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids of all groups, each once, ascending."""
    arrays = [group.items if isinstance(group, Labelled) else group for group in groups]
    return np.unique(np.concatenate(arrays))
