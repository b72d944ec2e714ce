"""Between rows and mathematics: a feature space for a project, a fitted model as bytes and back, scores of items.

The machine learning libraries are imported inside the functions: only workers need them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotation.kinds import Question
from annotation.models import Project
from annotation.settings import learning_settings
from learning.features.counting import count_cores
from learning.features.shards import MAX_CELLS, Shard
from learning.features.stores import has_vectors
from learning.loading import Labelled, align_proba
from learning.model_files import read_weights
from learning.models import EmbeddingSpace, ModelVersion
from learning.questions import classes_of, holds_several

if TYPE_CHECKING:
    from learning.algorithms.estimators import Model
    from learning.algorithms.estimators.recipes import Recipe
    from learning.algorithms.features import Block, Features, Matrix
    from learning.features.stored import Shards

# Weights of words hardly change beyond this many items.
MAX_FIT = 50_000
# Items that are scored at once where a space has several blocks.
MAX_PART = 20_000
MAX_THREADS = 4
# What a model's weights depend on besides labels, texts and seed.
_SOFTWARE = ("touchstone", "numpy", "scipy", "scikit-learn")

Progress = Callable[[int], object]


class Scorer(Protocol):
    """What gives each item a row of numbers: a model, or what is as like one as scoring needs."""

    @property
    def n_classes(self) -> int: ...
    def predict_proba(self, X: Matrix) -> NDArray[np.float64]: ...


def fit_space(shards: Shards, items: NDArray[np.int64], rng: np.random.Generator) -> Features:
    """The feature space of these items, or of a random sample where there are more than 50,000."""
    from learning.algorithms.features import Features

    if len(items) > MAX_FIT:
        items = np.sort(rng.choice(items, MAX_FIT, replace=False))
    fitted = {store.name: store.fit(shards.of_store(store), items) for store in shards.stores}
    return Features({name: block for name, block in fitted.items() if block is not None})


def recipe_for(project: Project, features: Features) -> Recipe:
    """By which estimator a project's models are made, and what the columns of its feature space are."""
    from learning.algorithms.estimators.recipes import Recipe
    from learning.algorithms.features import PIXELS, ImageFeatures

    image = features.blocks.get(PIXELS)
    shape = (image.height, image.width, image.channels) if isinstance(image, ImageFeatures) else None
    return Recipe(learning_settings(project)["estimator"], features.parts, shape)


