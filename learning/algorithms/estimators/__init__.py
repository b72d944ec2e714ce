"""Classifiers that learn from accepted labels. A new one is a file here and a line in `_READERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from learning.algorithms.estimators.logistic import LogisticModel, fit_logistic
from learning.algorithms.estimators.model import Matrix, Model, TooFewClassesError
from learning.algorithms.estimators.one_vs_rest import OneVsRestModel, fit_one_vs_rest, why_alike

__all__ = [
    "LogisticModel",
    "Matrix",
    "Model",
    "OneVsRestModel",
    "TooFewClassesError",
    "fit_logistic",
    "fit_one_vs_rest",
    "read_model",
    "why_alike",
]

_READERS: dict[str, Callable[[Mapping[str, NDArray[Any]], Mapping[str, Any]], Model]] = {
    "logistic": LogisticModel.from_arrays,
    "one_vs_rest": OneVsRestModel.from_arrays,
}


def read_model(arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Model:
    """The inverse of `Model.to_arrays`. Raises ValueError for a kind that this version does not know."""
    reader = _READERS.get(card.get("kind", ""))
    if reader is None:
        raise ValueError(f"the card describes {card.get('kind')!r}, which is none of: {', '.join(_READERS)}")
    return reader(arrays, card)
