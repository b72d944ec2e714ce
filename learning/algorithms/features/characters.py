"""Texts as hashed runs of characters, for languages that are written without spaces, and for misspelt words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from learning.algorithms.features.words import N_HASHED, TextFeatures, weigh_columns

RUNS = (2, 4)  # characters; runs of 5 add a third of the numbers and nothing that was measured
AT_ONCE = 1_000_000  # characters: numpy's arrays of them take some 200 MB
N_BITS = N_HASHED.bit_length() - 1
_SPACE, _FACTOR, _MIXER = np.uint64(32), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
# Above this share of letters a text counts as written without spaces: a whole sentence is one run of letters there.
MANY = 1 / 3
# Thai, Lao, Burmese, Khmer; kana; Chinese characters, the rarer ones too.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, eq=False)
class CharacterFeatures(TextFeatures):
    """Hashed TF-IDF of runs of characters. Rows: counts, of `count_characters`."""

    VERSION: ClassVar[int] = 1


def count_characters(texts: Iterable[str]) -> sparse.csr_matrix:
    """Count runs of 2 to 4 characters under their hashes.

    Parameters
    ----------
    texts : iterable of str

    Returns
    -------
    csr_matrix of float32, (n_texts, 2**18)
        Counts from 1 up. Lower case; runs do not cross spaces, each of which counts as a character at either end: the
        runs that scikit-learn's analyzer "char_wb" finds, five times as fast.

    References
    ----------
    Cavnar and Trenkle (1994), N-Gram-Based Text Categorization, SDAIR.

    Examples
    --------
    >>> count_characters(["at", ""]).sum(axis=1).tolist()
    [[6.0], [0.0]]
    """
    spaced = [f" {words} " if (words := " ".join(text.lower().split())) else " " for text in texts]
    ends = np.cumsum([len(text) for text in spaced], dtype=np.int64)
    parts, start = [], 0
    while start < len(spaced):
        # As many texts as have about so many characters, one at least.
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + AT_ONCE, side="right")))
        parts.append(_count(spaced[start:stop]))
        start = stop
    if not parts:
        return sparse.csr_matrix((0, N_HASHED), dtype=np.float32)
    return parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")


def _count(spaced: Sequence[str]) -> sparse.csr_matrix:
    """Count runs in texts that have one space before, after and between words."""
    codes = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(spaced)), [len(text) for text in spaced])
    is_space = codes == _SPACE
    n_spaces = np.concatenate([[0], np.cumsum(is_space)])
    keys, hashed = [], np.zeros(len(codes), np.uint64)
    for length in range(1, RUNS[1] + 1):
        n = len(codes) - length + 1
        if n < 1:
            break
        hashed = hashed[:n] * _FACTOR + codes[length - 1 :]
        if length < RUNS[0]:
            continue
        # Between two texts stand two spaces: no run crosses them.
        is_run = n_spaces[length - 1 : length - 1 + n] == n_spaces[1 : n + 1]
        if length == 2:
            is_run &= ~(is_space[:-1] & is_space[1:])
        found = hashed[is_run]
        column = ((found ^ (found >> np.uint64(29))) * _MIXER) >> np.uint64(64 - N_BITS)
        keys.append((row[:n][is_run] << N_BITS) | column.astype(np.int64))
    ordered = np.sort(np.concatenate([np.zeros(0, np.int64), *keys]))
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(begins, append=len(ordered)).astype(np.float32)
    unique = ordered[begins]
    ends = np.searchsorted(unique, np.arange(len(spaced) + 1) << N_BITS)
    return sparse.csr_matrix((counts, unique & (N_HASHED - 1), ends), shape=(len(spaced), N_HASHED))


def fit_characters(counts: sparse.csr_matrix) -> CharacterFeatures:
    """As `fit_text`."""
    return CharacterFeatures(weigh_columns(counts))


def is_unspaced(texts: Iterable[str]) -> bool:
    """Whether most is written without spaces: in Chinese, Japanese, Thai, Khmer, Lao or Burmese.

    True where more than a third of all letters are of such a script; False where there is no letter.

    Examples
    --------
    >>> is_unspaced(["今日はいい天気", "ok"]), is_unspaced(["good morning 東京"]), is_unspaced([])
    (True, False, False)
    """
    n_unspaced = n_letters = 0
    for text in texts:
        n_unspaced += len(_UNSPACED.findall(text))
        n_letters += len(_LETTER.findall(text))
    return n_unspaced > MANY * n_letters
