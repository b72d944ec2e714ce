"""How rows of each kind of feature are made of a project's items, and which items have any.

A store knows its folder, whose name says all that its rows depend on besides the items: the version of the code, the
size of images. In another folder everything is made anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.jobs import JobFailedError
from annotation.media import media_path
from annotation.models import Project
from annotation.sentence_models import SENTENCES, SentenceModel, SentenceModelError, find_model
from annotation.settings import learning_settings
from learning.features.counting import (
    HAS_IMAGE,
    HAS_TEXT,
    NICENESS,
    count_blocks,
    count_cores,
    count_processes,
    read_images,
    read_parts,
    read_text,
    read_texts,
)
from learning.features.encoding import open_encoder
from learning.features.shards import SHARD, Ids, Making, Rows, Shard, ShardList, is_among, read_shards
from learning.loading import load_payloads
from learning.models import EmbeddingSpace
from reviewers.columns import read_columns

if TYPE_CHECKING:
    from learning.algorithms.features import Block, GivenFeatures, SentenceFeatures
    from learning.algorithms.features.pixels import ImageFeatures, Size

MAX_THREADS = 4
# Texts by which it is told how most are written.
SAMPLE = 500


@dataclass(frozen=True, eq=False)
class Listed:
    """The items of a project whose content may be used.

    Attributes
    ----------
    project : Project
    items : ndarray of int64, (n_items,)
        Ids, ascending.
    kinds : ndarray of whole numbers, (n_items,)
        HAS_TEXT, HAS_IMAGE, their sum, or 0; all 0 before the words were counted.
    """

    project: Project
    items: Ids
    kinds: NDArray[Any]

    @property
    def folder(self) -> Path:
        """Where the project's features lie."""
        return project_folder(self.project)

    @cached_property
    def text_blocks(self) -> tuple[str, ...]:
        """By what texts are learned: as the settings say, or as a sample of the texts does."""
        from learning.algorithms.features import choose_text_blocks

        having = self.having(HAS_TEXT)
        some = having[:: max(1, len(having) // SAMPLE)]
        texts = [read_texts(read_parts(payload)) for payload in load_payloads(some)]
        asked = str(learning_settings(self.project)["text"])
        return choose_text_blocks(asked, [text for text in texts if text is not None], len(having))

    def having(self, kind: int) -> Ids:
        """The items that have parts of a kind."""
        return self.items[(self.kinds & kind) > 0]


class Store(Making, Protocol):
    """Rows of one kind, as blocks of that kind take them."""

    name: str

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """What there is of this kind among the items of today."""
        ...

    @classmethod
    def of(cls, listed: Listed, name: str, block: Any) -> Self:
        """What a block that was fitted before takes its rows from."""
        ...

    def fit(self, stored: ShardList, items: Ids) -> Block | None:
        """Columns for the rows of these items; None where they have nothing of this kind."""
        ...


def project_folder(project: Project) -> Path:
    """Where all features of a project lie."""
    return Path(settings.FEATURE_DIR) / str(project.pk)


class _CountStore:
    """Counts of what texts are made of; an item's mark says which kinds of part it has."""

    name: str
    is_sparse = True
    n_at_most = SHARD

    def __init__(self, listed: Listed) -> None:
        from learning.algorithms.features import KINDS, N_HASHED

        self.folder = listed.folder / f"{self.name}-{KINDS[self.name].VERSION}"
        self.n_columns = N_HASHED
        self.listed = listed

    @classmethod
    def of(cls, listed: Listed, name: str, block: Any) -> Self:
        """The same counts, whatever the block."""
        return cls(listed)

    def make(self, blocks: Sequence[Ids]) -> Iterator[Rows]:
        """Count, in processes where there is much to count."""
        counted = count_blocks(map(load_payloads, blocks), count_processes(len(blocks)), self.name)
        for items, found in zip(blocks, counted, strict=True):
            yield Rows(items, found.kinds, found.words)

    def fit(self, stored: ShardList, items: Ids) -> Block | None:
        """None where none has a text, or the texts are not learned by these counts."""
        from learning.algorithms.features.texts import FITTERS

        if self.name not in self.listed.text_blocks:
            return None
        rows = stored.gather(items)
        return FITTERS[self.name](rows.matrix) if (rows.marks & HAS_TEXT).any() else None


class WordStore(_CountStore):
    """Counts of words, of every item: their marks are needed where nobody wrote a word."""

    name = "words"

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """Always."""
        return [cls(listed)]

    def wanted(self) -> tuple[Ids, None]:
        """Every item."""
        return self.listed.items, None


class CharacterStore(_CountStore):
    """Counts of runs of characters, of every item with a text."""

    name = "characters"

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """Only where texts are learned by them: counting takes twenty times as long as that of words."""
        return [cls(listed)] if cls.name in listed.text_blocks else []

    def wanted(self) -> tuple[Ids, None]:
        """The items with a text."""
        return self.listed.having(HAS_TEXT), None


class SentenceStore:
    """Vectors of the installation's sentence model, of every item with a text.

    A folder belongs to one model. On a host without a model what other hosts stored is used as it is.
    """

    name = SENTENCES
    is_sparse = False
    n_at_most = 2_000

    def __init__(self, listed: Listed, block: SentenceFeatures) -> None:
        self.folder = _sentence_folder(listed.project, block.VERSION, block.model)
        # Not known before the first rows are made: 0.
        self.n_columns = block.n_dimensions
        self.block, self.listed = block, listed

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """Where texts are learned by them. It is `make` that fails where there is no model."""
        from learning.algorithms.features import SentenceFeatures

        if cls.name not in listed.text_blocks:
            return []
        try:
            model = find_model().digest
        except SentenceModelError:
            known = sorted(listed.folder.glob(f"{cls.name}-{SentenceFeatures.VERSION}-*"))
            model = known[0].name.rpartition("-")[2] if known else ""
        folder = _sentence_folder(listed.project, SentenceFeatures.VERSION, model)
        widths = (int(shard.rows.matrix.shape[1]) for shard in read_shards(folder))
        return [cls(listed, SentenceFeatures(next(widths, 0), model))]

    @classmethod
    def of(cls, listed: Listed, name: str, block: SentenceFeatures) -> Self:
        """Those of the block's model, whatever the installation's is now."""
        return cls(listed, block)

    def wanted(self) -> tuple[Ids, None]:
        """The items with a text."""
        return self.listed.having(HAS_TEXT), None

    def make(self, blocks: Sequence[Ids]) -> Iterator[Rows]:
        """Encode the texts, in a process. Raises JobFailedError where the model cannot be used here."""
        if not blocks:
            return
        try:
            with open_encoder(self._find_model()) as encoder:
                self.n_columns = encoder.n_dimensions
                for items in blocks:
                    vectors = encoder.encode([read_text(payload) for payload in load_payloads(items)])
                    yield Rows(items, np.zeros(len(items), np.int64), vectors)
        except SentenceModelError as error:
            raise JobFailedError(
                _(
                    "Texts are learned by sentence embeddings here, and these cannot be made: %(reason)s."
                    " Or choose something else for “Texts are learned by” in the settings."
                )
                % {"reason": error}
            ) from error

    def _find_model(self) -> SentenceModel:
        model = find_model()
        if model.digest != self.block.model:
            raise SentenceModelError(
                _("the vectors that a model was fitted on are of another sentence model: train anew")
            )
        return model

    def fit(self, stored: ShardList, items: Ids) -> Block | None:
        """None where none has a text."""
        from learning.algorithms.features import SentenceFeatures

        is_any = is_among(items, stored.items).any()
        return SentenceFeatures(self.n_columns, self.block.model) if is_any else None


def _sentence_folder(project: Project, version: int, model: str) -> Path:
    return project_folder(project) / f"{SENTENCES}-{version}-{model or 'none'}"


def has_vectors(project: Project, block: SentenceFeatures) -> bool:
    """Whether vectors of a block's sentence model can be made on this host; or are stored, where it has no model."""
    try:
        return find_model().digest == block.model
    except SentenceModelError:
        return _sentence_folder(project, block.VERSION, block.model).is_dir()


class PixelStore:
    """Pixels of the items that have an image; an item's mark is the size of its own, 0 where it cannot be read."""

    name = "pixels"
    is_sparse = False
    n_at_most = SHARD

    def __init__(self, listed: Listed, block: ImageFeatures) -> None:
        size = f"{block.width}x{block.height}x{block.channels}"
        self.folder = listed.folder / f"pixels-{block.VERSION}-{size}"
        self.n_columns = block.n_features
        self.block = block
        self.listed = listed
        self._opened: Sequence[Shard] | None = None

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """At the size of the largest. What was opened to find that is kept: its digests need no second look."""
        from learning.algorithms.features import ImageFeatures

        folders = listed.folder.glob(f"pixels-{ImageFeatures.VERSION}-*")
        opened = {folder: list(read_shards(folder)) for folder in folders}
        block = find_image_size(listed, [shard.rows for shards in opened.values() for shard in shards])
        if block is None:
            return []
        store = cls(listed, block)
        store._opened = opened.get(store.folder)
        return [store]

    def take_opened(self) -> Sequence[Shard] | None:
        """The shards that `find` opened, once: whoever brings them up to date does not hold on to the old ones."""
        opened, self._opened = self._opened, None
        return opened

    @classmethod
    def of(cls, listed: Listed, name: str, block: ImageFeatures) -> Self:
        """At the block's own size, whatever is the largest now."""
        return cls(listed, block)

    def wanted(self) -> tuple[Ids, None]:
        """The items with an image."""
        return self.listed.having(HAS_IMAGE), None

    def make(self, blocks: Sequence[Ids]) -> Iterator[Rows]:
        """Decode each image. One whose file is not on this host is left out, and tried again the next time."""
        with ThreadPoolExecutor(max(1, min(MAX_THREADS, count_cores() - 1)), initializer=_give_way) as threads:
            for items in blocks:
                found = list(threads.map(_or_none(self.block.read), image_paths(self.listed.project, items)))
                is_there = np.array([one is not None for one in found], bool)
                pixels = np.zeros((int(is_there.sum()), self.n_columns), np.uint8)
                marks = np.zeros(len(pixels), np.int64)
                for number, (row, size) in enumerate(one for one in found if one is not None):
                    pixels[number], marks[number] = row, _mark_of(size)
                yield Rows(items[is_there], marks, pixels)

    def fit(self, stored: ShardList, items: Ids) -> Block | None:
        """None where none has an image."""
        return self.block if is_among(items, stored.items).any() else None


class GivenStore:
    """Vectors that were sent in, of the items that have one; an item's mark is the vector's stamp."""

    is_sparse = False
    n_at_most = SHARD

    def __init__(self, listed: Listed, block: GivenFeatures, name: str) -> None:
        self.name, self.block, self.listed = name, block, listed
        self.folder = listed.folder / f"given-{block.VERSION}-{block.space}"
        self.n_columns = block.n_features

    @classmethod
    def find(cls, listed: Listed) -> Sequence[Self]:
        """One for each name under which vectors were sent."""
        from learning.algorithms.features import GivenFeatures

        spaces = EmbeddingSpace.objects.filter(project=listed.project).order_by("name")
        return [cls(listed, GivenFeatures(one.n_dimensions, one.pk), f"given:{one.name}") for one in spaces]

    @classmethod
    def of(cls, listed: Listed, name: str, block: GivenFeatures) -> Self:
        """Those of the block's space, whatever is sent under that name now."""
        return cls(listed, block, name)

    def wanted(self) -> tuple[Ids, NDArray[Any]]:
        """The items with a vector, and which one that is."""
        found = read_columns(
            "select item_id as item, stamp from learning_embedding where space_id = %(space)s order by item_id",
            {"space": self.block.space},
            item="int8",
            stamp="int8",
        )
        is_listed = is_among(found["item"], self.listed.items)
        return found["item"][is_listed], found["stamp"][is_listed]

    def make(self, blocks: Sequence[Ids]) -> Iterator[Rows]:
        """Read the vectors out of their table."""
        for items in blocks:
            with (
                connection.cursor() as cursor,
                cursor.copy(
                    "copy (select item_id, stamp, vector from learning_embedding where space_id = %s"
                    " and item_id = any(%s::int8[]) order by item_id) to stdout (format binary)",
                    [self.block.space, items.tolist()],
                ) as copy,
            ):
                copy.set_types(["int8", "int8", "bytea"])
                rows = list(copy.rows())
            vectors = np.frombuffer(b"".join(vector for _item, _stamp, vector in rows), "<f4")
            yield Rows(
                np.array([item for item, _stamp, _vector in rows], np.int64),
                np.array([stamp for _item, stamp, _vector in rows], np.int64),
                vectors.reshape(len(rows), self.n_columns).astype(np.float32, copy=False),
            )

    def fit(self, stored: ShardList, items: Ids) -> Block | None:
        """None where none has a vector."""
        return self.block if is_among(items, stored.items).any() else None


def find_image_size(listed: Listed, known: Sequence[Rows]) -> ImageFeatures | None:
    """The size of the largest image, of those that are on this host; None where none can be read.

    What was read once stands in the shards' rows, `known`; of the others the headers are read, until none can be
    larger.
    """
    from learning.algorithms.features.pixels import fit_sizes, read_size

    items = listed.having(HAS_IMAGE)
    unknown = items[~is_among(items, np.unique(np.concatenate([np.zeros(0, np.int64), *(k.items for k in known)])))]

    def sizes() -> Iterator[Size]:
        for rows in known:
            for mark in np.unique(rows.marks[is_among(rows.items, items)]).tolist():
                yield _size_of(mark)
        for start in range(0, len(unknown), 1000):
            for path in image_paths(listed.project, unknown[start : start + 1000]):
                size = _or_none(read_size)(path)
                if size is not None:
                    yield size

    return fit_sizes(sizes())


def _mark_of(size: Size) -> int:
    width, height, channels = size
    return (width << 16) + (height << 8) + channels


def _size_of(mark: int) -> Size:
    return mark >> 16, mark >> 8 & 255, mark & 255


def image_paths(project: Project, items: Ids) -> list[Path | None]:
    """Where the first target image of each item lies; None where it has none (any more)."""
    digests = [read_images(read_parts(payload)) for payload in load_payloads(items)]
    return [media_path(project.pk, found[0]) if found else None for found in digests]


def _give_way() -> None:
    """Let what people wait for go before this thread, on systems on which a thread can."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _or_none(read: Callable[[Path], Any]) -> Callable[[Path | None], Any]:
    """Reads a file, or gives None where there is none."""

    def read_there(path: Path | None) -> Any:
        with suppress(OSError):
            return None if path is None else read(path)
        return None

    return read_there


# In the order of the columns.
STORES: dict[str, type[Store]] = {
    "words": WordStore,
    "characters": CharacterStore,
    SENTENCES: SentenceStore,
    "pixels": PixelStore,
    "given": GivenStore,
}
