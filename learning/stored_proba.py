"""The probabilities of a few items, out of the shards beside a model's file: mapped, and not read whole."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from learning.features.shards import view
from learning.model_files import list_proba_shards
from learning.models import ModelVersion


def find_proba(model: ModelVersion, items: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    """Probabilities by item, in the order of the model's classes; items of which nothing lies on this host are absent.

    For people to look at: the digests are not looked at, as a page cannot wait for that.
    """
    found: dict[int, NDArray[np.float32]] = {}
    for path in list_proba_shards(model):
        # A scoring that takes the shards' place meanwhile may take them away.
        with suppress(OSError, ValueError, KeyError), path.open("rb") as file:
            arrays, _card = view(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            known = arrays["items"]
            places = np.minimum(np.searchsorted(known, items), max(0, len(known) - 1))
            proba = arrays["proba"].reshape(len(known), -1)
            for item, place in zip(items.tolist(), places.tolist(), strict=True):
                if len(known) and known[place] == item:
                    found[item] = proba[place].copy()
    return found
