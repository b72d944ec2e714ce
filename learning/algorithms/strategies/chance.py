"""`random`: every candidate as likely as any other."""

from __future__ import annotations

import numpy as np

from learning.algorithms.strategies.batches import select_highest
from learning.algorithms.strategies.candidates import Candidates, FloatArray, Strategy


def _draws(candidates: Candidates, rng: np.random.Generator) -> FloatArray:
    return rng.random(candidates.n)


CHANCE = Strategy("random", _draws, select_highest, is_random=True)
