"""The outline of a sound: how far it swings in each of about a thousand stretches, to be drawn as a waveform."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import reduce

import numpy as np
import numpy.typing as npt

from annotation.media_child.limits import RefusedError

PAIRS = 1000
FULL = 127  # full swing
FINE = 16  # frames to a stretch while the length is not known: two bytes for each keep hours of sound small
BLOCK = FINE * 4096

Samples = npt.NDArray[np.float32]
Small = npt.NDArray[np.int8]


def outline(blocks: Iterable[Samples], rate: int) -> tuple[float, bytes]:
    """Return the seconds, and `{"seconds", "peaks": [low, high, low, high, ...]}` as JSON: up to 1,000 pairs, to ±127.

    `blocks`: (n_frames, n_channels) from -1 to 1, each but the last a multiple of `FINE` frames long; channels are laid
    over each other. `rate` in frames a second. RefusedError where there is no frame at all.
    """
    lows: list[Small] = []
    highs: list[Small] = []
    n_frames = 0
    for block in blocks:
        n_frames += len(block)
        edges = np.arange(0, len(block), FINE)
        lows.append(_small(np.fmin.reduceat(reduce(np.fmin, block.T), edges)))  # a whole channel at a time: ten times
        highs.append(_small(np.fmax.reduceat(reduce(np.fmax, block.T), edges)))  # as fast as a frame at a time
    if not n_frames:
        raise RefusedError("damaged")
    low, high = np.concatenate(lows), np.concatenate(highs)
    n_pairs = min(PAIRS, len(low))
    edges = np.arange(n_pairs) * len(low) // n_pairs
    pairs = np.stack([np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)], axis=1)
    seconds = round(n_frames / rate, 3)
    return seconds, json.dumps({"seconds": seconds, "peaks": pairs.ravel().tolist()}, separators=(",", ":")).encode()


def _small(values: Samples) -> Small:
    return np.rint(np.clip(np.nan_to_num(values), -1, 1) * FULL).astype(np.int8)
