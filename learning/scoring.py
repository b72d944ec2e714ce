"""Between rows and mathematics: a feature space for a project, a fitted model as bytes and back, scores of items.

The machine learning libraries are imported inside the functions: only workers need them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from annotation.settings import learning_settings
from learning.counting import HAS_IMAGE, HAS_TEXT, count_cores
from learning.loading import BATCH, Labelled, align_proba, load_contents
from learning.model_files import read_weights
from learning.models import ModelVersion
from learning.questions import classes_of

if TYPE_CHECKING:
    from learning.algorithms.estimators import Model
    from learning.algorithms.estimators.recipes import Recipe
    from learning.algorithms.features import Features, ImageFeatures, Matrix
    from learning.feature_files import Shard, Shards

# Weights of words hardly change beyond this many items.
MAX_FIT = 50_000
MAX_FIT_IMAGES = 2_000
MAX_THREADS = 4
# What a model's weights depend on besides labels, texts and seed.
_SOFTWARE = ("touchstone", "numpy", "scipy", "scikit-learn")

Progress = Callable[[int], object]


def fit_space(project: Project, shards: Shards, items: NDArray[np.int64], rng: np.random.Generator) -> Features:
    """The feature space of these items, or of a random sample where there are more than 50,000 (images: 2,000)."""
    from learning.algorithms.features import Features, fit_images, fit_text

    if len(items) > MAX_FIT:
        items = np.sort(rng.choice(items, MAX_FIT, replace=False))
    counted = shards.gather(items)
    text = fit_text(counted.words) if (counted.kinds & HAS_TEXT).any() else None
    image = None
    if (counted.kinds & HAS_IMAGE).any():
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


def recipe_for(project: Project, features: Features) -> Recipe:
    """By which estimator a project's models are made, and what the columns of its feature space are."""
    from learning.algorithms.estimators.recipes import PIXELS, WORDS, Recipe

    n_words = 0 if features.text is None else features.text.n_features
    spans = {} if features.text is None else {WORDS: slice(0, n_words)}
    image = features.image
    if image is not None:
        spans[PIXELS] = slice(n_words, n_words + image.n_features)
    shape = None if image is None else (image.height, image.width, image.channels)
    return Recipe(learning_settings(project)["estimator"], spans, shape)


def vectorise(project: Project, features: Features, shards: Shards, items: NDArray[np.int64]) -> Matrix:
    """The items as one matrix, (n_items, n_features), in their order; whatever their order is.

    Words are read from the shards, images from their files. An item that was erased meanwhile is a row of zeros.
    """
    words = None if features.text is None else features.text.weigh(shards.gather(items).words)
    pixels = None if features.image is None else _read_pixels(project, features.image, items)
    return features.join(words, pixels, len(items))


def _read_pixels(project: Project, image: ImageFeatures, items: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = [np.zeros((0, image.n_features), np.float32)]
    parts += [image.transform([content.image for content in some]) for some in load_contents(project, items)]
    return np.concatenate(parts)


def predict(
    project: Project,
    features: Features,
    shards: Shards,
    model: Model,
    items: NDArray[np.int64],
    progress: Progress,
) -> NDArray[np.float64]:
    """Probabilities of the items (ascending), (n_items, n_classes): the pool never lies in memory as features.

    Words are scored shard by shard, in as many threads as there are cores: what takes long leaves the interpreter's
    lock alone.
    """
    if features.text is None or features.image is not None:
        parts = [np.zeros((0, model.n_classes))]
        for start in range(0, len(items), BATCH):
            some = items[start : start + BATCH]
            parts.append(model.predict_proba(vectorise(project, features, shards, some)))
            progress(len(some))
        return np.concatenate(parts)
    text = features.text

    def score(shard: Shard) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        places, counted = shard.select(items)
        return places, model.predict_proba(text.weigh(counted.words))

    proba = np.empty((len(items), model.n_classes))
    proba[:] = model.predict_proba(text.weigh(shards.make_empty(1).words))  # stands where an item has no words
    with ThreadPoolExecutor(min(MAX_THREADS, count_cores())) as threads:
        for places, found in threads.map(score, shards.shards):
            proba[places] = found
            progress(len(places))
    return proba


def pack_model(features: Features, model: Model, classes: Sequence[int], training: Labelled) -> bytes:
    """Feature space and model as the bytes of one file, with what it was taught and by which software.

    `training.items` and `training.versions` in the file name the resolutions; the seed is among the model's settings.
    """
    from learning.algorithms import weights
    from learning.algorithms.features import COUNTS_VERSION

    feature_arrays, feature_card = features.to_arrays()
    model_arrays, model_card = model.to_arrays()
    arrays = {f"features.{name}": array for name, array in feature_arrays.items()}
    arrays |= {f"model.{name}": array for name, array in model_arrays.items()}
    arrays |= {"training.items": training.items, "training.versions": training.versions}
    card = {
        "features": feature_card,
        "model": model_card,
        "classes": list(classes),
        "counts": COUNTS_VERSION,
        "software": {name: metadata.version(name) for name in _SOFTWARE},
    }
    return weights.pack(arrays, card)


def unpack_model(version: ModelVersion) -> tuple[Features, Model]:
    """What `pack_model` packed, checked against the recorded digest. Raises OSError, WeightsError.

    WeightsError as well where the model was fitted on words that were counted in another way than now.
    """
    from learning.algorithms import weights
    from learning.algorithms.estimators import read_model
    from learning.algorithms.features import COUNTS_VERSION, Features

    arrays, card = weights.unpack(read_weights(version), version.sha256)
    if card.get("counts") != COUNTS_VERSION:
        raise weights.WeightsError("the model was fitted on words that were counted in another way")
    parts: dict[str, dict[str, NDArray[Any]]] = {"features": {}, "model": {}, "training": {}}
    for name, array in arrays.items():
        part, _dot, rest = name.partition(".")
        parts[part][rest] = array
    return (
        Features.from_arrays(parts["features"], card["features"]),
        read_model(parts["model"], card["model"]),
    )


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
