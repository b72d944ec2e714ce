"""Which features of texts a model learns from: words, runs of characters, both, sentence embeddings beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scipy import sparse

from learning.algorithms.features.characters import count_characters, fit_characters, is_unspaced
from learning.algorithms.features.words import TextFeatures, count_words, fit_text

AUTO, SENTENCES = "auto", "sentences"
# Runs of characters teach more (docs/features.md), and take 14 times the room and the time of words in a round.
MANY_TEXTS = 100_000
# What may be asked for besides: the blocks of each, in the order of their columns.
TEXT_BLOCKS = {"words": ("words",), "characters": ("characters",), "both": ("words", "characters")}
COUNTERS: dict[str, Callable[[Sequence[str]], sparse.csr_matrix]] = {
    "words": count_words,
    "characters": count_characters,
}
FITTERS: dict[str, Callable[[sparse.csr_matrix], TextFeatures]] = {"words": fit_text, "characters": fit_characters}


def choose_text_blocks(asked: str, texts: Sequence[str], n_texts: int) -> tuple[str, ...]:
    """The blocks for what is asked for, of a pool of `n_texts`, some of which are `texts`.

    `auto`: characters, but words for more than 100,000 texts that are written with spaces. `sentences`: the same, and
    sentence embeddings beside them.
    """
    if asked in TEXT_BLOCKS:
        return TEXT_BLOCKS[asked]
    counted = TEXT_BLOCKS["characters" if n_texts <= MANY_TEXTS or is_unspaced(texts) else "words"]
    return counted if asked == AUTO else (*counted, SENTENCES)


def count_texts(texts: Sequence[str], blocks: Sequence[str]) -> dict[str, sparse.csr_matrix]:
    """Counts of the texts for each of the blocks that count, (n_texts, 2**18) each."""
    return {name: COUNTERS[name](texts) for name in blocks if name in COUNTERS}


def fit_texts(counts: Mapping[str, sparse.csr_matrix]) -> dict[str, TextFeatures]:
    """A block for each of the counts of a pool, for `Features`."""
    return {name: FITTERS[name](found) for name, found in counts.items()}
