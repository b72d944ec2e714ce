"""Items to numbers: a feature space is a list of named blocks of columns, side by side in one matrix.

A space is fitted once on a pool and stored, so that a model and its scores stay comparable until it is fitted anew.
A new kind of feature is a module with a class like the ones here (`block.Block`), a line in `KINDS`, and a line in
`learning/features/stores.py`, which says how its rows are made of a project's items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from learning.algorithms.features.block import Block, FloatArray, Matrix
from learning.algorithms.features.characters import CharacterFeatures
from learning.algorithms.features.given import GivenFeatures
from learning.algorithms.features.pixels import ImageFeatures, fit_images
from learning.algorithms.features.sentences import SentenceFeatures
from learning.algorithms.features.texts import COUNTERS, SENTENCES, choose_text_blocks, count_texts, fit_texts
from learning.algorithms.features.words import N_HASHED, TextFeatures, count_words, fit_text

__all__ = [
    "KINDS",
    "N_HASHED",
    "SENTENCES",
    "Block",
    "CharacterFeatures",
    "Features",
    "FloatArray",
    "GivenFeatures",
    "ImageFeatures",
    "Matrix",
    "SentenceFeatures",
    "TextFeatures",
    "choose_text_blocks",
    "count_texts",
    "count_words",
    "fit_features",
    "fit_images",
    "fit_text",
    "fit_texts",
    "kind_of",
]

WORDS, CHARACTERS, PIXELS, GIVEN = "words", "characters", "pixels", "given"
# Words, characters and sentences are views of one part of an item: their columns stand together.
TEXT = "text"
TEXT_KINDS = (WORDS, CHARACTERS, SENTENCES)
# By kind, in the order of the columns.
KINDS: dict[str, type[Block]] = {
    WORDS: TextFeatures,
    CHARACTERS: CharacterFeatures,
    SENTENCES: SentenceFeatures,
    PIXELS: ImageFeatures,
    GIVEN: GivenFeatures,
}


def kind_of(name: str) -> str:
    """The kind of a block of this name: the part before the colon, where it has one."""
    return name.partition(":")[0]


@dataclass(frozen=True, eq=False)
class Features:
    """The feature space of a pool. A kind that no item has takes no columns.

    Attributes
    ----------
    blocks : mapping of str to Block
        By name, in the order of their columns.

    Examples
    --------
    >>> features = fit_features(["buy now", "good morning", "buy buy"], [None] * 3)
    >>> X = features.transform(["buy now"], [None])
    >>> X.shape, X.nnz, features.spans
    ((1, 262144), 2, {'words': slice(0, 262144, None)})
    >>> arrays, card = features.to_arrays()
    >>> (Features.from_arrays(arrays, card).transform(["buy now"], [None]) != X).nnz
    0
    """

    blocks: Mapping[str, Block] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        return sum(block.n_features for block in self.blocks.values())

    @property
    def spans(self) -> dict[str, slice]:
        """The columns of each block. Where an item lacks a part, its row is all zeros there."""
        ends = accumulate((block.n_features for block in self.blocks.values()), initial=0)
        return {name: slice(*span) for name, span in zip(self.blocks, pairwise(ends), strict=True)}

    @property
    def parts(self) -> dict[str, slice]:
        """The columns of each part of an item: all blocks of its texts are the part `text`, any other is one itself."""
        found: dict[str, slice] = {}
        for name, span in self.spans.items():
            part = TEXT if kind_of(name) in TEXT_KINDS else name
            found[part] = slice(found[part].start if part in found else span.start, span.stop)
        return found

    def join(self, rows: Mapping[str, Any], n_items: int) -> Matrix:
        """Stored rows of items as one matrix.

        Parameters
        ----------
        rows : mapping of str to csr_matrix or ndarray, (n_items, n_features of the block)
            For each block by its name, as its `weigh` takes them.
        n_items : int

        Returns
        -------
        csr_matrix or ndarray of float32, (n_items, n_features)
            Dense where every block is. Of several blocks each is scaled so that its longest row is 1, and none drowns
            the others: words are that long anyway, a white image comes to be.
        """
        parts = [block.weigh(rows[name]) for name, block in self.blocks.items()]
        if not parts:
            return np.zeros((n_items, 0), np.float32)
        if len(parts) == 1:
            return parts[0]
        scaled = [
            part if block.length == 1 else part / np.float32(block.length)
            for part, block in zip(parts, self.blocks.values(), strict=True)
        ]
        if not any(block.is_sparse for block in self.blocks.values()):
            return np.hstack(scaled)
        return sparse.hstack([sparse.csr_matrix(part) for part in scaled], format="csr", dtype=np.float32)

    def transform(self, texts: Sequence[str | None], images: Sequence[bytes | None]) -> Matrix:
        """One row for each item, of contents at hand.

        Parameters
        ----------
        texts : sequence of str or None, (n_items,)
            All texts of an item as one; None counts as empty.
        images : sequence of bytes or None, (n_items,)
            An encoded image file; None and unreadable ones count as black.

        Returns
        -------
        csr_matrix or ndarray of float32, (n_items, n_features)

        Raises
        ------
        ValueError
            If texts and images differ in length, or a block takes neither.
        """
        if len(texts) != len(images):
            raise ValueError(f"{len(texts)} texts and {len(images)} images: must be one of each per item")
        rows: dict[str, Any] = {}
        for name, block in self.blocks.items():
            if isinstance(block, ImageFeatures):
                rows[name] = block.read_all(images)
            elif name in COUNTERS:
                rows[name] = COUNTERS[name]([text or "" for text in texts])
            else:
                raise ValueError(f"the block {name!r} is not made of texts or images")
        return self.join(rows, len(texts))

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """For `weights.pack`."""
        arrays: dict[str, NDArray[Any]] = {}
        cards = []
        for name, block in self.blocks.items():
            own, card = block.to_arrays()
            arrays |= {f"{name}/{key}": array for key, array in own.items()}
            cards.append({**card, "name": name, "version": block.VERSION})
        return arrays, {"kind": "features", "blocks": cards}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Features:
        """The inverse of `to_arrays`.

        Raises
        ------
        ValueError
            If the card describes something else, or blocks whose rows were made in another way than now.
        """
        if card.get("kind") != "features":
            raise ValueError(f"the card describes {card.get('kind')!r}, not features")
        blocks: dict[str, Block] = {}
        for told in card.get("blocks", [{"name": "unknown"}]):
            name = told["name"]
            kind = KINDS.get(kind_of(name))
            if kind is None or told["version"] != kind.VERSION:
                raise ValueError(f"the block {name!r} was made in another way than now")
            own = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
            blocks[name] = kind.from_arrays(own, told)
        return cls(blocks)


def fit_features(texts: Sequence[str | None], images: Sequence[bytes | None]) -> Features:
    """Fit the feature space of a pool, of contents at hand.

    Parameters
    ----------
    texts, images : as in `Features.transform`

    Returns
    -------
    Features
        Without words where every text is None, without pixels where no image can be read.
    """
    blocks: dict[str, Block] = {}
    if any(text is not None for text in texts):
        blocks[WORDS] = fit_text(count_words(text or "" for text in texts))
    pixels = fit_images(data for data in images if data is not None)
    if pixels is not None:
        blocks[PIXELS] = pixels
    return Features(blocks)
