"""Classifiers that learn from accepted labels.

A new one is a file here, a line in `_READERS`, and a name and a case in `recipes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from learning.algorithms.estimators.cnn import CnnModel
from learning.algorithms.estimators.embedding_bag import EmbeddingBagModel
from learning.algorithms.estimators.fusion import FusionModel
from learning.algorithms.estimators.logistic import LogisticModel, fit_logistic
from learning.algorithms.estimators.model import Matrix, Model, TooFewClassesError, UnsuitableError
from learning.algorithms.estimators.one_vs_rest import OneVsRestModel, fit_one_vs_rest, why_alike

__all__ = [
    "CnnModel",
    "EmbeddingBagModel",
    "FusionModel",
    "LogisticModel",
    "Matrix",
    "Model",
    "OneVsRestModel",
    "TooFewClassesError",
    "UnsuitableError",
    "fit_logistic",
    "fit_one_vs_rest",
    "read_model",
    "why_alike",
]


def read_model(arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Model:
    """The inverse of `Model.to_arrays`. Raises ValueError for a kind that this version does not know."""
    reader = _READERS.get(card.get("kind", ""))
    if reader is None:
        raise ValueError(f"the card describes {card.get('kind')!r}, which is none of: {', '.join(_READERS)}")
    return reader(arrays, card)


_READERS: dict[str, Callable[[Mapping[str, NDArray[Any]], Mapping[str, Any]], Model]] = {
    "logistic": LogisticModel.from_arrays,
    "one_vs_rest": OneVsRestModel.from_arrays,
    "embedding_bag": EmbeddingBagModel.from_arrays,
    "cnn": CnnModel.from_arrays,
    "fusion": lambda arrays, card: FusionModel.from_arrays(arrays, card, read_model),
}
