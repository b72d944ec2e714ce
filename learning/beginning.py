"""Whether a batch can be chosen before anybody has labelled: by a policy's words, or by what items look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.models import Item, Project
from annotation.settings import learning_settings
from learning.features.counting import read_images, read_parts, read_texts
from learning.loading import load_payloads
from learning.models import EmbeddingSpace

# Items that are looked at to know what a pool is of.
LOOKED_AT = 20


def can_begin(project: Project) -> bool:
    """Whether a first batch under the project's settings would be chosen, not drawn by chance, and would not be all."""
    from learning.algorithms.strategies import find_strategy

    settings = learning_settings(project)
    strategy = find_strategy(settings["strategy"])
    by_words = bool(settings["keywords"]) and not strategy.is_random
    if not (by_words or strategy.starts_by_coverage):
        return False
    pool = Item.objects.filter(
        project=project, lifecycle=Item.Lifecycle.OPEN, split=Item.Split.POOL, imported_by__is_visible=True
    )
    items = pool.order_by("pk").values_list("pk", flat=True)
    if not items[settings["batch"] :].exists():
        return False
    has_text, has_image = look_into(np.array(items[:LOOKED_AT], np.int64))
    if has_text:
        return by_words
    return strategy.starts_by_coverage and (has_image or EmbeddingSpace.objects.filter(project=project).exists())


def look_into(items: NDArray[np.int64]) -> tuple[bool, bool]:
    """Whether any of the first 20 items has a text to be labelled, and whether any has an image."""
    parts = [read_parts(payload) for payload in load_payloads(items[:LOOKED_AT])]
    return any(read_texts(one) for one in parts), any(read_images(one) for one in parts)