def predict(
    features: Features,
    shards: Shards,
    model: Scorer,
    items: NDArray[np.int64],
    progress: Progress,
) -> NDArray[np.float64]:
    """Probabilities of the items (ascending), (n_items, n_classes): the pool never lies in memory as features.

    In as many threads as there are cores: what takes long leaves the interpreter's lock alone. Of a space with one
    block the shards are scored as they lie there.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    proba = np.empty((len(items), model.n_classes))
    if len(features.blocks) == 1:
        ((name, block),) = features.blocks.items()
        stored = shards.of(name, block)
        proba[:] = model.predict_proba(block.weigh(stored.make_empty(1)))  # stands where an item has no row
        parts: Sequence[Any] = stored.shards
        score: Callable[[Any], Scored] = _score_shard(block, model, items)
    else:
        parts = _cut(features, shards, len(items))
        score = _score_part(features, shards, model, items)
    # Each of these threads alone: more of a library's own in every one of them would only contend.
    with threadpool_limits(limits=1), ThreadPoolExecutor(min(MAX_THREADS, count_cores())) as threads:
        for places, found in threads.map(score, parts):
            proba[places] = found
            progress(len(found))
    return proba


Scored = tuple[Any, NDArray[np.float64]]  # where among the items, and their probabilities


def _score_shard(block: Block, model: Scorer, items: NDArray[np.int64]) -> Callable[[Shard], Scored]:
    def score(shard: Shard) -> Scored:
        places, rows = shard.select(items)
        return places, model.predict_proba(block.weigh(rows.matrix))

    return score


def _score_part(
    features: Features, shards: Shards, model: Scorer, items: NDArray[np.int64]
) -> Callable[[slice], Scored]:
    return lambda part: (part, model.predict_proba(shards.vectorise(features, items[part])))


def _cut(features: Features, shards: Shards, n: int) -> list[slice]:
    """Parts of `n` items of which a few fit into memory as features."""
    n_dense = 0
    for name, block in features.blocks.items():
        shards.of(name, block)  # here, where it may have to be made, and not in a thread
        n_dense += 0 if block.is_sparse else block.n_features
    step = min(MAX_PART, max(1, MAX_CELLS // max(1, n_dense)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def pack_model(features: Features, model: Model, classes: Sequence[int], training: Labelled) -> bytes:
    """Feature space and model as the bytes of one file, with what it was taught and by which software.

    `training.items` and `training.versions` in the file name the resolutions; the seed is among the model's settings.
    """
    from learning.algorithms import weights

    feature_arrays, feature_card = features.to_arrays()
    model_arrays, model_card = model.to_arrays()
    arrays = {f"features.{name}": array for name, array in feature_arrays.items()}
    arrays |= {f"model.{name}": array for name, array in model_arrays.items()}
    arrays |= {"training.items": training.items, "training.versions": training.versions}
    card = {
        "features": feature_card,
        "model": model_card,
        "classes": list(classes),
        "software": {name: metadata.version(name) for name in _SOFTWARE},
    }
    return weights.pack(arrays, card)


def unpack_model(version: ModelVersion) -> tuple[Features, Model]:
    """What `pack_model` packed, checked against the recorded digest. Raises OSError, WeightsError.

    WeightsError as well where the model was fitted on features that were made in another way than now, or removed.
    """
    from learning.algorithms import weights
    from learning.algorithms.estimators import read_model
    from learning.algorithms.features import Features, GivenFeatures, SentenceFeatures

    arrays, card = weights.unpack(read_weights(version), version.sha256)
    parts: dict[str, dict[str, NDArray[Any]]] = {"features": {}, "model": {}, "training": {}}
    for name, array in arrays.items():
        part, _dot, rest = name.partition(".")
        parts[part][rest] = array
    try:
        features = Features.from_arrays(parts["features"], card["features"])
    except ValueError as error:
        raise weights.WeightsError(str(error)) from error
    spaces = {block.space for block in features.blocks.values() if isinstance(block, GivenFeatures)}
    if EmbeddingSpace.objects.filter(pk__in=spaces).count() < len(spaces):
        raise weights.WeightsError("the embeddings that the model was fitted on were removed")
    sentences = [block for block in features.blocks.values() if isinstance(block, SentenceFeatures)]
    if not all(has_vectors(version.project, block) for block in sentences):
        raise weights.WeightsError("the sentence model that the model was fitted on is not here any more")
    return features, read_model(parts["model"], card["model"])


def taught_items(version: ModelVersion) -> NDArray[np.int64]:
    """The ids of the items whose labels taught a model from here, by its file. Raises OSError, WeightsError."""
    from learning.algorithms import weights

    arrays, _card = weights.unpack(read_weights(version), version.sha256)
    return np.asarray(arrays["training.items"], np.int64)


def utilities_for(question: Question, strategy: str, proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """The utilities to show for scores: the margin's where the strategy's own need more than scores, or are none."""
    from learning.algorithms.several import doubt_of
    from learning.algorithms.strategies import RANDOM, find_strategy, utilities_of

    if not len(proba):
        return np.zeros(0)
    shown = "margin" if strategy in (RANDOM, "coreset") or find_strategy(strategy).needs_committee else strategy
    return utilities_of(shown, doubt_of(proba) if holds_several(question) else proba, np.random.default_rng(0))


def align_to(question: Question, proba: NDArray[np.float64], classes: Sequence[int]) -> NDArray[np.float64]:
    """Probabilities over a model's choices as probabilities over the question's choices of today."""
    return align_proba(proba, classes, classes_of(question), is_several=holds_several(question))


def join_items(*groups: Labelled | NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids of all groups, each once, ascending."""
    arrays = [group.items if isinstance(group, Labelled) else group for group in groups]
    return np.unique(np.concatenate(arrays))
