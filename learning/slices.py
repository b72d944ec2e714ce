"""A model's figures on parts of the holdout, told apart by what the items' metadata say: language, source, length."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.models import Item
from learning.algorithms.thresholds import DEFAULT_THRESHOLD
from reviewers.algorithms.figures import Figure
from reviewers.algorithms.intervals import wilson

MIN_SLICE = 30  # items: with fewer the interval says nothing
MOST_KEYS, MOST_VALUES = 8, 12


def slice_figures(items: NDArray[np.int64], y: NDArray[np.int64], proba: NDArray[np.float64]) -> list[dict[str, Any]]:
    """How often a model is right on each part of some judged items.

    Parameters
    ----------
    items, y : ndarray of int64, (n_items,)
        Ids and accepted codes; or (n_items, n_classes), 1 where a class holds of which several may.
    proba : ndarray of float, (n_items, n_classes)

    Returns
    -------
    list of dict
        `{"key", "value", "figure": accuracy}`, ready for JSON: by key, the largest part first. A part of fewer than 30
        items is refused by name. Keys count whose values are words, numbers or yes and no, with 2 to 12 different ones
        that are not all of a single item: language first, then the most frequent, eight in all. [] for no items.
    """
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    about = dict(zip(items.tolist(), range(len(items)), strict=True))
    rows = Item.objects.filter(pk__in=list(about)).values_list("pk", "metadata")
    for pk, metadata in rows.iterator():
        for key, value in _scalars(metadata):
            places[key, value].append(about[pk])
    if y.ndim == 2:
        is_right = ((proba >= DEFAULT_THRESHOLD) == y).all(axis=1)
    else:
        is_right = proba.argmax(axis=1) == y if len(y) else np.zeros(0, bool)
    return [
        {"key": key, "value": value, "figure": _accuracy(is_right[places[key, value]]).as_dict()}
        for key, value in _in_order(places)
    ]


def _scalars(metadata: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in metadata.items():
        if isinstance(value, bool):
            yield key, "true" if value else "false"
        elif isinstance(value, (str, int, float)) and value != "":
            yield key, str(value)[:100]


def _in_order(places: dict[tuple[str, str], list[int]]) -> list[tuple[str, str]]:
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for (key, value), found in places.items():
        values[key][value] = len(found)
    told = [key for key, counts in values.items() if 2 <= len(counts) <= MOST_VALUES and max(counts.values()) > 1]
    told.sort(key=lambda key: (key != "language", -values[key].total(), key))
    return [
        (key, value)
        for key in told[:MOST_KEYS]
        for value, _n in sorted(values[key].items(), key=lambda one: (-one[1], one[0]))
    ]


def _accuracy(is_right: NDArray[np.bool_]) -> Figure:
    n, n_right = len(is_right), int(is_right.sum())
    size: dict[str, Any] = {"n_items": n, "n_labels": n}
    if n < MIN_SLICE:
        return Figure.refused("accuracy", f"{n} item{'s' * (n != 1)}; {MIN_SLICE} needed", **size)
    return Figure(metric="accuracy", value=n_right / n, interval=wilson(n_right, n), method="Wilson", **size)
